// Command gostd runs tests of Go's standard library, built for WASI preview 1, on this library and its rivals. Without
// arguments the packages are those of the report. It fails if a test fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"

	"github.com/wasmerio/go-ext-wasm/conformance"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/gostd"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasi"
)

func main() {
	only := flag.String("engine", "", "run on this engine only: a compiler's name, wazero or wasmtime")
	verbose := flag.Bool("v", false, "show what the test programs write")
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = gostd.Packages()
	}
	engines, err := choose(*only)
	if err == nil {
		err = run(packages, engines, *verbose)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gostd:", err)
		os.Exit(1)
	}
}

func choose(only string) ([]wasi.Engine, error) {
	engines := conformance.WASIEngines()
	if only == "" {
		return engines, nil
	}
	i := slices.IndexFunc(engines, func(e wasi.Engine) bool { return e.Name() == only })
	if i < 0 {
		return nil, fmt.Errorf("no engine %q", only)
	}
	return engines[i : i+1], nil
}

func run(packages []string, engines []wasi.Engine, verbose bool) error {
	folder, err := os.MkdirTemp("", "wasmer-go-gostd")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	var failed error
	for _, pkg := range packages {
		test, err := gostd.Build(pkg, folder)
		if err != nil {
			return err
		}
		for _, engine := range engines {
			report, err := test.Run(context.Background(), engine)
			if err != nil {
				return err
			}
			if verbose {
				os.Stdout.Write(report.Output)
			}
			fmt.Printf("%-14s %-12s %v\n", pkg, engine.Name(), report)
			if report.Err != nil {
				failed = errors.New("some tests failed")
			}
		}
	}
	return failed
}
