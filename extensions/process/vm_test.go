package process_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/process"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// A VM has the module if its configuration does, and what is allowed can be said later, as for WasmEdge's GetImportModule and
// InitWasmEdgeProcess. Without it the plug-in allows nothing, and if that is forbidden there is a mock.
func TestF044F075AVMHasTheProcessModule(t *testing.T) {
	module := process.New(process.Config{})
	v := vm.New(vm.Config{HostModules: []wasmer.HostModule{module}})
	defer v.Close()
	require.NoError(t, v.Err())
	require.Contains(t, v.Registered(), "wasmedge_process")
	ctx := t.Context()
	source := []byte(`(module ` + imports + `
		(memory (export "memory") 1) (data (i32.const 8) "true")
		(func (export "f") (result i32) (call $name (i32.const 8) (i32.const 4)) (call $run)))`)
	result, err := v.RunBytes(ctx, source, "f")
	require.NoError(t, err)
	require.EqualValues(t, process.NotRun, result[0].ToI32(), "nothing is allowed")
	module.Allow([]string{"true"}, false)
	result, err = v.Execute(ctx, "f")
	require.NoError(t, err)
	require.Zero(t, result[0].ToI32())

	plugin := vm.New(vm.Config{})
	defer plugin.Close()
	result, err = plugin.RunBytes(ctx, source, "f")
	require.NoError(t, err)
	require.EqualValues(t, process.NotRun, result[0].ToI32())

	without := vm.New(vm.Config{ForbiddenPlugins: []string{"wasmedge_process"}})
	defer without.Close()
	_, err = without.RunBytes(ctx, source, "f")
	var missing *wasmer.MissingPluginError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "wasmedge_process", missing.Plugin)
}
