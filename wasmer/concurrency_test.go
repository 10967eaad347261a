package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
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

func TestManyGoroutinesOnOneInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var inside atomic.Int64
		instance := instantiate(t, engine, `(module (import "env" "host" (func $host)) (memory (export "memory") 1)
			(func (export "count") (result i32) (local $n i32)
				(local.set $n (i32.load (i32.const 0)))
				(call $host)
				(i32.store (i32.const 0) (i32.add (local.get $n) (i32.const 1)))
				(local.get $n))
			(func (export "plain") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
			(func (export "trap") unreachable))`, wasmer.NewImports().Function("host", func() {
			if inside.Add(1) != 1 {
				t.Error("two calls at once")
			}
			runtime.Gosched()
			inside.Add(-1)
		}))
		var group sync.WaitGroup
		var seen sync.Map
		for g := range 64 {
			group.Go(func() {
				for n := range 50 {
					result, err := instance.Exports["count"]()
					if _, twice := seen.LoadOrStore(result.ToI32(), true); err != nil || twice {
						t.Errorf("got %v, %v", result, err)
					}
					if result, err := instance.Exports["plain"](g*1000 + n); err != nil || result.ToI32() != int32(g*1000+n)*3 {
						t.Errorf("got %v, %v", result, err)
					}
					if _, err := instance.Exports["trap"](); !errors.Is(err, wasmer.TrapUnreachable) {
						t.Errorf("got %v", err)
					}
				}
			})
		}
		group.Wait()
		count, err := instance.Memory.ReadUint32Le(0)
		require.NoError(t, err)
		require.EqualValues(t, 64*50, count)
	})
}

func TestWaitingHonoursTheContext(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		entered, leave := make(chan struct{}, 1), make(chan struct{})
		instance := instantiate(t, engine, callers, wasmer.NewImports().Function("f", func(x int32) int32 {
			entered <- struct{}{}
			<-leave
			return x
		}))
		run, double := function(t, instance, "run"), function(t, instance, "double")
		var group sync.WaitGroup
		group.Go(func() {
			values, err := run.Call(background, 5)
			if err != nil || values[0].ToI32() != 5 {
				t.Errorf("got %v, %v", values, err)
			}
		})
		<-entered
		errCause := errors.New("the cause")
		for range 100 {
			ctx, cancel := context.WithCancelCause(background)
			time.AfterFunc(100*time.Microsecond, func() { cancel(errCause) })
			_, err := double.Call(ctx, 1)
			require.ErrorIs(t, err, wasmer.ErrInterrupted)
			require.ErrorIs(t, err, context.Canceled)
			timed, stop := context.WithTimeout(background, 50*time.Microsecond)
			_, err = double.Call(timed, 1)
			stop()
			require.ErrorIs(t, err, wasmer.ErrInterrupted)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		for n := range 8 {
			group.Go(func() {
				values, err := double.Call(background, n)
				if err != nil || values[0].ToI32() != int32(2*n) {
					t.Errorf("got %v, %v", values, err)
				}
			})
		}
		time.Sleep(time.Millisecond)
		close(leave)
		group.Wait()
		require.EqualValues(t, 8, call(t, instance, "double", 4).ToI32())
	})
}

func TestOneInstanceOnManyThreads(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "traps.wasm"), nil)
		recursing := recursion(t, engine)
		flat(t, 1000, 50, func(n int) {
			onLockedThread(func() { // which ends with it
				name, want := "unreachable", error(wasmer.TrapUnreachable)
				switch n % 3 {
				case 1:
					name, want = "stack_overflow", wasmer.TrapStackOverflow
				case 2:
					name, want = "out_of_bounds", wasmer.TrapOutOfBounds
				}
				if _, err := instance.Exports[name](); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
				nilDereference(t)
				if result, err := instance.Exports["ok"](); err != nil || result.ToI32() != 42 {
					t.Errorf("got %v, %v", result, err)
				}
				if values, err := recursing.Call(background, 3); err != nil || values[0].ToI32() != 3 {
					t.Errorf("got %v, %v", values, err)
				}
			})
		})
	})
}

func TestManyGoroutinesCompile(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var group sync.WaitGroup
		shared := compile(t, engine, twoHosts)
		for g := range 64 {
			group.Go(func() {
				for n := range 3 {
					module, err := engine.Compile(background, fmt.Appendf(nil, `(module (memory (export "memory") 1)
						(func (export "f") (result i32) (i32.const %d)) (func (export "trap") unreachable))`, g*100+n))
					if err != nil {
						t.Error(err)
						return
					}
					artifact, err := module.Serialize()
					if err != nil {
						t.Error(err)
					}
					_ = module.Close()
					loaded, err := engine.Deserialize(background, artifact)
					if err != nil {
						t.Error(err)
						return
					}
					instance, err := loaded.Instantiate()
					if err != nil {
						t.Error(err)
						return
					}
					_ = loaded.Close()
					if result, err := instance.Exports["f"](); err != nil || result.ToI32() != int32(g*100+n) {
						t.Errorf("got %v, %v", result, err)
					}
					if _, err := instance.Exports["trap"](); !errors.Is(err, wasmer.TrapUnreachable) {
						t.Errorf("got %v", err)
					}
					_ = instance.Close()
					if _, err := engine.Compile(background, []byte("(module (func (result i32)))")); !errors.As(err, new(*wasmer.CompileError)) {
						t.Errorf("got %v", err)
					}
					other, err := shared.InstantiateWithImports(twoHostImports())
					if err != nil {
						t.Error(err)
						return
					}
					if result, err := other.Exports["run"](n); err != nil || result.ToI32() != int32(n+1) {
						t.Errorf("got %v, %v", result, err)
					}
					_ = other.Close()
				}
			})
		}
		group.Wait()
	})
}

// Memories are read and written during calls, growth and Close.
func TestMemoryAccessDuringCallsAndClose(t *testing.T) {
	rounds := 100
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (memory (export "memory") 1 64)
			(func (export "run") (local i32)
				(loop (i32.store8 (local.get 0) (i32.const 7))
					(br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 60000))))
				(drop (memory.grow (i32.const 1)))))`)
		flatBut(t, rounds, 10, 256*9<<30, func(n int) {
			instance, err := module.Instantiate()
			require.NoError(t, err)
			memory := instance.Memory
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					for {
						size := memory.Size()
						bytes, err := memory.Read(60_000, 5_000)
						if err != nil {
							if !errors.Is(err, wasmer.ErrClosed) {
								t.Error(err)
							}
							return
						}
						if len(bytes) != 5_000 || size%wasmer.PageSize != 0 {
							t.Errorf("%d bytes, size %d", len(bytes), size)
						}
						_ = memory.Write(60_000, bytes)
						if size > 0 {
							_ = memory.WriteByteAt(size-1, 1)
						}
					}
				})
			}
			group.Go(func() {
				for {
					if _, err := instance.Exports["run"](); err != nil {
						if !errors.Is(err, wasmer.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
			time.Sleep(time.Duration(n%10) * 100 * time.Microsecond)
			require.NoError(t, instance.Close())
			group.Wait()
		})
	})
}
