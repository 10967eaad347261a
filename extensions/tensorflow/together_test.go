//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package tensorflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/nn"
	"github.com/wasmerio/go-ext-wasm/extensions/tensorflow"
	"github.com/wasmerio/go-ext-wasm/extensions/tensorflowlite"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestF003TheExtensionsOfInferenceGoTogether(t *testing.T) {
	full, err := tensorflow.New(tensorflow.Config{})
	require.NoError(t, err)
	lite, err := tensorflowlite.New(tensorflowlite.Config{})
	require.NoError(t, err)
	wasi, err := nn.New(nn.Config{})
	require.NoError(t, err)
	module, err := wasmer.Compile([]byte(`(module
		(import "wasmedge_tensorflow" "wasmedge_tensorflow_run_session" (func (param i64) (result i32)))
		(import "wasmedge_tensorflowlite" "wasmedge_tensorflowlite_run_session" (func (param i64) (result i32)))
		(import "wasi_ephemeral_nn" "compute" (func (param i32) (result i32))))`))
	require.NoError(t, err)
	defer module.Close()
	instance, err := wasmer.Instantiate(t.Context(), module, wasmer.NewImports().Add(full, lite, wasi))
	require.NoError(t, err)
	require.NoError(t, instance.Close())
}
