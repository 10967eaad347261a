package digits

import flatbuffers "github.com/google/flatbuffers/go"

// Numbers of TensorFlow Lite.
const (
	liteVersion        = 3
	liteFloat          = 0
	liteFullyConnected = 9
	liteSoftmax        = 25
	liteRelu           = 1
	// The types of options.
	liteFullyConnectedOptions = 8
	liteSoftmaxOptions        = 9
)

// lite writes a model of TensorFlow Lite. Parts are numbered as they are added.
type lite struct {
	*flatbuffers.Builder
	buffers, tensors, operators []flatbuffers.UOffsetT
}

// TensorFlowLite is the classifier as a model of TensorFlow Lite that takes one image.
//
// https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
func (c *Classifier) TensorFlowLite() []byte {
	l := &lite{Builder: flatbuffers.NewBuilder(1 << 16)}
	l.buffer(nil) // the first buffer is the one of what has no data
	input := l.tensor(Input, nil, 1, Pixels)
	hidden := l.tensor("hidden", nil, 1, Hidden)
	scores := l.tensor("scores", nil, 1, Classes)
	output := l.tensor(Output, nil, 1, Classes)
	first := l.tensor("first/weights", c.First.Weights, Hidden, Pixels)
	firstBias := l.tensor("first/bias", c.First.Bias, Hidden)
	second := l.tensor("second/weights", c.Second.Weights, Classes, Hidden)
	secondBias := l.tensor("second/bias", c.Second.Bias, Classes)
	l.operator(0, []int32{input, first, firstBias}, hidden, liteFullyConnectedOptions, l.fullyConnected(liteRelu))
	l.operator(0, []int32{hidden, second, secondBias}, scores, liteFullyConnectedOptions, l.fullyConnected(0))
	l.operator(1, []int32{scores}, output, liteSoftmaxOptions, l.softmax())
	graph := l.graph(input, output)
	codes := l.offsets([]flatbuffers.UOffsetT{l.code(liteFullyConnected), l.code(liteSoftmax)})
	graphs, buffers, description := l.offsets([]flatbuffers.UOffsetT{graph}), l.offsets(l.buffers), l.CreateString("digits")
	l.StartObject(5)
	l.PrependUint32Slot(0, liteVersion, 0)
	l.PrependUOffsetTSlot(1, codes, 0)
	l.PrependUOffsetTSlot(2, graphs, 0)
	l.PrependUOffsetTSlot(3, description, 0)
	l.PrependUOffsetTSlot(4, buffers, 0)
	l.FinishWithFileIdentifier(l.EndObject(), []byte("TFL3"))
	return l.FinishedBytes()
}

func (l *lite) offsets(of []flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	l.StartVector(4, len(of), 4)
	for i := len(of) - 1; i >= 0; i-- {
		l.PrependUOffsetT(of[i])
	}
	return l.EndVector(len(of))
}

func (l *lite) numbers(of []int32) flatbuffers.UOffsetT {
	l.StartVector(4, len(of), 4)
	for i := len(of) - 1; i >= 0; i-- {
		l.PrependInt32(of[i])
	}
	return l.EndVector(len(of))
}

func (l *lite) buffer(values []float32) uint32 {
	var data flatbuffers.UOffsetT
	if values != nil {
		bytes := floats(values)
		// The schema asks for data that is aligned to 16 bytes.
		l.StartVector(1, len(bytes), 16)
		for i := len(bytes) - 1; i >= 0; i-- {
			l.PrependByte(bytes[i])
		}
		data = l.EndVector(len(bytes))
	}
	l.StartObject(1)
	l.PrependUOffsetTSlot(0, data, 0)
	l.buffers = append(l.buffers, l.EndObject())
	return uint32(len(l.buffers) - 1)
}

func (l *lite) tensor(name string, values []float32, shape ...int32) int32 {
	var buffer uint32
	if values != nil {
		buffer = l.buffer(values)
	}
	dims, text := l.numbers(shape), l.CreateString(name)
	l.StartObject(4)
	l.PrependUOffsetTSlot(0, dims, 0)
	l.PrependByteSlot(1, liteFloat, 0)
	l.PrependUint32Slot(2, buffer, 0)
	l.PrependUOffsetTSlot(3, text, 0)
	l.tensors = append(l.tensors, l.EndObject())
	return int32(len(l.tensors) - 1)
}

func (l *lite) fullyConnected(activation byte) flatbuffers.UOffsetT {
	l.StartObject(1)
	l.PrependByteSlot(0, activation, 0)
	return l.EndObject()
}

func (l *lite) softmax() flatbuffers.UOffsetT {
	l.StartObject(1)
	l.PrependFloat32Slot(0, 1, 0) // beta
	return l.EndObject()
}

func (l *lite) operator(code uint32, inputs []int32, output int32, optionsType byte, options flatbuffers.UOffsetT) {
	in, out := l.numbers(inputs), l.numbers([]int32{output})
	l.StartObject(5)
	l.PrependUint32Slot(0, code, 0)
	l.PrependUOffsetTSlot(1, in, 0)
	l.PrependUOffsetTSlot(2, out, 0)
	l.PrependByteSlot(3, optionsType, 0)
	l.PrependUOffsetTSlot(4, options, 0)
	l.operators = append(l.operators, l.EndObject())
}

func (l *lite) code(operator int32) flatbuffers.UOffsetT {
	l.StartObject(4)
	l.PrependByteSlot(0, byte(operator), 0) // where older readers look
	l.PrependInt32Slot(2, 1, 1)             // version
	l.PrependInt32Slot(3, operator, 0)
	return l.EndObject()
}

func (l *lite) graph(input, output int32) flatbuffers.UOffsetT {
	tensors, operators := l.offsets(l.tensors), l.offsets(l.operators)
	in, out, name := l.numbers([]int32{input}), l.numbers([]int32{output}), l.CreateString("main")
	l.StartObject(5)
	l.PrependUOffsetTSlot(0, tensors, 0)
	l.PrependUOffsetTSlot(1, in, 0)
	l.PrependUOffsetTSlot(2, out, 0)
	l.PrependUOffsetTSlot(3, operators, 0)
	l.PrependUOffsetTSlot(4, name, 0)
	return l.EndObject()
}
