package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

type report struct {
	scripts []suite.Script
	columns []column
	// own is how many of the columns are this library's, here and of the WASI suite; they come first.
	own int

	wasi  wasiReport
	goStd goReport
}

func (r *report) write(w io.Writer) {
	fmt.Fprintf(w, "# Conformance\n\nWritten by `./justw conformance`: what the official test suites of WebAssembly and WASI, and tests of Go's\n"+
		"standard library, say about this library, with each of its compilers, and about its rivals.\n")
	r.writeTotals(w)
	r.wasi.write(w)
	r.goStd.write(w)
	fmt.Fprint(w, "\n## WebAssembly in detail\n")
	r.writeMethod(w)
	r.writeUnsupported(w)
	r.writeFailures(w)
	r.writeScripts(w)
}

func (r *report) writeTotals(w io.Writer) {
	var rows [][]string
	for _, c := range r.columns {
		rows = append(rows, []string{
			c.name, fmt.Sprint(c.total.passed), fmt.Sprint(c.total.failed), fmt.Sprint(c.total.unsupportedTotal()),
			fmt.Sprint(c.total.notConverted),
		})
	}
	fmt.Fprint(w, "\n## WebAssembly\n\nThe commands of WebAssembly's official test suite.\n\n")
	writeTable(w, []string{"engine", "passed", "failed", "unsupported", "not converted"}, rows)
}

func (r *report) writeMethod(w io.Writer) {
	fmt.Fprintf(w, `
### Method

- versions: this library %s with wasmer %s, wazero %s, wasmtime-go %s, %s, %s/%s
- suite: %d files, those of the proposals among them. wasm-tools translates them; what it cannot translate is counted as
  not converted.
- Each command of a file counts once. It passed if all of it is as the suite wants it: results to the bit, with the
  suite's patterns for NaNs and for what relaxed SIMD leaves open; of a trap its kind, as far as the engine tells; that a
  module is refused, but not in which words.
- Unsupported is what needs a feature that the engine refuses, and what depends on that. This library names the feature.
  The rivals do not tell what they lack from what is invalid: "module refused" is any valid module that they refuse.
  "API" is what an engine could do, but not through Go. "Superseded" is what a proposal's own copy of the suite still
  wants refused, and later versions of the specification allow. Custom sections, annotations among them, may be ignored.
- This library runs with all features that the compiler has. The rivals have every feature enabled that their Go API
  offers, the experimental ones too.
- The host module "spectest" is made of the library's own host functions, globals, tables and memories; for the rivals it
  is a module of WebAssembly.
`, wasmer.Version(), wasmer.EngineVersion(), moduleVersion("github.com/tetratelabs/wazero"),
		moduleVersion("github.com/bytecodealliance/wasmtime-go/v39"), runtime.Version(), runtime.GOOS, runtime.GOARCH,
		len(r.scripts))
}

func (r *report) writeUnsupported(w io.Writer) {
	all := map[string]bool{}
	for _, c := range r.columns {
		for feature := range c.total.unsupported {
			all[feature] = true
		}
	}
	var rows [][]string
	for _, feature := range slices.Sorted(maps.Keys(all)) {
		row := []string{feature}
		for _, c := range r.columns {
			row = append(row, blankZero(c.total.unsupported[feature]))
		}
		rows = append(rows, row)
	}
	fmt.Fprint(w, "\n### Unsupported commands by feature\n\n")
	writeTable(w, r.header("feature"), rows)
}

func (r *report) writeFailures(w io.Writer) {
	fmt.Fprint(w, "\n### Failures\n")
	for _, c := range r.columns {
		fmt.Fprintf(w, "\n#### %s\n\n", c.name)
		if len(c.failures) == 0 {
			fmt.Fprint(w, "None.\n")
		}
		for _, f := range c.failures {
			fmt.Fprintf(w, "- `%s.wast:%d` %s: %s\n", f.script, f.Line, f.Type, escape(firstLine(f.Reason)))
		}
	}
}

func (r *report) writeScripts(w io.Writer) {
	fmt.Fprint(w, "\n### Files\n\nA number alone is what passed.\n\n")
	var rows [][]string
	for _, script := range r.scripts {
		row := []string{script.Name}
		for _, c := range r.columns {
			row = append(row, c.scripts[script.Name].cell())
		}
		rows = append(rows, row)
	}
	writeTable(w, r.header("file"), rows)
}

func (r *report) header(first string) []string {
	header := []string{first}
	for _, c := range r.columns {
		header = append(header, c.name)
	}
	return header
}

func blankZero(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func writeTable(w io.Writer, header []string, rows [][]string) {
	line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	line(header)
	line(slices.Repeat([]string{"---"}, len(header)))
	for _, row := range rows {
		line(row)
	}
}

// escape keeps Markdown from finding markup in a message.
func escape(text string) string {
	return strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "<", "\\<", "|", "\\|").Replace(text)
}
