package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// batched is a guest for batches. "step" fails at 0, and calls the host at odd numbers.
const batched = `(module
	(import "env" "host" (func $host (param i32) (result i32)))
	(memory (export "memory") 1)
	(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
	(func (export "step") (param $n i32) (result i32)
		(if (i32.eqz (local.get $n)) (then unreachable))
		(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
		(if (result i32) (i32.and (local.get $n) (i32.const 1))
			(then (call $host (local.get $n)))
			(else (i32.mul (local.get $n) (i32.const 2)))))
	(func (export "count") (result i32)
		(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
		(i32.load (i32.const 0)))
	(func (export "slow") (result i32) (local $n i32)
		(loop $again
			(drop (i32.load (i32.const 0)))
			(br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 2000))))
		(local.get $n)))`

// plainHost is the host of batched, without memory.
func plainHost(n int32) int32 { return n + 1 }

func batchedInstance(t testing.TB, engine *wasmer.Engine, host any) *wasmer.Instance {
	t.Helper()
	return instantiate(t, engine, batched, wasmer.NewImports().Function("host", host))
}

func TestBatchGivesWhatSingleCallsGive(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		numeric := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
		functions := []*wasmer.Function{function(t, batchedInstance(t, engine, plainHost), "add")}
		for _, name := range []string{
			"id_i32", "id_i64", "bits_f32", "bits_f64", "take", "give", "swap", "many", "eight", "nine",
		} {
			functions = append(functions, function(t, numeric, name))
		}
		if hasSIMD(engine) {
			vectors := instantiate(t, engine, `(module
				(func (export "swap") (param v128 i32 v128) (result v128 i32 v128) (local.get 2) (local.get 1) (local.get 0)))`, nil)
			functions = append(functions, function(t, vectors, "swap"))
		}
		random := rand.New(rand.NewPCG(8, 8))
		for _, f := range functions {
			params, results := words(f.Type().Params), words(f.Type().Results)
			for _, rows := range []int{0, 1, 2, 100} {
				in, out := make([]uint64, rows*params), make([]uint64, rows*results+1)
				for i := range in {
					in[i] = random.Uint64() >> random.IntN(64)
				}
				out[rows*results] = 77
				given, want := append([]uint64{}, in...), []uint64{}
				for row := range rows {
					stack := make([]uint64, max(params, results))
					copy(stack, in[row*params:][:params])
					require.NoError(t, f.CallRaw(background, stack))
					want = append(want, stack[:results]...)
				}
				room := out
				if params == 0 {
					room = out[:rows*results]
				}
				done, err := f.CallBatch(background, in, room)
				require.NoError(t, err, f.Name())
				require.Equal(t, rows, done, f.Name())
				require.Equal(t, append(want, 77), out, "%s: nothing is written behind the results", f.Name())
				require.Equal(t, given, in, f.Name())
			}
		}
	})
}

// words is how much a list of values takes in a raw stack.
func words(types []wasmer.ValueType) (n int) {
	for _, t := range types {
		n++
		if t == wasmer.ValueTypeV128 {
			n++
		}
	}
	return n
}

