package conformance

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/tools"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// TestUniversalModulesRunEverywhere embeds the code of each compiler in modules, and runs the same bytes on that code, on
// code that is compiled anew, and on a runtime that knows nothing of it.
func TestUniversalModulesRunEverywhere(t *testing.T) {
	seeds := knownSeeds(t)[:60]
	modules, err := tools.Smith(seeds)
	require.NoError(t, err)

	var total coverage
	for i, universal := range modules {
		var subjects []suite.Engine
		for _, compiler := range wasmer.Compilers() {
			trusting := wasmerEngine{compiler: compiler, embedded: true}
			universal = embed(t, trusting, universal)
			subjects = append(subjects, wasmerEngine{compiler: compiler}, trusting)
		}
		require.NoError(t, compare(append(subjects, wazeroEngine{}), seeds[i], universal, &total))
	}
	t.Log(&total)
}

// embed gives the module with its code for the engine, and makes sure that it is used.
func embed(t *testing.T, e wasmerEngine, wasm []byte) []byte {
	t.Helper()
	store, err := e.Open("")
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	engine := store.(*wasmerStore).engine
	module, err := engine.Compile(context.Background(), wasm)
	require.NoError(t, err)
	defer module.Close()
	universal, err := module.Embed(wasm)
	require.NoError(t, err)

	compilations := engine.Stats().Compilations
	again, err := engine.Compile(context.Background(), universal)
	require.NoError(t, err)
	require.NoError(t, again.Close())
	require.Equal(t, compilations, engine.Stats().Compilations, "the embedded code is not used")
	return universal
}
