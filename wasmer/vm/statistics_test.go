package vm_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

func TestF051F055InstructionsAreCountedExactly(t *testing.T) {
	for _, compiler := range wasmer.Compilers() {
		v := newVM(t, vm.Config{Engine: wasmer.EngineConfig{Compiler: compiler}, Statistics: vm.StatisticsConfig{Instructions: true}})
		ready(t, v, string(fibonacci))
		var sum uint64
		for n, count := range map[int]uint64{20: 229851, 21: 371916, 25: 2549238, 30: 28271634} {
			require.NoError(t, second(v.Execute(background, "fib", n)))
			sum += count
			require.Equal(t, sum, v.Statistics().Instructions, "they add up")
		}
		require.Zero(t, v.Statistics().Cost, "F059: off")
		require.Zero(t, v.Statistics().WasmTime)
		require.Equal(t, uint64(4), v.Statistics().Calls)
	}
}

func TestF053F054F056TimesAreMeasured(t *testing.T) {
	v := newVM(t, vm.Config{Statistics: vm.StatisticsConfig{Instructions: true, Time: true}})
	require.Equal(t, wasmer.InstanceStats{}, v.Statistics())
	require.NoError(t, second(v.RunBytes(background, fibonacci, "fib", 25)))
	stats := v.Statistics()
	require.Positive(t, stats.WasmTime)
	require.Zero(t, stats.HostTime)
	require.InEpsilon(t, 2549238/stats.WasmTime.Seconds(), stats.InstructionsPerSecond(), 1e-9)
	off := newVM(t, vm.Config{})
	require.NoError(t, second(off.RunBytes(background, fibonacci, "fib", 25)))
	require.Equal(t, wasmer.InstanceStats{Calls: 1}, off.Statistics(), "what is off is zero")
}

// documented is the table of WasmEdge's documents.
func documented() wasmer.CostTable {
	return wasmer.Must(wasmer.NewCostTable(0, 0, 10, 11, 12, 12, 0, 0, 0, 0, 0, 0, 20, 21, 22, 0))
}

func TestF052F057F058F059CostsAndTheirLimit(t *testing.T) {
	v := newVM(t, vm.Config{Statistics: vm.StatisticsConfig{Cost: true, Costs: documented(), CostLimit: 5_000_000}})
	require.NoError(t, second(v.RunBytes(background, fibonacci, "fib", 26)))
	require.Equal(t, uint64(4714020), v.Statistics().Cost)
	require.Zero(t, v.Statistics().Instructions, "off")
	err := second(v.Execute(background, "fib", 27))
	require.ErrorIs(t, err, wasmer.ErrCostLimit)
	require.ErrorContains(t, err, "cost limit exceeded")
	require.LessOrEqual(t, v.Statistics().Cost, uint64(5_000_000), "the sum does not go beyond the limit")
	fresh := newVM(t, vm.Config{Statistics: vm.StatisticsConfig{Cost: true, Costs: documented(), CostLimit: 5_000_000}})
	require.ErrorIs(t, second(fresh.RunBytes(background, fibonacci, "fib", 27)), wasmer.ErrCostLimit)

	uniform := newVM(t, vm.Config{Statistics: vm.StatisticsConfig{Cost: true, Instructions: true}})
	require.NoError(t, second(uniform.RunBytes(background, fibonacci, "fib", 20)))
	require.Equal(t, uint64(229851), uniform.Statistics().Cost, "without a table each costs 1")
	require.Equal(t, uint64(229851), uniform.Statistics().Instructions)
}

// The limit is for all calls together, also when instances are replaced.
func TestF058TheLimitGoesOnWithTheNextInstance(t *testing.T) {
	v := newVM(t, vm.Config{Statistics: vm.StatisticsConfig{Cost: true, CostLimit: 2 * 229851}})
	for i := range 2 {
		require.NoError(t, second(v.RunBytes(background, fibonacci, "fib", 20)))
		require.Equal(t, uint64(i+1)*229851, v.Statistics().Cost)
	}
	require.ErrorIs(t, second(v.RunBytes(background, fibonacci, "fib", 20)), wasmer.ErrCostLimit)
	require.NoError(t, v.Store().Meter().Grant(1_000_000))
	require.NoError(t, second(v.Execute(background, "fib", 20)))
}

func TestF104HostFunctionsHaveCosts(t *testing.T) {
	v := newVM(t, vm.Config{Statistics: vm.StatisticsConfig{Cost: true, Costs: documented()}, HostModules: []wasmer.HostModule{
		wasmer.NewImports().Namespace("extern").FunctionWithCost("func-add", func(a, b int32) int32 { return a + b }, 100),
	}})
	require.NoError(t, second(v.RunBytes(background, addTwo, "addTwo", 1, 2)))
	require.Equal(t, uint64(100), v.Statistics().Cost)
	require.NoError(t, second(v.ExecuteRegistered(background, "extern", "func-add", 1, 2)))
	require.Equal(t, uint64(200), v.Statistics().Cost, "also when they are called directly")
}

func TestF054VMsOnOneStoreShareTheMeter(t *testing.T) {
	config := vm.StatisticsConfig{Instructions: true}
	one := newVM(t, vm.Config{Statistics: config})
	store := one.Store()
	two := newVM(t, vm.Config{Store: store, Statistics: config})
	require.NoError(t, second(one.RunBytes(background, fibonacci, "fib", 20)))
	late := newVM(t, vm.Config{Store: store, Statistics: config})
	require.NoError(t, second(two.RunBytes(background, fibonacci, "fib", 20)))
	require.Equal(t, uint64(2*229851), one.Statistics().Instructions)
	require.Equal(t, uint64(2*229851), two.Statistics().Instructions)
	require.Equal(t, uint64(229851), late.Statistics().Instructions, "from its beginning on")
	require.Equal(t, uint64(1), two.Statistics().Calls, "calls are its own")
	require.NoError(t, two.Cleanup())
	require.Zero(t, two.Statistics().Instructions)
}
