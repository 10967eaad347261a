// Package extensions_test looks at all extensions together.
package extensions_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/wasmerio/go-ext-wasm/extensions/crypto"
	_ "github.com/wasmerio/go-ext-wasm/extensions/httpsreq"
	_ "github.com/wasmerio/go-ext-wasm/extensions/image"
	_ "github.com/wasmerio/go-ext-wasm/extensions/logging"
	_ "github.com/wasmerio/go-ext-wasm/extensions/process"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

func TestF128ExtensionsArePluginsOfWhoeverImportsThem(t *testing.T) {
	want := map[string][]string{
		"wasi_crypto": {
			"wasi_ephemeral_crypto_asymmetric_common", "wasi_ephemeral_crypto_common", "wasi_ephemeral_crypto_kx",
			"wasi_ephemeral_crypto_signatures", "wasi_ephemeral_crypto_symmetric",
		},
		"wasmedge_httpsreq": {"wasmedge_httpsreq"},
		"wasmedge_image":    {"wasmedge_image"},
		"wasi_logging":      {"wasi:logging/logging"},
		"wasmedge_process":  {"wasmedge_process"},
	}
	have := map[string][]string{}
	for _, name := range wasmer.ListPlugins() {
		have[name] = wasmer.FindPlugin(name).Modules()
	}
	require.Equal(t, want, have)
}

// A VM registers them, and their functions are no mocks.
func TestF072GuestsOfAVMCallExtensions(t *testing.T) {
	for name, c := range map[string]struct{ imports, call, want string }{
		"wasmedge_process": {`(import "wasmedge_process" "wasmedge_process_get_exit_code" (func $f (result i32)))`, "(call $f)", "0"},
		"wasi_crypto": {
			`(import "wasi_ephemeral_crypto_common" "options_close" (func $f (param i32) (result i32)))`, "(call $f (i32.const 77))", "14",
		},
		"wasmedge_httpsreq": {`(import "wasmedge_httpsreq" "wasmedge_httpsreq_get_rcv_len" (func $f (result i32)))`, "(call $f)", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			v := vm.New(vm.Config{})
			defer v.Close()
			guest := fmt.Sprintf(`(module %s (memory (export "memory") 1) (func (export "run") (result i32) %s))`, c.imports, c.call)
			values, err := v.RunBytes(t.Context(), []byte(guest), "run")
			require.NoError(t, err)
			require.Equal(t, c.want, fmt.Sprint(values[0]))
		})
	}
}
