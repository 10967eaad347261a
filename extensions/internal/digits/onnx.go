package digits

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a message of protocol buffers that is being written.
type message []byte

func (m message) number(field protowire.Number, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), v)
}

func (m message) bytes(field protowire.Number, v []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

func (m message) text(field protowire.Number, v string) message { return m.bytes(field, []byte(v)) }

func floats(values []float32) []byte {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// The names of the models' input and output.
const (
	Input  = "pixels"
	Output = "probabilities"
)

const (
	onnxFloat     = 1
	onnxInt       = 2 // of an attribute
	onnxIRVersion = 8
	onnxOperators = 13
)

// ONNX is the classifier as a model of ONNX that takes any number of images at once.
//
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
func (c *Classifier) ONNX() []byte {
	gemm := func(name, input, layer string) message {
		transposed := message{}.text(1, "transB").number(3, 1).number(20, onnxInt)
		return message{}.text(1, input).text(1, layer+"/weights").text(1, layer+"/bias").
			text(2, name).text(3, name).text(4, "Gemm").bytes(5, transposed)
	}
	operator := func(operator, input, output string) message {
		return message{}.text(1, input).text(2, output).text(3, output).text(4, operator)
	}
	tensor := func(name string, values []float32, dims ...int) message {
		var m message
		for _, dim := range dims {
			m = m.number(1, uint64(dim))
		}
		return m.number(2, onnxFloat).text(8, name).bytes(9, floats(values))
	}
	value := func(name string, width int) message {
		shape := message{}.bytes(1, message{}.text(2, "images")).bytes(1, message{}.number(1, uint64(width)))
		return message{}.text(1, name).bytes(2, message{}.bytes(1, message{}.number(1, onnxFloat).bytes(2, shape)))
	}
	graph := message{}.
		bytes(1, gemm("hidden", Input, "first")).
		bytes(1, operator("Relu", "hidden", "active")).
		bytes(1, gemm("scores", "active", "second")).
		bytes(1, operator("Softmax", "scores", Output)).
		text(2, "digits").
		bytes(5, tensor("first/weights", c.First.Weights, c.First.Out, c.First.In)).
		bytes(5, tensor("first/bias", c.First.Bias, c.First.Out)).
		bytes(5, tensor("second/weights", c.Second.Weights, c.Second.Out, c.Second.In)).
		bytes(5, tensor("second/bias", c.Second.Bias, c.Second.Out)).
		bytes(11, value(Input, Pixels)).
		bytes(12, value(Output, Classes))
	return message{}.number(1, onnxIRVersion).text(2, "digits").bytes(7, graph).bytes(8, message{}.number(2, onnxOperators))
}
