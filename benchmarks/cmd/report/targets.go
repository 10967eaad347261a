package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// A target is a number that the library has promised itself.
type target struct {
	what    string
	limit   float64
	atLeast bool // the limit is a lower one
	format  func(float64) string
	measure func(results) (float64, bool)
}

const (
	cranelift  = "wasmer-cranelift"
	singlepass = "wasmer-singlepass"
	wazero     = "wazero-compiler"
	wasmtime   = "wasmtime"
	native     = "native"
)

var computed = []string{"nbody", "fib_recursive", "pollard_rho_128", "snappy_compress"}

func targets() []target {
	var list []target
	for _, program := range computed {
		list = append(list, target{
			"compute " + program + ": time Cranelift / wasmtime", 1.05, false, times,
			ratioOf(key{"Compute", cranelift, program}, key{"Compute", wasmtime, program}),
		})
	}
	list = append(list,
		target{"compute, geometric mean of all programs: speed Cranelift / wazero", 1.5, true, times, meanSpeed},
		target{"CallRaw / EmptyCgoCall", 2.7, false, times, ratioOf(key{"Call", cranelift, "CallRaw"}, yardstick)},
		target{"CallRaw: allocations", 0, false, count, medianOf(key{"Call", cranelift, "CallRaw"}, allocsPerOp)},
		target{"typed call: allocations", 0, false, count, medianOf(key{"Call", cranelift, "Typed"}, allocsPerOp)},
		target{"Exports[\"sum\"](5, 37)", 250, false, duration, medianOf(key{"Call", cranelift, "Exports"}, perOp)},
	)
	for _, form := range []string{"Func", "FuncWithCaller"} {
		list = append(list, target{
			"host call, " + form, 100, false, duration,
			medianOf(key{"HostCall", cranelift, form}, perHostCall),
		})
	}
	list = append(list, target{
		"instantiate and close, one page of memory", 15_000, false, duration,
		medianOf(key{"Instantiate", cranelift, "one_page"}, perOp),
	})
	for _, program := range computed[2:] {
		list = append(list, target{
			"compile " + program + ": speed Singlepass / wazero", 3, true, times,
			ratioOf(key{"Compile", wazero, program}, key{"Compile", singlepass, program}),
		})
	}
	return append(list, wasiTargets()...)
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

func times(ratio float64) string { return fmt.Sprintf("%.2f x", ratio) }

func count(n float64) string { return fmt.Sprintf("%.0f", n) }

func medianOf(k key, unit string) func(results) (float64, bool) {
	return func(r results) (float64, bool) { return r.median(k, unit) }
}

func ratioOf(a, b key) func(results) (float64, bool) {
	return func(r results) (float64, bool) { return r.ratio(a, b, perOp, perOp) }
}

// meanSpeed is not measured where a program is missing: a mean of fewer would be another number.
func meanSpeed(r results) (float64, bool) {
	sum := 0.0
	for _, program := range computed {
		speed, ok := r.ratio(key{"Compute", wazero, program}, key{"Compute", cranelift, program}, perOp, perOp)
		if !ok {
			return 0, false
		}
		sum += math.Log(speed)
	}
	return math.Exp(sum / float64(len(computed))), true
}

// verdict compares the number itself, not its rounded form.
func (t target) verdict(value float64) string {
	if value == t.limit || (value > t.limit) == t.atLeast {
		return "met"
	}
	return "**not met**"
}

func writeTargets(w io.Writer, r results) {
	var rows [][]string
	for _, t := range targets() {
		measured, verdict := "", "not measured"
		if value, ok := t.measure(r); ok {
			measured, verdict = t.format(value), t.verdict(value)
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
	return sign + " " + t.format(t.limit)
}
