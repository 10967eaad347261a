package wasmer_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const kept = `(module
	(import "env" "host" (func $host (param i32) (result i32)))
	(func (export "plain") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
	(func (export "trap") (param i32) (result i32) (i32.div_u (local.get 0) (i32.const 0)))
	(func $deep (export "deep") (param i32) (result i32)
		(if (result i32) (local.get 0)
			(then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
			(else (i32.const 0))))
	(func (export "forever") (param i32) (result i32) (loop $l (drop (call $deep (i32.const 3))) (br $l)) (i32.const 0))
	(func (export "host") (param i32) (result i32) (call $host (local.get 0))))`

// A thread keeps the stack that its guests run on. Whatever a call does to it, the next one finds a good one.
func TestTheStackOfAThreadServesOneCallAfterTheOther(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var instances []*wasmer.Instance
		var nested func(n int32) (int32, error)
		host := func(n int32) (int32, error) { return nested(n) }
		for _, size := range []int{256 << 10, 4 << 20, 64 << 10, 1 << 20} {
			engine := engineOf(t, shared, wasmer.EngineConfig{StackSize: size})
			instances = append(instances, instantiate(t, engine, kept, wasmer.NewImports().Function("host", host)))
		}
		ends := map[string]func(instance *wasmer.Instance){
			"plain": func(instance *wasmer.Instance) { require.EqualValues(t, 8, call(t, instance, "plain", 7).ToI32()) },
			"trap": func(instance *wasmer.Instance) {
				require.ErrorIs(t, failing(t, instance, "trap", 1), wasmer.TrapDivisionByZero)
			},
			"overflow": func(instance *wasmer.Instance) {
				require.ErrorIs(t, failing(t, instance, "deep", 100_000_000), wasmer.TrapStackOverflow)
			},
			"interrupted": func(instance *wasmer.Instance) {
				ctx, cancel := context.WithTimeout(background, time.Millisecond)
				defer cancel()
				_, err := function(t, instance, "forever").Call(ctx, 1)
				require.ErrorIs(t, err, wasmer.ErrInterrupted)
			},
		}
		nothing := func(n int32) (int32, error) { return n, nil }
		for outer, end := range ends {
			for _, instance := range instances {
				nested = nothing
				end(instance)
				for inner, endInner := range ends {
					for _, other := range instances {
						nested = func(n int32) (int32, error) {
							nested = nothing
							endInner(other)
							runtime.GC()
							endInner(other)
							return n + 1, nil
						}
						require.EqualValues(t, 43, call(t, instance, "host", 42).ToI32(), "%s in %s", inner, outer)
						require.EqualValues(t, 42, call(t, instance, "host", 42).ToI32())
					}
				}
			}
		}
	})
}

// The stack goes with its thread, which ends with the goroutine that is locked to it, and with the call that is given up.
func TestTheStackOfAThreadIsFreed(t *testing.T) {
	instance, err := wasmer.NewInstanceWithImports([]byte(kept), wasmer.NewImports().Function("host", func(n int32) int32 {
		if n == 1 {
			runtime.Goexit()
		}
		return n
	}))
	require.NoError(t, err)
	defer instance.Close()
	threads := func(n int) {
		var group sync.WaitGroup
		for range n {
			group.Go(func() {
				runtime.LockOSThread() // for good
				for _, name := range []string{"plain", "host", "trap", "plain", "deep"} {
					_, _ = instance.Exports[name](0)
				}
			})
		}
		group.Wait()
	}
	threads(20)
	settled := func() int {
		least := mappings()
		for range 20 { // threads take their time to end
			time.Sleep(5 * time.Millisecond)
			least = min(least, mappings())
		}
		return least
	}
	before := settled()
	for range 10 {
		threads(20)
	}
	require.Less(t, settled(), before+100, "200 threads have come and gone")
}
