package wasmer_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const counted = `(module $counted
	(import "env" "host" (func $host (param i32) (result i32)))
	(memory (export "memory") 1 2)
	(table $t 1 2 funcref)
	(func (export "plain") (param i32) (result i32) (local.get 0))
	(func (export "calls") (param $n i32)
		(loop $again
			(drop (call $host (local.get $n)))
			(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
	(func (export "trap") unreachable)
	(func (export "grow") (result i32) (memory.grow (i32.const 2)))
	(func (export "grow table") (result i32) (table.grow $t (ref.null func) (i32.const 5)))
	(func (export "spin") (param $n i32)
		(loop $again
			(drop (i32.load (i32.const 0))) ;; LLVM leaves out a loop that does nothing
			(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`

func TestCallsAreCounted(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine := engineOf(t, shared, wasmer.EngineConfig{})
		errHost := errors.New("host")
		imports := wasmer.NewImports().Function("host", func(n int32) (int32, error) {
			if n == 1000 {
				return 0, errHost
			}
			return n, nil
		})
		module := compile(t, engine, counted)
		instance, err := wasmer.Instantiate(background, module, imports)
		require.NoError(t, err)
		require.Zero(t, instance.Stats(), "an instance without a start function has not been called")

		run(t, instance, "plain", 1)
		run(t, instance, "plain", 2)
		require.Equal(t, wasmer.InstanceStats{Calls: 2}, instance.Stats())

		run(t, instance, "calls", 100)
		require.Equal(t, wasmer.InstanceStats{Calls: 3, HostCalls: 100}, instance.Stats())

		require.ErrorIs(t, failing(t, instance, "trap"), wasmer.TrapUnreachable)
		require.ErrorIs(t, failing(t, instance, "calls", 1000), errHost)
		require.Equal(t, wasmer.InstanceStats{Calls: 5, HostCalls: 101, Failures: 2, Traps: 1}, instance.Stats())

		run(t, instance, "grow")
		run(t, instance, "grow table")
		want := wasmer.InstanceStats{Calls: 7, HostCalls: 101, Failures: 2, Traps: 1, RefusedGrowths: 2}
		require.Equal(t, want, instance.Stats())

		ctx, cancel := context.WithCancel(background)
		cancel()
		_, err = function(t, instance, "plain").Call(ctx, 1)
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		require.Equal(t, want, instance.Stats(), "what was refused has not been called")

		stats := engine.Stats()
		require.Equal(t, want, stats.InstanceStats)
		require.Equal(t, []int64{1, 1, 1, 1}, []int64{stats.Engines, stats.Modules, stats.Stores, stats.Instances})
		require.EqualValues(t, 1, stats.Compilations)
		require.EqualValues(t, 1, stats.Instantiations)
		require.Positive(t, stats.CompileTime)
		require.Positive(t, stats.CodeBytes)

		require.NoError(t, instance.Close())
		require.Equal(t, want, instance.Stats(), "the last values stay")
		require.Equal(t, want, engine.Stats().InstanceStats)
		require.NoError(t, module.Close())
		require.NoError(t, engine.Close())
		stats = engine.Stats()
		require.Equal(t, want, stats.InstanceStats)
		require.Zero(t, stats.Engines+stats.Modules+stats.Stores+stats.Instances+stats.CodeModules+stats.CodeBytes)
		require.EqualValues(t, 1, stats.Compilations)
	})
}

func TestInterruptedCallsAreCounted(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		ctx, cancel := context.WithCancel(background)
		imports := wasmer.NewImports().Function("host", func(n int32) int32 { cancel(); return n })
		instance := instantiate(t, engine, counted, imports)
		_, err := function(t, instance, "calls").Call(ctx, 1000000)
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		instance = instantiate(t, engine, counted, imports)
		ctx, cancel = context.WithTimeout(background, 5*time.Millisecond)
		defer cancel()
		_, err = function(t, instance, "spin").Call(ctx, 0) // 2^32 rounds
		require.ErrorIs(t, err, context.DeadlineExceeded)
		stats := instance.Stats()
		require.EqualValues(t, 1, stats.Interrupted)
		require.EqualValues(t, 1, stats.Failures)
		require.Zero(t, stats.Traps)
	})
}

