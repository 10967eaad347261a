package wasmer_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestHostFunctionsCost(t *testing.T) {
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		meter := store.Meter()
		nothing := func(context.Context, *wasmer.Caller, []wasmer.Value) ([]wasmer.Value, error) { return nil, nil }
		made, err := store.NewFunction(wasmer.FunctionType{}, nothing, 100)
		require.NoError(t, err)
		_, err = made.Call(background)
		require.NoError(t, err)
		require.Zero(t, meter.Used(), "nothing is metered yet")

		charged := wasmer.NewImports().Extern("env", "made", made).
			FunctionWithCost("own", func() {}, 1000).
			FunctionWithCost("work", func(c *wasmer.Caller, n uint64) error { return c.Store().Meter().Charge(n) }, 1)
		text := `(module
			(import "env" "made" (func $made)) (import "env" "own" (func $own)) (import "env" "work" (func $work (param i64)))
			(export "reexported" (func $own)) (table 1 funcref) (elem (i32.const 0) func $made)
			(func (export "call") (call $made) (call $own))
			(func (export "indirect") (call_indirect (i32.const 0)))
			(func (export "work") (param i64) (call $work (local.get 0))))`
		instance := instantiateIn(t, store, engine, text, charged)
		for name, want := range map[string]uint64{"call": 3 + 1100, "indirect": 3 + 100, "reexported": 1000} {
			require.NoError(t, meter.Reset())
			run(t, instance, name)
			require.Equal(t, want, meter.Used(), name)
			require.Equal(t, want%100, meter.Instructions(), name)
		}
		require.NoError(t, meter.Reset())
		require.NoError(t, meter.SetLimit(50))
		_, err = made.Call(background)
		require.ErrorIs(t, err, wasmer.ErrCostLimit)
		require.Zero(t, meter.Used())
		run(t, instance, "work", 40)
		require.EqualValues(t, 44, meter.Used())
		require.EqualValues(t, 3, meter.Instructions())
		err = failing(t, instance, "work", 40)
		require.ErrorIs(t, err, wasmer.ErrCostLimit)
		want := uint64(48)
		if isExact(t) {
			want-- // without the end
		}
		require.Equal(t, want, meter.Used())
		require.ErrorIs(t, meter.Charge(51-want), wasmer.ErrCostLimit)
		require.NoError(t, meter.Charge(50-want))
		require.Zero(t, meter.Remaining())
		require.NoError(t, meter.Grant(math.MaxUint64))
		require.EqualValues(t, uint64(math.MaxUint64), meter.Limit())
		require.ErrorIs(t, failing(t, instance, "work", -1), wasmer.ErrCostLimit, "more than there is")
		require.Less(t, meter.Used(), uint64(100))
	})
}

const startModule = `(module (import "env" "look" (func $look)) (memory 1)
	(func $start (call $look) (call $look) (drop (i32.load (i32.const -1)))) (start $start))`

func TestStartFunctionsAreMetered(t *testing.T) {
	eachMetered(t, wasmer.Metering{Limit: 3}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		require.EqualValues(t, 3, store.Meter().Limit())
		imports := wasmer.NewImports().FunctionWithCost("look", func() {}, 1)
		_, err := store.Instantiate(background, "", compile(t, engine, startModule), imports)
		require.ErrorIs(t, err, wasmer.ErrCostLimit)
		require.LessOrEqual(t, store.Meter().Used(), uint64(3))

		require.NoError(t, store.Meter().Reset())
		require.NoError(t, store.Meter().SetLimit(100))
		_, err = store.Instantiate(background, "", compile(t, engine, startModule), imports)
		require.ErrorIs(t, err, wasmer.TrapOutOfBounds)
		want := uint64(6)
		if isExact(t) {
			want = 4
		}
		require.Equal(t, want, store.Meter().Instructions())
		require.Equal(t, want+2, store.Meter().Used())

		_, err = wasmer.Instantiate(background, compile(t, engine, startModule), imports)
		require.ErrorIs(t, err, wasmer.ErrCostLimit, "the limit is each store's")

		require.NoError(t, store.Close())
		require.Equal(t, want+2, store.Meter().Used(), "it can be read after Close")
		require.ErrorIs(t, store.Meter().Reset(), wasmer.ErrClosed)
		require.ErrorIs(t, store.Meter().SetLimit(1), wasmer.ErrClosed)
	})
}

// isExact tells the mode of a subtest of eachMetered.
func isExact(t *testing.T) bool { return strings.HasSuffix(t.Name(), "/exact") }

