//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package nn_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/extensions/nn"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// functions are those of the module.
const functions = `(module
	(import "wasi_ephemeral_nn" "load" (func (param i32 i32 i32 i32 i32) (result i32)))
	(import "wasi_ephemeral_nn" "load_by_name" (func (param i32 i32 i32) (result i32)))
	(import "wasi_ephemeral_nn" "load_by_name_with_config" (func (param i32 i32 i32 i32 i32) (result i32)))
	(import "wasi_ephemeral_nn" "init_execution_context" (func (param i32 i32) (result i32)))
	(import "wasi_ephemeral_nn" "set_input" (func (param i32 i32 i32) (result i32)))
	(import "wasi_ephemeral_nn" "compute" (func (param i32) (result i32)))
	(import "wasi_ephemeral_nn" "compute_single" (func (param i32) (result i32)))
	(import "wasi_ephemeral_nn" "get_output" (func (param i32 i32 i32 i32 i32) (result i32)))
	(import "wasi_ephemeral_nn" "get_output_single" (func (param i32 i32 i32 i32 i32) (result i32)))
	(import "wasi_ephemeral_nn" "fini_single" (func (param i32) (result i32)))
	(import "wasi_ephemeral_nn" "unload" (func (param i32) (result i32)))
	(import "wasi_ephemeral_nn" "finalize_execution_context" (func (param i32) (result i32))))`

// Where the tests put things into the memory of two pages.
const (
	outAt     = 0
	builderAt = 16
	tensorAt  = 32
	dimsAt    = 64
	bufferAt  = 256
	modelAt   = 1024
	dataAt    = 65536
	beyond    = 2 * 65536
)

// caller is a guest that calls what it is told.
type caller struct {
	*hostile.Guest
	t testing.TB
}

func newCaller(t testing.TB, config nn.Config) *caller {
	t.Helper()
	return &caller{hostile.New(t, functions, wasmer.NewImports().Add(newModule(t, config))), t}
}

func (c *caller) call(name string, args ...any) nn.Errno { return nn.Errno(c.I32(c.t, name, args...)) }

// out is what the last call has written.
func (c *caller) out() uint32 {
	value, err := c.Memory.ReadUint32Le(outAt)
	require.NoError(c.t, err)
	return value
}

func (c *caller) write(at uint64, words ...uint32) {
	for i, word := range words {
		require.NoError(c.t, c.Memory.WriteUint32Le(at+4*uint64(i), word))
	}
}

func (c *caller) load(model []byte, encoding nn.Encoding) nn.Errno {
	require.NoError(c.t, c.Memory.Write(modelAt, model))
	c.write(builderAt, modelAt, uint32(len(model)))
	return c.call("load", builderAt, 1, uint32(encoding), 0, outAt)
}

// ready is a context of the classifier.
func (c *caller) ready() uint32 {
	require.Equal(c.t, nn.Success, c.load(digits.ONNX, nn.ONNX))
	require.Equal(c.t, nn.Success, c.call("init_execution_context", c.out(), outAt))
	return c.out()
}

// setInput sets an input of a type with so many bytes.
func (c *caller) setInput(context, index uint32, of uint8, size uint32, dims ...uint32) nn.Errno {
	c.write(dimsAt, dims...)
	c.write(tensorAt, dimsAt, uint32(len(dims)), uint32(of), dataAt, size)
	return c.call("set_input", context, index, tensorAt)
}

