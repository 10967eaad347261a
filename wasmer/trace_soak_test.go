package wasmer_test

import (
	"context"
	"io"
	"runtime"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

func TestSoakTraces(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		wasm := wasmtest.Fixture(t, "debug/price.wasm")
		flat(t, times(20_000), 100+times(5000), func(int) { // it takes long until malloc needs no more
			module, err := engine.Compile(background, wasm)
			require.NoError(t, err)
			instance, err := module.Instantiate()
			require.NoError(t, err)
			trap := trapOf(t, instance, "run", 0)
			require.NoError(t, instance.Close())
			require.NoError(t, module.Close())
			requireTrace(t, engine, priceTrace, trap)
		})
	})
}

func TestSoakProfiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("profiles need Linux")
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		wasm, traps := wasmtest.Fixture(t, "debug/hot.wasm"), compile(t, engine, wasmtest.Fixture(t, "traps.wasm"))
		round := func(int) {
			require.NoError(t, pprof.StartCPUProfile(io.Discard))
			profile, err := wasmer.StartProfile(io.Discard, wasmer.ProfileConfig{Rate: 10_000})
			require.NoError(t, err)
			var wait sync.WaitGroup
			for n := range 4 {
				wait.Go(func() {
					module, err := engine.Compile(background, wasm)
					if err != nil {
						t.Error(err)
						return
					}
					instance, _ := module.Instantiate()
					_ = module.Close()
					ctx, cancel := context.WithTimeout(background, time.Duration(n+1)*5*time.Millisecond)
					_, _ = instance.Exports["run"](1)
					_, err = function(t, instance, "run").Call(ctx, 1<<30)
					if err == nil {
						t.Error("not stopped")
					}
					cancel()
					_ = instance.Close()
					failing, _ := traps.Instantiate()
					for _, export := range []string{"unreachable", "out_of_bounds", "stack_overflow"} {
						if _, err := failing.Exports[export](); err == nil {
							t.Error("no trap")
						}
					}
					_ = failing.Close()
				})
			}
			wait.Wait()
			require.NoError(t, profile.Stop())
			pprof.StopCPUProfile()
		}
		flatBut(t, times(1000), 5, 40<<30, round) // more memories at once than before
	})
}
