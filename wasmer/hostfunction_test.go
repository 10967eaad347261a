package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// echo gives its arguments back.
func echo(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
	return args, nil
}

// forwarding is a guest that imports a function of the type as env.f, exports it, and one that calls it.
func forwarding(params, results []wasmer.ValueType) string {
	list := func(keyword string, types []wasmer.ValueType) string {
		text := " (" + keyword
		for _, t := range types {
			text += " " + t.String()
		}
		return text + ")"
	}
	typ, arguments := list("param", params)+list("result", results), ""
	for n := range params {
		arguments += fmt.Sprintf(" (local.get %d)", n)
	}
	return `(module (import "env" "f" (func $f` + typ + `)) (export "f" (func $f)) (func (export "run")` + typ + " (call $f" + arguments + ")))"
}

func TestHostFunctionsOfAllTypes(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		instances := func(t *testing.T, f *wasmer.Function) map[string]*wasmer.Function {
			text := forwarding(f.Type().Params, f.Type().Results)
			direct := instantiateIn(t, store, engine, text, wasmer.NewImports().Extern("env", "f", f))
			lib, err := store.NewInstance("", map[string]wasmer.Extern{"f": f})
			require.NoError(t, err)
			listed := instantiateIn(t, store, engine, text, wasmer.NewImports().Instance("env", lib))
			again := instantiateIn(t, store, engine, text, wasmer.NewImports().Instance("env", direct))
			return map[string]*wasmer.Function{
				"by the host": f, "imported": function(t, direct, "run"), "of a host instance": function(t, lib, "f"),
				"imported from one": function(t, listed, "run"), "exported again": function(t, direct, "f"),
				"imported again": function(t, again, "run"), "exported twice": function(t, again, "f"),
			}
		}
		for typ, values := range globalValues(t, engine, store) {
			f := hostFunction(t, store, types(typ), types(typ), echo)
			require.Equal(t, "(func (param "+typ.String()+") (result "+typ.String()+"))", f.ExternType().String())
			for way, f := range instances(t, f) {
				for _, v := range values {
					results, err := f.Call(background, v)
					require.NoError(t, err, "%s %s", typ, way)
					require.Len(t, results, 1)
					same(t, v, results[0], typ.String()+" "+way)
				}
			}
		}
		count := 0
		nothing := hostFunction(t, store, nil, nil, func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
			count++
			require.Empty(t, args)
			return nil, nil
		})
		for way, f := range instances(t, nothing) {
			before := count
			results, err := f.Call(background)
			require.NoError(t, err, way)
			require.Nil(t, results)
			require.NoError(t, f.CallRaw(background, nil), way)
			require.Equal(t, before+2, count, way)
		}
	})
}

func TestHostFunctionsWithManyParametersAndResults(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		all := types(wasmer.ValueTypeI32, wasmer.ValueTypeF64, wasmer.ValueTypeExternRef, wasmer.ValueTypeI64, wasmer.ValueTypeF32, wasmer.ValueTypeFuncRef)
		store := newStore(t, engine)
		given := []any{int32(-1), 2.5, "three", int64(math.MinInt64), float32(0.5), hostConstant(t, store, 6)}
		if hasSIMD(engine) {
			all, given = append(all, wasmer.ValueTypeV128, wasmer.ValueTypeI32), append(given, [2]uint64{7, math.MaxUint64}, int32(8))
		}
		for len(all) < 40 {
			all, given = append(all, all...), append(given, given...)
		}
		sum := 0
		swallow := hostFunction(t, store, all, nil, func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
			for n, arg := range args {
				same(t, given[n], arg, fmt.Sprint(n))
			}
			sum += len(args)
			return nil, nil
		})
		swallowing := instantiateIn(t, store, engine, forwarding(all, nil), wasmer.NewImports().Extern("env", "f", swallow))
		for _, f := range []*wasmer.Function{swallow, function(t, swallowing, "run"), function(t, swallowing, "f")} {
			_, err := f.Call(background, given...)
			require.NoError(t, err)
		}
		require.Equal(t, 3*len(all), sum)

		f := hostFunction(t, store, all, all, func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
			return append([]wasmer.Value{}, args...), nil
		})
		instance := instantiateIn(t, store, engine, forwarding(all, all), wasmer.NewImports().Extern("env", "f", f))
		for _, f := range []*wasmer.Function{f, function(t, instance, "run"), function(t, instance, "f")} {
			results, err := f.Call(background, given...)
			require.NoError(t, err)
			for n, result := range results {
				same(t, given[n], result, fmt.Sprint(n))
			}
		}
	})
}

