//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package inference_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/inference"
)

var classifiers = map[inference.Encoding][]byte{
	inference.ONNX: digits.ONNX, inference.TensorFlow: digits.TensorFlow, inference.TensorFlowLite: digits.TensorFlowLite,
}

var first = []inference.Which{{Index: 0}}

// pixels is an input of the classifiers.
func pixels(image *digits.Image) []inference.Input {
	var data []byte
	for _, pixel := range image.Pixels {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(pixel))
	}
	return []inference.Input{{Tensor: inference.Tensor{Type: inference.Float32, Shape: []uint64{1, digits.Pixels}, Data: data}}}
}

func TestGraphsTellTheirInputsAndOutputs(t *testing.T) {
	for encoding, model := range classifiers {
		graph, err := inference.Load(t.Context(), encoding, model, inference.Limits{})
		require.NoError(t, err)
		images := inference.OpenDimension
		if encoding == inference.TensorFlowLite {
			images = 1
		}
		require.Equal(t, []inference.Outlet{{Name: digits.Input, Type: inference.Float32, Shape: []uint64{images, digits.Pixels}}}, graph.Inputs)
		require.Len(t, graph.Outputs, 1)
		require.Equal(t, digits.Output, graph.Outputs[0].Name)
	}
}

func TestAllEncodingsComputeTheSame(t *testing.T) {
	images := digits.Images(5, 100)
	want := make([][]float32, len(images)) // of whichever is first
	for encoding, model := range classifiers {
		graph, err := inference.Load(t.Context(), encoding, model, inference.Limits{})
		require.NoError(t, err)
		right := 0
		for i := range images {
			outputs, err := graph.Run(t.Context(), pixels(&images[i]), first)
			require.NoError(t, err)
			require.Equal(t, []uint64{1, digits.Classes}, outputs[0].Shape)
			require.Equal(t, inference.Float32, outputs[0].Type)
			got := floats(outputs[0].Data)
			if want[i] == nil {
				want[i] = got
			}
			require.InDeltaSlice(t, want[i], got, 1e-5)
			if digits.Largest(got) == images[i].Digit {
				right++
			}
		}
		require.Greater(t, right, 90)
	}
}

func floats(data []byte) (out []float32) {
	for ; len(data) > 0; data = data[4:] {
		out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(data)))
	}
	return out
}

func TestGoroutinesShareAGraph(t *testing.T) {
	graph, err := inference.Load(t.Context(), inference.ONNX, digits.ONNX, inference.Limits{})
	require.NoError(t, err)
	images := digits.Images(6, 50)
	var want [][]byte
	for i := range images {
		outputs, err := graph.Run(t.Context(), pixels(&images[i]), first)
		require.NoError(t, err)
		want = append(want, outputs[0].Data)
	}
	var goroutines sync.WaitGroup
	errs := make([]error, 8)
	for n := range errs {
		goroutines.Go(func() {
			for i := range images {
				outputs, err := graph.Run(t.Context(), pixels(&images[i]), first)
				if err == nil && string(outputs[0].Data) != string(want[i]) {
					err = fmt.Errorf("image %d: another result", i)
				}
				if err != nil {
					errs[n] = err
					return
				}
			}
		})
	}
	goroutines.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestGraphsAreFreedWhenNobodyHasThem(t *testing.T) {
	resident := func() (kilobytes int) {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Skip("there is no /proc")
		}
		_, field, _ := strings.Cut(string(status), "VmRSS:")
		_, err = fmt.Sscan(field, &kilobytes)
		require.NoError(t, err)
		return kilobytes
	}
	const models, megabyte = 300, 1 << 10
	g := &graph{}
	g.message = g.bytes(5, tensor("w", float, make([]byte, 1<<20), 1<<18))
	g.node("Identity", []string{"w"}, "y")
	g.output("y", float, 1<<18)
	model, before := g.onnx(), resident()
	for i := range models {
		graph, err := inference.Load(t.Context(), inference.ONNX, model, inference.Limits{})
		require.NoError(t, err)
		_, err = graph.Run(t.Context(), nil, first)
		require.NoError(t, err)
		if i%10 == 0 {
			runtime.GC()
		}
	}
	freed := func() bool { runtime.GC(); return resident() < before+models/2*megabyte }
	require.Eventually(t, freed, 30*time.Second, 10*time.Millisecond)
}

// product multiplies a square matrix with itself so many times.
func product(side int64, times int) []byte {
	g := &graph{}
	g.input("x", float, side, side)
	previous := "x"
	for i := range times {
		name := fmt.Sprint("y", i)
		g.node("MatMul", []string{previous, "x"}, name)
		previous = name
	}
	g.output(previous, float, side, side)
	return g.onnx()
}

func square(side uint64) []inference.Input {
	return []inference.Input{{Tensor: inference.Tensor{Type: inference.Float32, Shape: []uint64{side, side}, Data: make([]byte, 4*side*side)}}}
}

