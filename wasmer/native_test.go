package wasmer_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

const (
	typeI32, typeI64 = wasmer.ValueTypeI32, wasmer.ValueTypeI64
	typeF32, typeF64 = wasmer.ValueTypeF32, wasmer.ValueTypeF64
)

func functionType(params, results []wasmer.ValueType) wasmer.FunctionType {
	return wasmer.FunctionType{Params: params, Results: results}
}

// nativeTypes are those of the native functions of wasmtest.
var nativeTypes = map[string]wasmer.FunctionType{
	"nothing":   {},
	"increment": functionType(types(typeI32), types(typeI32)),
	"five":      functionType(types(typeI32, typeI64, typeI32, typeI64, typeI32), types(typeI64)),
	"narrow":    functionType(types(typeI32), types(typeF32)),
	"mixed":     functionType(types(typeI32, typeF64, typeI64, typeF32), types(typeF64)),
	"many": functionType(types(typeI32, typeF32, typeI64, typeF64, typeI32, typeF32, typeI64, typeF64, typeI32, typeF32,
		typeI64, typeF64, typeI32, typeF32, typeI64, typeF64, typeI32, typeF32, typeI64, typeF64), types(typeI64)),
	"quotient": functionType(types(typeI32, typeI32), types(typeI32, typeI32)),
	"fill":     functionType(types(typeF64, typeI32, typeI32), types(typeF64)),
	"count":    functionType(types(typeI64), types(typeI64)),
	"fail":     functionType(types(typeI32), types(typeI32)),
	"where":    functionType(nil, types(typeI32)),
	"touch":    functionType(nil, types(typeI32)),
	"hold":     functionType(types(typeI32), types(typeI32)),
}

// nativeImports are all native functions of wasmtest under "env".
func nativeImports(counter unsafe.Pointer) *wasmer.Imports { return allNative(counter, false) }

// leafImports are the same as leaf functions.
func leafImports(counter unsafe.Pointer) *wasmer.Imports { return allNative(counter, true) }

func allNative(counter unsafe.Pointer, leaf bool) *wasmer.Imports {
	imports := wasmer.NewImports()
	for name, pointer := range wasmtest.Native() {
		imports.NativeFunction(name, wasmer.NativeFunction{Pointer: pointer, Type: nativeTypes[name], Data: counter, Leaf: leaf})
	}
	return imports
}

// calling makes a module that imports a native function and calls it: as it is exported, directly, and through a table.
func calling(name string) string {
	list := func(keyword string, types []wasmer.ValueType) string {
		var b strings.Builder
		b.WriteString("(" + keyword)
		for _, t := range types {
			b.WriteString(" " + t.String())
		}
		return b.String() + ")"
	}
	typ := nativeTypes[name]
	signature := list("param", typ.Params) + list("result", typ.Results)
	var arguments strings.Builder
	for i := range typ.Params {
		fmt.Fprintf(&arguments, "(local.get %d)", i)
	}
	return fmt.Sprintf(`(module (import "env" "%[1]s" (func $f %[2]s)) (memory (export "memory") 2 4)
		(table (export "table") 1 funcref) (elem (i32.const 0) $f)
		(export "export" (func $f))
		(func (export "direct") %[2]s (call $f %[3]s))
		(func (export "indirect") %[2]s (call_indirect %[2]s %[3]s (i32.const 0)))
		(func (export "after_growth") %[2]s (drop (memory.grow (i32.const 1))) (call $f %[3]s)))`, name, signature, arguments.String())
}

var nativeWays = []string{"export", "direct", "indirect"}

func TestNativeFunctionsOfAllShapes(t *testing.T) {
	ownStack := wasmer.I32(1)
	t.Run("OnTheThreadsStack", func(t *testing.T) { nativeShapes(t, nativeImports(nil), ownStack) })
	t.Run("Leaf", func(t *testing.T) { nativeShapes(t, leafImports(nil), wasmer.I32(0)) })
}

