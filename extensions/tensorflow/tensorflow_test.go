//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package tensorflow_test

import (
	_ "embed"
	"encoding/binary"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits/guest"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/extensions/tensorflow"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

//go:embed testdata/digits.wat
var program []byte

func imports(t testing.TB, config tensorflow.Config) *wasmer.Imports {
	t.Helper()
	module, err := tensorflow.New(config)
	require.NoError(t, err)
	return wasmer.NewImports().Add(module)
}

func newGuest(t testing.TB, config tensorflow.Config) *guest.Guest {
	t.Helper()
	compiled, err := wasmer.Compile(program)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, compiled.Close()) })
	g, err := guest.New(t.Context(), compiled, imports(t, config))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func TestF122GuestClassifiesDigitsByAFrozenGraph(t *testing.T) {
	for name, config := range map[string]tensorflow.Config{"of the host": {Models: [][]byte{digits.TensorFlow}}, "of its own": {GuestModels: true}} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, config)
			loaded, err := g.Load(t.Context(), "load", digits.TensorFlow)
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
			require.ErrorContains(t, err, "wasmedge_tensorflow: invalid: there is no handle 1")
		})
	}
}

func TestModelsThatAreNoneOrNotAllowedMakeNoSession(t *testing.T) {
	for name, test := range map[string]struct {
		config tensorflow.Config
		model  []byte
		why    string
	}{
		"not allowed": {tensorflow.Config{}, digits.TensorFlow, "not allowed"},
		"not that":    {tensorflow.Config{Models: [][]byte{digits.TensorFlow}}, digits.TensorFlow[:1000], "not allowed"},
		"no model":    {tensorflow.Config{GuestModels: true}, digits.TensorFlow[:1000], "invalid"},
		"too large":   {tensorflow.Config{GuestModels: true, MaxModelSize: 1000}, digits.TensorFlow, "too large"},
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
	_, err := tensorflow.New(tensorflow.Config{Models: [][]byte{nil}})
	require.ErrorContains(t, err, "wasmedge_tensorflow: model 0: ")
}

const (
	namesAt = 0   // of "pixels" and "active"
	dimsAt  = 64  // 1, 100
	dataAt  = 128 // of the image
	modelAt = 1024
	outAt   = 65536
)

// session has a guest make a session of the classifier, with an input and outputs.
func session(t testing.TB, g *hostile.Guest, outputs ...string) int64 {
	t.Helper()
	model, size := g.Put(t, modelAt, string(digits.TensorFlow))
	values, err := g.Call(t, "wasmedge_tensorflow_create_session", model, size)
	require.NoError(t, err)
	handle := values[0].ToI64()
	require.NotZero(t, handle)
	g.Put(t, dimsAt, string(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 1), digits.Pixels)))
	name, size := g.Put(t, namesAt, "pixels")
	_, err = g.Call(t, "wasmedge_tensorflow_append_input", handle, name, size, 0, dimsAt, 2, 1, dataAt, 400)
	require.NoError(t, err)
	for _, output := range outputs {
		name, size := g.Put(t, namesAt, output)
		_, err = g.Call(t, "wasmedge_tensorflow_append_output", handle, name, size, 0)
		require.NoError(t, err)
	}
	return handle
}

// tensor is the handle of an output.
func tensor(t testing.TB, g *hostile.Guest, session int64, output string, index int32) int64 {
	t.Helper()
	name, size := g.Put(t, namesAt, output)
	values, err := g.Call(t, "wasmedge_tensorflow_get_output_tensor", session, name, size, index)
	require.NoError(t, err)
	return values[0].ToI64()
}

func TestAnyOperationOfTheGraphIsAnOutput(t *testing.T) {
	g := hostile.New(t, string(program), imports(t, tensorflow.Config{GuestModels: true}))
	handle := session(t, g, "active", "scores")
	require.Zero(t, tensor(t, g, handle, "scores", 0), "before the run")
	require.Zero(t, g.I32(t, "wasmedge_tensorflow_run_session", handle))
	active, scores := tensor(t, g, handle, "active", 0), tensor(t, g, handle, "scores", 0)
	require.Equal(t, scores, tensor(t, g, handle, "scores", 0), "the handle stays")
	require.Zero(t, tensor(t, g, handle, "scores", 1))
	require.Zero(t, tensor(t, g, handle, "probabilities", 0), "not asked for")
	require.EqualValues(t, 4*digits.Classes, g.I32(t, "wasmedge_tensorflow_get_tensor_len", scores))
	require.EqualValues(t, 4*32, g.I32(t, "wasmedge_tensorflow_get_tensor_len", active))
	_, err := g.Call(t, "wasmedge_tensorflow_get_tensor_data", active, outAt)
	require.NoError(t, err)
	for i := range uint64(32) {
		value, err := g.Memory.ReadFloat32Le(outAt + 4*i)
		require.NoError(t, err)
		require.GreaterOrEqual(t, value, float32(0)) // behind a ReLU
	}
	require.Zero(t, g.I32(t, "wasmedge_tensorflow_run_session", handle))
	_, err = g.Call(t, "wasmedge_tensorflow_get_tensor_len", scores)
	require.ErrorContains(t, err, "there is no handle", "of the run before")
}

