package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// wasmTypes are the types that the tests' host functions are imported as, in the text format; by kind, so that named
// types count. What leads the parameters and an error at the end are left out.
func wasmTypes(fn any) (params, results []string) {
	names := map[reflect.Kind]string{
		reflect.Int32: "i32", reflect.Uint32: "i32", reflect.Int64: "i64", reflect.Uint64: "i64",
		reflect.Float32: "f32", reflect.Float64: "f64",
	}
	t := reflect.TypeOf(fn)
	for i := range t.NumIn() {
		if name, ok := names[t.In(i).Kind()]; ok {
			params = append(params, name)
		}
	}
	for i := range t.NumOut() {
		if name, ok := names[t.Out(i).Kind()]; ok {
			results = append(results, name)
		}
	}
	return params, results
}

// passOn is a module that hands its export "run" through to the import "f" of the Go function's type.
func passOn(fn any) string {
	params, results := wasmTypes(fn)
	typ := fmt.Sprintf("(param %s) (result %s)", strings.Join(params, " "), strings.Join(results, " "))
	var locals strings.Builder
	for i := range params {
		fmt.Fprintf(&locals, "(local.get %d) ", i)
	}
	return fmt.Sprintf(`(module (import "env" "f" (func $f %[1]s)) (export "direct" (func $f))
		(func (export "run") %[1]s (call $f %[2]s)))`, typ, locals.String())
}

func TestHostFunctionsKeepTheBitsOfFloats(t *testing.T) {
	floats64 := []uint64{
		0, 1 << 63, 0x7ff0000000000000, 0x7ff8000000000000, 0xfff8000000000001, 0x7ff4000000000001, 0x3ff8000000000000,
	}
	floats32 := []uint64{0, 1 << 31, 0x7f800000, 0x7fc00000, 0xffc00001, 0x7fa00001, 0x3fc00000}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, c := range []struct {
			fn   any
			bits []uint64
		}{
			{func(x float64) float64 { return x }, floats64},
			{func(x, _ float64) float64 { return x }, floats64},
			{func(x namedFloat64) namedFloat64 { return x }, floats64},
			{func(_ context.Context, x float64) (float64, error) { return x, nil }, floats64},
			{func(x float32) float32 { return x }, floats32},
			{func(x namedFloat32) namedFloat32 { return x }, floats32},
			{func(_ *wasmer.Caller, x float32, _ int32) float32 { return x }, floats32},
		} {
			instance := instantiate(t, engine, passOn(c.fn), wasmer.NewImports().Function("f", c.fn))
			for _, want := range c.bits {
				for _, export := range []string{"run", "direct"} {
					stack := []uint64{want, 0}
					require.NoError(t, function(t, instance, export).CallRaw(background, stack))
					require.Equalf(t, want, stack[0], "%s of %T: %#x", export, c.fn, want)
				}
			}
		}
	})
}