func TestFailuresAreCounted(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine := engineOf(t, shared, wasmer.EngineConfig{})
		_, err := engine.Compile(background, []byte("(module (func (result i32)))"))
		require.Error(t, err)
		require.EqualValues(t, 1, engine.Stats().FailedCompilations)

		trapping := compile(t, engine, `(module (func $start unreachable) (start $start))`)
		store := newStore(t, engine)
		for range 3 {
			_, err = store.Instantiate(background, "", trapping, nil)
			require.ErrorIs(t, err, wasmer.TrapUnreachable)
			_, err = trapping.Instantiate()
			require.ErrorIs(t, err, wasmer.TrapUnreachable)
		}
		stats := engine.Stats()
		require.Equal(t, wasmer.InstanceStats{Failures: 6, Traps: 6}, stats.InstanceStats)
		require.EqualValues(t, 6, stats.Instantiations)
		require.Zero(t, stats.Instances)
		require.EqualValues(t, 1, stats.Stores)

		instance := instantiate(t, engine, counted, wasmer.NewImports().Function("host", func(int32) int32 { panic("host") }))
		require.PanicsWithValue(t, "host", func() { _, _ = function(t, instance, "calls").Call(background, 1) })
		require.Equal(t, wasmer.InstanceStats{Calls: 1, HostCalls: 1, Failures: 1}, instance.Stats())

		exiting := instantiate(t, engine, counted, wasmer.NewImports().Function("host", func(c *wasmer.Caller, _ int32) (int32, error) {
			return 0, c.Exit(3)
		}))
		require.ErrorIs(t, failing(t, exiting, "calls", 1), &wasmer.ExitError{Code: 3})
		require.Zero(t, exiting.Stats().Failures, "an exit is no failure")
	})
}

func TestInstancesOfAStoreAreCountedApart(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine := engineOf(t, shared, wasmer.EngineConfig{})
		store := newStore(t, engine)
		lib := instantiateNamed(t, store, engine, "lib", `(module (func (export "f")) (func (export "trap") unreachable))`)
		main := instantiateNamed(t, store, engine, "main", `(module (import "lib" "f" (func $f)) (export "f" (func $f))
			(func (export "g") (call $f)))`)
		run(t, lib, "f")
		run(t, main, "g")
		run(t, main, "g")
		run(t, main, "f") // is lib's
		failing(t, lib, "trap")
		require.Equal(t, wasmer.InstanceStats{Calls: 3, Failures: 1, Traps: 1}, lib.Stats())
		require.Equal(t, wasmer.InstanceStats{Calls: 2}, main.Stats())

		host := hostFunction(t, store, nil, nil, func(context.Context, *wasmer.Caller, []wasmer.Value) ([]wasmer.Value, error) {
			return nil, nil
		})
		_, err := host.Call(background)
		require.NoError(t, err)
		require.Equal(t, wasmer.InstanceStats{Calls: 6, HostCalls: 1, Failures: 1, Traps: 1}, engine.Stats().InstanceStats)

		require.NoError(t, lib.Close())
		require.EqualValues(t, 2, engine.Stats().Instances, "the store holds it")
		require.NoError(t, store.Close())
		require.Zero(t, engine.Stats().Instances)
		require.EqualValues(t, 3, lib.Stats().Calls)
	})
}

