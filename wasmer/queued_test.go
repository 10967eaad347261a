package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// emitting is a guest that emits numbers, as many as its caller wants, and ends in several ways.
const emitting = `(module (import "env" "emit" (func $emit (param i32))) (import "env" "ask" (func $ask (param i32) (result i32)))
	(func $run (export "run") (param $n i32) (local $i i32)
		(if (local.get $n) (then (loop $again
			(call $emit (local.get $i))
			(br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n)))))))
	(func (export "trap") (param i32) (call $run (local.get 0)) unreachable)
	(func (export "forever") (param i32) (call $run (local.get 0)) (loop $again (br $again)))
	(func (export "ask") (param i32) (result i32)
		(call $run (local.get 0)) (drop (call $ask (local.get 0))) (call $emit (i32.const -1)) (i32.const 7)))`

func upTo(n int) []int32 {
	numbers := make([]int32, n)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	return numbers
}

func TestQueuedCallsAreMadeInOrderBeforeTheCallReturns(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		got := []int32{}
		asked := 0
		imports := wasmer.NewImports().Queued("emit", func(n int32) { got = append(got, n) }).
			Function("ask", func(n int32) int32 { asked = len(got); return n })
		instance := instantiate(t, engine, emitting, imports)
		for _, n := range []int{0, 1, 5, 2047, 2048, 2049, 10_000} {
			for _, way := range []string{"run", "trap", "forever", "ask"} {
				got = got[:0]
				ctx, cancel := context.WithCancel(background)
				if way == "forever" {
					ctx, cancel = context.WithTimeout(background, time.Millisecond)
				}
				want := upTo(n)
				_, err := function(t, instance, way).Call(ctx, n)
				cancel()
				switch way {
				case "run":
					require.NoError(t, err)
				case "trap":
					require.ErrorIs(t, err, wasmer.TrapUnreachable)
				case "forever":
					require.ErrorIs(t, err, wasmer.ErrInterrupted)
					if len(got) < n { // it was stopped before
						want = want[:len(got)]
					}
				case "ask":
					require.NoError(t, err)
					require.Equal(t, n, asked, "what was queued comes before any other host function")
					want = append(want, -1)
				}
				require.Equal(t, want, append([]int32{}, got...), "%s %d", way, n)
			}
		}
		before := engine.Stats().HostCalls
		run(t, instance, "run", 5000)
		require.EqualValues(t, 5000, engine.Stats().HostCalls-before)
	})
}

// queuedShape makes a guest that calls an import of a type with its own arguments.
func queuedShape(params string, count int) string {
	var arguments strings.Builder
	for i := range count {
		fmt.Fprintf(&arguments, "(local.get %d)", i)
	}
	return fmt.Sprintf(`(module (import "env" "f" (func $f (param %[1]s))) (memory (export "memory") 1) (data (i32.const 10) "hello, wasm")
		(table 1 funcref) (elem (i32.const 0) $f)
		(export "export" (func $f))
		(func (export "direct") (param %[1]s) (call $f %[2]s))
		(func (export "indirect") (param %[1]s) (call_indirect (param %[1]s) %[2]s (i32.const 0))))`, params, arguments.String())
}

func TestQueuedFunctionsOfAllShapes(t *testing.T) {
	type named int64
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var got []any
		put := func(values ...any) { got = append(got, values...) }
		var instance *wasmer.Instance
		for _, c := range []struct {
			fn     any
			params string
			args   []any
			want   []any
		}{
			{func() { put() }, "", nil, nil},
			{func(a int32) { put(a) }, "i32", []any{-1}, []any{int32(-1)}},
			{func(a uint32) { put(a) }, "i32", []any{-1}, []any{uint32(math.MaxUint32)}},
			{func(a int64) { put(a) }, "i64", []any{math.MinInt64}, []any{int64(math.MinInt64)}},
			{func(a uint64) { put(a) }, "i64", []any{-1}, []any{uint64(math.MaxUint64)}},
			{func(a float64) { put(a) }, "f64", []any{-0.5}, []any{-0.5}},
			{func(a float32) { put(a) }, "f32", []any{-0.5}, []any{float32(-0.5)}},
			{func(a, b int32) { put(a, b) }, "i32 i32", []any{-1, 2}, []any{int32(-1), int32(2)}},
			{func(a int32, b int64) { put(a, b) }, "i32 i64", []any{-1, -2}, []any{int32(-1), int64(-2)}},
			{func(a int32, b float64) { put(a, b) }, "i32 f64", []any{-1, -2}, []any{int32(-1), -2.0}},
			{func(a []byte) { put(string(a)) }, "i32 i32", []any{10, 5}, []any{"hello"}},
			{func(a []byte) { put(len(a)) }, "i32 i32", []any{65536, 0}, []any{0}},
			{func(a string) { put(a) }, "i32 i32", []any{10, 11}, []any{"hello, wasm"}},
			{func(a int32, b []byte) { put(a, string(b)) }, "i32 i32 i32", []any{-7, 17, 4}, []any{int32(-7), "wasm"}},
			{func(a int32, b string) { put(a, b) }, "i32 i32 i32", []any{-7, 17, 4}, []any{int32(-7), "wasm"}},
			{func(a string, b int64) { put(a, b) }, "i32 i32 i64", []any{10, 5, -7}, []any{"hello", int64(-7)}},
			{func(a string, b float64) { put(a, b) }, "i32 i32 f64", []any{10, 5, -7}, []any{"hello", -7.0}},
			{func(c *wasmer.Caller, a, b int32) { put(c.Instance() == instance, a, b) }, "i32 i32", []any{1, 2}, []any{true, int32(1), int32(2)}},
			{func(c *wasmer.Caller, a []byte) { put(c.Memory() == instance.Memory, string(a)) }, "i32 i32", []any{10, 5}, []any{true, "hello"}},
			{func(ctx context.Context, a []byte) { put(ctx.Value(contextKey{}), string(a)) }, "i32 i32", []any{10, 5}, []any{"here", "hello"}},
			{func(ctx context.Context, a named, b float32, d []byte, e string, f uint32) {
				put(ctx.Value(contextKey{}), a, b, string(d), e, f)
			}, "i64 f32 i32 i32 i32 i32 i32", []any{-1, 1.5, 10, 5, 17, 4, 9}, []any{"here", named(-1), float32(1.5), "hello", "wasm", uint32(9)}},
		} {
			instance = instantiate(t, engine, queuedShape(c.params, len(c.args)), wasmer.NewImports().Queued("f", c.fn))
			for _, way := range nativeWays {
				got = nil
				_, err := function(t, instance, way).Call(context.WithValue(background, contextKey{}, "here"), c.args...)
				require.NoError(t, err)
				require.Equal(t, c.want, got, "%s %T", way, c.fn)
			}
		}
	})
}

