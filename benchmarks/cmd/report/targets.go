package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A target is a number that the library has promised itself.
type target struct {
	what    string
	limit   float64
	atLeast bool // the limit is a lower one
	unit    unit
	measure func(results) (float64, bool)
}

// A unit is that of a target.
type unit string

const (
	times       unit = "x"
	nanoseconds unit = "ns"
	allocations unit = "allocs"
)

func (u unit) format(value float64) string {
	switch u {
	case times:
		return brief(value)
	case nanoseconds:
		return duration(value)
	}
	return count(value)
}

// brief has two digits, or three places where that says more.
func brief(ratio float64) string {
	if ratio < 0.1 {
		return fmt.Sprintf("%.3f x", ratio)
	}
	return fmt.Sprintf("%.2f x", ratio)
}

const (
	cranelift   = "wasmer-cranelift"
	unoptimized = "wasmer-cranelift-none"
	singlepass  = "wasmer-singlepass"
	llvm        = "wasmer-llvm"
	wazero      = "wazero-compiler"
	wasmtime    = "wasmtime"
	native      = "native"
	nativeCC    = "native-cc"
	nativeClang = "native-clang"
)

func targets() []target {
	var list []target
	for _, program := range four {
		list = append(list, target{
			"compute " + program + ": time Cranelift / wasmtime", 1.05, false, times,
			ratioOf(key{"Compute", cranelift, program}, key{"Compute", wasmtime, program}),
		})
	}
	list = append(list,
		target{"compute, geometric mean of all programs: speed Cranelift / wazero", 1.5, true, times, meanSpeed(cranelift, wazero, four)},
		target{"CallRaw / EmptyCgoCall", 2.7, false, times, ratioOf(key{"Call", cranelift, "CallRaw"}, yardstick)},
		target{"CallRaw: allocations", 0, false, allocations, medianOf(key{"Call", cranelift, "CallRaw"}, allocsPerOp)},
		target{"typed call: allocations", 0, false, allocations, medianOf(key{"Call", cranelift, "Typed"}, allocsPerOp)},
		target{"Exports[\"sum\"](5, 37)", 250, false, nanoseconds, medianOf(key{"Call", cranelift, "Exports"}, perOp)},
	)
	for _, form := range []string{"Func", "FuncWithCaller"} {
		list = append(list, target{
			"host call, " + form, 100, false, nanoseconds,
			medianOf(key{"HostCall", cranelift, form}, perHostCall),
		})
	}
	list = append(list, target{
		"instantiate and close, one page of memory", 15_000, false, nanoseconds,
		medianOf(key{"Instantiate", cranelift, "one_page"}, perOp),
	})
	for _, program := range four[2:] {
		list = append(list, target{
			"compile " + program + ": speed Singlepass / wazero", 3, true, times,
			ratioOf(key{"Compile", wazero, program}, key{"Compile", singlepass, program}),
		})
	}
	return slices.Concat(list, borderTargets(), wasiTargets(), llvmTargets(), throughputTargets(), warmTargets())
}

func wasiTargets() []target {
	var list []target
	for _, row := range []struct {
		what, name, reference string
		limit                 float64
	}{
		{"fd_write to io.Discard", "fd_write_discard", wazero, 1},
		{"fd_write to a writer", "fd_write_counter", wazero, 1},
		{"fd_write to a buffer", "fd_write_buffer", wazero, 1},
		{"fd_write to the null device", "fd_write_null", wazero, 1},
		{"fd_write to a file", "fd_write_file", wazero, 1},
		{"clock_time_get, realtime", "clock_realtime", wazero, 1},
		{"clock_time_get, monotonic", "clock_monotonic", wazero, 1},
		{"start of a command", "start", wazero, 0.5},
		{"copy of a file", "copyfile", native, 1.2},
		{"copy of stdin to stdout", "echo", native, 1.2},
	} {
		list = append(list, target{
			"WASI, " + row.what + ": time Cranelift / " + strings.TrimSuffix(row.reference, "-compiler"), row.limit, false, times,
			ratioOf(key{"WASI", cranelift, row.name}, key{"WASI", row.reference, row.name}),
		})
	}
	return list
}

func count(n float64) string { return fmt.Sprintf("%.0f", n) }

func medianOf(k key, unit string) func(results) (float64, bool) {
	return func(r results) (float64, bool) { return r.median(k, unit) }
}

func ratioOf(a, b key) func(results) (float64, bool) {
	return func(r results) (float64, bool) { return r.ratio(a, b, perOp, perOp) }
}

// llvmTargets hold for the geometric means.
func llvmTargets() []target {
	var list []target
	for _, c := range []struct {
		reference string
		speed     float64
		sets      []programs
	}{
		{wazero, 1.9, sets[:1]},
		{wazero, 2.2, sets[1:]},
		{wasmtime, 1.15, sets[1:]},
		{nativeCC, 1 / 1.25, sets[1:]},
		{nativeClang, 1 / 1.25, sets[1:]},
	} {
		for _, set := range c.sets {
			list = append(list, target{
				"compute, geometric mean of " + set.name + ": speed LLVM / " + strings.TrimSuffix(c.reference, "-compiler"), c.speed, true, times,
				meanSpeed(llvm, c.reference, set.of(c.reference)),
			})
		}
	}
	return list
}

func throughputTargets() []target {
	var list []target
	for _, program := range []string{"hello", "dprint", "vet", "ruby"} {
		for _, cores := range []string{"one_core", "all_cores"} {
			row := program + "_" + cores
			for _, c := range []struct {
				runtime, reference string
				speed              float64
			}{
				{singlepass, wazero, 5},
				{cranelift, wazero, 0.95},
				{cranelift, wasmtime, 1.15},
				{unoptimized, wazero, 1.5},
			} {
				list = append(list, target{
					fmt.Sprintf("compile %s: speed %s / %s", row, strings.TrimPrefix(c.runtime, "wasmer-"), strings.TrimSuffix(c.reference, "-compiler")),
					c.speed, true, times, ratioOf(key{"Throughput", c.reference, row}, key{"Throughput", c.runtime, row}),
				})
			}
		}
	}
	return list
}

func warmTargets() []target {
	ready := func(runtime string) key { return key{"WarmStart", runtime, "cache_ready"} }
	return []target{
		{"warm start from the cache", 60e6, false, nanoseconds, medianOf(ready(cranelift), perOp)},
		{"warm start from the cache: time Cranelift / wazero", 0.5, false, times, ratioOf(ready(cranelift), ready(wazero))},
		{"warm start from the cache: time Cranelift / wasmtime", 0.5, false, times, ratioOf(ready(cranelift), ready(wasmtime))},
	}
}

// met compares the number itself, not its rounded form.
func (t target) met(value float64) bool {
	return value == t.limit || (value > t.limit) == t.atLeast
}

func (t target) verdict(value float64) string {
	if t.met(value) {
		return "met"
	}
	return "**not met**"
}

func writeTargets(w io.Writer, r results) {
	var rows [][]string
	for _, t := range targets() {
		measured, verdict := "", "not measured"
		if value, ok := t.measure(r); ok {
			measured, verdict = t.unit.format(value), t.verdict(value)
		}
		rows = append(rows, []string{t.what, t.goal(), measured, verdict})
	}
	fmt.Fprintf(w, "\n## Targets\n\n")
	writeTable(w, []string{"what", "target", "measured", ""}, rows)
}

func (t target) goal() string {
	sign := "<="
	if t.atLeast {
		sign = ">="
	}
	return sign + " " + t.unit.format(t.limit)
}