func TestHostFunctionsOfAllShapes(t *testing.T) {
	type fn16 func(a int32, b int64, c float32, d float64, e int32, f int64, g float32, h float64,
		i int32, j int64, k float32, l float64, m int32, n int64, o float32, p float64) int64
	sixteen := fn16(func(a int32, b int64, c float32, d float64, e int32, f int64, g float32, h float64,
		i int32, j int64, k float32, l float64, m int32, n int64, o float32, p float64,
	) int64 {
		return int64(a) + b*2 + int64(c)*3 + int64(d)*5 + int64(e)*7 + f*11 + int64(g)*13 + int64(h)*17 +
			int64(i)*19 + j*23 + int64(k)*29 + int64(l)*31 + int64(m)*37 + n*41 + int64(o)*43 + int64(p)*47
	})
	arguments := func(n int) (args []any) {
		for i := range n {
			args = append(args, -i-1)
		}
		return args
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, c := range []struct {
			fn   any
			want []wasmer.Value
		}{
			{func() {}, nil},
			{func() error { return nil }, nil},
			{func(*wasmer.Caller) {}, nil},
			{func(*wasmer.Caller) error { return nil }, nil},
			{func(context.Context) {}, nil},
			{func(unsafe.Pointer) error { return nil }, nil},
			{func() int32 { return -1 }, []wasmer.Value{wasmer.I32(-1)}},
			{func() uint32 { return math.MaxUint32 }, []wasmer.Value{wasmer.I32(-1)}},
			{func() int64 { return math.MinInt64 }, []wasmer.Value{wasmer.I64(math.MinInt64)}},
			{func() uint64 { return 1 << 63 }, []wasmer.Value{wasmer.I64(math.MinInt64)}},
			{func() float32 { return -0.5 }, []wasmer.Value{wasmer.F32(-0.5)}},
			{func() float64 { return -0.5 }, []wasmer.Value{wasmer.F64(-0.5)}},
			{func(a, b float64) float64 { return a - b }, []wasmer.Value{wasmer.F64(1)}},
			{func(a uint32) uint64 { return uint64(a) }, []wasmer.Value{wasmer.I64(math.MaxUint32)}},
			{func(a uint64) uint32 { return uint32(a >> 32) }, []wasmer.Value{wasmer.I32(-1)}},
			{func(a namedUint32) int64 { return int64(a) }, []wasmer.Value{wasmer.I64(math.MaxUint32)}},
			{sixteen, []wasmer.Value{
				wasmer.I64(-(1 + 4 + 9 + 20 + 35 + 66 + 91 + 136 + 171 + 230 + 319 + 372 + 481 + 574 + 645 + 752)),
			}},
		} {
			instance := instantiate(t, engine, passOn(c.fn), wasmer.NewImports().Function("f", c.fn))
			for _, export := range []string{"run", "direct"} {
				run := function(t, instance, export)
				values, err := run.Call(background, arguments(len(run.Type().Params))...)
				require.NoErrorf(t, err, "%T", c.fn)
				require.Equalf(t, c.want, values, "%s of %T", export, c.fn)
			}
		}
	})
}

func TestHostFunctionsWithSeveralResults(t *testing.T) {
	refuse := errors.New("no")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, c := range []struct {
			fn   any
			want []wasmer.Value
		}{
			{func(a, b int32) (int32, int32) { return b, a }, []wasmer.Value{wasmer.I32(2), wasmer.I32(1)}},
			{func(_ context.Context, a int32) (int32, int64, float32, float64, error) {
				return -a, math.MinInt64, -1.5, 2.5, nil
			}, []wasmer.Value{wasmer.I32(-1), wasmer.I64(math.MinInt64), wasmer.F32(-1.5), wasmer.F64(2.5)}},
			{func() (a, b, c, d, e, f uint64) { return 1, 2, 3, 4, 5, 1 << 63 }, []wasmer.Value{
				wasmer.I64(1), wasmer.I64(2), wasmer.I64(3), wasmer.I64(4), wasmer.I64(5), wasmer.I64(math.MinInt64),
			}},
			{func(_ *wasmer.Caller, a int64) (int32, int64, error) { return 1, a, refuse }, nil},
		} {
			instance := instantiate(t, engine, passOn(c.fn), wasmer.NewImports().Function("f", c.fn))
			for _, export := range []string{"run", "direct"} {
				run := function(t, instance, export)
				values, err := run.Call(background, []any{1, 2}[:len(run.Type().Params)]...)
				if c.want == nil {
					require.Same(t, refuse, err)
				} else {
					require.NoErrorf(t, err, "%T", c.fn)
				}
				require.Equalf(t, c.want, values, "%s of %T", export, c.fn)
			}
		}
	})
}