func TestF076ErrorsAreTheNumbersOfWASINN(t *testing.T) {
	const model, encoding = uint32(len("digits")), uint32(nn.ONNX)
	config := nn.Config{Models: map[string]nn.Model{"digits": models["onnx"]}, GuestModels: true, MaxModelSize: 40_000}
	for name, test := range map[string]struct {
		want nn.Errno
		run  func(*caller) nn.Errno
	}{
		"load: no model": {nn.InvalidArgument, func(c *caller) nn.Errno { return c.load([]byte("no model"), nn.ONNX) }},
		"load: other encoding": {nn.InvalidArgument, func(c *caller) nn.Errno {
			return c.load(digits.ONNX, nn.TensorFlowLite)
		}},
		"load: unknown encoding":     {nn.InvalidEncoding, func(c *caller) nn.Errno { return c.load(digits.ONNX, 0) }},
		"load: unknown target":       {nn.UnsupportedOperation, func(c *caller) nn.Errno { return c.call("load", builderAt, 1, encoding, 1, outAt) }},
		"load: two arrays":           {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("load", builderAt, 2, encoding, 0, outAt) }},
		"load: array out of bounds":  {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("load", beyond-4, 1, encoding, 0, outAt) }},
		"load: result out of bounds": {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("load", builderAt, 1, encoding, 0, beyond-3) }},
		"load: bytes out of bounds": {nn.InvalidArgument, func(c *caller) nn.Errno {
			c.write(builderAt, beyond-10, 11)
			return c.call("load", builderAt, 1, encoding, 0, outAt)
		}},
		"load: too large": {nn.TooLarge, func(c *caller) nn.Errno {
			c.write(builderAt, 0, 40_001)
			return c.call("load", builderAt, 1, encoding, 0, outAt)
		}},
		"load_by_name: unknown":       {nn.NotFound, func(c *caller) nn.Errno { return c.call("load_by_name", modelAt, model-1, outAt) }},
		"load_by_name: out of bounds": {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("load_by_name", beyond-1, model, outAt) }},
		"load_by_name: wrong result":  {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("load_by_name", modelAt, model, -1) }},
		"init: no graph":              {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("init_execution_context", 7, outAt) }},
		"init: wrong result":          {nn.InvalidArgument, func(c *caller) nn.Errno { c.ready(); return c.call("init_execution_context", 1, -4) }},
		"set_input: no context":       {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("set_input", 7, 0, tensorAt) }},
		"set_input: no such input":    {nn.InvalidArgument, func(c *caller) nn.Errno { return c.setInput(c.ready(), 1, 1, 400, 1, 100) }},
		"set_input: out of bounds":    {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("set_input", c.ready(), 0, beyond-19) }},
		"set_input: bytes too many":   {nn.InvalidArgument, func(c *caller) nn.Errno { return c.setInput(c.ready(), 0, 1, 404, 1, 100) }},
		"set_input: bytes too few":    {nn.InvalidArgument, func(c *caller) nn.Errno { return c.setInput(c.ready(), 0, 1, 396, 1, 100) }},
		"set_input: unknown type":     {nn.InvalidArgument, func(c *caller) nn.Errno { return c.setInput(c.ready(), 0, 6, 400, 1, 100) }},
		"set_input: huge":             {nn.TooLarge, func(c *caller) nn.Errno { return c.setInput(c.ready(), 0, 1, 1<<31, 1<<29) }},
		"set_input: no such number":   {nn.TooLarge, func(c *caller) nn.Errno { return c.setInput(c.ready(), 0, 1, 0, 1<<31, 1<<31, 1<<31) }},
		"set_input: many dimensions":  {nn.InvalidArgument, func(c *caller) nn.Errno { return c.setInput(c.ready(), 0, 1, 400, make([]uint32, 33)...) }},
		"compute: no context":         {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("compute", 7) }},
		"compute: input not set":      {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("compute", c.ready()) }},
		"compute: wrong shape":        {nn.InvalidArgument, func(c *caller) nn.Errno { return c.computed(1, 396, 1, 99) }},
		"compute: wrong type":         {nn.InvalidArgument, func(c *caller) nn.Errno { return c.computed(3, 100, 1, 100) }},
		"compute: wrong rank":         {nn.InvalidArgument, func(c *caller) nn.Errno { return c.computed(1, 400, 100) }},
		"get_output: no context":      {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("get_output", 7, 0, bufferAt, 40, outAt) }},
		"get_output: not computed":    {nn.RuntimeError, func(c *caller) nn.Errno { return c.call("get_output", c.ready(), 0, bufferAt, 40, outAt) }},
		"get_output: no such output":  {nn.InvalidArgument, func(c *caller) nn.Errno { return c.output(1, bufferAt, 40, outAt) }},
		"get_output: small buffer":    {nn.TooLarge, func(c *caller) nn.Errno { return c.output(0, bufferAt, 39, outAt) }},
		"get_output: out of bounds":   {nn.InvalidArgument, func(c *caller) nn.Errno { return c.output(0, beyond-39, 40, outAt) }},
		"get_output: wrong result":    {nn.InvalidArgument, func(c *caller) nn.Errno { return c.output(0, bufferAt, 40, -1) }},
		"get_output: large buffer":    {nn.Success, func(c *caller) nn.Errno { return c.output(0, bufferAt, 100, outAt) }},
		"unload: no graph":            {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("unload", 0) }},
		"unload: twice":               {nn.InvalidArgument, func(c *caller) nn.Errno { c.ready(); c.call("unload", 1); return c.call("unload", 1) }},
		"finalize: no context":        {nn.InvalidArgument, func(c *caller) nn.Errno { return c.call("finalize_execution_context", 0) }},
		"finalize: used after": {nn.InvalidArgument, func(c *caller) nn.Errno {
			c.ready()
			c.call("finalize_execution_context", 1)
			return c.call("compute", 1)
		}},
		"compute: without its graph":   {nn.InvalidArgument, func(c *caller) nn.Errno { c.ready(); c.call("unload", 1); return c.call("compute", 1) }},
		"load_by_name_with_config":     {nn.UnsupportedOperation, func(c *caller) nn.Errno { return c.call("load_by_name_with_config", 0, 0, 0, 0, 0) }},
		"compute_single":               {nn.UnsupportedOperation, func(c *caller) nn.Errno { return c.call("compute_single", 0) }},
		"get_output_single":            {nn.UnsupportedOperation, func(c *caller) nn.Errno { return c.call("get_output_single", 0, 0, 0, 0, 0) }},
		"fini_single":                  {nn.UnsupportedOperation, func(c *caller) nn.Errno { return c.call("fini_single", 0) }},
		"load_by_name: all is as said": {nn.Success, func(c *caller) nn.Errno { return c.call("load_by_name", modelAt, model, outAt) }},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t, config)
			require.NoError(t, c.Memory.WriteString(modelAt, "digits"))
			require.Equal(t, test.want, test.run(c), "want %v", test.want)
		})
	}
}

