package wasmer_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const referenceModules, hostCost = 250, 7

// TestMeteringMatchesTheReference runs random modules with each compiler and in each mode beside an interpreter that counts
// one instruction after the other.
func TestMeteringMatchesTheReference(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	costs := wasmer.CostTable{}
	for opcode := range wasmer.Opcode(256) {
		costs[opcode] = random.Uint64N(30)
	}
	costs[0xfc000a], costs[0xfc000b] = 100, 200
	meterings := []wasmer.Metering{
		{},
		{
			Costs: costs, CountInstructions: true,
			LengthCosts: wasmer.CostTable{0x40: 1000, 0xfc000a: 3, 0xfc000b: 1 << 40},
		},
	}
	eachCompiler(t, func(t *testing.T, plain *wasmer.Engine) {
		outcomes, modules := map[error]int{}, uint64(referenceModules)
		if plain.Compiler() == wasmer.LLVM {
			modules /= 8 // it takes 40 times as long for each
		}
		for _, metering := range meterings {
			for _, mode := range meteredModes {
				if mode == wasmer.MeteringExact && !countsExactly(plain.Compiler()) {
					continue
				}
				metering.Mode = mode
				engine := engineOf(t, plain, wasmer.EngineConfig{Metering: metering})
				for seed := range modules {
					compareWithReference(t, engine, metering, newReferenceModule(seed), seed, outcomes)
				}
			}
		}
		t.Log(outcomes)
		for _, trap := range []error{
			nil, wasmer.TrapUnreachable, wasmer.TrapOutOfBounds, wasmer.TrapDivisionByZero, wasmer.TrapIntegerOverflow,
			wasmer.TrapTableOutOfBounds, wasmer.TrapNullIndirectCall, wasmer.TrapBadSignature, wasmer.TrapBadConversion,
		} {
			if modules < referenceModules {
				break
			}
			require.Greater(t, outcomes[trap], 5, "%v: too few to prove anything", trap)
		}
	})
}

func compareWithReference(t *testing.T, engine *wasmer.Engine, metering wasmer.Metering, m *referenceModule, seed uint64, outcomes map[error]int) {
	t.Helper()
	module, err := engine.Compile(background, m.encode())
	require.NoError(t, err, "seed %d", seed)
	defer module.Close()
	store, err := wasmer.NewStore(engine)
	require.NoError(t, err)
	defer store.Close()
	meter := store.Meter()
	var seen [][2]uint64
	imports := wasmer.NewImports().FunctionWithCost("look", func() {
		seen = append(seen, [2]uint64{meter.Used(), meter.Instructions()})
	}, hostCost)
	instance, err := store.Instantiate(background, "", module, imports)
	require.NoError(t, err)
	machine := newReferenceMachine(m, metering, hostCost)
	for i, f := range m.functions {
		where := fmt.Sprintf("seed %d, f%d", seed, i+1)
		values := make([]any, 0, 3)
		var args []uint64
		for range m.types[f.typ].Params {
			values, args = append(values, 0), append(args, 0)
		}
		machine.variables[fuel] = 60
		require.NoError(t, exportedGlobal(t, instance, "g0").Set(60))
		seen, machine.seen = nil, nil

		results, err := function(t, instance, "f"+utoa(uint64(i+1))).Call(background, values...)
		want, trap := machine.call(i+1, args)
		outcomes[trap]++
		if trap != nil {
			require.ErrorIs(t, err, trap, where)
		} else {
			require.NoError(t, err, where)
			require.Len(t, results, len(want), where)
			for n, result := range results {
				bits := want[n]
				if result.Type() == ti32 {
					bits = uint64(uint32(bits))
				}
				require.Equal(t, bits, rawBits(result), where)
			}
		}
		if metering.Mode == wasmer.MeteringExact {
			require.Equal(t, machine.seen, seen, where)
		} else if trap != nil {
			return // a whole block has been paid
		}
		require.Equal(t, machine.used, meter.Used(), where)
		require.Equal(t, machine.instructions, meter.Instructions(), where)
	}
	require.Equal(t, machine.memory, instance.Memory.Data(), "seed %d", seed)
}

func rawBits(v wasmer.Value) uint64 {
	switch v.Type() {
	case ti32:
		return uint64(uint32(v.ToI32()))
	case ti64:
		return uint64(v.ToI64())
	}
	lo, _ := v.ToV128()
	return lo
}

// TestExactMeteringEndsWhereTheReferenceDoes gives random modules less than they need.
func TestExactMeteringEndsWhereTheReferenceDoes(t *testing.T) {
	metering := wasmer.Metering{Mode: wasmer.MeteringExact}
	eachCompiler(t, func(t *testing.T, plain *wasmer.Engine) {
		if !countsExactly(plain.Compiler()) {
			t.Skip("no exact metering")
		}
		engine := engineOf(t, plain, wasmer.EngineConfig{Metering: metering})
		random, ended := rand.New(rand.NewPCG(1, 2)), 0
		for seed := range uint64(40) {
			m := newReferenceModule(seed)
			module := compile(t, engine, m.encode())
			for range 5 {
				store := newStore(t, engine)
				imports := wasmer.NewImports().FunctionWithCost("look", func() {}, hostCost)
				instance, err := store.Instantiate(background, "", module, imports)
				require.NoError(t, err)
				machine := newReferenceMachine(m, metering, hostCost)
				machine.variables[fuel], machine.limit = 60, random.Uint64N(150)
				require.NoError(t, exportedGlobal(t, instance, "g0").Set(60))
				require.NoError(t, store.Meter().SetLimit(machine.limit))
				params := m.types[m.functions[0].typ].Params
				values := make([]any, len(params))
				for i := range values {
					values[i] = 0
				}
				_, err = function(t, instance, "f1").Call(background, values...)
				if _, trap := machine.call(1, make([]uint64, len(params))); trap != nil {
					require.ErrorIs(t, err, trap, "seed %d, limit %d", seed, machine.limit)
					if errors.Is(trap, wasmer.ErrCostLimit) {
						ended++
						require.LessOrEqual(t, store.Meter().Used(), machine.used)
						continue
					}
				} else {
					require.NoError(t, err)
				}
				require.Equal(t, machine.used, store.Meter().Used())
			}
		}
		require.Greater(t, ended, 50)
	})
}
