//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package tensorflowlite_test

import (
	_ "embed"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits/guest"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/extensions/tensorflowlite"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

//go:embed testdata/digits.wat
var program []byte

func imports(t testing.TB, config tensorflowlite.Config) *wasmer.Imports {
	t.Helper()
	module, err := tensorflowlite.New(config)
	require.NoError(t, err)
	return wasmer.NewImports().Add(module)
}

func newGuest(t testing.TB, config tensorflowlite.Config) *guest.Guest {
	t.Helper()
	compiled, err := wasmer.Compile(program)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, compiled.Close()) })
	g, err := guest.New(t.Context(), compiled, imports(t, config))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func TestF123GuestClassifiesDigitsByAModel(t *testing.T) {
	for name, config := range map[string]tensorflowlite.Config{"of the host": {Models: [][]byte{digits.TensorFlowLite}}, "of its own": {GuestModels: true}} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, config)
			loaded, err := g.Load(t.Context(), "load", digits.TensorFlowLite)
			require.NoError(t, err)
			require.NotZero(t, loaded)
			share, err := g.Accuracy(t.Context(), 200)
			require.NoError(t, err)
			require.GreaterOrEqual(t, share, 0.95)
			unload, err := g.Function("unload")
			require.NoError(t, err)
			_, err = unload.Call(t.Context())
			require.NoError(t, err)
			_, err = g.Classify(t.Context(), &digits.Images(1, 1)[0])
			require.ErrorContains(t, err, "wasmedge_tensorflowlite: invalid: there is no handle 1")
		})
	}
}

func TestModelsThatAreNoneOrNotAllowedMakeNoSession(t *testing.T) {
	for name, test := range map[string]struct {
		config tensorflowlite.Config
		model  []byte
		why    string
	}{
		"not allowed": {tensorflowlite.Config{}, digits.TensorFlowLite, "not allowed"},
		"not that":    {tensorflowlite.Config{Models: [][]byte{digits.TensorFlowLite}}, digits.TensorFlowLite[:1000], "not allowed"},
		"no model":    {tensorflowlite.Config{GuestModels: true}, digits.TensorFlowLite[:1000], "invalid"},
		"too large":   {tensorflowlite.Config{GuestModels: true, MaxModelSize: 1000}, digits.TensorFlowLite, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			var text strings.Builder
			test.config.Logger = slog.New(slog.NewTextHandler(&text, nil))
			loaded, err := newGuest(t, test.config).Load(t.Context(), "load", test.model)
			require.NoError(t, err)
			require.Zero(t, loaded)
			require.Contains(t, text.String(), test.why)
		})
	}
	_, err := tensorflowlite.New(tensorflowlite.Config{Models: [][]byte{nil}})
	require.ErrorContains(t, err, "wasmedge_tensorflowlite: model 0: ")
}

const (
	namesAt = 0
	dataAt  = 128
	modelAt = 1024
	outAt   = 65536
)

func session(t testing.TB, g *hostile.Guest) int64 {
	t.Helper()
	model, size := g.Put(t, modelAt, string(digits.TensorFlowLite))
	values, err := g.Call(t, "wasmedge_tensorflowlite_create_session", model, size)
	require.NoError(t, err)
	require.NotZero(t, values[0].ToI64())
	return values[0].ToI64()
}

func TestInputsAndOutputsAreFoundByName(t *testing.T) {
	g := hostile.New(t, string(program), imports(t, tensorflowlite.Config{GuestModels: true}))
	handle := session(t, g)
	require.EqualValues(t, 1, g.I32(t, "wasmedge_tensorflowlite_run_session", handle), "without input")
	input := func(name string, size int32) error {
		ptr, n := g.Put(t, namesAt, name)
		_, err := g.Call(t, "wasmedge_tensorflowlite_append_input", handle, ptr, n, dataAt, size)
		return err
	}
	output := func(name string) int64 {
		ptr, n := g.Put(t, namesAt, name)
		values, err := g.Call(t, "wasmedge_tensorflowlite_get_output_tensor", handle, ptr, n)
		require.NoError(t, err)
		return values[0].ToI64()
	}
	require.NoError(t, input("no such input", 1))
	require.EqualValues(t, 1, g.I32(t, "wasmedge_tensorflowlite_run_session", handle), "still without input")
	require.ErrorContains(t, input("pixels", 396), "does not have 396 bytes")
	require.NoError(t, input("pixels", 400))
	require.NoError(t, input("pixels", 400), "again")
	require.Zero(t, output("probabilities"), "before the run")
	require.Zero(t, g.I32(t, "wasmedge_tensorflowlite_run_session", handle))
	require.Zero(t, output("no such output"))
	probabilities := output("probabilities")
	require.EqualValues(t, 40, g.I32(t, "wasmedge_tensorflowlite_get_tensor_len", probabilities))
	_, err := g.Call(t, "wasmedge_tensorflowlite_get_tensor_data", probabilities, outAt)
	require.NoError(t, err)
	sum := float32(0)
	for i := range uint64(digits.Classes) {
		value, err := g.Memory.ReadFloat32Le(outAt + 4*i)
		require.NoError(t, err)
		sum += value
	}
	require.InDelta(t, 1, sum, 1e-5)
}

func TestHandlesOfOneGuestAreUselessInAnother(t *testing.T) {
	shared := imports(t, tensorflowlite.Config{GuestModels: true})
	one, other := hostile.New(t, string(program), shared), hostile.New(t, string(program), shared)
	handle := session(t, one)
	_, err := other.Call(t, "wasmedge_tensorflowlite_run_session", handle)
	require.ErrorContains(t, err, "there is no handle 1")
}

func TestFuzzedArgumentsAreErrors(t *testing.T) {
	hostile.Fuzz(t, hostile.Config{
		Program: string(program),
		Imports: imports(t, tensorflowlite.Config{GuestModels: true}),
		Data:    []string{"pixels", "probabilities", string(digits.TensorFlowLite)},
	})
}