func TestRunsThatFailSaySo(t *testing.T) {
	g := hostile.New(t, string(program), imports(t, tensorflow.Config{GuestModels: true}))
	handle := session(t, g, "no such operation")
	require.EqualValues(t, 1, g.I32(t, "wasmedge_tensorflow_run_session", handle))
	_, err := g.Call(t, "wasmedge_tensorflow_clear_output", handle)
	require.NoError(t, err)
	name, size := g.Put(t, namesAt, "scores")
	_, err = g.Call(t, "wasmedge_tensorflow_append_output", handle, name, size, 0)
	require.NoError(t, err)
	require.Zero(t, g.I32(t, "wasmedge_tensorflow_run_session", handle))
	_, err = g.Call(t, "wasmedge_tensorflow_clear_input", handle)
	require.NoError(t, err)
	require.EqualValues(t, 1, g.I32(t, "wasmedge_tensorflow_run_session", handle), "without input")
}

func TestArgumentsThatCannotBeEndTheGuest(t *testing.T) {
	g := hostile.New(t, string(program), imports(t, tensorflow.Config{GuestModels: true}))
	handle := session(t, g)
	for why, args := range map[string][]any{
		"no session":         {"append_input", int64(7), namesAt, 6, 0, dimsAt, 2, 1, dataAt, 400},
		"a name":             {"append_input", handle, namesAt, 0, 0, dimsAt, 2, 1, dataAt, 400},
		"type 99":            {"append_input", handle, namesAt, 6, 0, dimsAt, 2, 99, dataAt, 400},
		"dimensions":         {"append_input", handle, namesAt, 6, 0, dimsAt, 33, 1, dataAt, 400},
		"not have 404 bytes": {"append_input", handle, namesAt, 6, 0, dimsAt, 2, 1, dataAt, 404},
		"too large":          {"append_input", handle, namesAt, 6, 0, dimsAt, 2, 1, dataAt, -1},
		"out of bounds":      {"append_input", handle, -2, 6, 0, dimsAt, 2, 1, dataAt, 400},
		"no handle 9":        {"get_tensor_len", int64(9)},
		"no tensor":          {"get_tensor_len", int64(1) << 40},
		"there is no":        {"delete_session", int64(1) << 40},
	} {
		_, err := g.Call(t, "wasmedge_tensorflow_"+args[0].(string), args[1:]...)
		if why == "no session" {
			why = "no handle 7"
		}
		require.ErrorContains(t, err, why)
	}
	_, err := g.Call(t, "wasmedge_tensorflow_delete_session", int64(0))
	require.NoError(t, err)
	require.Zero(t, g.I32(t, "wasmedge_tensorflow_get_tensor_len", int64(0)))
}

func TestHandlesOfOneGuestAreUselessInAnother(t *testing.T) {
	shared := imports(t, tensorflow.Config{GuestModels: true})
	one, other := hostile.New(t, string(program), shared), hostile.New(t, string(program), shared)
	handle := session(t, one, "scores")
	require.Zero(t, one.I32(t, "wasmedge_tensorflow_run_session", handle))
	scores := tensor(t, one, handle, "scores", 0)
	_, err := other.Call(t, "wasmedge_tensorflow_run_session", handle)
	require.Error(t, err)
	_, err = other.Call(t, "wasmedge_tensorflow_get_tensor_data", scores, outAt)
	require.Error(t, err)
}

func TestFuzzedArgumentsAreErrors(t *testing.T) {
	hostile.Fuzz(t, hostile.Config{
		Program: string(program),
		Imports: imports(t, tensorflow.Config{GuestModels: true}),
		Data:    []string{"pixels", "scores", string(digits.TensorFlow)},
	})
}
