package wasmer_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// A call in a batch of 1,000, and one by one.
func BenchmarkCallBatch(b *testing.B) {
	const rows = 1000
	for _, compiler := range wasmer.Compilers() {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler})
		require.NoError(b, err)
		instance := instantiate(b, engine, wasmtest.Fixture(b, "simple.wasm"), nil)
		f := function(b, instance, "sum")
		b.Run(compiler.String()+"/one by one", func(b *testing.B) {
			stack := []uint64{5, 37}
			b.ReportAllocs()
			for b.Loop() {
				stack[0], stack[1] = 5, 37
				if err := f.CallRaw(background, stack); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(compiler.String()+"/words", func(b *testing.B) {
			in, out := make([]uint64, 2*rows), make([]uint64, rows)
			b.ReportAllocs()
			for n := 0; n < b.N; n += rows {
				if _, err := f.CallBatch(background, in, out); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(compiler.String()+"/numbers", func(b *testing.B) {
			in, out := make([]int32, 2*rows), make([]int32, rows)
			b.ReportAllocs()
			for n := 0; n < b.N; n += rows {
				if _, err := wasmer.CallBatch(background, f, in, out); err != nil {
					b.Fatal(err)
				}
			}
		})
		require.NoError(b, engine.Close())
	}
}