func nativeShapes(t *testing.T, imports *wasmer.Imports, where wasmer.Value) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, c := range []struct {
			name string
			args []any
			want []wasmer.Value
		}{
			{"nothing", nil, nil},
			{"increment", []any{-1}, []wasmer.Value{wasmer.I32(0)}},
			{"increment", []any{math.MaxInt32}, []wasmer.Value{wasmer.I32(math.MinInt32)}},
			{"five", []any{-1, -2, -3, 1 << 50, 5}, []wasmer.Value{wasmer.I64(-1 - 20 - 300 + 1000<<50 + 50000)}},
			{"narrow", []any{-3}, []wasmer.Value{wasmer.F32(-1.5)}},
			{"mixed", []any{-1, 0.25, math.MinInt32, -1.5}, []wasmer.Value{wasmer.F64(-1 + 2.5 + 100*math.MinInt32 - 1500)}},
			{"many", []any{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10}, []wasmer.Value{wasmer.I64(
				1 + 4 + 9 + 20 + 35 + 66 + 91 + 136 + 171 + 230 - 29 - 62 - 111 - 164 - 215 - 282 - 371 - 472 - 549 - 670)}},
			{"quotient", []any{-17, 5}, []wasmer.Value{wasmer.I32(-3), wasmer.I32(-2)}},
			{"where", nil, []wasmer.Value{where}},
		} {
			instance := instantiate(t, engine, calling(c.name), imports)
			before := engine.Stats()
			for _, way := range nativeWays {
				for range 3 { // the first call of each has another way to the thread's own stack
					require.Equal(t, c.want, run(t, instance, way, c.args...), "%s %s", way, c.name)
				}
			}
			require.EqualValues(t, 3*len(nativeWays), engine.Stats().HostCalls-before.HostCalls)
		}
	})
}

func TestNativeFunctionsAreGivenTheCallersMemory(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, calling("fill"), nativeImports(nil))
		for i, way := range append(nativeWays, "after_growth") {
			at := int32(100 * i)
			size := run(t, instance, way, 7.0+float64(i), at, 50)
			require.EqualValues(t, instance.Memory.Size(), size[0].ToF64(), way)
			data := instance.Memory.Data()[at : at+51]
			require.Equal(t, strings.Repeat(string(rune(7+i)), 50)+"\x00", string(data), way)
		}
		require.EqualValues(t, 3*wasmer.PageSize, instance.Memory.Size())
		end := int32(3 * wasmer.PageSize)
		run(t, instance, "direct", 1.0, end-8, 8)
		for _, c := range [][2]int32{{end - 8, 9}, {end, 1}, {-1, 1}, {8, -1}, {0, -8}} {
			var failed *wasmer.NativeError
			require.ErrorAs(t, failing(t, instance, "direct", 1.0, c[0], c[1]), &failed)
			require.Equal(t, "out of bounds memory access", failed.Message)
		}

		// The imported memory where none is exported, and none at all.
		store := newStore(t, engine)
		memory, err := store.NewMemory(1, 2)
		require.NoError(t, err)
		const fill = `(module (import "env" "fill" (func $f (param f64 i32 i32) (result f64))) %s
			(func (export "direct") (result f64) (call $f (f64.const 9) (i32.const 0) (i32.const 0))))`
		importing := instantiateIn(t, store, engine, fmt.Sprintf(fill, `(import "env" "memory" (memory 1))`), nativeImports(nil).Memory("memory", memory))
		require.EqualValues(t, memory.Size(), run(t, importing, "direct")[0].ToF64())
		require.ErrorAs(t, failing(t, instantiate(t, engine, fmt.Sprintf(fill, ""), nativeImports(nil)), "direct"), new(*wasmer.NativeError))
	})
}

func TestNativeFunctionsFail(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, calling("fail"), nativeImports(nil))
		for range 3 {
			for _, way := range nativeWays {
				var failed *wasmer.NativeError
				require.ErrorAs(t, failing(t, instance, way, -1), &failed, way)
				require.Equal(t, "less than nothing", failed.Message)
				require.EqualValues(t, 5, call(t, instance, way, 5).ToI32(), way)
			}
		}
	})
}

