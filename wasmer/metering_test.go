package wasmer_test

import (
	"errors"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// meteredModes are those that count.
var meteredModes = []wasmer.MeteringMode{wasmer.MeteringBlock, wasmer.MeteringExact}

// countsExactly says that there is MeteringExact: LLVM's code has none.
func countsExactly(compiler wasmer.Compiler) bool { return compiler != wasmer.LLVM }

// finestMode is MeteringExact where the compiler has it.
func finestMode(compiler wasmer.Compiler) wasmer.MeteringMode {
	if countsExactly(compiler) {
		return wasmer.MeteringExact
	}
	return wasmer.MeteringBlock
}

func TestExactMeteringIsRefusedWhereCodeCannotDoIt(t *testing.T) {
	for _, compiler := range wasmer.Compilers() {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, Metering: wasmer.Metering{Mode: wasmer.MeteringExact}})
		if countsExactly(compiler) {
			require.NoError(t, err)
			require.NoError(t, engine.Close())
			continue
		}
		require.ErrorIs(t, err, wasmer.ErrUnsupported)
		require.ErrorContains(t, err, "MeteringBlock")
		_, err = wasmer.NewEngine(wasmer.EngineConfig{
			Compiler: wasmer.Tiered, Tiering: wasmer.Tiering{Optimizer: compiler}, Metering: wasmer.Metering{Mode: wasmer.MeteringExact},
		})
		require.ErrorIs(t, err, wasmer.ErrUnsupported)
	}
}

func eachMetered(t *testing.T, metering wasmer.Metering, test func(t *testing.T, engine *wasmer.Engine)) {
	t.Helper()
	eachCompiler(t, func(t *testing.T, plain *wasmer.Engine) {
		for _, mode := range meteredModes {
			if mode == wasmer.MeteringExact && !countsExactly(plain.Compiler()) {
				continue
			}
			t.Run(mode.String(), func(t *testing.T) {
				metering.Mode = mode
				test(t, engineOf(t, plain, wasmer.EngineConfig{Metering: metering}))
			})
		}
	})
}

func fixture(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile("../testdata/" + name)
	require.NoError(t, err)
	return string(data)
}

func TestMeterCountsFibonacci(t *testing.T) {
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		fib := instantiateIn(t, store, engine, fixture(t, "fib.wat"), nil)
		for n, want := range map[int]uint64{1: 6, 2: 27, 20: 229851, 21: 371916, 25: 2549238, 30: 28271634} {
			require.NoError(t, store.Meter().Reset())
			run(t, fib, "fib", n)
			require.Equal(t, want, store.Meter().Instructions(), "fib(%d)", n)
			require.Equal(t, want, store.Meter().Used(), "fib(%d)", n)
		}
	})
}

// The table of the WasmEdge documentation, and what it makes of fib.
func TestCostTable(t *testing.T) {
	costs, err := wasmer.NewCostTable(0, 0, 10, 11, 12, 12, 0, 0, 0, 0, 0, 0, 20, 21, 22, 0)
	require.NoError(t, err)
	eachMetered(t, wasmer.Metering{Costs: costs, Limit: 5_000_000}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		meter := store.Meter()
		fib := instantiateIn(t, store, engine, fixture(t, "fib.wat"), nil)
		run(t, fib, "fib", 26)
		require.EqualValues(t, 4714020, meter.Used())
		require.EqualValues(t, 5_000_000-4714020, meter.Remaining())
		require.Zero(t, meter.Instructions(), "they are not counted")

		require.NoError(t, meter.Reset())
		err := failing(t, fib, "fib", 27)
		require.ErrorIs(t, err, wasmer.ErrCostLimit)
		require.NotErrorIs(t, err, wasmer.TrapUnreachable)
		require.ErrorContains(t, err, "cost limit exceeded")
		require.EqualValues(t, 4999992, meter.Used(), "the last multiple of 12")
		require.EqualValues(t, 5_000_000, meter.Limit())

		require.NoError(t, meter.Reset())
		require.NoError(t, meter.SetLimit(7627452))
		run(t, fib, "fib", 27)
		require.Zero(t, meter.Remaining())
	})
}

func TestInstructionsAreCountedBesidesTheirCost(t *testing.T) {
	costs, err := wasmer.NamedCosts(map[string]uint64{"call": 1000, "i32.add": 1})
	require.NoError(t, err)
	require.Equal(t, wasmer.CostTable{0x10: 1000, 0x6a: 1}, costs)
	eachMetered(t, wasmer.Metering{Costs: costs, CountInstructions: true}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		fib := instantiateIn(t, store, engine, fixture(t, "fib.wat"), nil)
		run(t, fib, "fib", 20)
		require.EqualValues(t, 229851, store.Meter().Instructions())
		require.EqualValues(t, 10945*2001, store.Meter().Used())
	})
}

