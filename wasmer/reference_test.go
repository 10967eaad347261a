package wasmer_test

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// keeper holds values of the host wherever a guest can.
const keeper = `(module
	(import "env" "pass" (func $pass (param externref) (result externref)))
	(table $t (export "t") 4 100 externref)
	(global $g (export "g") (mut externref) (ref.null extern))
	(func (export "same") (param externref) (result externref) (local.get 0))
	(func (export "host") (param externref) (result externref) (call $pass (local.get 0)))
	(func (export "null") (param externref) (result i32) (ref.is_null (local.get 0)))
	(func (export "set") (param i32 externref) (table.set $t (local.get 0) (local.get 1)))
	(func (export "get") (param i32) (result externref) (table.get $t (local.get 0)))
	(func (export "keep") (param externref) (global.set $g (local.get 0)))
	(func (export "kept") (result externref) (global.get $g))
	(func (export "swap") (param externref i32 externref) (result externref i32 externref)
		(local.get 2) (local.get 1) (local.get 0))
	(func (export "fill") (param i32 externref i32) (table.fill $t (local.get 0) (local.get 1) (local.get 2)))
	(func (export "grow") (param externref i32) (result i32) (table.grow $t (local.get 0) (local.get 1)))
	(func (export "hold") (param externref) (result externref) (drop (call $pass (ref.null extern))) (local.get 0)))`

func keeperOf(t testing.TB, engine *wasmer.Engine) *wasmer.Instance {
	return instantiate(t, engine, keeper, wasmer.NewImports().Function("pass", func(v any) any { return v }))
}

type point struct{ X, Y int }

// goValues are values of all sorts of Go types, by what they are.
func goValues() map[string]any {
	n := 5
	return map[string]any{
		"pointer": &n, "struct pointer": &point{1, 2}, "nil pointer": (*point)(nil), "string": "text", "empty string": "",
		"slice": []int{1, 2}, "nil slice": []int(nil), "map": map[string]int{"a": 1}, "func": func() int { return 9 },
		"struct": point{3, 4}, "empty struct": struct{}{}, "uncomparable struct": struct{ s []int }{[]int{1}},
		"interface": fmt.Stringer(wasmer.FeatureGC), "channel": make(chan int), "int": 0, "negative": -1, "bool": false, "float": 1.5,
		"array": [3]string{"a"}, "error": context.Canceled, "any in any": any(any(7)), "rune": 'x', "complex": 1i,
		"function": (*wasmer.Function)(nil), "type": reflect.TypeFor[int](),
	}
}

// sameGo compares Go values, also those that == cannot.
func sameGo(t testing.TB, want, got any, name string) {
	t.Helper()
	require.Equal(t, reflect.TypeOf(want), reflect.TypeOf(got), name)
	switch v := reflect.ValueOf(want); v.Kind() {
	case reflect.Func, reflect.Map, reflect.Slice, reflect.Pointer, reflect.Chan:
		require.Equal(t, v.Pointer(), reflect.ValueOf(got).Pointer(), name)
	default:
		require.Equal(t, want, got, name)
	}
}