func TestNativeFunctionsAreGivenTheirData(t *testing.T) {
	counter := wasmtest.NewCounter()
	defer wasmtest.FreeCounter(counter)
	want := int64(0)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		imports := nativeImports(counter)
		store := newStore(t, engine)
		one := instantiateIn(t, store, engine, calling("count"), imports)
		other := instantiateIn(t, store, engine, calling("count"), wasmer.NewImports().Extern("env", "count", function(t, one, "export")))
		for _, instance := range []*wasmer.Instance{one, other} {
			for _, way := range nativeWays {
				want += 1 << 40
				require.EqualValues(t, want, call(t, instance, way, 1<<40).ToI64(), way)
			}
		}
		require.Equal(t, want, wasmtest.Count(counter))
	})
}

func TestNativeFunctionsGoFromTableToTable(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		one := instantiateIn(t, store, engine, calling("fill"), nativeImports(nil))
		other := instantiateIn(t, store, engine, `(module (import "one" "table" (table 1 funcref)) (memory (export "memory") 1)
			(func (export "run") (param f64 i32 i32) (result f64)
				(call_indirect (param f64 i32 i32) (result f64) (local.get 0) (local.get 1) (local.get 2) (i32.const 0))))`,
			wasmer.NewImports().Instance("one", one))
		require.EqualValues(t, 2*wasmer.PageSize, run(t, other, "run", 5.0, 10, 3)[0].ToF64(), "the memory of who imports the function")
		require.Equal(t, "\x00\x05\x05\x05\x00", string(one.Memory.Data()[9:14]))
		require.Equal(t, "\x00\x00\x00\x00\x00", string(other.Memory.Data()[9:14]))
		f := element(t, exportedTable(t, one, "table"), 0).ToFuncRef()
		results, err := f.Call(background, 6.0, 20, 1)
		require.NoError(t, err)
		require.EqualValues(t, 2*wasmer.PageSize, results[0].ToF64())
		require.EqualValues(t, 6, one.Memory.Data()[20])
	})
}

func TestWhatCannotBeANativeFunctionIsRefused(t *testing.T) {
	pointer := wasmtest.Native()["nothing"]
	for _, typ := range []wasmer.ValueType{wasmer.ValueTypeV128, wasmer.ValueTypeFuncRef, wasmer.ValueTypeExternRef} {
		for _, typ := range []wasmer.FunctionType{functionType(types(typ), nil), functionType(nil, types(typ))} {
			_, err := wasmer.NewInstanceWithImports([]byte("(module)"), wasmer.NewImports().Native("f", pointer, typ))
			require.ErrorIs(t, err, wasmer.ErrUnsupported)
			require.ErrorContains(t, err, `"f"`)
		}
	}
	_, err := wasmer.NewInstanceWithImports([]byte("(module)"), wasmer.NewImports().Native("f", nil, wasmer.FunctionType{}))
	require.ErrorContains(t, err, "no pointer")
	_, err = wasmer.NewInstanceWithImports([]byte(calling("increment")), wasmer.NewImports().Native("increment", pointer, wasmer.FunctionType{}))
	require.ErrorAs(t, err, new(*wasmer.LinkError))
	require.Nil(t, (*wasmer.Imports)(nil).Native("f", pointer, wasmer.FunctionType{}))
}

// A guest chooses how much of its stack is left when it calls: what locks and allocates must not be thrown away halfway.
func TestNativeFunctionsAtTheStacksEnd(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		inChild(t, func(t *testing.T) {
			instance := instantiate(t, engine, fine(`(import "env" "hold" (func $hold (param i32) (result i32)))`, "(call $hold (i32.const 0))"), nativeImports(nil))
			overflows, calls := 0, 0
			for deep, shift := range finely(instance) {
				_, err := instance.Exports["at"](deep, shift)
				if err != nil {
					require.ErrorIs(t, err, wasmer.TrapStackOverflow)
					overflows++
				}
				calls++
				require.True(t, wasmtest.Sound(), "deep %d, shift %d", deep, shift)
			}
			require.NotZero(t, overflows)
			require.Less(t, overflows, calls)
		})
	})
}

