package wasmer_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

func TestResultsComeAsTypedValues(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
		for _, c := range []struct {
			name string
			args []any
			want []wasmer.Value
		}{
			{"void", nil, nil},
			{"take", []any{1}, nil},
			{"give", nil, []wasmer.Value{wasmer.I32(42)}},
			{"id_i32", []any{math.MinInt32}, []wasmer.Value{wasmer.I32(math.MinInt32)}},
			{"id_i64", []any{math.MinInt64}, []wasmer.Value{wasmer.I64(math.MinInt64)}},
			{"id_f32", []any{-0.5}, []wasmer.Value{wasmer.F32(-0.5)}},
			{"id_f64", []any{-0.1}, []wasmer.Value{wasmer.F64(-0.1)}},
			{"swap", []any{-1, -2}, []wasmer.Value{wasmer.I64(-2), wasmer.I32(-1)}},
			{
				"many",
				[]any{1, 2, 3.5, 4.5},
				[]wasmer.Value{wasmer.F64(4.5), wasmer.F32(3.5), wasmer.I64(2), wasmer.I32(1)},
			},
			{"eight", nil, []wasmer.Value{
				wasmer.I32(1), wasmer.I64(2), wasmer.F32(3.5), wasmer.F64(4.5),
				wasmer.I32(-5), wasmer.I64(-6), wasmer.F32(-7.5), wasmer.F64(-8.5),
			}},
			{"nine", []any{1, 2, 3, 4, 5, 6, 7, 8, 9}, []wasmer.Value{wasmer.I64(123456789)}},
			{
				"mixed",
				[]any{1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6},
				[]wasmer.Value{wasmer.I64(1234567890123456)},
			},
		} {
			values, err := function(t, instance, c.name).Call(background, c.args...)
			require.NoError(t, err, c.name)
			require.Equal(t, c.want, values, c.name)
		}
		first, err := function(t, instance, "eight").Call(background)
		require.NoError(t, err)
		_, err = function(t, instance, "many").Call(noContext, 9, 9, 9, 9)
		require.NoError(t, err)
		require.Equal(t, wasmer.I32(1), first[0], "results are the caller's own")
	})
}

func TestFactorialsAreExactUntilTheyWrapAround(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		factorial := function(t, instantiate(t, engine, wasmtest.Fixture(t, "fac.wasm"), nil), "fac")
		want := uint64(1)
		for n := range uint64(30) {
			want *= max(n, 1)
			values, err := factorial.Call(background, n)
			require.NoError(t, err)
			require.Equal(t, []wasmer.Value{wasmer.I64(int64(want))}, values, n)
			if n == 7 {
				require.Equal(t, "[5040]", fmt.Sprint(values))
			}
		}
		var refused *wasmer.CallError
		for _, args := range [][]any{{}, {1, 2}} {
			_, err := factorial.Call(background, args...)
			require.ErrorAs(t, err, &refused)
		}
	})
}

func TestFunctionsTellWhatTheyAre(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
		f := function(t, instance, "swap")
		require.Equal(t, "swap", f.Name())
		require.Same(t, instance, f.Instance())
		require.Equal(t, "(func (param i32 i64) (result i64 i32))", f.Type().String())
		require.Same(t, f, function(t, instance, "swap"))

		for name, part := range map[string]string{"swop": `is it "swap"`, "": "no exported function", "entirely else": "no exported function"} {
			_, err := instance.Function(name)
			require.ErrorIs(t, err, wasmer.ErrNotFound)
			require.ErrorContains(t, err, part)
		}
		instance = instantiate(t, engine, wasmtest.Fixture(t, "grow.wasm"), nil)
		_, err := instance.Function("memory")
		require.ErrorIs(t, err, wasmer.ErrNotFound)
		require.ErrorContains(t, err, "is a memory, not a function")
		_, err = instance.ExportedMemory("grow")
		require.ErrorIs(t, err, wasmer.ErrNotFound)
		memory, err := instance.ExportedMemory("memory")
		require.NoError(t, err)
		require.Same(t, instance.Memory, memory)
	})
}

