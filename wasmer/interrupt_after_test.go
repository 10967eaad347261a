package wasmer_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// countingHosted counts to the number that it is given: from nothing to some milliseconds of work.
const countingHosted = `(module (import "env" "host" (func $host)) (memory 1)
	(func $count (export "count") (param i32) (result i32) (local i32)
		(loop $l
			(i32.store (i32.const 8) (local.get 1))
			(br_if $l (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (local.get 0))))
		(local.get 1))
	(func (export "hosted") (param i32) (result i32) (call $host) (call $count (local.get 0))))`

const countingAlone = `(module (memory 1)
	(func $count (export "count") (param i32) (result i32) (local i32)
		(loop $l
			(i32.store (i32.const 8) (local.get 1))
			(br_if $l (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (local.get 0))))
		(local.get 1)))`

// spin waits for about that long without giving up the processor.
func spin(wait time.Duration) {
	for began := time.Now(); time.Since(began) < wait; {
	}
}

// A context that ends at about the time that its call returns ends that call or none, never the next one.
func TestALateCancellationTouchesNoOtherCall(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, text := range map[string]string{"alone": countingAlone, "with host functions": countingHosted} {
			t.Run(name, func(t *testing.T) {
				imports := wasmer.NewImports().Function("host", func() {})
				instance := instantiate(t, engine, text, imports)
				other := instantiate(t, engine, text, imports)
				count, err := wasmer.Func1[int32, int32](instance, "count")
				require.NoError(t, err)
				elsewhere, err := wasmer.Func1[int32, int32](other, "count")
				require.NoError(t, err)
				cancels := make(chan context.CancelFunc)
				var canceller sync.WaitGroup
				canceller.Go(func() {
					for cancel := range cancels {
						spin(rand.N(30 * time.Microsecond))
						cancel()
					}
				})
				defer canceller.Wait()
				defer close(cancels)
				interrupted := 0
				for n := range times(1_000_000) {
					ctx, cancel := context.WithCancel(background)
					cancels <- cancel
					size := rand.Int32N(20_000)
					if result, err := count(ctx, size); err == nil {
						require.Equal(t, max(size, 1), result)
					} else {
						requireInterrupted(t, err, context.Canceled)
						interrupted++
					}
					// These have nothing to do with that context.
					for _, next := range []func(context.Context, int32) (int32, error){count, elsewhere} {
						if result, err := next(background, 300); err != nil || result != 300 {
							t.Fatalf("call %d: got %d, %v", n, result, err)
						}
					}
				}
				t.Logf("%d of %d calls were interrupted", interrupted, times(1_000_000))
			})
		}
	})
}

// One context for many calls, at the same time and one after the other, ends exactly those.
func TestCallsThatShareAContext(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, countingHosted)
		imports := wasmer.NewImports().Function("host", runtime.Gosched)
		var instances []*wasmer.Instance
		for range 4 {
			instances = append(instances, instantiateFrom(t, module, imports))
		}
		for range times(3_000) {
			ctx, cancel := context.WithCancel(background)
			var over atomic.Bool
			var group sync.WaitGroup
			for n, instance := range instances {
				hosted, err := wasmer.Func1[int32, int32](instance, "hosted")
				require.NoError(t, err)
				own, end := context.WithTimeout(background, time.Hour)
				group.Go(func() {
					defer end()
					for turn := 0; ; turn++ {
						mine := ctx
						if (turn+n)%3 == 0 {
							mine = own
						}
						ended := over.Load()
						_, err := hosted(mine, rand.Int32N(5_000))
						switch {
						case err == nil && ended && mine == ctx:
							t.Error("a call began after its context had ended")
							return
						case err != nil && mine == own:
							t.Errorf("got %v for a context that goes on", err)
							return
						case err != nil:
							if !errors.Is(err, wasmer.ErrInterrupted) || !errors.Is(err, context.Canceled) || ctx.Err() == nil {
								t.Errorf("got %v", err)
							}
							return
						}
					}
				})
			}
			time.Sleep(rand.N(2 * time.Millisecond))
			cancel()
			over.Store(true)
			group.Wait()
			for _, instance := range instances {
				require.EqualValues(t, 7, call(t, instance, "hosted", 7).ToI32())
			}
		}
	})
}

// Contexts of all kinds in turn on one instance.
func TestContextsChangeFromCallToCall(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, closable, nil)
		run, ok := function(t, instance, "run"), function(t, instance, "ok")
		long, cancelLong := context.WithCancel(background)
		defer cancelLong()
		fine := func(ctx context.Context) {
			values, err := ok.Call(ctx)
			require.NoError(t, err)
			require.EqualValues(t, 42, values[0].ToI32())
		}
		for range times(5_000) {
			switch rand.IntN(7) {
			case 0:
				fine(background)
			case 1:
				fine(noContext)
			case 2:
				fine(long)
			case 3:
				ctx, cancel := context.WithCancel(long)
				fine(ctx)
				cancel()
				_, err := ok.Call(ctx)
				requireInterrupted(t, err, context.Canceled)
			case 4:
				ctx, cancel := context.WithTimeout(long, rand.N(3*time.Millisecond))
				requireInterrupted(t, run.CallRaw(ctx, nil), context.DeadlineExceeded)
				cancel()
			case 5:
				err := stopped(t, rand.N(time.Millisecond), func(ctx context.Context) error { return run.CallRaw(ctx, nil) })
				requireInterrupted(t, err, context.Canceled)
			case 6:
				cause := errors.New("the cause")
				ctx, cancel := context.WithCancelCause(long)
				time.AfterFunc(rand.N(time.Millisecond), func() { cancel(cause) })
				err := run.CallRaw(context.WithValue(ctx, &cause, 1), nil)
				requireInterrupted(t, err, context.Canceled)
				require.ErrorIs(t, err, cause)
			}
		}
	})
}
