package wasmer_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestAnInstanceClosedInItsStartFunctionIsFreed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "f" (func $f)) (memory 1) (start $f))`)
		imports := wasmer.NewImports().Function("f", func(c *wasmer.Caller) { _ = c.Instance().Close() })
		before := mappings()
		var kept []*wasmer.Instance
		for range 200 {
			instance, _ := module.InstantiateWithImports(imports)
			_ = instance.Close()
			kept = append(kept, instance)
		}
		require.Less(t, mappings(), before+150)
		runtime.KeepAlive(kept)
	})
}

func TestMappingsStayFewWhenMemoriesAreShown(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, limits := range []string{"1", "1 2", "1 2 shared"} {
			module := compile(t, engine, `(module (memory (export "memory") `+limits+`))`)
			before := mappings()
			for range 3000 {
				instance, err := module.Instantiate()
				require.NoError(t, err)
				require.Len(t, instance.Memory.Data(), wasmer.PageSize)
				require.NoError(t, instance.Close())
			}
			require.Less(t, mappings(), before+300, "memory %s", limits)
		}
	})
}

func TestClosingAMemoryOfAnInstancesStoreLeavesTheInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (func (export "f")))`, nil)
		memory, err := instance.Store().NewMemory(1, 1)
		require.NoError(t, err)
		require.NoError(t, memory.Close())
		_, err = instance.Exports["f"]()
		require.NoError(t, err)
	})
}
