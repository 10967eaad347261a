// Command report runs the official test suites of WebAssembly and WASI, and tests of Go's standard library, on this library
// and its rivals, and writes what they do as Markdown. It fails if this library fails an official suite.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/wasmerio/go-ext-wasm/conformance"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
)

func main() {
	out := flag.String("o", "", "write the report to this file (default CONFORMANCE.md of the repository)")
	flag.Parse()
	failed, err := run(*out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
	}
	if failed || err != nil {
		os.Exit(1)
	}
}

func run(out string) (failed bool, err error) {
	folder, err := goList("-m", "-f", "{{.Dir}}", "github.com/wasmerio/go-ext-wasm/conformance")
	if err != nil {
		return false, fmt.Errorf("run this inside the conformance tests' module: %w", err)
	}
	repository := filepath.Dir(folder)
	if out == "" {
		out = filepath.Join(repository, "CONFORMANCE.md")
	}
	scripts, err := suite.Load(repository)
	if err != nil {
		return false, err
	}
	r := report{scripts: scripts, own: len(conformance.WasmerEngines())}
	for _, engine := range conformance.Engines() {
		c := column{name: engine.Name()}
		for _, script := range scripts {
			c.add(script.Name, suite.Run(engine, script))
		}
		fmt.Printf("%-12s %s\n", c.name, c.total)
		r.columns = append(r.columns, c)
	}
	if r.wasi, err = runWASI(repository); err != nil {
		return false, err
	}
	if r.goStd, err = runGo(); err != nil {
		return false, err
	}
	var document bytes.Buffer
	r.write(&document)
	for _, c := range r.columns[:r.own] {
		for _, f := range c.failures {
			failed = true
			fmt.Printf("%s: %s\n", c.name, f)
		}
	}
	for _, c := range r.wasi.columns[:r.own] {
		for _, f := range c.failures {
			failed = true
			fmt.Printf("%s: %s\n", c.name, f)
		}
	}
	return failed, os.WriteFile(out, document.Bytes(), 0o644)
}

// moduleVersion is the version of a module that this program is built from.
func moduleVersion(path string) string {
	version, err := goList("-m", "-f", "{{.Version}}", path)
	if err != nil {
		return "of unknown version"
	}
	return version
}

func goList(args ...string) (string, error) {
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}