func TestTimesAreMeasuredApart(t *testing.T) {
	const nap = 20 * time.Millisecond
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine := engineOf(t, shared, wasmer.EngineConfig{MeasureTime: true})
		sleeping := wasmer.NewImports().Function("host", func(n int32) int32 { time.Sleep(nap); return n })

		t.Run("host", func(t *testing.T) {
			instance := instantiate(t, engine, counted, sleeping)
			run(t, instance, "calls", 3)
			stats := instance.Stats()
			require.GreaterOrEqual(t, stats.HostTime, 3*nap)
			require.Less(t, stats.WasmTime, nap)
			require.Equal(t, stats.WasmTime+stats.HostTime, stats.TotalTime())
			require.NoError(t, instance.Close())
			require.Equal(t, stats, instance.Stats())
		})
		t.Run("wasm", func(t *testing.T) {
			instance := instantiate(t, engine, counted, sleeping)
			began := time.Now()
			run(t, instance, "spin", 20_000_000)
			stats, took := instance.Stats(), time.Since(began)
			require.Zero(t, stats.HostTime)
			require.Greater(t, stats.WasmTime, time.Millisecond)
			require.LessOrEqual(t, stats.WasmTime, took)
			_, wasm := stats.HostTime, stats.WasmTime
			require.Equal(t, wasm, instance.Stats().WasmTime, "nothing is counted between calls")
		})
		t.Run("a trap", func(t *testing.T) {
			instance := instantiate(t, engine, counted, sleeping)
			failing(t, instance, "trap")
			stats := instance.Stats()
			require.Positive(t, stats.WasmTime)
			require.Equal(t, stats, instance.Stats())
		})
		t.Run("a call under way", func(t *testing.T) {
			var instance *wasmer.Instance
			var within []wasmer.InstanceStats
			instance = instantiate(t, engine, counted, wasmer.NewImports().Function("host", func(n int32) int32 {
				time.Sleep(nap)
				within = append(within, instance.Stats())
				return n
			}))
			run(t, instance, "calls", 2)
			require.GreaterOrEqual(t, within[0].HostTime, nap)
			require.GreaterOrEqual(t, within[1].HostTime, 2*nap)
			require.EqualValues(t, 1, within[0].Calls)
		})
		t.Run("nested in the same instance", func(t *testing.T) {
			imports := wasmer.NewImports().Function("host", func(c *wasmer.Caller, n int32) (int32, error) {
				time.Sleep(nap)
				spin, err := c.Function("spin")
				if err != nil {
					return 0, err
				}
				_, err = spin.Call(c.Context(), 20_000_000)
				return n, err
			})
			instance := instantiate(t, engine, counted, imports)
			alone := instantiate(t, engine, counted, imports)
			run(t, alone, "spin", 20_000_000)
			run(t, instance, "calls", 1)
			stats := instance.Stats()
			require.GreaterOrEqual(t, stats.HostTime, nap)
			require.Greater(t, stats.WasmTime, alone.Stats().WasmTime/4, "the nested call is the guest's")
			require.EqualValues(t, 2, stats.Calls)
		})
		t.Run("nested in another store", func(t *testing.T) {
			inner := instantiate(t, engine, counted, sleeping)
			outer := instantiate(t, engine, counted, wasmer.NewImports().Function("host", func(c *wasmer.Caller, n int32) (int32, error) {
				calls, err := inner.Function("calls")
				if err != nil {
					return 0, err
				}
				_, err = calls.Call(c.Context(), 5)
				time.Sleep(nap)
				return n, err
			}))
			began := time.Now()
			run(t, outer, "calls", 1)
			took := time.Since(began)
			require.GreaterOrEqual(t, inner.Stats().HostTime, 5*nap)
			require.GreaterOrEqual(t, outer.Stats().HostTime, nap)
			require.LessOrEqual(t, inner.Stats().TotalTime()+outer.Stats().TotalTime(), took, "nothing counts twice")
		})
		t.Run("a goroutine's end", func(t *testing.T) {
			instance := instantiate(t, engine, counted, wasmer.NewImports().Function("host", func(int32) int32 {
				time.Sleep(nap)
				runtime.Goexit()
				return 0
			}))
			var group sync.WaitGroup
			f := function(t, instance, "calls")
			group.Go(func() { _, _ = f.Call(background, 1) })
			group.Wait()
			stats := instance.Stats()
			require.GreaterOrEqual(t, stats.HostTime, nap)
			time.Sleep(time.Millisecond)
			require.Equal(t, stats, instance.Stats(), "it has ended")
		})
		t.Run("off", func(t *testing.T) {
			instance := instantiate(t, shared, counted, sleeping)
			run(t, instance, "calls", 1)
			require.Zero(t, instance.Stats().TotalTime())
		})
	})
}