func TestGoValuesOfAnyTypePassThroughGuests(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := keeperOf(t, engine)
		table, global := exportedTable(t, instance, "t"), exportedGlobal(t, instance, "g")
		for name, v := range goValues() {
			for _, arg := range []any{v, wasmer.ExternRef(v)} {
				for _, pass := range []string{"same", "host"} {
					result := run(t, instance, pass, arg)[0]
					require.Equal(t, wasmer.ValueTypeExternRef, result.Type())
					require.False(t, result.IsNull(), name)
					sameGo(t, v, result.ToExternRef(), name)
					sameGo(t, v, result.Go(), name)
					require.Nil(t, result.ToFuncRef(), name)
				}
				require.Zero(t, call(t, instance, "null", arg).ToI32(), "%s is not null", name)
			}
			results := run(t, instance, "swap", v, 7, nil)
			require.True(t, results[0].IsNull())
			require.EqualValues(t, 7, results[1].ToI32())
			sameGo(t, v, results[2].ToExternRef(), name)

			run(t, instance, "keep", v)
			sameGo(t, v, value(t, global).ToExternRef(), name)
			require.NoError(t, global.Set(wasmer.ExternRef("other")))
			require.Equal(t, "other", run(t, instance, "kept")[0].ToExternRef())
			require.NoError(t, global.Set(v))
			sameGo(t, v, run(t, instance, "kept")[0].ToExternRef(), name)

			run(t, instance, "set", 1, v)
			sameGo(t, v, element(t, table, 1).ToExternRef(), name)
			require.NoError(t, table.Set(2, v))
			sameGo(t, v, run(t, instance, "get", 2)[0].ToExternRef(), name)
			run(t, instance, "fill", 0, v, 4)
			sameGo(t, v, element(t, table, 3).ToExternRef(), name)
		}
		for _, null := range []any{nil, wasmer.ExternRef(nil), wasmer.NullRef(wasmer.ValueTypeExternRef)} {
			for _, pass := range []string{"same", "host"} {
				result := run(t, instance, pass, null)[0]
				require.True(t, result.IsNull())
				require.Nil(t, result.Go())
				require.Equal(t, "null", result.String())
			}
			require.EqualValues(t, 1, call(t, instance, "null", null).ToI32())
		}
		require.EqualValues(t, 4, call(t, instance, "grow", "grown", 2).ToI32())
		require.Equal(t, "grown", element(t, table, 5).ToExternRef())
		_, err := table.Grow(1, []int{9})
		require.NoError(t, err)
		require.Equal(t, []int{9}, run(t, instance, "get", 6)[0].ToExternRef())
	})
}

// A Value is a Go value too: wrapped, it comes out as it went in.
func TestAValueAsAGoValue(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := keeperOf(t, engine)
		for _, inner := range []wasmer.Value{wasmer.I32(5), wasmer.ExternRef("x"), {}, wasmer.FuncRef(nil), wasmer.ExternRef(nil)} {
			for _, pass := range []string{"same", "host"} {
				values, err := function(t, instance, pass).Call(background, wasmer.ExternRef(inner))
				require.NoError(t, err, "%s of %v", pass, inner)
				require.Equal(t, inner, values[0].ToExternRef(), pass)
			}
		}
	})
}

func TestGoValuesPassThroughHostFunctions(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		type named any
		var seen []any
		see := func(values ...any) { seen = append(seen[:0], values...) }
		imports := wasmer.NewImports().
			Function("any", func(_ *wasmer.Caller, a any, n int32, b any) any { see(a, n, b); return b }).
			Function("null", func(a any) any { see(a); return nil }).
			Function("fails", func(ctx context.Context, a any) (any, error) { see(a); return a, nil }).
			Extern("env", "dynamic", hostFunction(t, store, types(wasmer.ValueTypeExternRef), types(wasmer.ValueTypeExternRef),
				func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
					see(args[0].ToExternRef())
					return []wasmer.Value{wasmer.ExternRef(args[0].ToExternRef())}, nil
				}))
		instance := instantiateIn(t, store, engine, `(module
			(import "env" "any" (func $any (param externref i32 externref) (result externref)))
			(import "env" "null" (func $null (param externref) (result externref)))
			(import "env" "fails" (func $fails (param externref) (result externref)))
			(import "env" "dynamic" (func $dynamic (param externref) (result externref)))
			(export "any" (func $any)) (export "null" (func $null)) (export "fails" (func $fails)) (export "dynamic" (func $dynamic))
			(func (export "all") (param externref) (result externref)
				(call $dynamic (call $fails (call $any (ref.null extern) (i32.const 7) (local.get 0))))))`, imports)
		for name, v := range goValues() {
			sameGo(t, v, run(t, instance, "all", v)[0].ToExternRef(), name)
			sameGo(t, v, seen[0], name)
			sameGo(t, v, run(t, instance, "any", nil, 3, v)[0].ToExternRef(), name)
			require.Nil(t, seen[0], "null is nil")
			require.Equal(t, int32(3), seen[1])
			sameGo(t, v, seen[2], name)
			require.True(t, run(t, instance, "null", v)[0].IsNull(), name)
		}
		require.Nil(t, run(t, instance, "all", nil)[0].ToExternRef())
		require.Nil(t, seen[0])

		_, err := wasmer.NewImports().AppendFunction("f", func(fmt.Stringer) {}, nil)
		require.ErrorContains(t, err, "parameter 0", "only any stands for externref")
		_, err = wasmer.NewImports().AppendFunction("f", func() named { return nil }, nil)
		require.ErrorContains(t, err, "result 0")
		_, err = wasmer.NewImports().AppendFunction("f", func(string) {}, nil)
		require.ErrorContains(t, err, "parameter 0")
	})
}