func TestQueuedBytesAreThoseOfTheCall(t *testing.T) {
	const guest = `(module (import "env" "log" (func $log (param i32 i32))) (memory (export "memory") 3)
		(func (export "run") (param $n i32) (param $size i32)
			(loop $again
				(i32.store8 (i32.const 0) (local.get $n))
				(call $log (i32.const 0) (local.get $size))
				(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
		(func (export "at") (param i32 i32) (call $log (local.get 0) (local.get 1))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var first []byte
		var sizes []int
		instance := instantiate(t, engine, guest, wasmer.NewImports().Queued("log", func(b []byte) {
			if len(b) > 0 {
				first = append(first, b[0])
			}
			sizes = append(sizes, len(b))
		}))
		for _, size := range []int{1, 7, 8, 9, 5000, 32<<10 - 24, 32<<10 - 16, 32<<10 - 15, 32 << 10, 3 * wasmer.PageSize} { // the last are larger than the queue
			first, sizes = nil, nil
			run(t, instance, "run", 200, size)
			for i := range 200 {
				require.Equal(t, byte(200-i), first[i])
				require.Equal(t, size, sizes[i])
			}
			require.Len(t, sizes, 200)
		}
		end := 3 * wasmer.PageSize
		run(t, instance, "at", end, 0)
		sizes = nil
		for _, c := range [][2]int{{end, 1}, {end - 1, 2}, {-1, 1}, {1, -1}, {-1, 0}} {
			require.ErrorIs(t, failing(t, instance, "at", c[0], c[1]), wasmer.TrapOutOfBounds, "%v", c)
		}
		require.Empty(t, sizes)
		none := instantiate(t, engine, `(module (import "env" "log" (func $log (param i32 i32)))
			(func (export "at") (call $log (i32.const 0) (i32.const 0))))`, wasmer.NewImports().Queued("log", func([]byte) {}))
		require.ErrorIs(t, failing(t, none, "at"), wasmer.TrapOutOfBounds)
	})
}

func TestQueuedFunctionsPanic(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var got []int32
		imports := wasmer.NewImports().Queued("emit", func(n int32) {
			if n%1000 == 3 {
				panic(fmt.Sprint("panic at ", n))
			}
			got = append(got, n)
		}).Function("ask", func(int32) int32 { panic("asked") })
		instance := instantiate(t, engine, emitting, imports)
		for _, way := range []string{"run", "trap", "forever", "ask"} {
			for _, n := range []int{10, 2500} { // the second is delivered in the middle of the call, which ends there
				got = nil
				ctx, cancel := context.WithTimeout(background, time.Millisecond+time.Duration(n/2500)*time.Minute)
				if way == "forever" && n == 10 || way != "forever" {
					require.PanicsWithValue(t, "panic at 3", func() { _, _ = function(t, instance, way).Call(ctx, n) }, "%s %d", way, n)
					require.Equal(t, []int32{0, 1, 2, 4, 5}, got[:5])
					require.GreaterOrEqual(t, len(got), 9, "those after it are made as well")
				}
				cancel()
			}
		}
		got = nil
		run(t, instance, "run", 3)
		require.Equal(t, upTo(3), got, "the instance goes on")
	})
}

func TestQueuedFunctionsEndTheirGoroutine(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, n := range []int{10, 5000} {
			var got int
			imports := wasmer.NewImports().Queued("emit", func(n int32) {
				if got++; n == 5 {
					runtime.Goexit()
				}
			}).Function("ask", func(n int32) int32 { return n })
			instance := instantiate(t, engine, emitting, imports)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = function(t, instance, "run").Call(background, n)
				t.Error("goes on")
			}()
			<-done
			require.Equal(t, 6, got)
			_, err := instance.Exports["run"](1)
			require.ErrorIs(t, err, wasmer.ErrClosed)
			nilDereference(t)
			other := instantiate(t, engine, emitting, wasmer.NewImports().Queued("emit", func(int32) {}).Function("ask", func(n int32) int32 { return n }))
			for range 3 {
				require.ErrorIs(t, failing(t, other, "trap", 1), wasmer.TrapUnreachable)
			}
		}
	})
}

func TestQueuedFunctionsCallBack(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var got []int32
		var instance *wasmer.Instance
		depth := 0
		imports := wasmer.NewImports().Queued("emit", func(c *wasmer.Caller, n int32) {
			got = append(got, n)
			if depth == 0 && n == 1 {
				depth++
				_, err := function(t, instance, "run").Call(c.Context(), 3000)
				if err != nil {
					panic(err)
				}
				depth--
			}
		})
		instance = instantiate(t, engine, emitting, imports.Function("ask", func(n int32) int32 { return n }))
		for _, n := range []int{3, 1000, 5000} {
			got = nil
			run(t, instance, "run", n)
			require.Len(t, got, n+3000)
			counts := map[int32]int{}
			for _, v := range got {
				counts[v]++
			}
			for v := range int32(max(n, 3000)) {
				want := 0
				if int(v) < n {
					want++
				}
				if v < 3000 {
					want++
				}
				require.Equal(t, want, counts[v], "%d", v)
			}
		}
	})
}

func TestQueuedCallsOfInstancesInOneStoreKeepTheirOrder(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var got []string
		store := newStore(t, engine)
		log := func(name string) *wasmer.Imports {
			return wasmer.NewImports().Queued("log", func(n int32) { got = append(got, fmt.Sprint(name, n)) })
		}
		inner := instantiateIn(t, store, engine, `(module (import "env" "log" (func $log (param i32)))
			(func (export "f") (param i32) (call $log (local.get 0)) (if (i32.eq (local.get 0) (i32.const 3)) (then unreachable))))`, log("inner"))
		outer := instantiateIn(t, store, engine, `(module (import "env" "log" (func $log (param i32))) (import "inner" "f" (func $f (param i32)))
			(func (export "run") (param i32) (call $log (local.get 0)) (call $f (local.get 0)) (call $log (local.get 0))))`,
			log("outer").Instance("inner", inner))
		run(t, outer, "run", 1)
		require.ErrorIs(t, failing(t, outer, "run", 3), wasmer.TrapUnreachable)
		require.Equal(t, []string{"outer1", "inner1", "outer1", "outer3", "inner3"}, got)
	})
}

func TestQueuedCallsOfAStartFunction(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var got []int32
		imports := wasmer.NewImports().Queued("log", func(n int32) { got = append(got, n) })
		instantiate(t, engine, `(module (import "env" "log" (func $log (param i32))) (func $start (call $log (i32.const 5))) (start $start))`, imports)
		_, err := wasmer.Instantiate(background, compile(t, engine, `(module (import "env" "log" (func $log (param i32)))
			(func $start (call $log (i32.const 6)) unreachable) (start $start))`), imports)
		require.ErrorIs(t, err, wasmer.TrapUnreachable)
		require.Equal(t, []int32{5, 6}, got)
	})
}

func TestWhatCannotBeQueuedIsRefused(t *testing.T) {
	var nothing func(int32)
	for _, c := range []struct {
		fn   any
		part string
	}{
		{nil, "must be a Go function"},
		{5, "must be a Go function"},
		{nothing, "nil function"},
		{func(...int32) {}, "variadic"},
		{func() int32 { return 0 }, "results"},
		{func() error { return nil }, "results"},
		{func(int) {}, "parameter 0"},
		{func(int32, any) {}, "parameter 1"},
		{func(*wasmer.Function) {}, "parameter 0"},
		{func([2]uint64) {}, "parameter 0"},
		{func(int32, context.Context) {}, "parameter 1"},
	} {
		_, err := wasmer.NewInstanceWithImports([]byte("(module)"), wasmer.NewImports().Queued("f", c.fn))
		require.ErrorContains(t, err, c.part, "%T", c.fn)
		require.ErrorContains(t, err, `"f"`)
	}
	require.Nil(t, (*wasmer.Imports)(nil).Queued("f", func() {}))
	_, err := wasmer.NewInstanceWithImports([]byte(emitting), wasmer.NewImports().Queued("emit", func(string) {}))
	var refused *wasmer.LinkError
	require.True(t, errors.As(err, &refused))
}