// A signal that is to stop the guest finds it in the native function most of the time.
func TestNativeFunctionsAreNotStoppedHalfway(t *testing.T) {
	const forever = `(module (import "env" "hold" (func $hold (param i32) (result i32)))
		(func (export "run") (param i32) (loop $again (drop (call $hold (local.get 0))) (br $again))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		inChild(t, func(t *testing.T) {
			instance := instantiate(t, engine, forever, nativeImports(nil))
			hold := function(t, instance, "run")
			for i := range 100 {
				ctx, cancel := context.WithTimeout(background, time.Duration(i*17%500)*time.Microsecond)
				_, err := hold.Call(ctx, i%5*30)
				cancel()
				require.ErrorIs(t, err, wasmer.ErrInterrupted)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.True(t, wasmtest.Sound())
			}
			time.AfterFunc(5*time.Millisecond, func() { _ = instance.Close() })
			_, err := hold.Call(background, 50)
			require.ErrorAs(t, err, new(*wasmer.ExitError))
			require.True(t, wasmtest.Sound())
		})
	})
}

func TestNativeFunctionsCostWhatGuestsDo(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		metered := engineOf(t, engine, wasmer.EngineConfig{Metering: wasmer.Metering{Mode: wasmer.MeteringBlock}, MeasureTime: true})
		instance := instantiate(t, metered, calling("hold"), nativeImports(nil))
		run(t, instance, "direct", 2000)
		used := instance.Store().Meter().Instructions()
		run(t, instance, "direct", 0)
		require.Equal(t, 2*used, instance.Store().Meter().Instructions())
		stats := instance.Stats()
		require.GreaterOrEqual(t, stats.HostTime, 2*time.Millisecond)

		// It may cost more.
		hold := wasmer.NativeFunction{Pointer: wasmtest.Native()["hold"], Type: nativeTypes["hold"]}
		dear := instantiate(t, metered, calling("hold"), wasmer.NewImports().FunctionWithCost("hold", hold, 1000))
		run(t, dear, "direct", 0)
		require.EqualValues(t, 1000, dear.Store().Meter().Used()-used)
		require.NoError(t, dear.Store().Meter().SetLimit(dear.Store().Meter().Used()+1000))
		for _, way := range []string{"direct", "indirect"} {
			require.ErrorIs(t, failing(t, dear, way, 0), wasmer.ErrCostLimit)
		}
		require.True(t, wasmtest.Sound())
	})
}

// The data of a native function is freed by its owner, who lives as long as guests can call it.
func TestOwnersOfNativeFunctionsOutliveTheirCallers(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		type owner struct{ counter unsafe.Pointer }
		freed := make(chan struct{})
		instance := func() *wasmer.Instance {
			o := &owner{wasmtest.NewCounter()}
			runtime.AddCleanup(o, func(counter unsafe.Pointer) { wasmtest.FreeCounter(counter); close(freed) }, o.counter)
			imports := wasmer.NewImports().NativeFunction("count", wasmer.NativeFunction{
				Pointer: wasmtest.Native()["count"], Type: nativeTypes["count"], Data: o.counter, Owner: o,
			})
			return instantiate(t, engine, calling("count"), imports)
		}()
		for i := range int64(3) {
			runtime.GC()
			require.Equal(t, i+1, call(t, instance, "direct", 1).ToI64())
		}
		select {
		case <-freed:
			t.Fatal("freed while it is in use")
		default:
		}
		require.NoError(t, instance.Close())
		instance = nil
		for collected := false; !collected; {
			runtime.GC()
			select {
			case <-freed:
				collected = true
			case <-time.After(time.Millisecond):
			}
		}
	})
}
