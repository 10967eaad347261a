package wasmer_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// Named types stand for their underlying ones everywhere.
type (
	namedInt     int
	namedInt8    int8
	namedInt32   int32
	namedUint32  uint32
	namedInt64   int64
	namedUint64  uint64
	namedFloat32 float32
	namedFloat64 float64
)

// refused stands in a table for an argument that a parameter's type cannot take.
type refused struct{}

var no = refused{}

// conversions are Go values with what a parameter of each type makes of them.
var conversions = []struct{ arg, i32, i64, f32, f64 any }{
	{5, int32(5), int64(5), float32(5), 5.0},
	{-1, int32(-1), int64(-1), float32(-1), -1.0},
	{math.MaxInt32, int32(math.MaxInt32), int64(math.MaxInt32), no, float64(math.MaxInt32)},
	{math.MinInt32, int32(math.MinInt32), int64(math.MinInt32), float32(math.MinInt32), float64(math.MinInt32)},
	{math.MaxInt32 + 1, no, int64(math.MaxInt32 + 1), float32(1 << 31), float64(1 << 31)},
	{math.MinInt32 - 1, no, int64(math.MinInt32 - 1), no, float64(math.MinInt32 - 1)},
	{math.MaxInt64, no, int64(math.MaxInt64), no, no},
	{math.MinInt64, no, int64(math.MinInt64), float32(math.MinInt64), float64(math.MinInt64)},
	{1 << 24, int32(1 << 24), int64(1 << 24), float32(1 << 24), float64(1 << 24)},
	{1<<24 + 1, int32(1<<24 + 1), int64(1<<24 + 1), no, float64(1<<24 + 1)},
	{1<<53 + 1, no, int64(1<<53 + 1), no, no},
	{int8(-128), int32(-128), int64(-128), float32(-128), -128.0},
	{int16(-32768), int32(-32768), int64(-32768), float32(-32768), -32768.0},
	{int32(math.MinInt32), int32(math.MinInt32), int64(math.MinInt32), float32(math.MinInt32), float64(math.MinInt32)},
	{int64(-1), int32(-1), int64(-1), float32(-1), -1.0},
	{int64(math.MaxInt64), no, int64(math.MaxInt64), no, no},
	{uint(7), int32(7), int64(7), float32(7), 7.0},
	{uint8(255), int32(255), int64(255), float32(255), 255.0},
	{uint16(65535), int32(65535), int64(65535), float32(65535), 65535.0},
	{uint32(math.MaxUint32), int32(-1), int64(math.MaxUint32), no, float64(math.MaxUint32)},
	{uint64(math.MaxUint32), int32(-1), int64(math.MaxUint32), no, float64(math.MaxUint32)},
	{uint64(math.MaxUint32 + 1), no, int64(1 << 32), float32(1 << 32), float64(1 << 32)},
	{uint64(1 << 63), no, int64(math.MinInt64), float32(1 << 63), float64(1 << 63)},
	{uint64(math.MaxUint64), no, int64(-1), no, no},
	{uint(math.MaxUint), no, int64(-1), no, no},
	{uintptr(9), int32(9), int64(9), float32(9), 9.0},
	{float32(1.5), no, no, float32(1.5), 1.5},
	{float32(2), no, no, float32(2), 2.0},
	{float32(math.MaxFloat32), no, no, float32(math.MaxFloat32), float64(math.MaxFloat32)},
	{0.5, no, no, float32(0.5), 0.5},
	{0.1, no, no, no, 0.1},
	{math.MaxFloat64, no, no, no, math.MaxFloat64},
	{math.SmallestNonzeroFloat64, no, no, no, math.SmallestNonzeroFloat64},
	{math.Inf(1), no, no, float32(math.Inf(1)), math.Inf(1)},
	{math.Inf(-1), no, no, float32(math.Inf(-1)), math.Inf(-1)},
	{math.Copysign(0, -1), no, no, float32(math.Copysign(0, -1)), math.Copysign(0, -1)},
	{math.NaN(), no, no, float32(math.NaN()), math.NaN()},
	{namedInt(3), int32(3), int64(3), float32(3), 3.0},
	{namedInt8(-3), int32(-3), int64(-3), float32(-3), -3.0},
	{namedInt32(-3), int32(-3), int64(-3), float32(-3), -3.0},
	{namedUint32(1 << 31), int32(math.MinInt32), int64(1 << 31), float32(1 << 31), float64(1 << 31)},
	{namedInt64(1 << 40), no, int64(1 << 40), float32(1 << 40), float64(1 << 40)},
	{namedUint64(1 << 63), no, int64(math.MinInt64), float32(1 << 63), float64(1 << 63)},
	{namedFloat32(0.25), no, no, float32(0.25), 0.25},
	{namedFloat64(0.1), no, no, no, 0.1},
	{wasmer.I32(-7), int32(-7), no, no, no},
	{wasmer.I64(-7), no, int64(-7), no, no},
	{wasmer.F32(7), no, no, float32(7), no},
	{wasmer.F64(7), no, no, no, 7.0},
	{wasmer.V128(1, 2), no, no, no, no},
	{wasmer.Value{}, no, no, no, no},
	{nil, no, no, no, no},
	{"5", no, no, no, no},
	{true, no, no, no, no},
	{complex(1, 0), no, no, no, no},
	{[]byte{1}, no, no, no, no},
	{new(int), no, no, no, no},
	{struct{}{}, no, no, no, no},
	{fmt.Errorf("an error"), no, no, no, no},
}

