// Command report runs the benchmarks in several passes and writes medians, ratios and targets as Markdown and as JSON, and plots.
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
	flag.StringVar(&o.pattern, "bench", everything, "run the benchmarks that match this regular expression")
	flag.IntVar(&o.count, "count", 5, "number of passes")
	flag.IntVar(&o.long, "long", 2, "number of passes that have the rows that take seconds, too")
	flag.IntVar(&o.rounds, "rounds", 15, "number of short rounds of the rows that take microseconds at most; none if -bench is given")
	flag.StringVar(&o.time, "benchtime", "200ms", "time of one benchmark in one pass")
	flag.BoolVar(&o.short, "short", false, "leave out what takes long")
	quick := flag.Bool("quick", false, "the same as -count 1 -benchtime 100ms -short")
	var w written
	flag.StringVar(&w.report, "o", "", "write the report to this file (default RESULTS.md of the benchmarks)")
	flag.StringVar(&w.json, "json", "", "write the numbers to this file (default results.json beside the report; none beside /dev/null)")
	flag.StringVar(&w.plots, "plots", "", "write plots to this folder (default plots beside the report; none beside /dev/null)")
	flag.StringVar(&w.raw, "raw", "", "write what the benchmarks print to this file, for benchstat")
	flag.Parse()
	if *quick {
		o.count, o.rounds, o.time, o.short = 1, 0, "100ms", true
	}
	if err := run(o, w); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// written are the files that a report writes; what is empty it does not write.
type written struct{ report, json, plots, raw string }

// complete finds the places that were not named.
func (w written) complete(folder string) written {
	if w.report == os.DevNull {
		return w
	}
	if w.report == "" {
		w.report = filepath.Join(folder, "RESULTS.md")
	}
	beside := filepath.Dir(w.report)
	if w.json == "" {
		w.json = filepath.Join(beside, "results.json")
	}
	if w.plots == "" {
		w.plots = filepath.Join(beside, "plots")
	}
	return w
}

func run(o options, w written) error {
	folder, err := benchmarksFolder()
	if err != nil {
		return err
	}
	w = w.complete(folder)
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
	return errors.Join(failed, err, w.save(about, o, results, failed, printed, report.Bytes()))
}

func (w written) save(about machine, o options, r results, failed error, printed, report []byte) error {
	err := os.WriteFile(w.report, report, 0o644)
	if w.raw != "" {
		err = errors.Join(err, os.WriteFile(w.raw, printed, 0o644))
	}
	if w.json != "" {
		var numbers bytes.Buffer
		err = errors.Join(err, writeJSON(&numbers, about, o, r, failed), os.WriteFile(w.json, numbers.Bytes(), 0o644))
	}
	if w.plots != "" {
		err = errors.Join(err, writePlots(w.plots, r))
	}
	return err
}