func TestContextEndsARunBetweenOperations(t *testing.T) {
	const side = 1024
	graph, err := inference.Load(t.Context(), inference.ONNX, product(side, 1000), inference.Limits{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = graph.Run(ctx, square(side), first)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = graph.Run(ctx, square(side), first)
	require.ErrorIs(t, err, context.DeadlineExceeded, "one that has ended before")
}

// Parsing and optimising are not made of operations: they are given up, and end later.
func TestContextEndsAPreparation(t *testing.T) {
	g := &graph{}
	g.input("x", float, 1)
	previous := "x"
	for i := range 10_000 {
		name := fmt.Sprint("y", i)
		g.node("Relu", []string{previous}, name)
		previous = name
	}
	g.output(previous, float, 1)
	graph, err := inference.Load(t.Context(), inference.ONNX, g.onnx(), inference.Limits{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	input := inference.Tensor{Type: inference.Float32, Shape: []uint64{1}, Data: make([]byte, 4)}
	_, err = graph.Run(ctx, []inference.Input{{Tensor: input}}, first)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = inference.Load(ctx, inference.ONNX, g.onnx(), inference.Limits{})
	require.ErrorIs(t, err, context.DeadlineExceeded, "one that has ended before")
}

func TestTensorsThatAreTooLargeAreErrors(t *testing.T) {
	limits := inference.Limits{Memory: 1 << 20}
	for name, build := range map[string]func(*graph){
		"constant": func(g *graph) {
			g.numbers("shape", 1<<20)
			g.node("ConstantOfShape", []string{"shape"}, "y")
		},
		"huge constant": func(g *graph) {
			g.numbers("shape", 1<<30)
			g.node("ConstantOfShape", []string{"shape"}, "y")
		},
		"expanded": func(g *graph) {
			g.numbers("shape", 1<<20, 2)
			g.node("Expand", []string{"x", "shape"}, "y")
		},
		"tiled": func(g *graph) {
			g.numbers("repeats", 1<<20)
			g.node("Tile", []string{"x", "repeats"}, "y")
		},
		"range": func(g *graph) {
			g.number("start", 0)
			g.number("limit", 1<<20)
			g.number("delta", 1)
			g.node("Range", []string{"start", "limit", "delta"}, "y")
		},
		"padded": func(g *graph) {
			g.numbers("pads", 0, 1<<30)
			g.node("Pad", []string{"x", "pads"}, "y")
		},
		"many at a time": func(g *graph) {
			var all []string
			for i := range 40 {
				name := fmt.Sprint("part", i)
				g.numbers("shape"+name, 10_000)
				g.node("Expand", []string{"x1", "shape" + name}, name)
				all = append(all, name)
			}
			g.node("Concat", all, "y", message{}.text(1, "axis").number(3, 0).number(20, 2))
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := &graph{}
			g.input("x", float, 2)
			g.input("x1", float, 1)
			build(g)
			g.message = g.bytes(12, message{}.text(1, "y"))
			graph, err := inference.Load(t.Context(), inference.ONNX, g.onnx(), limits)
			if err == nil {
				_, err = graph.Run(t.Context(), []inference.Input{
					{Tensor: inference.Tensor{Type: inference.Float32, Shape: []uint64{2}, Data: make([]byte, 8)}},
					{Which: inference.Which{Index: 1}, Tensor: inference.Tensor{Type: inference.Float32, Shape: []uint64{1}, Data: make([]byte, 4)}},
				}, first)
			}
			require.ErrorIs(t, err, inference.ErrTooLarge)
		})
	}
}

// A model of the host can leave it to a guest how large a tensor is.
func TestSizesThatInputsDecideAreBounded(t *testing.T) {
	g := &graph{}
	g.input("n", int64s)
	g.number("zero", 0)
	g.number("one", 1)
	g.node("Range", []string{"zero", "n", "one"}, "y")
	g.message = g.bytes(12, message{}.text(1, "y"))
	graph, err := inference.Load(t.Context(), inference.ONNX, g.onnx(), inference.Limits{})
	require.NoError(t, err)
	upTo := func(n uint64) ([]inference.Tensor, error) {
		data := binary.LittleEndian.AppendUint64(nil, n)
		return graph.Run(t.Context(), []inference.Input{{Tensor: inference.Tensor{Type: inference.Int64, Data: data}}}, first)
	}
	outputs, err := upTo(3)
	require.NoError(t, err)
	require.Equal(t, []uint64{3}, outputs[0].Shape)
	require.Equal(t, inference.Int64, outputs[0].Type)
	require.EqualValues(t, 2, outputs[0].Data[16])
	_, err = upTo(1 << 40)
	require.ErrorIs(t, err, inference.ErrTooLarge)
}

// What such models ask for is no tensor, so it cannot be refused: each loses a thread.
func TestModelsThatAskForTooMuchDoNotEndTheProcess(t *testing.T) {
	const variable = "WASMER_GO_TEST_HOSTILE_MODELS"
	if os.Getenv(variable) == "" {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), variable+"=1")
		out, err := child.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "all refused")
		return
	}
	padded, resized := &graph{}, &graph{}
	padded.message = padded.bytes(5, tensor("c", float, make([]byte, 8), 2))
	padded.numbers("pads", 0, 1<<40)
	padded.node("Pad", []string{"c", "pads"}, "y")
	padded.output("y", float)
	resized.message = resized.bytes(5, tensor("c", float, make([]byte, 4), 1, 1, 1, 1))
	resized.numbers("sizes", 1, 1, 1<<20, 1<<20)
	resized.node("Resize", []string{"c", "", "", "sizes"}, "y")
	resized.output("y", float)
	for range 10 { // more often than threads may be lost
		for name, model := range map[string]struct {
			inference.Encoding
			bytes []byte
		}{
			"padded": {inference.ONNX, padded.onnx()}, "resized": {inference.ONNX, resized.onnx()},
			"filled": {inference.TensorFlow, filled(math.MaxInt32)},
		} {
			graph, err := inference.Load(t.Context(), model.Encoding, model.bytes, inference.Limits{})
			if err == nil {
				_, err = graph.Run(t.Context(), nil, first)
			}
			require.ErrorIs(t, err, inference.ErrTooLarge, name)
		}
	}
	t.Log("all refused")
}

