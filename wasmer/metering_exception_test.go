package wasmer_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Exceptions leave blocks midway, by throw and out of calls; what they leave out is not counted.
func TestMeteringCountsAroundExceptions(t *testing.T) {
	text := `(module
		(tag $e (param i32)) (tag $other)
		(func $throws (param i32) (nop)
			(if (local.get 0) (then (throw $e (local.get 0))))
			(nop) (nop))
		(func (export "call") (param i32) (result i32)
			(block $caught (result i32)
				(try_table (catch $e $caught)
					(call $throws (local.get 0))
					(nop) (nop) (nop))
				(i32.const 7)))
		(func (export "out") (param i32) (result i32) ;; caught by the function's own label
			(try_table (result i32) (catch $e 0)
				(call $throws (local.get 0)) (nop) (i32.const 7)))
		(func (export "loop") (param $n i32)
			(loop $again
				(local.set $n (i32.sub (local.get $n) (i32.const 1)))
				(block $next
					(try_table (catch_all $next)
						(br_if 3 (i32.eqz (local.get $n)))
						(throw $other)))
				(br $again)))
		(func (export "two") (param i32) (result i32 i32)
			(local.get 0)
			(br_if 0 (i32.const 5) (i32.const 6) (i32.eqz (local.get 0)))
			(drop) (drop)
			(i32.const 8)))`
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		if !hasExceptions(engine) {
			t.Skip("the compiler has no exceptions")
		}
		store := newStore(t, engine)
		instance := instantiateIn(t, store, engine, text, nil)
		for _, c := range []struct {
			name    string
			arg     int
			results []any
			want    uint64
		}{
			// nop, local.get, if, end, nop, nop, end are 7; to the throw they are 5.
			{"call", 0, []any{int32(7)}, 4 + 7 + 3 + 4},
			{"call", 3, []any{int32(3)}, 4 + 5 + 2},
			{"out", 0, []any{int32(7)}, 3 + 7 + 2 + 2},
			{"out", 3, []any{int32(3)}, 3 + 5 + 1},
			// 10 to br_if, then throw, end, br; the last time loop's end is not reached, but the function's.
			{"loop", 3, []any{}, 2*(10+3) + 10 + 1},
			{"two", 0, []any{int32(5), int32(6)}, 7},
			{"two", 1, []any{int32(1), int32(8)}, 10},
		} {
			require.NoError(t, store.Meter().Reset())
			results := run(t, instance, c.name, c.arg)
			got := []any{}
			for _, v := range results {
				got = append(got, v.Go())
			}
			require.Equal(t, c.results, got, c.name)
			require.Equal(t, c.want, store.Meter().Instructions(), "%s(%d)", c.name, c.arg)
		}
	})
}

func TestMeteringCountsSIMD(t *testing.T) {
	costs, err := wasmer.NamedCosts(map[string]uint64{"v128.load": 5, "i32x4.add": 100, "v128.const": 1000, "i32x4.extract_lane": 7})
	require.NoError(t, err)
	text := `(module (memory 1) (func (export "f") (param i32) (result i32)
		(i32x4.extract_lane 0 (i32x4.add (v128.const i32x4 1 2 3 4) (v128.load (local.get 0))))))`
	eachMetered(t, wasmer.Metering{Costs: costs, CountInstructions: true}, func(t *testing.T, engine *wasmer.Engine) {
		if !hasSIMD(engine) {
			t.Skip("the compiler has no SIMD")
		}
		store := newStore(t, engine)
		instance := instantiateIn(t, store, engine, text, nil)
		require.EqualValues(t, 1, call(t, instance, "f", 16).ToI32())
		require.EqualValues(t, 1112, store.Meter().Used())
		require.EqualValues(t, 6, store.Meter().Instructions())
		require.NoError(t, store.Meter().Reset())
		require.ErrorIs(t, failing(t, instance, "f", -1), wasmer.TrapOutOfBounds)
		if isExact(t) {
			require.EqualValues(t, 1005, store.Meter().Used())
			require.EqualValues(t, 3, store.Meter().Instructions())
		}
	})
}