func TestTypedFunctions(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		numeric := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
		ints := instantiate(t, engine, `(module
			(func (export "three") (param i32 i64 f64) (result f64) (f64.add (local.get 2)
				(f64.add (f64.convert_i32_s (local.get 0)) (f64.convert_i64_s (local.get 1)))))
			(func (export "four") (param f32 f64 i32 i64) (result f32) (f32.add (local.get 0)
				(f32.add (f32.demote_f64 (local.get 1)) (f32.add (f32.convert_i32_s (local.get 2)) (f32.convert_i64_s (local.get 3))))))
			(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))`, nil)

		void, err := wasmer.Func0[wasmer.Void](numeric, "void")
		check(t, wasmer.Void{}, err, func() (wasmer.Void, error) { return void(background) })
		give, err := wasmer.Func0[int32](numeric, "give")
		check(t, 42, err, func() (int32, error) { return give(background) })
		named, err := wasmer.Func0[namedUint32](numeric, "give")
		check(t, 42, err, func() (namedUint32, error) { return named(noContext) })
		take, err := wasmer.Func1[int32, wasmer.Void](numeric, "take")
		check(t, wasmer.Void{}, err, func() (wasmer.Void, error) { return take(background, 1) })
		add, err := wasmer.Func2[int32, uint32, int32](ints, "add")
		check(t, -2, err, func() (int32, error) { return add(background, -1, math.MaxUint32) })
		three, err := wasmer.Func3[int32, int64, float64, float64](ints, "three")
		check(t, -2.5, err, func() (float64, error) { return three(background, -1, -2, 0.5) })
		four, err := wasmer.Func4[float32, float64, int32, int64, float32](ints, "four")
		check(t, 10.5, err, func() (float32, error) { return four(background, 1.5, 2, 3, 4) })
		fours, err := wasmer.Func4[namedFloat32, namedFloat64, namedUint32, namedInt64, namedFloat32](ints, "four")
		check(t, 10.5, err, func() (namedFloat32, error) { return fours(background, 1.5, 2, 3, 4) })
	})
}

func check[R any](t *testing.T, want R, err error, call func() (R, error)) {
	t.Helper()
	require.NoError(t, err)
	got, err := call()
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestTypedFunctionsKeepAllBits(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
		sameNumber[int32](t, instance, "id_i32", 0, 1, -1, math.MinInt32, math.MaxInt32)
		sameNumber[uint32](t, instance, "id_i32", 0, 1, 1<<31, math.MaxUint32)
		sameNumber[namedInt32](t, instance, "id_i32", 0, 1, -1, math.MinInt32, math.MaxInt32)
		sameNumber[namedUint32](t, instance, "id_i32", 0, 1, 1<<31, math.MaxUint32)
		sameNumber[int64](t, instance, "id_i64", 0, 1, -1, math.MinInt64, math.MaxInt64)
		sameNumber[uint64](t, instance, "id_i64", 0, 1, 1<<63, math.MaxUint64)
		sameNumber[namedInt64](t, instance, "id_i64", 0, 1, -1, math.MinInt64, math.MaxInt64)
		sameNumber[namedUint64](t, instance, "id_i64", 0, 1, 1<<63, math.MaxUint64)
		f32, f64 := math.Float32frombits, math.Float64frombits
		sameNumber(t, instance, "id_f32", 1.5, f32(1<<31), f32(0x7fc00001), f32(0x7fa00001), float32(math.Inf(-1)))
		sameNumber(t, instance, "id_f32", 1.5, namedFloat32(f32(1<<31)), namedFloat32(f32(0x7fa00001)))
		sameNumber(t, instance, "id_f64", 1.5, f64(1<<63), f64(0x7ff8000000000001), f64(0x7ff4000000000001), math.Inf(-1))
		sameNumber(t, instance, "id_f64", 1.5, namedFloat64(f64(1<<63)), namedFloat64(f64(0x7ff4000000000001)))
	})
}