func TestLinkedInstancesShareTheMeter(t *testing.T) {
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		lib := instantiateNamed(t, store, engine, "lib", `(module (global (export "g") (mut i32) (i32.const 5))
			(table (export "t") 1 funcref) (elem (i32.const 0) func $f)
			(func $f (export "f") (result i32) (i32.add (global.get 0) (i32.const 1))))`)
		main := instantiateNamed(t, store, engine, "main", `(module (import "lib" "f" (func $f (result i32)))
			(import "lib" "t" (table 1 funcref)) (import "lib" "g" (global $g (mut i32)))
			(global $own (export "own") (mut i64) (i64.const 7)) (global (export "second") i32 (i32.const 8))
			(export "g" (global $g))
			(func (export "run") (result i32)
				(global.set $own (i64.add (global.get $own) (i64.const 1)))
				(global.set $g (i32.const 41))
				(drop (call $f)) (call_indirect (result i32) (i32.const 0))))`)
		require.EqualValues(t, 42, call(t, main, "run").ToI32())
		require.EqualValues(t, 10+2*4+1, store.Meter().Used())
		require.Same(t, lib.Meter(), main.Meter())
		for name, want := range map[string]int64{"own": 8, "second": 8, "g": 41} {
			got := value(t, exportedGlobal(t, main, name))
			require.EqualValues(t, want, got.Go(), name)
		}
		// Unmetered code costs nothing, code that costs something else is refused.
		plain := engineOf(t, engine, wasmer.EngineConfig{})
		used := store.Meter().Used()
		run(t, instantiateNamed(t, store, plain, "plain", `(module (func (export "f")))`), "f")
		require.Equal(t, used, store.Meter().Used())
		other := engineOf(t, engine, wasmer.EngineConfig{
			Metering: wasmer.Metering{Mode: wasmer.MeteringBlock, Costs: wasmer.CostTable{}},
		})
		_, err := store.Instantiate(background, "", compile(t, other, `(module)`), nil)
		require.ErrorIs(t, err, wasmer.ErrUnsupported)
	})
}

// A guest finds nothing of the meter, whatever it calls its own.
func TestTheMeterIsHidden(t *testing.T) {
	text := `(module
		(import "wasmer" "remaining_points" (global $a (mut i64)))
		(import "" "" (global $b (mut i64)))
		(global $c (export "wasmer_metering_remaining_points") (mut i64) (i64.const 1))
		(global $d (export "") (mut i64) (i64.const 2))
		(func (export "spend") (global.set $a (i64.const 0)) (global.set $b (i64.const 0))
			(global.set $c (i64.const 0)) (global.set $d (i64.const 0))))`
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		module := compile(t, engine, text)
		plain := compile(t, engineOf(t, engine, wasmer.EngineConfig{}), text)
		require.Equal(t, plain.Imports(), module.Imports())
		require.Equal(t, plain.Exports(), module.Exports())
		i64 := wasmer.GlobalType{Value: wasmer.ValueTypeI64, Mutable: true}
		imports := wasmer.NewImports()
		for _, name := range []string{"wasmer", ""} {
			global := store.NewGlobal(i64, 5)
			imports.Global(name, map[string]string{"wasmer": "remaining_points"}[name], global)
		}
		instance, err := store.Instantiate(background, "", module, imports)
		require.NoError(t, err)
		require.NoError(t, store.Meter().SetLimit(20))
		run(t, instance, "spend")
		require.EqualValues(t, 9, store.Meter().Used())
		for _, name := range []string{"wasmer_metering_remaining_points", ""} {
			require.Zero(t, value(t, exportedGlobal(t, instance, name)).ToI64())
		}
		require.NoError(t, exportedGlobal(t, instance, "").Set(-1))
		require.EqualValues(t, 11, store.Meter().Remaining())
		// One past the module's own globals is invalid still.
		require.Error(t, engine.Validate([]byte(`(module (global i32 (i32.const 0)) (func (drop (global.get 1))))`)))
	})
}

