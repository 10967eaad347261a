package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/wasmerio/go-ext-wasm/conformance"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/gostd"
)

// goReport is what became of the tests of Go's standard library: for each package a report of each engine.
type goReport struct {
	engines  []string
	packages []string
	reports  map[string][]gostd.Report
}

func runGo() (r goReport, err error) {
	folder, err := os.MkdirTemp("", "wasmer-go-report")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	r.packages, r.reports = gostd.Packages(), map[string][]gostd.Report{}
	engines := conformance.WASIEngines()
	for _, engine := range engines {
		r.engines = append(r.engines, engine.Name())
	}
	for _, pkg := range r.packages {
		test, err := gostd.Build(pkg, folder)
		if err != nil {
			return r, err
		}
		for _, engine := range engines {
			report, err := test.Run(context.Background(), engine)
			if err != nil {
				return r, err
			}
			fmt.Printf("%-12s Go's %s: %v\n", engine.Name(), pkg, report)
			r.reports[pkg] = append(r.reports[pkg], report)
		}
	}
	return r, nil
}

func (r *goReport) write(w io.Writer) {
	fmt.Fprint(w, `
## Go's standard library

The tests of packages of Go's standard library, built for WASI preview 1.

`)
	var rows [][]string
	for _, pkg := range r.packages {
		row := []string{pkg}
		for _, report := range r.reports[pkg] {
			row = append(row, goCell(report))
		}
		rows = append(rows, row)
	}
	writeTable(w, append([]string{"package"}, r.engines...), rows)
	fmt.Fprint(w, `
A number alone is what passed; tests inside of tests are not counted. They run as Go's own go_wasip1_wasm_exec runs them, with
-test.short: they see the whole file system of the host, and have PWD, PATH, 5 minutes, and 8 MiB of stack, which deep
recursion needs (wazero's own bound is higher, wasmtime's here 6 MiB). What is skipped is so by the tests themselves, mostly
for what WASI cannot do.
`)
	for i, engine := range r.engines {
		fmt.Fprintf(w, "\n### Failing tests on %s\n\n", engine)
		r.writeFailures(w, i)
	}
}

func (r *goReport) writeFailures(w io.Writer, engine int) {
	none := true
	for _, pkg := range r.packages {
		report := r.reports[pkg][engine]
		if report.Err == nil {
			continue
		}
		none = false
		fmt.Fprintf(w, "- `%s` %s: %s\n", pkg, escape(firstLine(report.Err.Error())), escape(strings.Join(report.Guilty(), ", ")))
	}
	if none {
		fmt.Fprint(w, "None.\n")
	}
}

func goCell(r gostd.Report) string {
	parts := []string{fmt.Sprint(r.Passed)}
	if r.Failed > 0 {
		parts = append(parts, fmt.Sprintf("**%d failed**", r.Failed))
	}
	if r.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", r.Skipped))
	}
	if len(r.Unfinished) > 0 || r.Err != nil && r.Failed == 0 {
		parts = append(parts, "**ended early**")
	}
	return strings.Join(parts, ", ")
}