func TestHostFunctionsBetweenCompiledFunctions(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		called := 0
		imports := wasmer.NewImports().
			Function("i32", func(x int32) int32 { return -x }).
			Function("i64", func(x int64) (int64, error) { return -x, nil }).
			Function("f32", func(_ context.Context, x float32) float32 { return -x }).
			Function("f64", func(_ *wasmer.Caller, x float64) float64 { return -x }).
			Function("mixed", func(a int32, b int64, c float32, d float64) float64 {
				return float64(a) + float64(b)*10 + float64(c)*100 + d*1000
			}).
			Function("nothing", func() { called++ })
		instance := instantiate(t, engine, wasmtest.Fixture(t, "hosts.wasm"), imports)
		require.Equal(t, wasmer.I32(5), call(t, instance, "call_i32", -5))
		require.Equal(t, wasmer.I64(math.MinInt64), call(t, instance, "call_i64", math.MinInt64))
		require.Equal(t, wasmer.F32(-1.5), call(t, instance, "call_f32", 1.5))
		require.Equal(t, wasmer.F64(-2.5), call(t, instance, "call_f64", 2.5))
		require.Equal(t, wasmer.F64(4321), call(t, instance, "call_mixed", 1, 2, 3, 4))
		result, err := instance.Exports["call_nothing"]()
		require.NoError(t, err)
		require.Equal(t, wasmer.TypeVoid, result.Type())
		require.Equal(t, 1, called)
	})
}

func TestOtherHostFunctionsAreRefusedAtDefinition(t *testing.T) {
	var nothing func(int32) int32
	for _, c := range []struct {
		fn    any
		parts []string
	}{
		{nil, []string{"must be a Go function", "<nil>"}},
		{5, []string{"must be a Go function", "int"}},
		{"text", []string{"must be a Go function", "string"}},
		{&struct{}{}, []string{"must be a Go function", "struct"}},
		{nothing, []string{"nil function", "func(int32) int32"}},
		{func(...int32) {}, []string{"variadic"}},
		{func(int) {}, []string{"parameter 0", "int"}},
		{func(uint) {}, []string{"parameter 0", "uint"}},
		{func(int32, int8) {}, []string{"parameter 1", "int8"}},
		{func(int32, int32, uint16) {}, []string{"parameter 2", "uint16"}},
		{func(uintptr) {}, []string{"parameter 0", "uintptr"}},
		{func(bool) {}, []string{"parameter 0", "bool"}},
		{func(string) {}, []string{"parameter 0", "string"}},
		{func([]byte) {}, []string{"parameter 0", "slice"}},
		{func(*int32) {}, []string{"parameter 0", "ptr"}},
		{func(complex128) {}, []string{"parameter 0", "complex128"}},
		{func(wasmer.Value) {}, []string{"parameter 0", "struct", "wasmer.Value"}},
		{func(error) {}, []string{"parameter 0", "interface"}},
		{func(wasmer.Caller) {}, []string{"parameter 0", "struct", "wasmer.Caller"}},
		{func(int32, context.Context) {}, []string{"parameter 1", "interface", "context.Context"}},
		{func(int32, *wasmer.Caller) {}, []string{"parameter 1", "ptr", "*wasmer.Caller"}},
		{func(context.Context, *wasmer.Caller) {}, []string{"parameter 1", "ptr"}},
		{func(int32, unsafe.Pointer) {}, []string{"parameter 1", "unsafe.Pointer"}},
		{func() int { return 0 }, []string{"result 0", "int"}},
		{func() (int32, string) { return 0, "" }, []string{"result 1", "string"}},
		//lint:ignore ST1008 this is what is refused
		{func() (error, int32) { return nil, 0 }, []string{"result 0", "interface", "error"}},
		{func() (error, error) { return nil, nil }, []string{"result 0", "interface"}},
		{func() *wasmer.Trap { return nil }, []string{"result 0", "ptr"}},
	} {
		imports, err := wasmer.NewImports().Append("sum", c.fn, nil)
		require.Errorf(t, err, "%T", c.fn)
		for _, part := range append(c.parts, `"sum"`) {
			require.ErrorContainsf(t, err, part, "%T", c.fn)
		}
		_, later := wasmer.NewInstanceWithImports([]byte("(module)"), imports)
		require.Equal(t, err, later, "whatever instantiates reports the error again")
	}
}

