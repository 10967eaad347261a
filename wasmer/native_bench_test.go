package wasmer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// A host call of each kind, and a guest's call of its own function, a thousand at a time.
func BenchmarkHostCalls(b *testing.B) {
	sum := int32(0)
	increment := wasmer.FunctionType{Params: types(typeI32), Results: types(typeI32)}
	for _, bm := range []struct {
		name    string
		imports *wasmer.Imports
	}{
		{"Go", wasmer.NewImports().Function("host", func(x int32) int32 { return x + 1 })},
		{"Native", wasmer.NewImports().Native("host", wasmtest.Native()["increment"], increment)},
		{"Queued", wasmer.NewImports().Queued("host", func(x int32) { sum += x })},
		{"Reflected", wasmer.NewImports().Function("host", func(_ *wasmer.Caller, x namedInt32) namedInt32 { return x + 1 })},
	} {
		b.Run(bm.name, func(b *testing.B) {
			wat := benchWat
			if bm.name == "Queued" {
				wat = strings.NewReplacer(`(func $host (param i32) (result i32))`, "(func $host (param i32))", "(drop (call $host (local.get $n)))", "(call $host (local.get $n))").Replace(wat)
			}
			instance, err := wasmer.NewInstanceWithImports([]byte(wat), bm.imports)
			if err != nil {
				b.Fatal(err)
			}
			defer instance.Close()
			const calls = 1000
			run := wasmer.Must(instance.Function("run"))
			for b.Loop() {
				if err := run.CallRaw(context.Background(), []uint64{calls}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/hostcall")
		})
	}
}
