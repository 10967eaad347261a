package nn

import (
	"encoding/binary"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/inference"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// state is what the module keeps of an instance.
type state struct {
	graphs   inference.Table[*inference.Graph]
	contexts inference.Table[*execution]
}

// execution is an execution context: a graph with its inputs, and after compute with its outputs.
type execution struct {
	graph   *inference.Graph
	inputs  []*inference.Tensor
	outputs []inference.Tensor
}

// guest is an instance that calls.
type guest struct {
	*Module
	caller *wasmer.Caller
	memory *wasmer.Memory
	state  *state
}

func (g guest) read(ptr, n uint32) ([]byte, error) {
	data, err := g.memory.Read(uint64(ptr), uint64(n))
	if err != nil {
		return nil, fail(InvalidArgument, "%v", err)
	}
	return data, nil
}

// check finds out that a result can be written before anything is done for it.
func (g guest) check(ptr, n uint32) error {
	if uint64(ptr)+uint64(n) > g.memory.Size() {
		return fail(InvalidArgument, "no room for %d bytes at %#x in the memory", n, ptr)
	}
	return nil
}

func (g guest) write(ptr, value uint32) error {
	if err := g.memory.WriteUint32Le(uint64(ptr), value); err != nil {
		return fail(InvalidArgument, "%v", err)
	}
	return nil
}

// The processor, and whatever is best.
const (
	targetCPU  = 0
	targetAuto = 3
)

func (g guest) load(builders, count, encoding, target, out uint32) error {
	switch Encoding(encoding) {
	case ONNX, TensorFlow, TensorFlowLite:
	default:
		return fail(InvalidEncoding, "encoding %d is none of ONNX (1), TensorFlow (2) and TensorFlow Lite (4)", encoding)
	}
	if target != targetCPU && target != targetAuto {
		return fail(UnsupportedOperation, "target %d is not the CPU (0)", target)
	}
	if count != 1 {
		return fail(InvalidArgument, "a model of this encoding is one array of bytes, not %d", count)
	}
	if err := g.check(out, 4); err != nil {
		return err
	}
	array, err := g.read(builders, 8)
	if err != nil {
		return err
	}
	ptr, n := binary.LittleEndian.Uint32(array), binary.LittleEndian.Uint32(array[4:])
	if err := g.library.MayLoad(uint64(n)); err != nil {
		return err
	}
	model, err := g.read(ptr, n)
	if err != nil {
		return err
	}
	ctx, stop := perinstance.Context(g.caller)
	defer stop(nil)
	graph, err := g.library.Load(ctx, inference.Encoding(encoding), model)
	if err != nil {
		return err
	}
	return g.keep(graph, out)
}

func (g guest) loadByName(name, nameLen, out uint32) error {
	if err := g.check(out, 4); err != nil {
		return err
	}
	bytes, err := g.read(name, nameLen)
	if err != nil {
		return err
	}
	graph, ok := g.named[string(bytes)]
	if !ok {
		return fail(NotFound, "the host has no model %.64q", bytes)
	}
	return g.keep(graph, out)
}

func (g guest) keep(graph *inference.Graph, out uint32) error {
	handle, err := g.state.graphs.Add(graph, g.config.MaxHandles)
	if err != nil {
		return err
	}
	return g.write(out, handle)
}

func (g guest) unload(handle uint32) error {
	_, err := g.state.graphs.Get(handle)
	g.state.graphs.Remove(handle)
	return err
}

func (g guest) initContext(graph, out uint32) error {
	if err := g.check(out, 4); err != nil {
		return err
	}
	of, err := g.state.graphs.Get(graph)
	if err != nil {
		return err
	}
	handle, err := g.state.contexts.Add(&execution{graph: of, inputs: make([]*inference.Tensor, len(of.Inputs))}, g.config.MaxHandles)
	if err != nil {
		return err
	}
	return g.write(out, handle)
}

func (g guest) finalizeContext(handle uint32) error {
	_, err := g.state.contexts.Get(handle)
	g.state.contexts.Remove(handle)
	return err
}

func (g guest) setInput(context, index, tensor uint32) error {
	execution, err := g.state.contexts.Get(context)
	if err != nil {
		return err
	}
	if uint64(index) >= uint64(len(execution.inputs)) {
		return fail(InvalidArgument, "the model has no input %d", index)
	}
	value, err := g.readTensor(tensor)
	if err != nil {
		return err
	}
	execution.inputs[index] = value
	return nil
}

func (g guest) compute(context uint32) error {
	execution, err := g.state.contexts.Get(context)
	if err != nil {
		return err
	}
	execution.outputs = nil
	var inputs []inference.Input
	for i, tensor := range execution.inputs {
		if tensor == nil {
			return fail(InvalidArgument, "input %d is not set", i)
		}
		inputs = append(inputs, inference.Input{Which: inference.Which{Index: uint32(i)}, Tensor: *tensor})
	}
	outputs := make([]inference.Which, len(execution.graph.Outputs))
	for i := range outputs {
		outputs[i].Index = uint32(i)
	}
	ctx, stop := perinstance.Context(g.caller)
	defer stop(nil)
	execution.outputs, err = execution.graph.Run(ctx, inputs, outputs)
	return err
}

func (g guest) getOutput(context, index, buffer, size, out uint32) error {
	execution, err := g.state.contexts.Get(context)
	if err != nil {
		return err
	}
	if execution.outputs == nil {
		return fail(RuntimeError, "the outputs are not computed")
	}
	if uint64(index) >= uint64(len(execution.outputs)) {
		return fail(InvalidArgument, "the model has no output %d", index)
	}
	data := execution.outputs[index].Data
	if uint64(len(data)) > uint64(size) {
		return fail(TooLarge, "output %d has %d bytes, the buffer %d", index, len(data), size)
	}
	if err := g.check(out, 4); err != nil {
		return err
	}
	if err := g.memory.Write(uint64(buffer), data); err != nil {
		return fail(InvalidArgument, "%v", err)
	}
	return g.write(out, uint32(len(data)))
}
