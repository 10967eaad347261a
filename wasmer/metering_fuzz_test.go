package wasmer_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// FuzzMetering sees that what compiles does so metered too, with the same imports and exports, and stays within the limit.
func FuzzMetering(f *testing.F) {
	seed(f, "*.wasm")
	engines := enginesForFuzz(f)
	metered := map[*wasmer.Engine][]*wasmer.Engine{}
	for _, engine := range engines {
		for _, mode := range meteredModes {
			if mode == wasmer.MeteringExact && !countsExactly(engine.Compiler()) {
				continue
			}
			metered[engine] = append(metered[engine], engineOf(f, engine, wasmer.EngineConfig{
				CompileThreads: 1,
				Metering: wasmer.Metering{
					Mode: mode, Limit: 10_000, LengthCosts: wasmer.CostTable{0x40: 1, 0xfc000a: 2, 0xfc000b: 3},
				},
			}))
		}
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if len(wasm) > 32<<10 {
			return
		}
		for _, engine := range engines {
			plain, err := engine.Compile(background, wasm)
			for _, other := range metered[engine] {
				module, otherErr := other.Compile(background, wasm)
				require.Equal(t, err == nil, otherErr == nil, "%v: %v, metered %v", engine.Compiler(), err, otherErr)
				if err != nil {
					continue
				}
				require.Equal(t, plain.Exports(), module.Exports())
				require.Equal(t, plain.Imports(), module.Imports())
				instantiateStubbed(t, module)
				require.NoError(t, module.Close())
			}
			if err == nil {
				require.NoError(t, plain.Close())
			}
		}
	})
}
