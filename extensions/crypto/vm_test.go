package crypto_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/crypto"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// A VM has all five modules if its configuration does, or the plug-in is not forbidden; otherwise there are mocks.
func TestF044F077AVMHasTheFiveModules(t *testing.T) {
	v := vm.New(vm.Config{HostModules: []wasmer.HostModule{crypto.New(crypto.Config{})}})
	defer v.Close()
	require.NoError(t, v.Err())
	source := []byte(`(module
		(import "wasi_ephemeral_crypto_symmetric" "symmetric_state_open" (func $open (param i32 i32 i32 i32 i32) (result i32)))
		(memory (export "memory") 1) (data (i32.const 0) "SHA-256\00\01")
		(func (export "f") (result i32) (call $open (i32.const 0) (i32.const 7) (i32.const 8) (i32.const 8) (i32.const 16))))`)
	result, err := v.RunBytes(t.Context(), source, "f")
	require.NoError(t, err)
	require.Zero(t, result[0].ToI32(), "success")
	for name, module := range functions {
		instance, err := v.RegisteredInstance(name)
		require.NoError(t, err)
		require.Len(t, instance.List(wasmer.ExternFunction), len(module), name)
	}

	without := vm.New(vm.Config{ForbiddenPlugins: []string{"wasi_crypto"}})
	defer without.Close()
	_, err = without.RunBytes(t.Context(), source, "f")
	var missing *wasmer.MissingPluginError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "wasi_crypto", missing.Plugin)
}

// Whoever imports the package has its modules as those of a plug-in, and VMs have them.
func Example_plugin() {
	for _, name := range wasmer.ListPlugins() {
		fmt.Println("Loaded plug-in name: ", name)
	}
	for _, name := range wasmer.FindPlugin("wasi_crypto").Modules() {
		fmt.Println("Available module: ", name)
	}
	// Output:
	// Loaded plug-in name:  wasi_crypto
	// Available module:  wasi_ephemeral_crypto_asymmetric_common
	// Available module:  wasi_ephemeral_crypto_common
	// Available module:  wasi_ephemeral_crypto_kx
	// Available module:  wasi_ephemeral_crypto_signatures
	// Available module:  wasi_ephemeral_crypto_symmetric
}
