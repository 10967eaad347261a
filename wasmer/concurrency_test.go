package wasmer_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// slowHosted calls its host ten times, with 30 us of work after each: long enough for Go to take the P away, so that
// the goroutine that returns has to wait for one while its thread runs others.
const slowHosted = `(module (import "env" "f" (func $f))
	(func (export "run") (param $n i64) (result i64) (local $i i64) (local $k i32)
		(loop $outer
			call $f
			(local.set $i (i64.const 0))
			(loop $l (br_if $l (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (i64.const 100000))))
			(br_if $outer (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 10))))
		(local.get $n)))`

// A goroutine that comes to the thread of a call that has just returned from its guest is not a host function of that
// call: it must wait. If it is let in, two calls share the store.
func TestOnlyHostFunctionsEnterAHeldStore(t *testing.T) {
	duration := 3 * time.Second
	if testing.Short() {
		duration = time.Second
	}
	inChild(t, func(t *testing.T) {
		runtime.GOMAXPROCS(2)
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
		require.NoError(t, err)
		module := compile(t, engine, slowHosted)
		start := func() func(context.Context, int64) (int64, error) {
			instance, err := module.InstantiateWithImports(wasmer.NewImports().Function("f", func() {}))
			require.NoError(t, err)
			run, err := wasmer.Func1[int64, int64](instance, "run")
			require.NoError(t, err)
			return run
		}
		var group sync.WaitGroup
		var returned atomic.Int64
		until := time.Now().Add(duration)
		shared := start()
		for g := range 64 {
			group.Go(func() {
				for k := int64(0); time.Now().Before(until); k++ {
					ctx, cancel := context.WithCancel(context.Background())
					if k%16 != 0 { // many arrivals, few calls
						time.AfterFunc(10*time.Microsecond, cancel)
					}
					n := int64(g)<<32 + k
					got, err := shared(ctx, n)
					cancel()
					if err == nil && got != n {
						t.Errorf("got %d, want %d", got, n)
					} else if err != nil && !errorIsInterrupted(err) {
						t.Error(err)
					}
					returned.Add(1)
				}
			})
		}
		for range 4 { // keep the Ps busy
			run := start()
			group.Go(func() {
				for time.Now().Before(until) {
					_, _ = run(context.Background(), 0)
					runtime.Gosched()
				}
			})
		}
		group.Wait()
		require.Positive(t, returned.Load())
	})
}
