package wasmer_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// While guests run that never end, the collector, whatever else stops the world, timers and other goroutines get on.
func TestGoGetsOnWhileEndlessGuestsRun(t *testing.T) {
	for _, processors := range []int{1, 2} {
		t.Run(fmt.Sprint("GOMAXPROCS ", processors), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
			eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				var group sync.WaitGroup
				for _, text := range []string{
					closable,
					`(module (memory 1 1 shared) (func (export "run") (loop $l (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))) (br $l))))`,
					`(module (memory 16) (func (export "run") (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x100000)) (br $l))))`,
					`(module (import "env" "f" (func $f)) (func (export "run") (loop $l (call $f) (br $l))))`,
				} {
					run := function(t, instantiate(t, engine, text, wasmer.NewImports().Function("f", func() {})), "run")
					group.Go(func() {
						if err := run.CallRaw(ctx, nil); err == nil || ctx.Err() == nil {
							t.Errorf("the guest ended: %v", err)
						}
					})
				}
				time.Sleep(5 * time.Millisecond)
				began := time.Now()
				for range 5 {
					runtime.GC()
					debug.FreeOSMemory()
					var stats runtime.MemStats
					runtime.ReadMemStats(&stats)
					_, _ = runtime.GoroutineProfile(make([]runtime.StackRecord, 1000))
					_ = runtime.Stack(make([]byte, 1<<16), true)
				}
				ping, pong := make(chan int), make(chan int)
				go func() {
					for n := range ping {
						pong <- n + 1
					}
					close(pong)
				}()
				for n := range 200 {
					ping <- n
					require.Equal(t, n+1, <-pong)
				}
				close(ping)
				for range 10 {
					<-time.After(time.Millisecond)
				}
				require.Less(t, time.Since(began), tooLate)
				cancel()
				group.Wait()
			})
		})
	}
}

// With memories that lie close to each other, and may move.
func TestEndlessGuestsStopWithBoundedMemories(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		engine = engineOf(t, engine, wasmer.EngineConfig{Memories: wasmer.BoundedMemories})
		eachEndless(t, engine, soak != "", func(t *testing.T, instance *wasmer.Instance) {
			run := function(t, instance, "run")
			err := stopped(t, someTime(), func(ctx context.Context) error { return run.CallRaw(ctx, nil) })
			requireInterrupted(t, err, context.Canceled)
			require.EqualValues(t, 42, call(t, instance, "ok").ToI32())
		})
	})
}

// Who watches calls leaves when there are none, whatever became of contexts that never end.
func TestNobodyWatchesWhenNobodyCalls(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		before := runtime.NumGoroutine()
		module := compile(t, engine, countingAlone)
		var cancels []context.CancelFunc
		for range 20 {
			instance := instantiateFrom(t, module, nil)
			for _, size := range []int32{10, 3_000_000, 8_000_000} {
				ctx, cancel := context.WithCancel(background)
				cancels = append(cancels, cancel)
				values, err := function(t, instance, "count").Call(ctx, size)
				require.NoError(t, err)
				require.Equal(t, size, values[0].ToI32())
			}
		}
		require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 10*time.Second, time.Millisecond)
		for _, cancel := range cancels {
			cancel()
		}
	})
}

// What a guest did before it was stopped is done, and no more than that.
func TestAStoppedGuestLeavesWhatItDid(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (memory (export "memory") 1) (global $g (export "g") (mut i64) (i64.const 0))
			(func (export "run") (loop $l
				(global.set $g (i64.add (global.get $g) (i64.const 1)))
				(i64.store (i32.const 8) (global.get $g))
				(i64.store (i32.const 16) (i64.load (i32.const 8)))
				(br $l)))
			(func (export "g of") (result i64) (global.get $g)))`, nil)
		run := function(t, instance, "run")
		last := int64(0)
		for range 100 {
			ctx, cancel := context.WithTimeout(background, 200*time.Microsecond)
			requireInterrupted(t, run.CallRaw(ctx, nil), context.DeadlineExceeded)
			cancel()
			count := call(t, instance, "g of").ToI64()
			first, err := instance.Memory.ReadUint64Le(8)
			require.NoError(t, err)
			second, err := instance.Memory.ReadUint64Le(16)
			require.NoError(t, err)
			require.GreaterOrEqual(t, count, last)
			require.Contains(t, []int64{count, count - 1}, int64(first))
			require.Contains(t, []uint64{first, first - 1}, second)
			last = count
			// The next run begins where this one would have: what it skipped must not look like what the next one skips.
			require.NoError(t, instance.Memory.WriteUint64Le(8, uint64(count)))
			require.NoError(t, instance.Memory.WriteUint64Le(16, uint64(count)))
		}
		require.Positive(t, last)
	})
}
