package wasmer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// BenchmarkMetering runs compute modules unmetered and in each mode, by turns, and reports how much longer the fastest run is.
func BenchmarkMetering(b *testing.B) {
	for _, compiler := range wasmer.Compilers() {
		for _, program := range []struct {
			name, export string
			args         []any
		}{
			{"nbody", "main", []any{20_000}},
			{"fib_recursive", "app_main", nil},
			{"pollard_rho_128", "app_main", nil},
			{"snappy_compress", "app_main", nil},
		} {
			b.Run(compiler.String()+"/"+program.name, func(b *testing.B) {
				wasm := wasmtest.Fixture(b, "bench/"+program.name+".wasm")
				modes := []wasmer.MeteringMode{wasmer.MeteringOff, wasmer.MeteringBlock, wasmer.MeteringExact}
				if !countsExactly(compiler) {
					modes = modes[:2]
				}
				var functions []*wasmer.Function
				for _, mode := range modes {
					engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, Metering: wasmer.Metering{Mode: mode}})
					require.NoError(b, err)
					defer engine.Close()
					functions = append(functions, function(b, instantiate(b, engine, wasm, nil), program.export))
				}
				fastest := make([]time.Duration, len(modes))
				for b.Loop() {
					for i, f := range functions {
						start := time.Now()
						_, err := f.Call(background, program.args...)
						if took := time.Since(start); fastest[i] == 0 || took < fastest[i] {
							fastest[i] = took
						}
						require.NoError(b, err)
					}
				}
				for i, mode := range modes[1:] {
					b.ReportMetric(float64(fastest[i+1])/float64(fastest[0]), mode.String()+"/off")
				}
			})
		}
	}
}