func TestArgumentsAreConvertedExactlyOrRefused(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
		for _, c := range conversions {
			for typ, want := range map[string]any{"i32": c.i32, "i64": c.i64, "f32": c.f32, "f64": c.f64} {
				name := "id_" + typ
				what := fmt.Sprintf("%s(%T %v)", name, c.arg, c.arg)
				values, err := function(t, instance, name).Call(background, c.arg)
				result, exportsErr := instance.Exports[name](c.arg)
				if want == no {
					require.Nil(t, values, what)
					requireRefused(t, err, name, typ, c.arg)
					requireRefused(t, exportsErr, name, typ, c.arg)
					continue
				}
				require.NoError(t, err, what)
				require.NoError(t, exportsErr, what)
				require.Len(t, values, 1, what)
				require.Equal(t, bits(want), bits(values[0].Go()), what)
				require.IsType(t, want, values[0].Go(), what)
				require.Equal(t, values[0], result, what)
			}
		}
	})
}

// bits makes NaNs and zeros comparable.
func bits(v any) any {
	switch v := v.(type) {
	case float32:
		return math.Float32bits(v)
	case float64:
		return math.Float64bits(v)
	}
	return v
}

// requireRefused checks that the error names function, position, Go type, value and the type that was wanted.
func requireRefused(t *testing.T, err error, name, typ string, arg any) {
	t.Helper()
	what := fmt.Sprintf("%s(%T %v)", name, arg, arg)
	var refusal *wasmer.CallError
	require.ErrorAs(t, err, &refusal, what)
	require.Equal(t, name, refusal.Function, what)
	require.Equal(t, 0, refusal.Position, what)
	require.NotEmpty(t, refusal.Message, what)
	for _, part := range []string{name, "argument 0", typ, fmt.Sprint(arg)} {
		require.ErrorContains(t, err, part, what)
	}
	if v, ok := arg.(wasmer.Value); ok {
		require.ErrorContains(t, err, v.Type().String(), what)
	} else {
		require.ErrorContains(t, err, fmt.Sprintf("%T", arg), what)
	}
}

func TestFloatArgumentsKeepAllTheirBits(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
		for _, want := range []uint32{0x80000000, 0x7fc00000, 0xffc00001, 0x7fa00001, 0xff800001} {
			f := math.Float32frombits(want)
			for _, arg := range []any{wasmer.F32(f), f, namedFloat32(f)} {
				require.Equalf(t, want, uint32(call(t, instance, "bits_f32", arg).ToI32()), "%T %#x", arg, want)
			}
		}
		for _, want := range []uint64{1 << 63, 0x7ff8000000000000, 0xfff8000000000001, 0x7ff4000000000001} {
			f := math.Float64frombits(want)
			for _, arg := range []any{wasmer.F64(f), f, namedFloat64(f)} {
				require.Equalf(t, want, uint64(call(t, instance, "bits_f64", arg).ToI64()), "%T %#x", arg, want)
			}
		}
	})
}