func TestArtifactsKeepTheirMetering(t *testing.T) {
	fib := fixture(t, "fib.wat")
	costs := wasmer.CostTable{0x10: 2}
	configs := []wasmer.Metering{
		{}, {Mode: wasmer.MeteringBlock}, {Mode: wasmer.MeteringExact}, {Mode: wasmer.MeteringExact, Costs: costs},
		{Mode: wasmer.MeteringExact, Costs: wasmer.CostTable{0x10: 3}},
		{Mode: wasmer.MeteringExact, Costs: costs, CountInstructions: true},
		{Mode: wasmer.MeteringExact, LengthCosts: wasmer.CostTable{0x40: 1}},
	}
	eachCompiler(t, func(t *testing.T, plain *wasmer.Engine) {
		configs := configs
		if !countsExactly(plain.Compiler()) {
			configs = configs[:2]
		}
		for i, config := range configs {
			artifact, err := compile(t, engineOf(t, plain, wasmer.EngineConfig{Metering: config}), fib).Serialize()
			require.NoError(t, err)
			for j, other := range configs {
				other.Limit = 1 << 40 // which is not part of the code
				engine := engineOf(t, plain, wasmer.EngineConfig{Metering: other})
				module, err := engine.Deserialize(background, artifact)
				if i != j {
					require.ErrorIs(t, err, wasmer.ErrIncompatible, "%v %v", config, other)
					continue
				}
				require.NoError(t, err)
				store := newStore(t, engine)
				instance, err := store.Instantiate(background, "", module, nil)
				require.NoError(t, err)
				require.NoError(t, module.Close())
				run(t, instance, "fib", 20)
				want := map[int]uint64{1: 229851, 2: 229851, 3: 10945 * 4, 4: 10945 * 6, 5: 10945 * 4, 6: 229851}[i]
				require.Equal(t, want, store.Meter().Used())
				if i != 3 && i != 4 && i != 0 {
					require.EqualValues(t, 229851, store.Meter().Instructions())
				}
			}
		}
	})
}

// Imports with several results add globals too.
func TestMeteringWithOtherAddedGlobals(t *testing.T) {
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		text := `(module (import "env" "two" (func $two (result i32 i64)))
			(import "env" "g" (global $g i32))
			(global $own (mut i32) (global.get $g)) (export "own" (global $own))
			(func (export "f") (result i32 i64) (global.set $own (i32.add (global.get $own) (i32.const 1))) (call $two)))`
		for _, serialized := range []bool{false, true} {
			module := compile(t, engine, text)
			if serialized {
				artifact, err := module.Serialize()
				require.NoError(t, err)
				module, err = engine.Deserialize(background, artifact)
				require.NoError(t, err)
				defer module.Close()
			}
			store := newStore(t, engine)
			global := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32}, 10)
			imports := wasmer.NewImports().FunctionWithCost("two", func() (int32, int64) { return 7, 8 }, 30).Global("env", "g", global)
			instance, err := store.Instantiate(background, "", module, imports)
			require.NoError(t, err)
			results := run(t, instance, "f")
			require.Equal(t, []any{int32(7), int64(8)}, []any{results[0].Go(), results[1].Go()})
			require.EqualValues(t, 11, value(t, exportedGlobal(t, instance, "own")).ToI32())
			require.EqualValues(t, 6, store.Meter().Instructions())
			require.EqualValues(t, 36, store.Meter().Used())
		}
	})
}

func TestMeteringIsChecked(t *testing.T) {
	_, err := wasmer.NewEngine(wasmer.EngineConfig{Metering: wasmer.Metering{Mode: 3}})
	require.ErrorContains(t, err, "Metering.Mode")
	_, err = wasmer.NewEngine(wasmer.EngineConfig{Metering: wasmer.Metering{LengthCosts: wasmer.CostTable{0x6a: 1}}})
	require.ErrorContains(t, err, "i32.add")
	_, err = wasmer.NamedCosts(map[string]uint64{"i32.plus": 1})
	require.ErrorIs(t, err, wasmer.ErrNotFound)
	require.ErrorContains(t, err, "i32.plus")
	_, err = wasmer.NewCostTable(make([]uint64, 257)...)
	require.Error(t, err)
	require.Equal(t, "Opcode(0xff)", wasmer.Opcode(0xff).String())
	require.Equal(t, "MeteringMode(9)", wasmer.MeteringMode(9).String())
	require.True(t, errors.Is(wasmer.TrapCostLimit, wasmer.ErrCostLimit))
}

// The meter can be read by others while a guest runs, and never goes back.
func TestTheMeterIsReadWhileAGuestRuns(t *testing.T) {
	eachMetered(t, wasmer.Metering{Limit: 100_000_000}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		meter := store.Meter()
		instance := instantiateIn(t, store, engine, `(module (func (export "f") (loop (br 0))))`, nil)
		f, done := function(t, instance, "f"), make(chan error)
		go func() {
			_, err := f.Call(background)
			done <- err
		}()
		last, changes := uint64(0), 0
		for meter.Remaining() > 1 {
			used := meter.Used()
			require.GreaterOrEqual(t, used, last)
			require.LessOrEqual(t, used, meter.Limit())
			if used != last {
				changes++
			}
			last = used
		}
		require.ErrorIs(t, <-done, wasmer.ErrCostLimit)
		if engine.Compiler() != wasmer.LLVM { // its code may keep the count in a register, or know it without the loop
			require.Positive(t, changes)
		}
	})
}
