//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package nn_test

import (
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits/guest"
	"github.com/wasmerio/go-ext-wasm/extensions/nn"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

//go:embed testdata/digits.wat
var program []byte

// models are the classifier in each encoding.
var models = map[string]nn.Model{
	"onnx":            {Encoding: nn.ONNX, Data: digits.ONNX},
	"tensorflow":      {Encoding: nn.TensorFlow, Data: digits.TensorFlow},
	"tensorflow lite": {Encoding: nn.TensorFlowLite, Data: digits.TensorFlowLite},
}

// accuracy is less than that of the classifier, 0.97, since there are fewer images.
const accuracy = 0.95

func newModule(t testing.TB, config nn.Config) *nn.Module {
	t.Helper()
	module, err := nn.New(config)
	require.NoError(t, err)
	return module
}

func newGuest(t testing.TB, module *nn.Module) *guest.Guest {
	t.Helper()
	compiled, err := wasmer.Compile(program)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, compiled.Close()) })
	g, err := guest.New(t.Context(), compiled, wasmer.NewImports().Add(module))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func TestF076GuestClassifiesDigitsByModelsOfTheHost(t *testing.T) {
	module := newModule(t, nn.Config{Models: models})
	for name := range models {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, module)
			errno, err := g.Load(t.Context(), "load_by_name", []byte(name))
			require.NoError(t, err)
			require.Zero(t, errno)
			share, err := g.Accuracy(t.Context(), 200)
			require.NoError(t, err)
			require.GreaterOrEqual(t, share, accuracy)
		})
	}
}

func TestF125GuestClassifiesDigitsByAModelThatItBrings(t *testing.T) {
	for allowed, config := range map[string]nn.Config{"any": {GuestModels: true}, "the host's": {Models: models}} {
		for name, model := range models {
			t.Run(allowed+" "+name, func(t *testing.T) {
				g := newGuest(t, newModule(t, config))
				errno, err := g.Load(t.Context(), "load", model.Data, uint32(model.Encoding))
				require.NoError(t, err)
				require.Zero(t, errno)
				share, err := g.Accuracy(t.Context(), 200)
				require.NoError(t, err)
				require.GreaterOrEqual(t, share, accuracy)
			})
		}
	}
}

func TestGuestsComputeAtTheSameTime(t *testing.T) {
	module := newModule(t, nn.Config{Models: models})
	var goroutines sync.WaitGroup
	errs := make([]error, 6)
	for n := range errs {
		g := newGuest(t, module)
		goroutines.Go(func() {
			name := []string{"onnx", "tensorflow", "tensorflow lite"}[n%3]
			if _, errs[n] = g.Load(t.Context(), "load_by_name", []byte(name)); errs[n] != nil {
				return
			}
			share, err := g.Accuracy(t.Context(), 100)
			if errs[n] = err; err == nil && share < 0.9 {
				errs[n] = fmt.Errorf("%s: %v of the images", name, share)
			}
		})
	}
	goroutines.Wait()
	require.NoError(t, errors.Join(errs...))
}

func TestModelsThatTheHostHasNotAllowedAreRefused(t *testing.T) {
	for name, config := range map[string]nn.Config{"none": {}, "others": {Models: map[string]nn.Model{"other": models["tensorflow"]}}} {
		t.Run(name, func(t *testing.T) {
			errno, err := newGuest(t, newModule(t, config)).Load(t.Context(), "load", digits.ONNX, uint32(nn.ONNX))
			require.NoError(t, err)
			require.Equal(t, -int32(nn.UnsupportedOperation), errno)
		})
	}
}

func TestModelOfTheHostThatIsNoneIsAnErrorAtOnce(t *testing.T) {
	for name, model := range map[string]nn.Model{
		"empty":         {Encoding: nn.ONNX},
		"other":         {Encoding: nn.ONNX, Data: digits.TensorFlowLite},
		"cut off":       {Encoding: nn.TensorFlow, Data: digits.TensorFlow[:1000]},
		"also cut off":  {Encoding: nn.TensorFlowLite, Data: digits.TensorFlowLite[:1000]},
		"no encoding":   {Data: digits.ONNX},
		"not supported": {Encoding: 3, Data: digits.ONNX},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := nn.New(nn.Config{Models: map[string]nn.Model{"digits": model}})
			require.ErrorContains(t, err, `nn: model "digits": `)
		})
	}
	_, err := nn.New(nn.Config{Models: models, MaxModelSize: 1000})
	require.ErrorContains(t, err, "too large")
}

func BenchmarkClassify(b *testing.B) {
	module := newModule(b, nn.Config{Models: models})
	image := digits.Images(3, 1)[0]
	for name := range models {
		b.Run(name, func(b *testing.B) {
			g := newGuest(b, module)
			_, err := g.Load(b.Context(), "load_by_name", []byte(name))
			require.NoError(b, err)
			for b.Loop() {
				_, err := g.Classify(b.Context(), &image)
				require.NoError(b, err)
			}
		})
	}
}