func sameNumber[T wasmer.Number](t *testing.T, instance *wasmer.Instance, name string, values ...T) {
	t.Helper()
	id, err := wasmer.Func1[T, T](instance, name)
	require.NoError(t, err)
	for _, v := range values {
		got, err := id(background, v)
		require.NoError(t, err)
		require.Equalf(t, numberBits(v), numberBits(got), "%T %v", v, v)
	}
}

func numberBits[T wasmer.Number](v T) uint64 {
	switch v := any(v).(type) {
	case float32:
		return uint64(math.Float32bits(v))
	case namedFloat32:
		return uint64(math.Float32bits(float32(v)))
	case float64:
		return math.Float64bits(v)
	case namedFloat64:
		return math.Float64bits(float64(v))
	}
	return uint64(v)
}

func TestTypedFunctionsRefuseOtherTypes(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
		mismatch := func(err error, parts ...string) {
			t.Helper()
			require.Error(t, err)
			for _, part := range parts {
				require.ErrorContains(t, err, part)
			}
		}
		_, err := wasmer.Func0[int64](instance, "give")
		mismatch(err, `"give"`, "(func (result i32))", "(func (result i64))")
		_, err = wasmer.Func0[wasmer.Void](instance, "give")
		mismatch(err, `"give"`, "stand for (func)")
		_, err = wasmer.Func0[int32](instance, "void")
		mismatch(err, `"void" is (func)`)
		_, err = wasmer.Func1[namedInt64, int32](instance, "id_i32")
		mismatch(err, "(param i64)")
		_, err = wasmer.Func1[float32, int32](instance, "id_i32")
		mismatch(err, "(param f32)")
		_, err = wasmer.Func2[int32, int64, int64](instance, "swap")
		mismatch(err, "(result i64 i32)")
		_, err = wasmer.Func3[int32, int32, int32, int32](instance, "id_i32")
		mismatch(err, "(param i32 i32 i32)")
		_, err = wasmer.Func4[int32, int32, int32, int32, wasmer.Void](instance, "take")
		mismatch(err, "(param i32 i32 i32 i32)")
		_, err = wasmer.Func0[int32](instance, "missing")
		require.ErrorIs(t, err, wasmer.ErrNotFound)
		_, err = wasmer.Func0[int32](nil, "give")
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestTypedFunctionsFailAsCallDoes(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "traps.wasm"), nil)
		trap, err := wasmer.Func0[wasmer.Void](instance, "unreachable")
		require.NoError(t, err)
		_, err = trap(background)
		require.ErrorIs(t, err, wasmer.TrapUnreachable)
		done, cancel := context.WithCancel(background)
		cancel()
		_, err = trap(done)
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, instance.Close())
		_, err = trap(background)
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestCallRawPassesSlots(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "numeric.wasm"), nil)
		const dirt = 0xdeadbeef00000000
		for _, c := range []struct {
			name     string
			in, want []uint64
		}{
			{"void", nil, nil},
			{"void", []uint64{7}, []uint64{7}},
			{"give", []uint64{dirt}, []uint64{42}},
			{"id_i32", []uint64{dirt | 0xffffffff}, []uint64{0xffffffff}},
			{"id_i64", []uint64{1 << 63}, []uint64{1 << 63}},
			{"id_f32", []uint64{dirt | 0x7fa00001}, []uint64{0x7fa00001}},
			{"id_f64", []uint64{0x7ff4000000000001}, []uint64{0x7ff4000000000001}},
			{"swap", []uint64{dirt | 1, 1 << 40, 3}, []uint64{1 << 40, 1, 3}},
			{
				"eight",
				make([]uint64, 8),
				[]uint64{
					1, 2, 0x40600000, 0x4012000000000000, 0xfffffffb, 0xfffffffffffffffa, 0xc0f00000, 0xc021000000000000,
				},
			},
			{"nine", []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}, []uint64{123456789, 2, 3, 4, 5, 6, 7, 8, 9}},
		} {
			require.NoError(t, function(t, instance, c.name).CallRaw(background, c.in), c.name)
			require.Equal(t, c.want, c.in, c.name)
		}
		for name, n := range map[string]int{"give": 0, "id_i32": 0, "swap": 1, "eight": 7, "nine": 8} {
			err := function(t, instance, name).CallRaw(background, make([]uint64, n))
			var refusal *wasmer.CallError
			require.ErrorAs(t, err, &refusal, name)
			require.Equal(t, name, refusal.Function)
			require.Equal(t, -1, refusal.Position)
		}
	})
}

