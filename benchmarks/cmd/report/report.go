package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	perOp       = "ns/op"
	perHostCall = "ns/hostcall"
	perCall     = "ns/call"
	perInstance = "bytes/instance"
	allocsPerOp = "allocs/op"
	wasmBytes   = "wasm-bytes"
	megabytes   = "MB/s"
	amount      = "amount"
)

// yardstick is the least that a call across cgo costs.
var yardstick = key{"Call", "EmptyCgoCall", ""}

// A group is one table.
type group struct {
	name, about, row, unit string
	// references are the columns of ratios: this row's time in that of the reference, so that below 1 is faster.
	references []reference
	// rated groups tell how much they did in a second.
	rated bool
}

type reference struct {
	name string
	of   func(k key) key
}

var (
	toRivals    = []reference{sameRowOf("wazero-compiler"), sameRowOf("wasmtime")}
	toNative    = append(slices.Clone(toRivals), sameRowOf(native))
	toC         = append(slices.Clone(toRivals), sameRowOf(nativeCC), sameRowOf(nativeClang))
	toYardstick = []reference{{yardstick.runtime, func(key) key { return yardstick }}}
)

func sameRowOf(runtime string) reference {
	return reference{runtime, func(k key) key { return key{k.group, runtime, k.row} }}
}

var groups = []group{
	{
		name: "Compute", row: "program", unit: perOp, references: toC,
		about: "Compiled code alone: module and instance are made before. `_simd` programs are compiled with SIMD; native code of " +
			"the others is not vectorized.",
	},
	{name: "EndToEnd", about: "Compile, instantiate, call and close, each time.", row: "program", unit: perOp, references: toRivals},
	{name: "Compile", about: "Compile and close.", row: "program", unit: perOp, references: toRivals},
	{
		name: "Throughput", about: "Compile and close, on one core and on all.", row: "program", unit: perOp,
		references: toRivals, rated: true,
	},
	{
		name: "WarmStart", row: "from, to", unit: perOp, references: toRivals,
		about: "Make an engine and an instance of Go's compiler, which was compiled before: from the engine's cache, or from a " +
			"file; until its first instruction can run, or to the end of its shortest run.",
	},
	{
		name: "Instantiate", row: "module", unit: perOp, references: toRivals,
		about: "Make and close an instance of a compiled module. `touched`: and write to a page of it; `touched_pooled`: the same, for one " +
			"from a pool.",
	},
	{
		name: "Call", row: "form", unit: perCall, references: toYardstick,
		about: "`sum(5, 37)` in each form of the API. `CallBatch` is one of 1,000 calls at once; allocations are those of all.",
	},
	{
		name: "HostCall", about: "A Go function that a guest calls, or one of C (`Native`, `Plugin`; `PluginLeaf` stays on the guest's stack). `Emit` has no result, and in `Queued` its calls are gathered. " +
			"Allocations are those of 1000 calls.", row: "form",
		unit: perHostCall, references: toYardstick,
	},
	{
		name: "WASI", row: "row", unit: perHostCall, references: toNative,
		about: "`fd_write` of 12 bytes and the clocks: one call, allocations those of 1,000,000. `start`: from the instance " +
			"of a command to its end; `start_plain` is a module that imports nothing. Then commands that work on files in memory.",
	},
	{
		name: "Programs", row: "program", unit: perOp, references: toRivals,
		about: "`greet`: a string in, a string out. `chatty`: an instance that calls the host 1,000,000 times (`chatty_native`: a function of C there; `chatty_emit` and `chatty_queued`: one without a result). `requests`: 100,000 " +
			"requests, each by an instance of its own, or of a pool (10,000 with `-short`).",
	},
	{
		name: "Resident", row: "instance", unit: perInstance, references: toRivals,
		about: "Memory that the process has more for each idle instance that lives.",
	},
	{
		name: "Goroutines", row: "operation, goroutines", unit: perCall, references: toRivals,
		about: "Goroutines, each with instances of its own, share the work on all cores: time in all, by operation.",
	},
	{name: "Parameters", row: "parameters", unit: perOp, references: toRivals, about: "A call in the fastest form, by number of parameters."},
	{
		name: "MemorySize", row: "memory", unit: perOp, references: toRivals,
		about: "Make and close an instance with that much initialised data, or with a memory of that size of which it writes to each page of 4 KiB.",
	},
	{
		name: "ModuleSize", row: "operation, functions", unit: perOp, references: toRivals,
		about: "Compile and close a module with so many functions; make and close an instance of it.",
	},
}

func groupOf(name string) group {
	return groups[slices.IndexFunc(groups, func(g group) bool { return g.name == name })]
}

// unitOf is the group's unit where that was measured, else the time of an operation.
func (g group) unitOf(k key, r results) string {
	if _, ok := r.median(k, g.unit); ok {
		return g.unit
	}
	return perOp
}

