//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package nn_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
	"github.com/wasmerio/go-ext-wasm/extensions/nn"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// A VM has the module if its configuration does; otherwise there is a mock.
func TestF044F076AVMHasTheModule(t *testing.T) {
	const model, pixels = 65536, 1024 // where the guest wants them
	ctx := t.Context()
	v := vm.New(vm.Config{HostModules: []wasmer.HostModule{newModule(t, nn.Config{Models: models})}})
	defer v.Close()
	require.NoError(t, v.LoadBytes(ctx, program))
	require.NoError(t, v.Validate())
	require.NoError(t, v.Instantiate(ctx))
	instance, err := v.RegisteredInstance("wasi_ephemeral_nn")
	require.NoError(t, err)
	require.NotEmpty(t, instance.List(wasmer.ExternFunction))

	memory := v.ActiveInstance().Memory
	require.NoError(t, memory.WriteString(model, "onnx"))
	errno, err := v.Execute(ctx, "load_by_name", len("onnx"))
	require.NoError(t, err)
	require.Zero(t, errno[0].ToI32())
	image := digits.Images(3, 6)[5]
	for i, pixel := range image.Pixels {
		require.NoError(t, memory.Write(pixels+4*uint64(i), binary.LittleEndian.AppendUint32(nil, math.Float32bits(pixel))))
	}
	digit, err := v.Execute(ctx, "classify")
	require.NoError(t, err)
	require.EqualValues(t, image.Digit, digit[0].ToI32())

	without := vm.New(vm.Config{ForbiddenPlugins: []string{"wasi_nn"}})
	defer without.Close()
	_, err = without.RunBytes(ctx, program, "load_by_name", 4)
	var missing *wasmer.MissingPluginError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "wasi_nn", missing.Plugin)
}
