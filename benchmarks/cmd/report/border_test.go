package main

import (
	"strings"
	"testing"
)

func TestTargetsOfTheBorder(t *testing.T) {
	r, err := parse(strings.NewReader(`
BenchmarkCall/EmptyCgoCall 	1	30 ns/op	0 allocs/op
BenchmarkCall/wasmer-cranelift/Typed 	1	60 ns/op	0 allocs/op
BenchmarkCall/wasmer-cranelift/CallRaw 	1	57 ns/op	0 allocs/op
BenchmarkCall/wasmer-cranelift/CallBatch 	1	5000 ns/op	 5.0 ns/call	0 allocs/op
BenchmarkCall/wasmer-cranelift/Exports 	1	140 ns/op	3 allocs/op
BenchmarkCall/wazero-compiler/Call 	1	65 ns/op	2 allocs/op
BenchmarkCall/wazero-compiler/CallWithStack 	1	20 ns/op	0 allocs/op
BenchmarkHostCall/wasmer-cranelift/Host1 	1	1 ns/op	 70.0 ns/hostcall
BenchmarkHostCall/wasmer-cranelift/Queued 	1	1 ns/op	 10.0 ns/hostcall
BenchmarkHostCall/wasmer-cranelift/Native 	1	5600 ns/op	 5.6 ns/hostcall
BenchmarkHostCall/wazero-compiler/GoFunction 	1	99 ns/op	 34.0 ns/hostcall
BenchmarkInstantiate/wasmer-cranelift/one_page 	1	2100 ns/op
BenchmarkInstantiate/wazero-compiler/one_page 	1	21000 ns/op
BenchmarkInstantiate/wasmer-cranelift/functions_1000_exports_1000 	1	14000 ns/op
BenchmarkInstantiate/wasmer-cranelift/functions_1000_exports_1 	1	10000 ns/op
BenchmarkGoroutines/wasmer-cranelift/calls_1 	1	1 ns/op	 100.0 ns/call
BenchmarkGoroutines/wasmer-cranelift/calls_2 	1	9 ns/op	 50.0 ns/call
BenchmarkGoroutines/wasmer-cranelift/instantiate_1 	1	1 ns/op	 100.0 ns/call
BenchmarkGoroutines/wasmer-cranelift/instantiate_2 	1	9 ns/op	 70.0 ns/call
`))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	writeTargets(&text, r)
	for what, want := range map[string]string{
		"typed call: time Cranelift / wazero Call":                       "**not met**", // 0.92
		"CallRaw: time Cranelift / wazero CallWithStack":                 "**not met**", // 2.85
		"CallRaw: time Cranelift / EmptyCgoCall":                         "met",         // 1.9
		"CallRaw, stretch: time Cranelift / EmptyCgoCall":                "**not met**",
		"a call in a batch: time Cranelift / wazero CallWithStack":       "met", // 0.25
		"Exports[\"sum\"](5, 37): allocations":                           "**not met**",
		"Exports[\"sum\"](5, 37): time Cranelift / wazero Call":          "met", // 2.15 of 2.31
		"host call, typed: time Cranelift / wazero GoFunction":           "**not met**",
		"instantiate and close, one page: time Cranelift / wazero":       "met",
		"instantiate and close, one page: time Cranelift / EmptyCgoCall": "**not met**",
		"instantiate and close, one page: time Cranelift / wasmtime":     "not measured",
		"instantiate and close: time of 1,000 exports / one":             "**not met**",
		"calls: throughput of 2 goroutines / one":                        "met",
		"instantiate: throughput of 2 goroutines / one":                  "**not met**", // 1.43
		"string in, string out: time Cranelift / wazero":                 "not measured",
		"instantiate and close, 20 MiB of data: time Cranelift / wazero": "not measured",
		"native host function: time Cranelift / wazero GoFunction":       "**not met**", // 0.165
		"queued host call: time Cranelift / wazero GoFunction":           "met",         // 0.294
		"host call, by reflection: time Cranelift / wazero":              "not measured",
		"typed call: time Cranelift / wasmtime Call":                     "not measured",
	} {
		if got := verdictOf(text.String(), what); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
}