func writeReport(w io.Writer, about machine, o options, r results, failed error) {
	fmt.Fprintf(w, "# Results\n\nWritten by `go run ./cmd/report`; README.md says how to read them.\n\n")
	writeMethod(w, about, o, r)
	if failed != nil {
		fmt.Fprintf(w, "\n**Incomplete**: %v.\n", failed)
	}
	for _, g := range groups {
		writeGroup(w, g, r)
		if g.name == "Compute" {
			writeMeans(w, r)
		}
	}
	writeTargets(w, r)
}

func writeMethod(w io.Writer, about machine, o options, r results) {
	for _, item := range [][2]string{
		{"date", about.date},
		{"machine", fmt.Sprintf("%s, %d cores, %s", about.cpu, about.cores, about.platform)},
		{"load average before", about.load},
		{"Go", about.goVersion},
		{"rivals", fmt.Sprintf("go-ext-wasm %s, wazero %s, wasmtime-go %s", about.library, about.wazero, about.wasmtime)},
		{"native", about.cCompilers},
		{"method", o.method()},
		{"each pass", "`" + strings.Join(o.args(true), " ") + "`"},
		{"each round", "`" + strings.Join(o.roundArgs(), " ") + "`"},
		{"ratios", "columns that begin with / are this row's time in that of the same row there: below 1 is faster"},
	} {
		if item[0] != "each round" || o.inRounds() {
			fmt.Fprintf(w, "- %s: %s\n", item[0], item[1])
		}
	}
	for _, group := range []string{"Compile", "Throughput", "WarmStart"} {
		for _, k := range r.keys(group) {
			if size, ok := r.median(k, wasmBytes); ok && k.runtime == wazero {
				fmt.Fprintf(w, "- size of %s: %s bytes\n", k.row, count(size))
			}
		}
	}
	for _, k := range r.keys("WASI") {
		if size, ok := r.median(k, amount); ok && k.runtime == wazero {
			fmt.Fprintf(w, "- size of %s: %s %s\n", k.row, count(size), amountUnits[k.row])
		}
	}
}

func (o options) method() string {
	method := fmt.Sprintf("medians over all passes, of which there were %d, or %d for what takes long", o.count, o.longPasses())
	if o.inRounds() {
		method += fmt.Sprintf("; over %d short rounds for calls, host calls, instances and goroutines", o.rounds)
	}
	return method + "; spread = (slowest - fastest) / median, of the middle half of the rounds"
}

// amountUnits are what the jobs of the group WASI are measured by.
var amountUnits = map[string]string{"copyfile": "bytes", "echo": "bytes", "ls": "entries", "cat": "files"}

func writeGroup(w io.Writer, g group, r results) {
	keys := r.keys(g.name)
	if len(keys) == 0 {
		return
	}
	header := []string{g.row, "runtime", "median", "spread", "allocs/op"}
	if g.rated {
		header = append(header, megabytes)
	}
	for _, ref := range g.references {
		header = append(header, "/ "+ref.name)
	}
	var rows [][]string
	for _, k := range keys {
		unit := g.unitOf(k, r)
		median, _ := r.median(k, unit)
		allocs, _ := r.median(k, allocsPerOp)
		format := duration
		if unit == perInstance {
			format = size
		}
		row := []string{k.row, k.runtime, format(median), percent(r, k, unit), count(allocs)}
		if g.rated {
			rate, _ := r.median(k, megabytes)
			row = append(row, fmt.Sprintf("%.2f", rate))
		}
		for _, ref := range g.references {
			text := ""
			other := ref.of(k)
			if ratio, ok := r.ratio(k, other, unit, g.unitOf(other, r)); ok {
				text = fmt.Sprintf("%.2f", ratio)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n", g.name, g.about)
	writeTable(w, header, rows)
}

func percent(r results, k key, unit string) string {
	if len(r.samples[k][unit]) < 2 {
		return ""
	}
	return fmt.Sprintf("%.0f%%", 100*r.spread(k, unit))
}

// writeTable writes Markdown that reads well as text, too.
func writeTable(w io.Writer, header []string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 0, ' ', tabwriter.TabIndent)
	line := func(cells []string) { fmt.Fprintf(t, "| %s\t |\n", strings.Join(cells, "\t | ")) }
	line(header)
	rule := make([]string, len(header))
	for i := range rule {
		rule[i] = "---"
	}
	line(rule)
	for _, row := range rows {
		line(row)
	}
	t.Flush()
}

// duration rounds to what a measurement on a noisy machine can carry.
func duration(ns float64) string {
	d := time.Duration(ns)
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%.3g ns", ns)
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", ns/1e6)
	}
	return fmt.Sprintf("%.3g s", ns/1e9)
}

func size(bytes float64) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%.3g B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.3g KiB", bytes/(1<<10))
	}
	return fmt.Sprintf("%.3g MiB", bytes/(1<<20))
}