func TestSinglepassSaysThatItLacksVectors(t *testing.T) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Singlepass})
	require.NoError(t, err)
	defer engine.Close()
	store := newStore(t, engine)
	two := types(wasmer.ValueTypeI32, wasmer.ValueTypeI32)
	for says, f := range map[string]*wasmer.Function{
		"simd": hostFunction(t, store, types(wasmer.ValueTypeV128), nil, echo),
	} {
		_, err = f.Call(background, wasmer.V128(1, 2))
		require.ErrorIs(t, err, wasmer.ErrUnsupported)
		require.ErrorContains(t, err, "singlepass")
		require.ErrorContains(t, err, says)
		_, err = store.NewTable(wasmer.TableType{Element: wasmer.ValueTypeFuncRef, Limits: wasmer.Limits{Min: 1}}, f)
		require.ErrorIs(t, err, wasmer.ErrUnsupported, "as a reference")
		table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 1}, nil)
		require.ErrorIs(t, table.Set(0, f), wasmer.ErrUnsupported)
		_, err = store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeFuncRef}, f).Get()
		require.ErrorIs(t, err, wasmer.ErrUnsupported)
	}
	// Cranelift of the same build takes them into the same store.
	if cranelift, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Cranelift}); err == nil {
		defer cranelift.Close()
		f := hostFunction(t, store, two, two, echo)
		instance := instantiateIn(t, store, cranelift, forwarding(two, two), wasmer.NewImports().Extern("env", "f", f))
		results := run(t, instance, "run", 1, 2)
		require.EqualValues(t, 2, results[1].ToI32())
	}
}

func TestHostFunctionsMustReturnWhatTheirTypeSays(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		foreign := hostConstant(t, newStore(t, engine), 1)
		for says, wrong := range map[string]struct {
			typ     wasmer.ValueType
			results []wasmer.Value
			is      error
		}{
			"returned 0 results, want 1":                    {wasmer.ValueTypeI32, nil, nil},
			"returned 2 results, want 1":                    {wasmer.ValueTypeI32, []wasmer.Value{wasmer.I32(1), wasmer.I32(2)}, nil},
			"result 0 is 1 of type i64, want i32":           {wasmer.ValueTypeI32, []wasmer.Value{wasmer.I64(1)}, nil},
			"result 0 is void of type void, want i32":       {wasmer.ValueTypeI32, []wasmer.Value{{}}, nil},
			"result 0 is null of type funcref, want extern": {wasmer.ValueTypeExternRef, []wasmer.Value{wasmer.FuncRef(nil)}, nil},
			"result 0: ": {wasmer.ValueTypeFuncRef, []wasmer.Value{wasmer.FuncRef(foreign)}, wasmer.ErrStoreMismatch},
		} {
			f := hostFunction(t, store, nil, types(wrong.typ), func(context.Context, *wasmer.Caller, []wasmer.Value) ([]wasmer.Value, error) {
				return wrong.results, nil
			})
			instance := instantiateIn(t, store, engine, forwarding(nil, types(wrong.typ)), wasmer.NewImports().Extern("env", "f", f))
			for _, f := range []*wasmer.Function{f, function(t, instance, "run"), function(t, instance, "f")} {
				_, err := f.Call(background)
				require.ErrorContains(t, err, says)
				if wrong.is != nil {
					require.ErrorIs(t, err, wrong.is)
				}
			}
		}
		f := hostConstant(t, store, 1)
		var refused *wasmer.CallError
		_, err := f.Call(background, 1)
		require.ErrorAs(t, err, &refused)
		require.Equal(t, -1, refused.Position)
		for _, typ := range []wasmer.FunctionType{
			{Params: types(wasmer.ValueTypeExnRef)}, {Results: types(wasmer.ValueTypeExnRef)}, {Params: types(wasmer.TypeVoid)}, {Results: types(0)},
		} {
			f, err := store.NewFunction(typ, echo, 0)
			require.ErrorIs(t, err, wasmer.ErrUnsupported)
			require.Nil(t, f)
		}
		_, err = store.NewFunction(wasmer.FunctionType{}, nil, 0)
		require.ErrorContains(t, err, "nil")
	})
}