// vectors uses v128 between numbers, so that every slot has its place to be missed.
const vectors = `(module
	(func (export "pick") (param i32 v128 i64) (result v128 i64 i32) (local.get 1) (local.get 2) (local.get 0))
	(func (export "splat") (result v128) (v128.const i64x2 0x1122334455667788 -1))
	(func (export "low") (param v128) (result i64) (i64x2.extract_lane 0 (local.get 0))))`

func TestVectorsTakeTwoSlots(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		if engine.Compiler() == wasmer.Singlepass {
			_, err := engine.Compile(background, []byte(vectors))
			require.ErrorIs(t, err, wasmer.ErrUnsupported)
			require.ErrorContains(t, err, "simd")
			return
		}
		instance := instantiate(t, engine, vectors, nil)
		pick := function(t, instance, "pick")
		values, err := pick.Call(background, 7, wasmer.V128(1, 2), 1<<40)
		require.NoError(t, err)
		require.Equal(t, []wasmer.Value{wasmer.V128(1, 2), wasmer.I64(1 << 40), wasmer.I32(7)}, values)
		stack := []uint64{7, 1, 2, 1 << 40}
		require.NoError(t, pick.CallRaw(background, stack))
		require.Equal(t, []uint64{1, 2, 1 << 40, 7}, stack)
		var refusal *wasmer.CallError
		require.ErrorAs(t, pick.CallRaw(background, stack[:3]), &refusal)
		require.ErrorContains(t, refusal, "3 slots, want 4")
		require.ErrorAs(t, function(t, instance, "splat").CallRaw(background, stack[:1]), &refusal)
		splat, err := instance.Exports["splat"]()
		require.NoError(t, err)
		require.Equal(t, wasmer.V128(0x1122334455667788, math.MaxUint64), splat)
		require.Equal(t, wasmer.I64(5), call(t, instance, "low", wasmer.V128(5, 6)))
		_, err = function(t, instance, "low").Call(background, 5)
		require.ErrorAs(t, err, &refusal)
		_, err = wasmer.Func0[int64](instance, "splat")
		require.ErrorContains(t, err, "v128")
	})
}

// References are addresses: a host that could pass or see their bits could forge one.
func TestReferencesArePassedAsValuesOnly(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (table $t 1 funcref) (elem (i32.const 0) func $f) (func $f)
			(func (export "in") (param funcref) (table.set $t (i32.const 0) (local.get 0)))
			(func (export "out") (result funcref) (ref.func $f))
			(func (export "extern") (param externref) (result externref) (local.get 0)))`, nil)
		for _, arg := range []any{0, uint64(1), wasmer.I64(1), wasmer.Value{}, new(int), wasmer.ExternRef(1)} {
			_, err := function(t, instance, "in").Call(background, arg)
			var refusal *wasmer.CallError
			require.ErrorAs(t, err, &refusal)
		}
		for _, name := range []string{"in", "out", "extern"} {
			stack := []uint64{0}
			require.ErrorIs(t, function(t, instance, name).CallRaw(background, stack), wasmer.ErrUnsupported, name)
			require.Zero(t, stack[0], name)
		}
	})
}