func TestNothingIsCountedWithoutMetering(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		fib := instantiateIn(t, store, engine, fixture(t, "fib.wat"), nil)
		require.NoError(t, store.Meter().SetLimit(1))
		run(t, fib, "fib", 20)
		require.Zero(t, store.Meter().Used())
		require.Zero(t, fib.Meter().Instructions())
	})
}

// Each function traps with its third instruction after as many as its name says, the call included.
var trapping = map[string]error{
	`(func (export "5") (unreachable) (nop))`:                                               wasmer.TrapUnreachable,
	`(func (export "1") (drop (i32.div_u (i32.const 1) (i32.const 0))) (nop))`:              wasmer.TrapDivisionByZero,
	`(func (export "2") (drop (i32.load (i32.const -1))) (nop) (nop))`:                      wasmer.TrapOutOfBounds,
	`(func (export "3") (i64.store (i32.const 65529) (i64.const 1)) (nop))`:                 wasmer.TrapOutOfBounds,
	`(func (export "4") (drop (i32.trunc_f32_u (f32.const nan))) (nop))`:                    wasmer.TrapBadConversion,
	`(func (export "6") (call_indirect (i32.const 9)) (nop))`:                               wasmer.TrapTableOutOfBounds,
	`(func (export "7") (drop (table.get (i32.const 9))) (nop))`:                            wasmer.TrapTableOutOfBounds,
	`(func (export "8") (memory.fill (i32.const 1) (i32.const 1) (i32.const -1)) (nop))`:    wasmer.TrapOutOfBounds,
	`(func (export "9") (call_indirect (i32.const 0)) (nop))`:                               wasmer.TrapNullIndirectCall,
	`(func (export "10") (call_indirect (param i32) (i32.const 0) (i32.const 1)) (nop))`:    wasmer.TrapBadSignature,
	`(func (export "11") (drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1))))`: wasmer.TrapIntegerOverflow,
}

var trappingCounts = map[string]uint64{
	"5": 1, "1": 3, "2": 2, "3": 3, "4": 2, "6": 2, "7": 2, "8": 4, "9": 2, "10": 3, "11": 3,
}

func TestExactMeteringIsRightAtEachTrap(t *testing.T) {
	eachCompiler(t, func(t *testing.T, plain *wasmer.Engine) {
		if !countsExactly(plain.Compiler()) {
			t.Skip("no exact metering")
		}
		engine := engineOf(t, plain, wasmer.EngineConfig{Metering: wasmer.Metering{Mode: wasmer.MeteringExact}})
		for text, trap := range trapping {
			store := newStore(t, engine)
			text = `(module (memory 1) (table 2 funcref) (elem (i32.const 1) func $f) (func $f) ` + text + `)`
			instance := instantiateIn(t, store, engine, text, nil)
			name := instance.List(wasmer.ExternFunction)[0].Name
			require.ErrorIs(t, failing(t, instance, name), trap, text)
			require.Equal(t, trappingCounts[name], store.Meter().Instructions(), text)
			require.Equal(t, trappingCounts[name], store.Meter().Used(), text)
		}
	})
}

const countdown = `(module
  (import "env" "look" (func $look))
  (global (export "done") (mut i32) (i32.const 0))
  (func (export "run") (param $n i32)
    (loop $again
      (call $look)
      (global.set 0 (i32.add (global.get 0) (i32.const 1)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (if (i32.eqz (local.get $n)) (then (nop)))))`

// With every limit from nothing to enough, the guest stays within it, stops with the right error, and can go on.
func TestNoLimitIsExceeded(t *testing.T) {
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		meter := store.Meter()
		var most uint64
		imports := wasmer.NewImports().FunctionWithCost("look", func() { most = max(most, meter.Used()) }, 5)
		instance := instantiateIn(t, store, engine, countdown, imports)
		run(t, instance, "run", 3)
		const want = 3*(1+1+5+4+5) + 7 // loop, call and its cost, done, n and br_if; end, the if, and the end
		require.EqualValues(t, want, meter.Used())
		require.EqualValues(t, want-3*5, meter.Instructions())
		inside := 0
		for limit := range uint64(want) {
			require.NoError(t, meter.Reset())
			require.NoError(t, meter.SetLimit(limit))
			most = 0
			err := failing(t, instance, "run", 3)
			require.ErrorIs(t, err, wasmer.ErrCostLimit, "limit %d", limit)
			var trap *wasmer.Trap
			require.ErrorAs(t, err, &trap)
			if len(trap.Frames) > 0 { // it was not the host function that cost too much
				require.EqualValues(t, 1, trap.Frames[0].FunctionIndex)
				inside++
			}
			require.LessOrEqual(t, most, limit)
			require.LessOrEqual(t, meter.Used(), limit)
			require.Equal(t, limit-meter.Used(), meter.Remaining())

			require.NoError(t, meter.Grant(1000))
			used := meter.Used()
			run(t, instance, "run", 3)
			require.EqualValues(t, want, meter.Used()-used)
		}
		if engine.Compiler() == wasmer.LLVM {
			require.Equal(t, want, inside) // its code has frames in calls of host functions too
		} else {
			require.Equal(t, want-3*5, inside)
		}
		require.NoError(t, meter.Reset())
		require.NoError(t, meter.SetLimit(want))
		run(t, instance, "run", 3)
		require.Zero(t, meter.Remaining())
	})
}