func TestHowHostFunctionsEndTheirGuests(t *testing.T) {
	errHost := errors.New("the host's error")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		var end func() error
		f := hostFunction(t, store, nil, nil, func(context.Context, *wasmer.Caller, []wasmer.Value) ([]wasmer.Value, error) { return nil, end() })
		table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 1}, f)
		instance := instantiateIn(t, store, engine, `(module (import "env" "f" (func $f)) (import "env" "t" (table 1 funcref)) (export "f" (func $f))
			(func (export "run") (call $f) unreachable) (func (export "indirect") (call_indirect (i32.const 0)) unreachable))`,
			wasmer.NewImports().Extern("env", "f", f).Table("env", "t", table))
		ways := map[string]*wasmer.Function{
			"by the host": f, "imported": function(t, instance, "run"), "exported": function(t, instance, "f"),
			"indirect": function(t, instance, "indirect"), "of the table": element(t, table, 0).ToFuncRef(),
		}
		wrapped := fmt.Errorf("wrapped: %w", errHost)
		type odd struct{ list []int }
		for way, f := range ways {
			end = func() error { return wrapped }
			_, err := f.Call(background)
			require.Same(t, wrapped, err, way)
			require.ErrorIs(t, err, errHost, way)
			for _, v := range []any{errHost, "text", 5, &odd{}, odd{[]int{1}}} {
				end = func() error { panic(v) }
				func() {
					defer func() { require.Equal(t, v, recover(), way) }()
					_, _ = f.Call(background)
				}()
			}
			end = func() error { return []error{}[len(way)] }
			require.Panics(t, func() { _, _ = f.Call(background) }, way)
			end = func() error { return nil }
			_, err = f.Call(background)
			if way == "imported" || way == "indirect" {
				require.ErrorIs(t, err, wasmer.TrapUnreachable, "the store stays usable")
			} else {
				require.NoError(t, err)
			}
		}
		for way := range ways { // the end of its goroutine closes the store
			store := newStore(t, engine)
			f := hostFunction(t, store, nil, nil, func(context.Context, *wasmer.Caller, []wasmer.Value) ([]wasmer.Value, error) {
				runtime.Goexit()
				return nil, nil
			})
			call := f
			if way == "imported" {
				call = function(t, instantiateIn(t, store, engine, forwarding(nil, nil), wasmer.NewImports().Extern("env", "f", f)), "run")
			}
			require.False(t, inGoroutine(func() { _, _ = call.Call(background) }), way)
			_, err := f.Call(background)
			require.ErrorIs(t, err, wasmer.ErrClosed)
		}
	})
}

func TestWhoCallsAHostFunction(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		type key struct{}
		ctx := context.WithValue(background, key{}, "given")
		var seen *wasmer.Instance
		f := hostFunction(t, store, nil, nil, func(ctx context.Context, c *wasmer.Caller, _ []wasmer.Value) ([]wasmer.Value, error) {
			seen = c.Instance()
			require.Same(t, store, c.Store())
			require.Equal(t, "given", ctx.Value(key{}))
			require.Equal(t, "given", c.Context().Value(key{}))
			if seen == nil {
				require.Nil(t, c.Memory())
				require.Nil(t, c.MemoryAt(0))
				require.Nil(t, c.Data())
				_, err := c.Function("run")
				require.ErrorIs(t, err, wasmer.ErrNotFound)
			} else {
				require.Same(t, seen.Memory, c.Memory())
				require.Equal(t, seen.Memory.Pages(), uint64(c.Data().(int)))
			}
			return nil, nil
		})
		const guest = `(module (import "env" "f" (func $f)) (memory (export "memory") %d) (export "f" (func $f)) (func (export "run") (call $f))
			(table (export "t") 1 funcref) (elem (i32.const 0) $f) (func (export "indirect") (call_indirect (i32.const 0))))`
		var instances []*wasmer.Instance
		for n := range 2 {
			instance := instantiateIn(t, store, engine, fmt.Sprintf(guest, n+1), wasmer.NewImports().Extern("env", "f", f))
			instance.SetContextData(n + 1)
			instances = append(instances, instance)
		}
		third := instantiateIn(t, store, engine, fmt.Sprintf(guest, 3), wasmer.NewImports().Instance("env", instances[0]))
		call := func(f *wasmer.Function) *wasmer.Instance {
			t.Helper()
			seen = nil
			_, err := f.Call(ctx)
			require.NoError(t, err)
			return seen
		}
		require.Nil(t, call(f), "called by the host")
		for _, instance := range instances {
			for _, name := range []string{"run", "f", "indirect"} {
				require.Same(t, instance, call(function(t, instance, name)), name)
			}
			require.Same(t, instance, call(element(t, exportedTable(t, instance, "t"), 0).ToFuncRef()))
		}
		require.Same(t, instances[0], call(function(t, third, "run")), "the one that imports the host function itself")
		require.NoError(t, exportedTable(t, instances[0], "t").Set(0, f))
		require.Nil(t, call(function(t, instances[0], "indirect")), "through a reference")
		require.Nil(t, call(f))
	})
}

func TestACostIsKept(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		f, err := store.NewFunction(wasmer.FunctionType{}, echo, 17)
		require.NoError(t, err)
		require.EqualValues(t, 17, f.Cost())
		table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 1}, f)
		require.EqualValues(t, 17, element(t, table, 0).ToFuncRef().Cost())
		lib, err := store.NewInstance("", map[string]wasmer.Extern{"f": f})
		require.NoError(t, err)
		require.EqualValues(t, 17, function(t, lib, "f").Cost())
		instance := instantiateIn(t, store, engine, forwarding(nil, nil), wasmer.NewImports().Instance("env", lib))
		require.Zero(t, function(t, instance, "run").Cost(), "a function of a guest")
		require.EqualValues(t, 17, function(t, instance, "f").Cost(), "exported again")
	})
}