func TestPanicsOfTractAreErrors(t *testing.T) {
	g := &graph{}
	g.numbers("shape", 1<<31, 1<<31, 1<<31)
	g.node("ConstantOfShape", []string{"shape"}, "y")
	g.message = g.bytes(12, message{}.text(1, "y"))
	graph, err := inference.Load(t.Context(), inference.ONNX, g.onnx(), inference.Limits{})
	require.NoError(t, err)
	_, err = graph.Run(t.Context(), nil, first)
	require.ErrorContains(t, err, "tract: assertion failed")
}

func TestModelsCannotReadFiles(t *testing.T) {
	g := &graph{}
	location := message{}.text(1, "location").text(2, "inference_test.go")
	g.message = g.bytes(5, message{}.number(1, 16).number(2, float).text(8, "w").bytes(13, location).number(14, 1))
	g.node("Identity", []string{"w"}, "y")
	g.output("y", float, 16)
	_, err := inference.Load(t.Context(), inference.ONNX, g.onnx(), inference.Limits{})
	require.ErrorIs(t, err, inference.ErrInvalid)
	require.ErrorContains(t, err, "external data")
}

func TestModelsThatRecurseDeeplyAreErrors(t *testing.T) {
	g := &graph{}
	dim := message{}.text(2, strings.Repeat("(", 1_000_000))
	of := message{}.bytes(1, message{}.number(1, float).bytes(2, message{}.bytes(1, dim)))
	g.message = g.bytes(11, message{}.text(1, "x").bytes(2, of))
	g.node("Relu", []string{"x"}, "y")
	g.message = g.bytes(12, message{}.text(1, "y"))
	_, err := inference.Load(t.Context(), inference.ONNX, g.onnx(), inference.Limits{})
	require.ErrorContains(t, err, `a dimension of "x" has a name of more than 256 bytes`)

	inner := message{}.text(2, "inner")
	for range 1000 {
		attribute := message{}.text(1, "then_branch").bytes(6, inner).number(20, 5)
		inner = message{}.bytes(1, message{}.text(4, "If").bytes(5, attribute))
	}
	_, err = inference.Load(t.Context(), inference.ONNX, message{}.bytes(7, inner), inference.Limits{})
	require.ErrorIs(t, err, inference.ErrInvalid)
}

// mutated is a model with bits flipped, and, if it is to be hurt, with bytes cut out or doubled. Most of a model is weights.
func mutated(random *rand.Rand, model []byte, hurt bool) []byte {
	out := slices.Clone(model)
	for range 1 + random.IntN(20) {
		if at := random.IntN(len(out)); !hurt || random.IntN(4) != 0 {
			out[at] ^= 1 << random.IntN(8)
		} else if n := min(1+random.IntN(16), len(out)-at); random.IntN(2) == 0 {
			out = slices.Delete(out, at, at+n)
		} else {
			out = slices.Insert(out, at, out[at:at+n]...)
		}
	}
	return out
}

func TestDamagedModelsAreErrorsOrRun(t *testing.T) {
	image := digits.Images(1, 1)[0]
	for encoding, model := range classifiers {
		random := rand.New(rand.NewPCG(uint64(encoding), 0))
		failed, ran := 0, 0
		for i := range 400 {
			graph, err := inference.Load(t.Context(), encoding, mutated(random, model, i%2 == 0), inference.Limits{Memory: 1 << 24})
			if err == nil {
				_, err = graph.Run(t.Context(), pixels(&image), first)
			}
			if err != nil {
				failed++
			} else {
				ran++
			}
		}
		require.Positive(t, failed)
		require.Positive(t, ran)
	}
}

func FuzzModel(f *testing.F) {
	for encoding, model := range classifiers {
		f.Add(uint32(encoding), model)
	}
	image := digits.Images(1, 1)[0]
	f.Fuzz(func(t *testing.T, encoding uint32, model []byte) {
		graph, err := inference.Load(t.Context(), inference.Encoding(encoding), model, inference.Limits{Memory: 1 << 20})
		if err == nil {
			_, _ = graph.Run(t.Context(), pixels(&image), first)
		}
	})
}