// computed computes with an input of a type and shape.
func (c *caller) computed(of uint8, size uint32, dims ...uint32) nn.Errno {
	context := c.ready()
	require.Equal(c.t, nn.Success, c.setInput(context, 0, of, size, dims...))
	return c.call("compute", context)
}

// output gets an output of what was computed.
func (c *caller) output(index uint32, buffer, size uint32, out any) nn.Errno {
	require.Equal(c.t, nn.Success, c.computed(1, 400, 1, 100))
	return c.call("get_output", 1, index, buffer, size, out)
}

func TestManyImagesAreComputedAtOnce(t *testing.T) {
	c := newCaller(t, nn.Config{Models: models})
	context := c.ready()
	images := digits.Images(3, 50)
	for i := range images {
		for j, pixel := range images[i].Pixels {
			require.NoError(t, c.Memory.WriteFloat32Le(dataAt+4*uint64(i*digits.Pixels+j), pixel))
		}
	}
	require.Equal(t, nn.Success, c.setInput(context, 0, 1, 50*400, 50, 100))
	require.Equal(t, nn.Success, c.call("compute", context))
	require.Equal(t, nn.Success, c.call("get_output", context, 0, dataAt, 50*40, outAt))
	require.EqualValues(t, 50*40, c.out())
	right := 0
	for i := range images {
		scores := make([]float32, digits.Classes)
		sum := float32(0)
		for j := range scores {
			var err error
			scores[j], err = c.Memory.ReadFloat32Le(dataAt + 4*uint64(i*digits.Classes+j))
			require.NoError(t, err)
			sum += scores[j]
		}
		require.InDelta(t, 1, sum, 1e-5) // probabilities
		if digits.Largest(scores) == images[i].Digit {
			right++
		}
	}
	require.Greater(t, right, 45)
}

func TestTypesAreThoseOfOlderAndNewerGuests(t *testing.T) {
	for name, test := range map[string]struct {
		of   uint8
		size uint32
		want nn.Errno
	}{
		"f16":       {0, 200, nn.Success},
		"f32":       {1, 400, nn.Success},
		"f64":       {2, 800, nn.Success},
		"u8":        {3, 100, nn.Success},
		"i32":       {4, 400, nn.Success},
		"i64":       {5, 800, nn.Success},
		"older u8":  {2, 100, nn.Success},
		"older i32": {3, 400, nn.Success},
		"none":      {2, 400, nn.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t, nn.Config{Models: models})
			require.Equal(t, test.want, c.setInput(c.ready(), 0, test.of, test.size, 1, 100))
		})
	}
}

func TestHandlesOfOneGuestAreUselessInAnother(t *testing.T) {
	imports := wasmer.NewImports().Add(newModule(t, nn.Config{Models: models}))
	one := &caller{hostile.New(t, functions, imports), t}
	other := &caller{hostile.New(t, functions, imports), t}
	context := one.ready()
	require.Equal(t, nn.Success, one.setInput(context, 0, 1, 400, 1, 100))
	require.Equal(t, nn.InvalidArgument, other.call("compute", context))
	require.Equal(t, nn.InvalidArgument, other.call("init_execution_context", 1, outAt))
	require.Equal(t, nn.InvalidArgument, other.call("unload", 1))
	require.Equal(t, nn.Success, one.call("compute", context))
}