func TestErrorResultsOfHostFunctions(t *testing.T) {
	refuse := errors.New("no")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, fn := range []any{
			func() error { return refuse },
			func(*wasmer.Caller) error { return refuse },
			func(a, b int32) error { return refuse },
			func(a int64) (int64, error) { return 1, refuse },
			func(a, b uint32) (uint32, error) { return 1, refuse },
			func(*wasmer.Caller, int32) error { return refuse },
			func(*wasmer.Caller, int32, int32) error { return refuse },
			func(*wasmer.Caller, uint64) (uint64, error) { return 1, refuse },
			func(*wasmer.Caller, uint64, uint64) (uint64, error) { return 1, refuse },
			func(context.Context, float32) (float32, error) { return 1, refuse },
			func(unsafe.Pointer) error { return refuse },
		} {
			instance := instantiate(t, engine, passOn(fn), wasmer.NewImports().Function("f", fn))
			for _, export := range []string{"run", "direct"} {
				run := function(t, instance, export)
				args := make([]any, len(run.Type().Params))
				for i := range args {
					args[i] = 1
				}
				values, err := run.Call(background, args...)
				require.Samef(t, refuse, err, "%s of %T", export, fn)
				require.Nil(t, values)
			}
		}
	})
}

// callers is a guest with two memories that hands calls through; its host functions are exported as they are, too.
const callers = `(module (import "env" "f" (func $f (param i32) (result i32)))
	(memory (export "second") 2) (memory (export "memory") 1 10) (memory (export "third") 3)
	(export "direct" (func $f))
	(func (export "run") (param i32) (result i32) (call $f (local.get 0)))
	(func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
	(func (export "pages") (result i32) (memory.size 1))
	(func (export "load") (param i32) (result i32) (i32.load 1 (local.get 0)))
	(func (export "grow_then_load") (param i32) (result i32)
		(drop (call $f (i32.const 1))) (i32.load 1 (local.get 0))))`

type contextKey struct{}

func TestCallerTellsContextInstanceAndMemories(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var instance *wasmer.Instance
		calls := 0
		look := func(ctx context.Context, c *wasmer.Caller) {
			calls++
			require.Equal(t, "here", ctx.Value(contextKey{}))
			require.Same(t, instance, c.Instance())
			require.Same(t, instance.Memory, c.Memory())
			require.EqualValues(t, 1, c.Memory().Pages(), "the one called memory, though not the first")
			require.EqualValues(t, 2, c.MemoryAt(0).Pages())
			require.Same(t, instance.Memory, c.MemoryAt(1))
			require.EqualValues(t, 3, c.MemoryAt(2).Pages())
			require.Nil(t, c.MemoryAt(3))
			require.Nil(t, c.MemoryAt(-1))
			require.Equal(t, "attached", c.Data())
			f, err := c.Function("double")
			require.NoError(t, err)
			require.Same(t, function(t, instance, "double"), f)
			_, err = c.Function("missing")
			require.ErrorIs(t, err, wasmer.ErrNotFound)
		}
		for _, fn := range []any{
			func(c *wasmer.Caller, x int32) int32 { look(c.Context(), c); return x },
			func(c *wasmer.Caller, x namedInt32) namedInt32 { look(c.Context(), c); return x },
			func(p unsafe.Pointer, x int32) int32 {
				c := wasmer.IntoInstanceContext(p)
				require.Same(t, instance.Memory, c.Memory())
				require.Equal(t, "attached", c.Data())
				calls++
				return x
			},
			func(ctx context.Context, x int32) int32 {
				require.Equal(t, "here", ctx.Value(contextKey{}))
				calls++
				return x
			},
		} {
			calls = 0
			instance = instantiate(t, engine, callers, wasmer.NewImports().Function("f", fn))
			instance.SetContextData("attached")
			ctx := context.WithValue(background, contextKey{}, "here")
			for _, export := range []string{"run", "direct"} {
				values, err := function(t, instance, export).Call(ctx, 7)
				require.NoError(t, err)
				require.Equal(t, []wasmer.Value{wasmer.I32(7)}, values)
			}
			require.Equal(t, 2, calls)
		}
		none := wasmer.IntoInstanceContext(nil)
		require.Nil(t, none.Memory())
		require.Nil(t, none.Data())
	})
}

