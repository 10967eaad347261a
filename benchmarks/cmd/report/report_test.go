package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

const printed = `goos: linux
cpu: AMD EPYC
BenchmarkCall/EmptyCgoCall         	 8753146	        20.00 ns/op	       0 B/op	       0 allocs/op
BenchmarkCall/wasmer-cranelift/CallRaw      	 100	        60.00 ns/op	       0 B/op	       0 allocs/op
BenchmarkHostCall/wasmer-cranelift/Func     	 642	    90000 ns/op	        90.00 ns/hostcall	   5 B/op	    1 allocs/op
BenchmarkCompute/wasmer-cranelift/pollard_rho_128 	 20	 10000000 ns/op	 0 B/op	 0 allocs/op
BenchmarkCompute/wasmtime/pollard_rho_128 	 20	 10500000 ns/op	 0 B/op	 0 allocs/op
BenchmarkWASI/wasmer-cranelift/fd_write_null 	 3	 400000000 ns/op	 400.0 ns/hostcall	 16 B/op	 1 allocs/op
BenchmarkWASI/wazero-compiler/fd_write_null 	 3	 500000000 ns/op	 500.0 ns/hostcall	 16 B/op	 1 allocs/op
BenchmarkWASI/native/echo 	 3	 500000000 ns/op	 67108864 amount	 16 B/op	 1 allocs/op
BenchmarkWASI/wasmer-cranelift/echo 	 3	 610000000 ns/op	 67108864 amount	 16 B/op	 1 allocs/op
BenchmarkWASI/wazero-compiler/echo 	 3	 999000000 ns/op	 67108864 amount	 16 B/op	 1 allocs/op
BenchmarkWASI/wasmer-cranelift/start 	 3	 16000 ns/op	 16 B/op	 1 allocs/op
BenchmarkWASI/wazero-compiler/start 	 3	 40000 ns/op	 16 B/op	 1 allocs/op
BenchmarkCall/EmptyCgoCall         	 8753146	        30.00 ns/op	       0 B/op	       0 allocs/op
BenchmarkCompute/wasmtime/nbody 	--- FAIL: BenchmarkCompute/wasmtime/nbody
PASS
`

func parsed(t *testing.T) results {
	t.Helper()
	r, err := parse(strings.NewReader(printed))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMedianOverPasses(t *testing.T) {
	r := parsed(t)
	if median, ok := r.median(yardstick, perOp); median != 25 || !ok {
		t.Error(median, ok)
	}
	if spread := r.spread(yardstick, perOp); math.Abs(spread-0.4) > 1e-9 {
		t.Error(spread)
	}
	if _, ok := r.median(key{"Call", "nobody", ""}, perOp); ok {
		t.Error("measured what did not run")
	}
}

func TestMetricBesideTime(t *testing.T) {
	if ns, ok := parsed(t).median(key{"HostCall", cranelift, "Func"}, perHostCall); ns != 90 || !ok {
		t.Error(ns, ok)
	}
}

func TestVerdicts(t *testing.T) {
	var text strings.Builder
	writeTargets(&text, parsed(t))
	for what, want := range map[string]string{
		"CallRaw / EmptyCgoCall":                                     "met",
		"CallRaw: allocations":                                       "met",
		"typed call: allocations":                                    "not measured",
		"host call, Func":                                            "met",
		"compute pollard_rho_128: time Cranelift / wasmtime":         "met",
		"WASI, fd_write to the null device: time Cranelift / wazero": "met",
		"WASI, start of a command: time Cranelift / wazero":          "met",
		"WASI, copy of stdin to stdout: time Cranelift / native":     "**not met**",
		"WASI, copy of a file: time Cranelift / native":              "not measured",
	} {
		if got := verdictOf(text.String(), what); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
}

func verdictOf(table, what string) string {
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) > 4 && strings.TrimSpace(cells[1]) == what {
			return strings.TrimSpace(cells[4])
		}
	}
	return ""
}

func TestVerdictAtTheLimit(t *testing.T) {
	for _, c := range []struct {
		atLeast bool
		value   float64
		want    string
	}{
		{false, 2, "met"},
		{false, 1.9, "met"},
		{false, 2.1, "**not met**"},
		{true, 2, "met"},
		{true, 2.1, "met"},
		{true, 1.9, "**not met**"},
	} {
		if got := (target{limit: 2, atLeast: c.atLeast}).verdict(c.value); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestRatioColumns(t *testing.T) {
	var text strings.Builder
	writeReport(&text, machine{}, options{}, parsed(t), nil)
	for _, want := range []string{
		"2.40", "3.60", "0.95", "90 ns", "10 ms", // 60/25, 90/25, 10/10.5
		"0.80", "1.22", "400 ns", "500 ms", "size of echo: 67108864 bytes", // 400/500, 610/500
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in\n%s", want, text.String())
		}
	}
}

func TestDurations(t *testing.T) {
	for ns, want := range map[float64]string{0.5: "0.5 ns", 27.54: "27.5 ns", 8200: "8.2 µs", 6.9e6: "6.9 ms", 2.24e10: "22.4 s"} {
		if got := duration(ns); got != want {
			t.Errorf("%g: %s, want %s", ns, got, want)
		}
	}
}

func TestMeansAreOfAllPrograms(t *testing.T) {
	var text strings.Builder
	measure := func(runtime, program string, ns int) {
		fmt.Fprintf(&text, "BenchmarkCompute/%s/%s \t 20 \t %d ns/op \t 0 B/op \t 0 allocs/op\n", runtime, program, ns)
	}
	for i, program := range append(slices.Clone(four), withSIMD(eight)...) {
		measure(llvm, program, 100)
		measure(wazero, program, []int{100, 400}[i%2])
		if !slices.Contains(four[2:], program) {
			measure(nativeCC, program, 80)
		}
	}
	r, err := parse(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	text.Reset()
	writeMeans(&text, r)
	rows := strings.Split(text.String(), "\n")
	for _, want := range [][]string{{"the four", llvm, "2.00"}, {"the twelve with SIMD", llvm, "2.00", "", "0.80"}} {
		if !slices.ContainsFunc(rows, func(row string) bool {
			cells := strings.Split(row, "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			return len(cells) > len(want) && slices.Equal(cells[1:1+len(want)], want)
		}) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if _, ok := meanSpeed(llvm, wazero, sets[1].all)(r); ok {
		t.Error("a mean without SIMD, of which eight were not measured")
	}
	if strings.Contains(text.String(), cranelift) {
		t.Error("means of what was not measured")
	}
}