func TestAGuestHoldsSoManyHandlesAndNoMore(t *testing.T) {
	c := newCaller(t, nn.Config{Models: models, MaxHandles: 3})
	for range 3 {
		require.Equal(t, nn.Success, c.load(digits.ONNX, nn.ONNX))
		require.Equal(t, nn.Success, c.call("init_execution_context", 1, outAt))
	}
	require.Equal(t, nn.TooLarge, c.load(digits.ONNX, nn.ONNX))
	require.Equal(t, nn.TooLarge, c.call("init_execution_context", 1, outAt))
	require.Equal(t, nn.Success, c.call("unload", 2))
	require.Equal(t, nn.Success, c.call("finalize_execution_context", 2))
	require.Equal(t, nn.Success, c.load(digits.ONNX, nn.ONNX))
	require.Equal(t, nn.Success, c.call("init_execution_context", 1, outAt))
	require.EqualValues(t, 4, c.out(), "a handle is not given again")
}

func TestLoggerIsToldWhatTheGuestSeesAsANumber(t *testing.T) {
	var text strings.Builder
	c := newCaller(t, nn.Config{Models: models, Logger: slog.New(slog.NewTextHandler(&text, nil))})
	require.Equal(t, nn.InvalidArgument, c.computed(1, 396, 1, 99))
	require.Contains(t, text.String(), `msg="wasi_ephemeral_nn: compute"`)
	require.Contains(t, text.String(), "does not fit the model's input")
}

// relus is a model of ONNX that applies ReLU so often, to one number. See onnx.proto for the numbers of the fields.
func relus(times int) []byte {
	field := func(m []byte, number protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(m, number, protowire.BytesType), v)
	}
	value := func(name string) []byte { // f32, one dimension of 1
		return field(field(nil, 1, []byte(name)), 2, []byte("\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01"))
	}
	var graph []byte
	for i := range times {
		node := field(field(nil, 1, fmt.Append(nil, "x", i)), 2, fmt.Append(nil, "x", i+1))
		graph = field(graph, 1, field(node, 4, []byte("Relu")))
	}
	graph = field(field(graph, 11, value("x0")), 12, value(fmt.Sprint("x", times)))
	return field(nil, 7, graph)
}

func TestContextEndsAGuestThatComputes(t *testing.T) {
	c := newCaller(t, nn.Config{Models: map[string]nn.Model{"relus": {Encoding: nn.ONNX, Data: relus(10_000)}}})
	require.NoError(t, c.Memory.WriteString(modelAt, "relus"))
	require.Equal(t, nn.Success, c.call("load_by_name", modelAt, 5, outAt))
	require.Equal(t, nn.Success, c.call("init_execution_context", 1, outAt))
	require.Equal(t, nn.Success, c.setInput(1, 0, 1, 4, 1))
	compute, err := c.Function("compute")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = compute.Call(ctx, 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, nn.RuntimeError, c.call("get_output", 1, 0, bufferAt, 40, outAt), "nothing is computed")
}

func TestClosingEndsAGuestThatComputes(t *testing.T) {
	c := newCaller(t, nn.Config{Models: map[string]nn.Model{"relus": {Encoding: nn.ONNX, Data: relus(10_000)}}})
	require.NoError(t, c.Memory.WriteString(modelAt, "relus"))
	require.Equal(t, nn.Success, c.call("load_by_name", modelAt, 5, outAt))
	require.Equal(t, nn.Success, c.call("init_execution_context", 1, outAt))
	require.Equal(t, nn.Success, c.setInput(1, 0, 1, 4, 1))
	compute, err := c.Function("compute")
	require.NoError(t, err)
	call := compute.CallAsync(t.Context(), 1)
	call.WaitFor(10 * time.Millisecond)
	require.NoError(t, c.Close())
	_, err = call.Result()
	require.ErrorIs(t, err, wasmer.ErrClosed)
}

func TestFuzzedArgumentsAreErrnos(t *testing.T) {
	tensor := binary.LittleEndian.AppendUint32(nil, 1<<16)
	for _, word := range []uint32{2, 1, 1 << 16, 4} {
		tensor = binary.LittleEndian.AppendUint32(tensor, word)
	}
	hostile.Fuzz(t, hostile.Config{
		Program: functions,
		Imports: wasmer.NewImports().Add(newModule(t, nn.Config{Models: models, GuestModels: true})),
		Data:    []string{"onnx", string(tensor), string(digits.ONNX), string(digits.TensorFlowLite)},
		Check: func(_ string, results []uint64) error {
			if errno := nn.Errno(results[0]); errno > nn.NotFound {
				return fmt.Errorf("%v", errno)
			}
			return nil
		},
		Refused: func(_ string, err error) error { return err }, // all has a number
	})
}