func TestStatisticsAreReadAtAnyTime(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine := engineOf(t, shared, wasmer.EngineConfig{MeasureTime: true})
		module := compile(t, engine, counted)
		imports := wasmer.NewImports().Function("host", func(n int32) int32 { return n })
		const workers, rounds = 4, 100
		instances := make(chan *wasmer.Instance, workers*rounds)
		var group, readers sync.WaitGroup
		for range workers {
			group.Go(func() {
				for range rounds {
					instance, err := wasmer.Instantiate(background, module, imports)
					if err != nil {
						t.Error(err)
						return
					}
					instances <- instance
					calls, _ := instance.Function("calls")
					_, _ = calls.Call(background, 50)
					instance.Close()
				}
			})
		}
		done := make(chan struct{})
		for range 2 {
			readers.Go(func() {
				var last uint64
				for {
					select {
					case <-done:
						return
					case instance := <-instances:
						if stats := instance.Stats(); stats.Calls > 1 || stats.HostCalls > 50 {
							t.Errorf("got %+v", stats)
						}
					default:
					}
					calls := engine.Stats().Calls
					if calls < last || wasmer.Stats().Calls < calls {
						t.Errorf("%d calls after %d", calls, last)
					}
					last = calls
				}
			})
		}
		group.Wait()
		close(done)
		readers.Wait()
		stats := engine.Stats()
		require.EqualValues(t, workers*rounds, stats.Calls)
		require.EqualValues(t, workers*rounds*50, stats.HostCalls)
		require.EqualValues(t, workers*rounds, stats.Instantiations)
		require.Zero(t, stats.Stores)
	})
}

func TestMemoryIsTold(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		quiet()
		before := wasmer.Stats()
		instance := instantiate(t, engine, `(module (memory (export "memory") 3 10))`, nil)
		stats := wasmer.Stats()
		require.EqualValues(t, 1, stats.Memories-before.Memories)
		require.EqualValues(t, 3*wasmer.PageSize, stats.MemoryBytes-before.MemoryBytes)
		require.NoError(t, instance.Memory.Grow(4))
		require.EqualValues(t, 7*wasmer.PageSize, wasmer.Stats().MemoryBytes-before.MemoryBytes)
		require.GreaterOrEqual(t, stats.ReservedBytes, stats.MemoryBytes)
		require.NoError(t, instance.Close())
		stats = wasmer.Stats()
		require.Equal(t, before.Memories, stats.Memories)
		require.Equal(t, before.MemoryBytes, stats.MemoryBytes)
		if runtime.GOOS == "linux" {
			require.Greater(t, stats.ResidentBytes, int64(1<<20))
		}
	})
}

// quiet waits until what earlier tests forgot has been freed.
func quiet() {
	for range 3 {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
}

// handles are what is to be zero, or as before, when all was closed.
func handles(stats wasmer.ProcessStats) map[string]int64 {
	return map[string]int64{
		"engines": stats.Engines, "modules": stats.Modules, "stores": stats.Stores, "instances": stats.Instances,
		"memories": stats.Memories, "memory bytes": stats.MemoryBytes, "externs": stats.Externs,
		"code modules": stats.CodeModules, "code bytes": stats.CodeBytes,
	}
}

func TestNothingIsLeft(t *testing.T) {
	rounds := 500
	if soak != "" {
		rounds = 10_000
	}
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		imports := wasmer.NewImports().Function("host", func(n int32) int32 { return n })
		quiet()
		before := handles(wasmer.Stats())
		func() {
			engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: shared.Compiler()})
			require.NoError(t, err)
			module, err := engine.Compile(background, []byte(counted))
			require.NoError(t, err)
			trapping, err := engine.Compile(background, []byte(`(module (memory 1) (func $start unreachable) (start $start))`))
			require.NoError(t, err)
			for n := range rounds {
				instance, err := wasmer.Instantiate(background, module, imports)
				require.NoError(t, err)
				_, err = function(t, instance, "plain").Call(background, n)
				require.NoError(t, err)
				if n%4 > 0 { // else it is collected
					require.NoError(t, instance.Close())
				}
				_, err = trapping.Instantiate()
				require.ErrorIs(t, err, wasmer.TrapUnreachable)
				_, err = module.Instantiate()
				require.ErrorAs(t, err, new(*wasmer.LinkError))
				if n%50 == 0 {
					_, err = engine.Compile(background, []byte(`(module (func (result i32)))`))
					require.Error(t, err)
					runtime.GC()
				}
			}
			if shared.Compiler() == wasmer.Cranelift { // else all are collected
				require.NoError(t, trapping.Close())
				require.NoError(t, module.Close())
				require.NoError(t, engine.Close())
			}
		}()
		require.Eventually(t, func() bool {
			runtime.GC()
			after := handles(wasmer.Stats())
			return fmt.Sprint(after) == fmt.Sprint(before)
		}, 10*time.Second, 20*time.Millisecond, "before: %v, after: %v", before, handles(wasmer.Stats()))
	})
}

