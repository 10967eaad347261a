package wasmer_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// A guest chooses how much of its stack is left: where that is too little, leaf functions go the way of others.
func TestLeafFunctionsAtTheStacksEnd(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		inChild(t, func(t *testing.T) {
			instance := instantiate(t, engine, fine(`(import "env" "touch" (func $touch (result i32)))`, "(call $touch)"), leafImports(nil))
			deepest := 0
			for deep, shift := range finely(instance) {
				value, err := instance.Exports["at"](deep, shift)
				if err != nil {
					require.ErrorIs(t, err, wasmer.TrapStackOverflow)
				} else if deepest = deep; shift == 0 {
					require.EqualValues(t, deep+1, value.ToI32(), "on the thread's own stack")
				}
			}
			var changes []int
			before := int32(0)
			for deep := max(0, deepest-100); deep <= deepest; deep++ {
				value, err := instance.Exports["at"](deep, 0)
				require.NoError(t, err)
				if on := value.ToI32() - int32(deep); on != before {
					changes = append(changes, deep)
					before = on
				}
			}
			require.Len(t, changes, 1, "there is one depth from which on it runs on the thread's own stack")
			require.EqualValues(t, 1, before)
		})
	})
}

func TestLeafFunctionsFail(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, name := range []string{"fail", "fill"} {
			instance := instantiate(t, engine, calling(name), leafImports(nil))
			args := map[string][]any{"fail": {-1}, "fill": {1.0, -1, 8}}[name]
			for range 3 {
				for _, way := range nativeWays {
					require.ErrorAs(t, failing(t, instance, way, args...), new(*wasmer.NativeError), way)
				}
			}
		}
	})
}

func TestGuestsAreStoppedBetweenLeafFunctions(t *testing.T) {
	const forever = `(module (import "env" "increment" (func $f (param i32) (result i32))) (import "env" "fill" (func $g (param f64 i32 i32) (result f64)))
		(memory (export "memory") 8)
		(func (export "run") (loop $again
			(drop (call $f (i32.const 1)))
			(drop (call $g (f64.const 1) (i32.const 0) (i32.const 500000)))
			(br $again))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		inChild(t, func(t *testing.T) {
			run := function(t, instantiate(t, engine, forever, leafImports(nil)), "run")
			for i := range 50 {
				ctx, cancel := context.WithTimeout(background, time.Duration(i*17%500)*time.Microsecond)
				_, err := run.Call(ctx)
				cancel()
				require.ErrorIs(t, err, wasmer.ErrInterrupted)
			}
		})
	})
}

// Functions that write to their caller's memory, take time and cost as they do elsewhere.
func TestLeafFunctionsCostWhatOthersDo(t *testing.T) {
	counter := wasmtest.NewCounter()
	defer wasmtest.FreeCounter(counter)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		metered := engineOf(t, engine, wasmer.EngineConfig{Metering: wasmer.Metering{Mode: wasmer.MeteringBlock}, MeasureTime: true})
		count := wasmer.NativeFunction{Pointer: wasmtest.Native()["count"], Type: nativeTypes["count"], Data: counter, Leaf: true}
		instance := instantiate(t, metered, calling("count"), wasmer.NewImports().FunctionWithCost("count", count, 1000))
		before := wasmtest.Count(counter)
		run(t, instance, "direct", 5)
		require.Equal(t, before+5, wasmtest.Count(counter))
		require.Greater(t, instance.Store().Meter().Used(), uint64(1000))
		require.EqualValues(t, 1, instance.Stats().HostCalls)
	})
}