func TestExceptionsCarryGoValues(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		if !hasExceptions(engine) {
			t.Skip("the compiler has no exceptions")
		}
		instance := instantiate(t, engine, `(module (import "env" "f" (func $f (param externref)))
			(tag $e (export "e") (param externref i32))
			(func $throw (param externref) (call $f (local.get 0)) (throw $e (local.get 0) (i32.const 7)))
			(func (export "throw") (param externref) (throw $e (local.get 0) (i32.const 7)))
			(global $kept (mut exnref) (ref.null exn))
			(func (export "catch") (param externref) (result externref i32)
				(block $h (result externref i32) (try_table (catch $e $h) (call $throw (local.get 0))) (unreachable)))
			(func (export "keep") (param externref)
				(block $h (result exnref) (try_table (catch_all_ref $h) (call $throw (local.get 0))) (unreachable)) (global.set $kept))
			(func (export "drop") (global.set $kept (ref.null exn)))
			(func (export "again") (result externref i32)
				(block $h (result externref i32) (try_table (catch $e $h) (throw_ref (global.get $kept))) (unreachable))))`,
			wasmer.NewImports().Function("f", func(any) { runtime.GC() }))
		for name, v := range goValues() {
			results := run(t, instance, "catch", v)
			sameGo(t, v, results[0].ToExternRef(), name)
			require.EqualValues(t, 7, results[1].ToI32())
		}
		var collected atomic.Bool
		func() {
			ballast := &point{5, 6}
			runtime.AddCleanup(ballast, func(int) { collected.Store(true) }, 0)
			run(t, instance, "keep", ballast)
		}()
		for n := range 3000 { // more than are kept without looking
			run(t, instance, "catch", n)
		}
		collect()
		require.False(t, collected.Load(), "an exception in a global holds its values")
		require.Equal(t, &point{5, 6}, run(t, instance, "again")[0].ToExternRef())
		run(t, instance, "drop")
		require.Eventually(t, func() bool { collect(); return collected.Load() }, 10*time.Second, time.Millisecond)
		require.ErrorIs(t, failing(t, instance, "again"), wasmer.TrapNullExceptionRef)
		require.ErrorIs(t, failing(t, instance, "throw", "x"), wasmer.TrapUncaughtException)
	})
}

// The host can pass no exception, and says so.
func TestExceptionReferencesStayWithGuests(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		if !hasExceptions(engine) {
			t.Skip("the compiler has no exceptions")
		}
		instance := instantiate(t, engine, `(module (tag $e)
			(global (export "g") (mut exnref) (ref.null exn))
			(func (export "make") (result exnref) (block $h (result exnref) (try_table (catch_all_ref $h) (throw $e)) (unreachable)))
			(func (export "null") (param exnref) (result i32) (ref.is_null (local.get 0))))`, nil)
		made := run(t, instance, "make")[0]
		require.Equal(t, wasmer.ValueTypeExnRef, made.Type())
		require.False(t, made.IsNull())
		require.Nil(t, made.Go())
		require.ErrorContains(t, failing(t, instance, "null", made), "exception reference")
		require.EqualValues(t, 1, call(t, instance, "null", nil).ToI32())
		require.EqualValues(t, 1, call(t, instance, "null", wasmer.NullRef(wasmer.ValueTypeExnRef)).ToI32())
		global := exportedGlobal(t, instance, "g")
		require.True(t, value(t, global).IsNull())
		require.Error(t, global.Set(made))
		require.NoError(t, global.Set(nil))
		store := instance.Store()
		_, err := store.NewFunction(wasmer.FunctionType{Params: types(wasmer.ValueTypeExnRef)},
			func(context.Context, *wasmer.Caller, []wasmer.Value) ([]wasmer.Value, error) { return nil, nil }, 0)
		require.ErrorIs(t, err, wasmer.ErrUnsupported)
	})
}