func TestBatchOfNumbers(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module
			(func (export "i32") (param i32 i32) (result i32 i32) (local.get 1) (i32.sub (local.get 0) (local.get 1)))
			(func (export "i64") (param i64) (result i64) (i64.sub (i64.const 0) (local.get 0)))
			(func (export "f32") (param f32) (result f32) (f32.neg (local.get 0)))
			(func (export "f64") (param f64) (result f64) (f64.neg (local.get 0))))`, nil)
		sameBatch(t, instance, "i32", []int32{1, 2, -3, math.MinInt32}, []int32{2, -1, math.MinInt32, math.MaxInt32 - 2})
		sameBatch(t, instance, "i32", []namedUint32{1, 2, math.MaxUint32, 1}, []namedUint32{2, math.MaxUint32, 1, math.MaxUint32 - 1})
		sameBatch(t, instance, "i64", []int64{1, math.MinInt64, math.MaxInt64}, []int64{-1, math.MinInt64, math.MinInt64 + 1})
		sameBatch(t, instance, "f32", []float32{1.5, float32(math.Inf(1))}, []float32{-1.5, float32(math.Inf(-1))})
		sameBatch(t, instance, "f64", []float64{-0.1, 2, 3}, []float64{0.1, -2, -3})
	})
}

func sameBatch[T wasmer.Number](t *testing.T, instance *wasmer.Instance, name string, in, want []T) {
	t.Helper()
	f := function(t, instance, name)
	out := make([]T, len(want))
	done, err := wasmer.CallBatch(background, f, in, out)
	require.NoError(t, err)
	require.Equal(t, len(in)/len(f.Type().Params), done)
	require.Equal(t, want, out)
	if len(in) == len(want) {
		done, err = wasmer.CallBatch(background, f, in, in)
		require.NoError(t, err)
		require.Equal(t, len(in)/len(f.Type().Params), done)
		require.Equal(t, want, in, "arguments and results may be the same slice")
	}
}

// Rows are read and written in turn: each call takes what the two before it have given.
func TestBatchRowsMayFeedLaterOnes(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		f := function(t, instantiate(t, engine, `(module (func (export "next") (param i64 i64) (result i64 i64)
			(local.get 1) (i64.add (local.get 0) (local.get 1))))`, nil), "next")
		row := make([]uint64, 2*91)
		row[1] = 1
		done, err := f.CallBatch(background, row[:180], row[2:])
		require.NoError(t, err)
		require.Equal(t, 90, done)
		require.EqualValues(t, 2880067194370816120, row[180], "the 90th Fibonacci number")
	})
}

func TestBatchRefusesWhatIsNoRows(t *testing.T) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(t, err)
	defer engine.Close()
	numeric := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
	for _, c := range []struct {
		name    string
		in, out int
		message string
	}{
		{"void", 0, 0, "without parameters and results has no rows"},
		{"void", 2, 2, "without parameters and results has no rows"},
		{"swap", 3, 4, "given 3 words of arguments, want a multiple of 2"},
		{"swap", 4, 3, "given room for 3 words of results, want 2 for each of 2 calls"},
		{"swap", 4, 0, "given room for 0 words of results"},
		{"give", 1, 1, "given 1 words of arguments, want none"},
		{"eight", 0, 9, "given room for 9 words of results, want a multiple of 8"},
	} {
		done, err := function(t, numeric, c.name).CallBatch(background, make([]uint64, c.in), make([]uint64, c.out))
		require.Zero(t, done)
		require.ErrorAs(t, err, new(*wasmer.CallError))
		require.ErrorContains(t, err, c.message, c.name)
	}
	_, err = wasmer.CallBatch(background, function(t, numeric, "id_i32"), make([]int64, 1), make([]int64, 1))
	require.ErrorContains(t, err, "rows of int64 stand for i64 only: (func (param i32) (result i32))")
	_, err = wasmer.CallBatch(background, function(t, numeric, "bits_f32"), make([]float32, 1), make([]float32, 1))
	require.ErrorAs(t, err, new(*wasmer.CallError))

	references := instantiate(t, engine, `(module (func (export "f") (param externref)))`, nil)
	_, err = function(t, references, "f").CallBatch(background, make([]uint64, 1), nil)
	require.ErrorIs(t, err, wasmer.ErrUnsupported)
	require.Zero(t, numeric.Stats().Calls, "no guest has run")

	var none *wasmer.Function
	_, err = none.CallBatch(background, nil, nil)
	require.ErrorIs(t, err, wasmer.ErrClosed)
	_, err = wasmer.CallBatch[int32](background, none, nil, nil)
	require.ErrorIs(t, err, wasmer.ErrClosed)
	ended, cancel := context.WithCancel(background)
	cancel()
	_, err = function(t, numeric, "id_i32").CallBatch(ended, nil, nil)
	require.ErrorIs(t, err, wasmer.ErrInterrupted)
	require.NoError(t, numeric.Close())
	_, err = function(t, batchedInstance(t, engine, plainHost), "add").CallBatch(noContext, nil, nil)
	require.NoError(t, err)
}

func TestBatchEndsWithTheCallThatFails(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		errHost := errors.New("host")
		instance := batchedInstance(t, engine, func(n int32) (int32, error) {
			switch n {
			case 101:
				return 0, errHost
			case 103:
				panic("no")
			}
			return -n, nil
		})
		f := function(t, instance, "step")
		calls := uint64(0)
		for _, c := range []struct {
			in, want []int32
			done     int
			err      error
		}{
			{[]int32{2, 3, 4, 0, 6}, []int32{4, -3, 8, 9, 9}, 3, wasmer.TrapUnreachable},
			{[]int32{0, 2}, []int32{9, 9}, 0, wasmer.TrapUnreachable},
			{[]int32{5, 101, 2}, []int32{-5, 9, 9}, 1, errHost},
			{[]int32{5, 7, 2}, []int32{-5, -7, 4}, 3, nil},
		} {
			out := []int32{9, 9, 9, 9, 9}[:len(c.in)]
			done, err := wasmer.CallBatch(background, f, c.in, out)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.done, done)
			require.Equal(t, c.want, out)
			if calls += uint64(done); err != nil {
				calls++
			}
			require.Equal(t, calls, instance.Stats().Calls, "each call counts, the failed one too")
		}
		require.PanicsWithValue(t, "no", func() { _, _ = wasmer.CallBatch(background, f, []int32{2, 103}, make([]int32, 2)) })
		require.EqualValues(t, 42, call(t, instance, "add", 5, 37).ToI32())
	})
}

// Each row, and each row of the batches that host functions make meanwhile, finds its own slots.
func TestBatchHostFunctionsMayCallBack(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var instance *wasmer.Instance
		instance = batchedInstance(t, engine, func(c *wasmer.Caller, n int32) (int32, error) {
			if n < 2 {
				return n, nil
			}
			out := make([]int32, 3)
			done, err := wasmer.CallBatch(c.Context(), function(t, instance, "step"), []int32{n - 2, 10, n - 2}, out)
			if done != 3 {
				return 0, err
			}
			return out[0] + out[1] + out[2], err
		})
		out := make([]int32, 4)
		done, err := wasmer.CallBatch(background, function(t, instance, "step"), []int32{1, 3, 5, 8}, out)
		require.NoError(t, err)
		require.Equal(t, 4, done)
		require.Equal(t, []int32{1, 22, 64, 16}, out)

		_, err = wasmer.CallBatch(background, function(t, instance, "step"), []int32{4, 1_000_001}, out)
		require.ErrorIs(t, err, wasmer.ErrDepth)
	})
}

// Both a batch of long calls, and one of calls so short that the host's code is what mostly runs.
func TestBatchIsStopped(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		out := make([]int32, 30_000_000) // a minute of slow calls; what is not touched takes no memory
		for _, name := range []string{"slow", "count"} {
			for attempt := 1; ; attempt++ { // all calls may be done before the cancellation has its turn
				instance := batchedInstance(t, engine, plainHost)
				f := function(t, instance, name)
				ctx, cancel := context.WithCancel(background)
				time.AfterFunc(5*time.Millisecond, cancel)
				done, err := wasmer.CallBatch(ctx, f, nil, out)
				cancel()
				if err == nil && attempt < 100 {
					continue
				}
				require.ErrorIs(t, err, wasmer.ErrInterrupted)
				require.ErrorIs(t, err, context.Canceled)
				require.Less(t, done, len(out))
				if name == "count" {
					now := call(t, instance, "count").ToI32()
					require.InDelta(t, done+1, int(now), 1, "what is not done has not returned")
				}
				done, err = wasmer.CallBatch(background, f, nil, out[:10])
				require.NoError(t, err, "the late end of a batch meets no other call")
				require.Equal(t, 10, done)
				require.NoError(t, instance.Close())
				break
			}
		}
		for attempt := 1; ; attempt++ { // it may be closed before the batch begins
			instance := batchedInstance(t, engine, plainHost)
			f := function(t, instance, "slow")
			time.AfterFunc(5*time.Millisecond, func() { _ = instance.Close() })
			done, err := wasmer.CallBatch(background, f, nil, out)
			require.ErrorIs(t, err, wasmer.ErrClosed)
			require.Less(t, done, len(out))
			if done == 0 && attempt < 100 {
				continue
			}
			require.ErrorAs(t, err, new(*wasmer.ExitError))
			break
		}
	})
}

func TestBatchEndsAtTheCostLimit(t *testing.T) {
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		instance := batchedInstance(t, engine, plainHost)
		f := function(t, instance, "add")
		in, out := make([]int32, 200), make([]int32, 100)
		_, err := wasmer.CallBatch(background, f, in[:2], out)
		require.NoError(t, err)
		each := instance.Meter().Used()
		require.Positive(t, each)
		require.NoError(t, instance.Meter().Reset())
		require.NoError(t, instance.Meter().SetLimit(10*each+each/2))
		done, err := wasmer.CallBatch(background, f, in, out)
		require.ErrorIs(t, err, wasmer.ErrCostLimit)
		require.Equal(t, 10, done)
	})
}

// Without that, the calls of a batch would add up to too many exceptions of one call.
func TestBatchForgetsExceptionsOfEachCall(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		if !hasExceptions(engine) {
			t.Skip("no exceptions")
		}
		// What counts is also how deep the stack is where exceptions are thrown.
		var arguments strings.Builder
		for i := range 900 {
			fmt.Fprintf(&arguments, "(local.get %d) ", 2+i)
		}
		instance := instantiate(t, engine, `(module (tag $t)
			(func $deep (param $n i32) (param $depth i32) (param `+strings.Repeat("i64 ", 900)+`)
				(if (local.get $depth)
					(then (call $deep (local.get $n) (i32.sub (local.get $depth) (i32.const 1)) `+arguments.String()+`))
					(else (loop $again
						(block $caught (try_table (catch $t $caught) (throw $t)))
						(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))))
			(func (export "f") (param i32) (result i32)
				(call $deep (local.get 0) (i32.const 50) `+strings.Repeat("(i64.const 1) ", 900)+`) (i32.const 7)))`, nil)
		f := function(t, instance, "f")
		// How many are too many is the compiler's affair, whose frames differ.
		n := int32(900)
		_, err := f.Call(background, 2*n)
		for ; err == nil; _, err = f.Call(background, 2*n) {
			n *= 2
			require.Less(t, n, int32(1<<20))
		}
		require.ErrorContains(t, err, "too many exceptions in one call")
		in := []int32{n, n}
		done, err := wasmer.CallBatch(background, f, in, in)
		require.NoError(t, err)
		require.Equal(t, 2, done)
	})
}

func TestBatchGoexitInAHostFunction(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := batchedInstance(t, engine, func(int32) int32 { runtime.Goexit(); return 0 })
		require.False(t, inGoroutine(func() {
			_, _ = wasmer.CallBatch(background, function(t, instance, "step"), []int32{2, 4, 5, 6}, make([]int32, 4))
		}))
		_, err := instance.Exports["add"](1, 2)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		nilDereference(t)
	})
}

// Batches that fail, are stopped, call back and wait for each other, on few instances.
func TestBatchStorm(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var group sync.WaitGroup
		for range 2 {
			instance := batchedInstance(t, engine, func(c *wasmer.Caller, n int32) (int32, error) {
				v, err := c.Instance().Exports["add"](n, 1)
				return v.ToI32(), err
			})
			f := function(t, instance, "step")
			for g := range 4 {
				group.Go(func() {
					random := rand.New(rand.NewPCG(uint64(g), 1))
					in, out := make([]int32, 500), make([]int32, 500)
					for range 30 {
						fails := random.IntN(1000)
						for i := range in {
							in[i] = int32(2 + random.IntN(100))
							if i == fails {
								in[i] = 0
							}
						}
						ctx, cancel := context.WithTimeout(background, time.Duration(1+random.IntN(5000))*time.Microsecond)
						done, err := wasmer.CallBatch(ctx, f, in, out)
						cancel()
						for i, n := range in[:done] {
							if want := n*(2-n%2) + n%2; out[i] != want {
								t.Errorf("step(%d) gave %d", n, out[i])
							}
						}
						switch {
						case err == nil && done == len(in):
						case errors.Is(err, wasmer.TrapUnreachable) && done == fails:
						case errorIsInterrupted(err) && done < len(in):
						default:
							t.Errorf("%d done, failing %d: %v", done, fails, err)
						}
					}
				})
			}
		}
		group.Wait()
	})
}

func TestBatchAllocatesNothing(t *testing.T) {
	instance, err := wasmer.NewInstance([]byte(strings.Replace(batched, `(import "env" "host" (func $host (param i32) (result i32)))`,
		`(func $host (param i32) (result i32) (local.get 0))`, 1)))
	require.NoError(t, err)
	defer instance.Close()
	f := function(t, instance, "add")
	in, out := make([]uint64, 200), make([]uint64, 100)
	narrow, sums := make([]int32, 200), make([]int32, 100)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := f.CallBatch(background, in, out); err != nil {
			t.Fatal(err)
		}
		if _, err := wasmer.CallBatch(background, f, narrow, sums); err != nil {
			t.Fatal(err)
		}
	}))
}