// A guest's own unreachable is not taken for the meter's, wherever the limit is.
func TestUnreachableAtTheLimit(t *testing.T) {
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		instance := instantiateIn(t, store, engine, `(module (func (export "f") (nop) (unreachable)))`, nil)
		for limit, want := range []error{wasmer.ErrCostLimit, wasmer.ErrCostLimit, wasmer.TrapUnreachable, wasmer.TrapUnreachable} {
			for _, other := range []error{wasmer.ErrCostLimit, wasmer.TrapUnreachable} {
				require.NoError(t, store.Meter().Reset())
				require.NoError(t, store.Meter().SetLimit(uint64(limit)))
				require.Equal(t, want == other, errors.Is(failing(t, instance, "f"), other), "limit %d", limit)
			}
		}
	})
}

func TestLengthsCost(t *testing.T) {
	lengths := wasmer.CostTable{}
	for _, name := range []string{
		"memory.fill", "memory.copy", "memory.init", "memory.grow", "table.fill", "table.copy", "table.init", "table.grow",
	} {
		opcode, err := wasmer.OpcodeOf(name)
		require.NoError(t, err)
		require.Equal(t, name, opcode.String())
		lengths[opcode] = 10
	}
	lengths[0xfc000a] = 1 << 63
	text := `(module (memory (export "memory") 1) (table 20 funcref) (elem func $f $f) (data "hello") (func $f)
		(func (export "memory.fill") (param i32) (memory.fill (i32.const 0) (i32.const 0) (local.get 0)))
		(func (export "memory.init") (param i32) (memory.init 0 (i32.const 0) (i32.const 0) (local.get 0)))
		(func (export "memory.grow") (param i32) (drop (memory.grow (local.get 0))))
		(func (export "table.fill") (param i32) (table.fill 0 (i32.const 0) (ref.null func) (local.get 0)))
		(func (export "table.copy") (param i32) (table.copy (i32.const 0) (i32.const 0) (local.get 0)))
		(func (export "table.init") (param i32) (table.init 0 0 (i32.const 0) (i32.const 0) (local.get 0)))
		(func (export "table.grow") (param i32) (drop (table.grow (ref.null func) (local.get 0))))
		(func (export "memory.copy") (param i32) (memory.copy (i32.const 0) (i32.const 0) (local.get 0))))`
	eachMetered(t, wasmer.Metering{LengthCosts: lengths}, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		meter := store.Meter()
		instance := instantiateIn(t, store, engine, text, nil)
		for _, f := range instance.List(wasmer.ExternFunction) {
			require.NoError(t, meter.Reset())
			require.NoError(t, meter.SetLimit(math.MaxUint64))
			run(t, instance, f.Name, 0)
			count := meter.Instructions()
			require.Equal(t, meter.Used(), count, f.Name)
			run(t, instance, f.Name, 1)
			if f.Name == "memory.copy" {
				require.Equal(t, uint64(1<<63)+2*count, meter.Used())
			} else {
				require.Equal(t, 2*count+10, meter.Used(), f.Name)
			}
			require.Equal(t, 2*count, meter.Instructions(), f.Name)
		}
		require.NoError(t, meter.Reset())
		require.NoError(t, meter.SetLimit(1_000_000))
		before := slices.Clone(instance.Memory.Data())
		require.ErrorIs(t, failing(t, instance, "memory.fill", -1), wasmer.ErrCostLimit)
		require.ErrorIs(t, failing(t, instance, "memory.copy", 2), wasmer.ErrCostLimit)
		require.ErrorIs(t, failing(t, instance, "memory.grow", 1_000_000), wasmer.ErrCostLimit)
		require.Equal(t, before, instance.Memory.Data())
		require.Less(t, meter.Used(), uint64(30))
	})
}