func TestTheContextIsThatOfTheInnermostCall(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var depths []any
		var run *wasmer.Function
		imports := wasmer.NewImports().Function("f", func(c *wasmer.Caller, n int32) (int32, error) {
			depths = append(depths, c.Context().Value(contextKey{}))
			if n > 0 {
				ctx := c.Context()
				if n != 2 {
					ctx = context.WithValue(background, contextKey{}, n)
				}
				if _, err := run.Call(ctx, n-1); err != nil {
					return 0, err
				}
			}
			depths = append(depths, c.Context().Value(contextKey{}))
			return n, nil
		})
		run = function(t, instantiate(t, engine, callers, imports), "run")
		_, err := run.Call(background, 3)
		require.NoError(t, err)
		require.Equal(t, []any{nil, int32(3), int32(3), int32(1), int32(1), int32(3), int32(3), nil}, depths)

		// Without a context there is one all the same.
		_, err = run.Call(noContext, 0)
		require.NoError(t, err)
		done, cancel := context.WithCancel(background)
		cancel()
		_, err = run.Call(done, 0)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
	})
}

func TestAHostFunctionCallsBackAndGrowsTheMemory(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var instance *wasmer.Instance
		imports := wasmer.NewImports().Function("f", func(c *wasmer.Caller, pages int32) (int32, error) {
			before := c.Memory().Data()
			previous, err := c.Memory().GrowBy(uint64(pages))
			require.NoError(t, err)
			require.EqualValues(t, previous*wasmer.PageSize, len(before))
			require.NoError(t, c.Memory().WriteUint32Le(c.Memory().Size()-4, 0xcafe))
			for _, back := range []func() (wasmer.Value, error){
				func() (wasmer.Value, error) { return instance.Exports["pages"]() }, // no context, no Caller
				func() (wasmer.Value, error) {
					values, err := function(t, instance, "pages").Call(c.Context())
					return values[0], err
				},
				func() (wasmer.Value, error) {
					pages, err := wasmer.Func0[int32](c.Instance(), "pages")
					require.NoError(t, err)
					n, err := pages(background)
					return wasmer.I32(n), err
				},
			} {
				n, err := back()
				require.NoError(t, err)
				require.EqualValues(t, int32(previous)+pages, n.ToI32())
			}
			again, err := c.Instance().Function("double")
			require.NoError(t, err)
			values, err := again.Call(c.Context(), pages)
			return values[0].ToI32(), err
		})
		instance = instantiate(t, engine, callers, imports)
		require.EqualValues(t, 6, call(t, instance, "run", 3).ToI32())
		require.EqualValues(t, 4, instance.Memory.Pages())
		require.EqualValues(t, 0xcafe, call(t, instance, "load", 4*wasmer.PageSize-4).ToI32())
		// The guest that is in the middle of a call sees the new page as well.
		require.EqualValues(t, 0xcafe, call(t, instance, "grow_then_load", 5*wasmer.PageSize-4).ToI32())
		require.EqualValues(t, 10, call(t, instance, "direct", 5).ToI32())
		_, err := instance.Memory.GrowBy(1)
		require.ErrorIs(t, err, wasmer.ErrResource)
	})
}
