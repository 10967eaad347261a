package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/wasmerio/go-ext-wasm/conformance"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasi"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasisuite"
)

// wasiReport is what the engines did with the suite of WASI preview 1.
type wasiReport struct {
	cases   int
	columns []wasiColumn
}

type wasiColumn struct {
	name     string
	failures []wasiFailure
}

type wasiFailure struct{ name, summary string }

func (f wasiFailure) String() string { return f.name + ": " + firstLine(f.summary) }

func runWASI(repository string) (r wasiReport, err error) {
	folder, err := os.MkdirTemp("", "wasmer-go-report")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	cases, err := wasisuite.Load(repository, folder)
	if err != nil {
		return r, err
	}
	r.cases = len(cases)
	for _, engine := range conformance.WASIEngines() {
		c, err := runWASICases(engine, cases)
		if err != nil {
			return r, err
		}
		fmt.Printf("%-12s WASI: passed %d, failed %d\n", c.name, r.cases-len(c.failures), len(c.failures))
		r.columns = append(r.columns, c)
	}
	return r, nil
}

// sourcePath is where a program was compiled, of which the file's name is enough.
var sourcePath = regexp.MustCompile(`/(?:[\w.-]+/)+([\w.-]+)`)

func runWASICases(engine wasi.Engine, cases []wasisuite.Case) (wasiColumn, error) {
	column := wasiColumn{name: engine.Name()}
	for _, c := range cases {
		err := wasisuite.Run(context.Background(), engine, c)
		var failure *wasisuite.Failure
		switch {
		case errors.As(err, &failure):
			summary := sourcePath.ReplaceAllString(failure.Summary(), "$1")
			column.failures = append(column.failures, wasiFailure{c.Name, summary})
		case err != nil:
			return column, fmt.Errorf("%s: %s: %w", engine.Name(), c.Name, err)
		}
	}
	return column, nil
}

func (r *wasiReport) write(w io.Writer) {
	fmt.Fprintf(w, "\n## WASI preview 1\n\nThe %d programs of WASI's official test suite.\n\n", r.cases)
	var rows [][]string
	for _, c := range r.columns {
		rows = append(rows, []string{c.name, fmt.Sprint(r.cases - len(c.failures)), fmt.Sprint(len(c.failures))})
	}
	writeTable(w, []string{"engine", "passed", "failed"}, rows)
	fmt.Fprint(w, `
A program passed if it ended with the exit code that the suite wants, and wrote what the suite wants to its standard output.
It is given the arguments, the environment and fresh copies of the folders that the suite names, an empty standard input,
and 30 seconds. wazero has its real clocks and randomness.
`)
	for _, c := range r.columns {
		fmt.Fprintf(w, "\n### Failures of %s\n\n", c.name)
		if len(c.failures) == 0 {
			fmt.Fprint(w, "None.\n")
		}
		for _, f := range c.failures {
			fmt.Fprintf(w, "- `%s` %s\n", f.name, escape(firstLine(f.summary)))
		}
	}
}
