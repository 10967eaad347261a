// Command report runs the benchmarks in several passes and writes medians, ratios and targets as Markdown.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	o := options{}
	flag.StringVar(&o.pattern, "bench", ".", "run the benchmarks that match this regular expression")
	flag.IntVar(&o.count, "count", 5, "number of passes")
	flag.StringVar(&o.time, "benchtime", "1s", "time of one benchmark in one pass")
	flag.BoolVar(&o.short, "short", false, "leave out what takes long")
	quick := flag.Bool("quick", false, "the same as -count 1 -benchtime 100ms -short")
	out := flag.String("o", "", "write the report to this file (default RESULTS.md of the benchmarks)")
	raw := flag.String("raw", "", "write what the benchmarks print to this file, for benchstat")
	flag.Parse()
	if *quick {
		o.count, o.time, o.short = 1, "100ms", true
	}
	if err := run(o, *out, *raw); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(o options, out, raw string) error {
	folder, err := benchmarksFolder()
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(folder, "RESULTS.md")
	}
	// The machine is described before the benchmarks put load on it.
	about := describe(folder)
	printed, failed := runPasses(folder, o)
	results, err := parse(bytes.NewReader(printed))
	if err != nil {
		return errors.Join(failed, err)
	}
	if len(results.order) == 0 {
		return errors.Join(failed, errors.New("nothing was measured; any earlier report is left as it was"))
	}
	var report bytes.Buffer
	writeReport(&report, about, o, results, failed)
	_, err = os.Stdout.Write(report.Bytes())
	failed = errors.Join(failed, err)
	if raw != "" {
		failed = errors.Join(failed, os.WriteFile(raw, printed, 0o644))
	}
	return errors.Join(failed, os.WriteFile(out, report.Bytes(), 0o644))
}
