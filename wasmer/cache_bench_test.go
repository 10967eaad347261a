package wasmer_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A warm start of the module in WASMER_GO_BENCH_MODULE, a WASI program: from its bytes to an instance that could begin.
func BenchmarkCacheWarmStart(b *testing.B) {
	path := os.Getenv("WASMER_GO_BENCH_MODULE")
	if path == "" {
		b.Skip("WASMER_GO_BENCH_MODULE names no module")
	}
	wasm, err := os.ReadFile(path)
	require.NoError(b, err)
	dir := b.TempDir()
	for _, compiler := range wasmer.Compilers() {
		if compiler == wasmer.LLVM && len(wasm) > 4<<20 && soak == "" {
			continue // which takes minutes
		}
		b.Run(compiler.String(), func(b *testing.B) {
			least := time.Hour
			start := func() wasmer.EngineStats {
				engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, CacheDir: dir, RequireCache: true})
				require.NoError(b, err)
				defer engine.Close()
				began := time.Now()
				module, err := engine.Compile(background, wasm)
				least = min(least, time.Since(began))
				require.NoError(b, err)
				defer module.Close()
				instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().WASI(wasmer.NewWASI(wasmer.WASIConfig{})))
				require.NoError(b, err)
				require.NoError(b, instance.Close())
				return engine.Stats()
			}
			cold := start()
			b.Log("put", cold.CacheBytesWritten>>20, "MiB, compiled in", cold.CompileTime)
			b.ResetTimer()
			for b.Loop() {
				require.Zero(b, start().Compilations)
			}
			b.ReportMetric(float64(least.Microseconds())/1000, "least-load-ms")
		})
	}
}