func TestARefusalNamesThePositionAndRunsNothing(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (memory (export "memory") 1)
			(func (export "mark") (param i32 i64 f32) (i32.store8 (i32.const 0) (i32.const 1))))`, nil)
		mark := function(t, instance, "mark")
		for position, args := range [][]any{{"a", 1, 1}, {1, "a", 1}, {1, 1, 0.1}} {
			_, err := mark.Call(background, args...)
			var refusal *wasmer.CallError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, position, refusal.Position)
			require.ErrorContains(t, err, fmt.Sprintf("argument %d", position))
		}
		for n := range 6 {
			if n == 3 {
				continue
			}
			_, err := mark.Call(background, make([]any, n)...)
			var refusal *wasmer.CallError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, -1, refusal.Position)
			require.ErrorContains(t, err, fmt.Sprintf(`"mark": given %d arguments, want 3`, n))
			_, err = instance.Exports["mark"](make([]any, n)...)
			require.ErrorAs(t, err, &refusal)
		}
		require.Zero(t, instance.Memory.Data()[0])
		_, err := mark.Call(background, 1, 1, 1)
		require.NoError(t, err)
		require.EqualValues(t, 1, instance.Memory.Data()[0])
	})
}

func TestValueAccessors(t *testing.T) {
	for _, c := range []struct {
		value  wasmer.Value
		typ    wasmer.ValueType
		text   string
		native any
	}{
		{wasmer.I32(-1), wasmer.TypeI32, "-1", int32(-1)},
		{wasmer.I32(math.MinInt32), wasmer.TypeI32, "-2147483648", int32(math.MinInt32)},
		{wasmer.I64(math.MinInt64), wasmer.TypeI64, "-9223372036854775808", int64(math.MinInt64)},
		{wasmer.F32(1.5), wasmer.TypeF32, "1.500000", float32(1.5)},
		{wasmer.F64(-0.1), wasmer.TypeF64, "-0.100000", -0.1},
		{wasmer.F64(math.Inf(1)), wasmer.TypeF64, "+Inf", math.Inf(1)},
		{wasmer.V128(1, 0xff), wasmer.ValueTypeV128, "0x00000000000000ff0000000000000001", [2]uint64{1, 0xff}},
		{wasmer.Value{}, wasmer.TypeVoid, "void", nil},
	} {
		require.Equal(t, c.typ, c.value.Type())
		require.Equal(t, c.typ, c.value.GetType())
		require.Equal(t, c.text, c.value.String())
		require.Equal(t, c.native, c.value.Go())
		require.Nil(t, c.value.ToVoid())
	}
	require.EqualValues(t, -1, wasmer.I64(math.MaxUint32).ToI32())
	require.EqualValues(t, math.MaxUint32, wasmer.I32(-1).ToI64(), "the bits, not the sign")
	require.Equal(t, math.Float64bits(2.5), uint64(wasmer.F64(2.5).ToI64()))
	require.Equal(t, math.Float32bits(2.5), uint32(wasmer.F32(2.5).ToI32()))
	require.Equal(t, float32(2.5), wasmer.I32(int32(math.Float32bits(2.5))).ToF32())
	require.Equal(t, 2.5, wasmer.I64(int64(math.Float64bits(2.5))).ToF64())
	lo, hi := wasmer.V128(3, 4).ToV128()
	require.Equal(t, [2]uint64{3, 4}, [2]uint64{lo, hi})
	require.Equal(t, wasmer.I32(1), wasmer.I32(1), "values are comparable")
	require.False(t, wasmer.I32(1) == wasmer.I64(1))
	require.Equal(t, "42", fmt.Sprint(wasmer.I32(42)))
}

func TestExportsGiveVoidSingleAndRefuseMultipleResults(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
		result, err := instance.Exports["void"]()
		require.NoError(t, err)
		require.Equal(t, wasmer.TypeVoid, result.GetType())
		require.Equal(t, "void", result.String())
		result, err = instance.Exports["give"]()
		require.NoError(t, err)
		require.Equal(t, wasmer.I32(42), result)
		result, err = instance.Exports["swap"](1, 2)
		var refusal *wasmer.CallError
		require.ErrorAs(t, err, &refusal)
		require.ErrorContains(t, err, "Function.Call")
		require.ErrorContains(t, err, `"swap"`)
		require.Equal(t, wasmer.TypeVoid, result.Type())

		plain, err := wasmer.Instantiate(background, instance.Module(), nil)
		require.NoError(t, err)
		defer plain.Close()
		require.Nil(t, plain.Exports)
	})
}

type integer interface {
	~int32 | ~uint32 | ~int64 | ~uint64
}

// integerForms are host functions of every form that is called without reflection, if T is not a named type. Each notes
// its arguments in seen and computes something that tells them apart.
func integerForms[T integer](seen *[]uint64) []any {
	note := func(args ...T) T {
		var sum T
		for i, arg := range args {
			*seen = append(*seen, uint64(arg))
			sum = sum*31 + arg ^ T(i)
		}
		return sum
	}
	return []any{
		func(a T) { note(a) },
		func(a, b T) { note(a, b) },
		func(a, b T) error { note(a, b); return nil },
		func(a T) T { return note(a) },
		func(a, b T) T { return note(a, b) },
		func(a, b, c T) T { return note(a, b, c) },
		func(a, b, c, d T) T { return note(a, b, c, d) },
		func(a T) (T, error) { return note(a), nil },
		func(a, b T) (T, error) { return note(a, b), nil },
		func(_ *wasmer.Caller, a T) { note(a) },
		func(_ *wasmer.Caller, a, b T) { note(a, b) },
		func(_ *wasmer.Caller, a T) error { note(a); return nil },
		func(_ *wasmer.Caller, a, b T) error { note(a, b); return nil },
		func(_ *wasmer.Caller, a T) T { return note(a) },
		func(_ *wasmer.Caller, a, b T) T { return note(a, b) },
		func(_ *wasmer.Caller, a, b, c T) T { return note(a, b, c) },
		func(_ *wasmer.Caller, a, b, c, d T) T { return note(a, b, c, d) },
		func(_ *wasmer.Caller, a T) (T, error) { return note(a), nil },
		func(_ *wasmer.Caller, a, b T) (T, error) { return note(a, b), nil },
		func() T { return note(1<<31 - 1) },
		func() (T, error) { return note(0) - 1, nil },
		func(_ context.Context, a T) T { return note(a) },
		func(_ unsafe.Pointer, a, b T) T { return note(a, b) },
		func(_ context.Context, a, b, c, d, e T) (T, error) { return note(a, b, c, d, e), nil },
	}
}

// The values that conversions go wrong with: signs, and bits above 32.
var boundaries = []uint64{
	0, 1, math.MaxUint64, 1 << 31, 1<<31 - 1, 1<<32 - 1, 1 << 32, 1 << 63, 1<<63 - 1, 0x123456789abcdef0,
}

func TestDirectAndReflectedHostFunctionsAreEqual(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		compareForms[int32, namedInt32](t, engine)
		compareForms[uint32, namedUint32](t, engine)
		compareForms[int64, namedInt64](t, engine)
		compareForms[uint64, namedUint64](t, engine)
	})
}

func compareForms[T, Named integer](t *testing.T, engine *wasmer.Engine) {
	var seen, seenNamed, seenHere []uint64
	forms, named, here := integerForms[T](&seen), integerForms[Named](&seenNamed), integerForms[T](&seenHere)
	for i, form := range forms {
		module := compile(t, engine, passOn(form))
		var instances []*wasmer.Instance
		for _, fn := range []any{form, named[i]} {
			instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().Function("f", fn))
			require.NoErrorf(t, err, "%T", fn)
			defer instance.Close()
			instances = append(instances, instance)
		}
		typ := function(t, instances[0], "run").Type()
		for shift := range boundaries {
			args := make([]uint64, max(len(typ.Params), len(typ.Results)))
			seen, seenNamed, seenHere = nil, nil, nil
			for j := range typ.Params {
				args[j] = boundaries[(shift+j*3)%len(boundaries)]
			}
			want := callHere[T](here[i], args)
			require.NotEmpty(t, seenHere)
			for k, noted := range []*[]uint64{&seen, &seenNamed} {
				for _, export := range []string{"run", "direct"} {
					*noted = nil
					stack := append([]uint64(nil), args...)
					require.NoError(t, function(t, instances[k], export).CallRaw(background, stack))
					what := fmt.Sprintf("%s of %T, reflected: %t, given %#x", export, form, k == 1, args)
					require.ElementsMatch(t, want, stack[:len(want)], what)
					require.Equal(t, seenHere, *noted, what)
				}
			}
		}
	}
}

// callHere calls the function as Go does, without any guest.
func callHere[T integer](fn any, args []uint64) (results []uint64) {
	v := reflect.ValueOf(fn)
	in := make([]reflect.Value, v.Type().NumIn())
	position := 0
	for i := range in {
		if t := v.Type().In(i); t == reflect.TypeFor[T]() {
			in[i] = reflect.ValueOf(T(args[position]))
			position++
		} else {
			in[i] = reflect.Zero(t)
		}
	}
	for _, out := range v.Call(in) {
		if out, ok := out.Interface().(T); ok {
			n := uint64(out)
			if unsafe.Sizeof(out) == 4 {
				n = uint64(uint32(out))
			}
			results = append(results, n)
		}
	}
	return results
}

func TestMust(t *testing.T) {
	require.Equal(t, 1, wasmer.Must(1, nil))
	require.PanicsWithError(t, "no", func() { wasmer.Must(1, fmt.Errorf("no")) })
}