func TestInstructionsAreReported(t *testing.T) {
	const fib = `(module (func $fib (export "fib") (param $n i32) (result i32)
		local.get $n
		i32.const 2
		i32.lt_s
		if
			i32.const 1
			return
		end
		local.get $n
		i32.const 2
		i32.sub
		call $fib
		local.get $n
		i32.const 1
		i32.sub
		call $fib
		i32.add
		return))`
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		metering := wasmer.Metering{Mode: finestMode(shared.Compiler())}
		engine := engineOf(t, shared, wasmer.EngineConfig{MeasureTime: true, Metering: metering})
		instance := instantiate(t, engine, fib, nil)
		require.EqualValues(t, 1346269, run(t, instance, "fib", 30)[0].ToI32())
		stats := instance.Stats()
		require.EqualValues(t, 28271634, stats.Instructions)
		require.EqualValues(t, 28271634, stats.Cost)
		require.InDelta(t, 28271634/stats.WasmTime.Seconds(), stats.InstructionsPerSecond(), 1)
		require.Contains(t, stats.Report(), "\n Executed wasm instructions count: 28271634\n")
		require.Equal(t, stats, engine.Stats().InstanceStats)
		require.NoError(t, instance.Close())
		require.Equal(t, stats, instance.Stats())
		require.Equal(t, stats, engine.Stats().InstanceStats)
	})
}

func TestReportIsAsItWasPrinted(t *testing.T) {
	for _, test := range []struct {
		name  string
		stats wasmer.InstanceStats
		want  string
	}{
		{"one run", wasmer.InstanceStats{WasmTime: 556372295, Instructions: 28271634}, ` ====================  Statistics  ====================
 Total execution time: 556372295 ns
 Wasm instructions execution time: 556372295 ns
 Host functions execution time: 0 ns
 Executed wasm instructions count: 28271634
 Gas costs: 0
 Instructions per second: 50814237
`},
		{"all of it", wasmer.InstanceStats{WasmTime: time.Second, HostTime: time.Millisecond, Instructions: 3, Cost: 12}, ` ====================  Statistics  ====================
 Total execution time: 1001000000 ns
 Wasm instructions execution time: 1000000000 ns
 Host functions execution time: 1000000 ns
 Executed wasm instructions count: 3
 Gas costs: 12
 Instructions per second: 3
`},
		{"nothing measured", wasmer.InstanceStats{Instructions: 5}, ` ====================  Statistics  ====================
 Total execution time: 0 ns
 Wasm instructions execution time: 0 ns
 Host functions execution time: 0 ns
 Executed wasm instructions count: 5
 Gas costs: 0
 Instructions per second: 0
`},
	} {
		t.Run(test.name, func(t *testing.T) { require.Equal(t, test.want, test.stats.Report()) })
	}
}

func TestStatisticsAreReadyForExpvar(t *testing.T) {
	instance := instantiate(t, wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{})), `(module (func (export "f")))`, nil)
	run(t, instance, "f")
	text := expvar.Func(func() any { return wasmer.Stats() }).String()
	var fields map[string]int64
	require.NoError(t, json.Unmarshal([]byte(text), &fields), text)
	require.Positive(t, fields["calls"])
	require.Positive(t, fields["engines"])
	require.Positive(t, fields["code_bytes"])
	require.Contains(t, fields, "wasm_time_ns")
}

func TestStatisticsOfNothing(t *testing.T) {
	require.Zero(t, (*wasmer.Instance)(nil).Stats())
	require.Zero(t, (*wasmer.Engine)(nil).Stats())
	store := newStore(t, nil)
	host, err := store.NewInstance("", nil)
	require.NoError(t, err)
	require.Zero(t, host.Stats())
}
