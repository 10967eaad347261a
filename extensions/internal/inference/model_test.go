//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package inference_test

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a message of protocol buffers that is being written.
type message []byte

func (m message) number(field protowire.Number, v int64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), uint64(v))
}

func (m message) bytes(field protowire.Number, v []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

func (m message) text(field protowire.Number, v string) message { return m.bytes(field, []byte(v)) }

// graph is a graph of ONNX. See onnx.proto for the numbers of the fields.
type graph struct{ message }

const (
	float  = 1
	int64s = 7
)

func (g *graph) node(operator string, inputs []string, output string, attributes ...message) {
	var node message
	for _, input := range inputs {
		node = node.text(1, input)
	}
	node = node.text(2, output).text(3, output).text(4, operator)
	for _, attribute := range attributes {
		node = node.bytes(5, attribute)
	}
	g.message = g.message.bytes(1, node)
}

func tensor(name string, of int64, data []byte, dims ...int64) message {
	var m message
	for _, dim := range dims {
		m = m.number(1, dim)
	}
	return m.number(2, of).text(8, name).bytes(9, data)
}

// numbers is a constant vector of whole numbers.
func (g *graph) numbers(name string, values ...int64) {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, uint64(v))
	}
	g.message = g.message.bytes(5, tensor(name, int64s, data, int64(len(values))))
}

// number is a constant.
func (g *graph) number(name string, v int64) {
	g.message = g.message.bytes(5, tensor(name, int64s, binary.LittleEndian.AppendUint64(nil, uint64(v))))
}

func value(name string, of int64, dims ...int64) message {
	var shape message
	for _, dim := range dims {
		shape = shape.bytes(1, message{}.number(1, dim))
	}
	return message{}.text(1, name).bytes(2, message{}.bytes(1, message{}.number(1, of).bytes(2, shape)))
}

func (g *graph) input(name string, of int64, dims ...int64) {
	g.message = g.message.bytes(11, value(name, of, dims...))
}

func (g *graph) output(name string, of int64, dims ...int64) {
	g.message = g.message.bytes(12, value(name, of, dims...))
}

// onnx is the model of a graph.
func (g *graph) onnx() []byte {
	return message{}.number(1, 8).bytes(7, g.text(2, "test")).bytes(8, message{}.number(2, 13))
}

// filled is a graph of TensorFlow that fills a tensor of so many elements. See graph.proto for the numbers of the fields.
func filled(elements int64) []byte {
	attribute := func(name string, value message) message { return message{}.text(1, name).bytes(2, value) }
	constant := func(name string, of int64, tensor message) message {
		return message{}.text(1, name).text(2, "Const").bytes(5, attribute("dtype", message{}.number(6, of))).
			bytes(5, attribute("value", message{}.bytes(8, append(message{}.number(1, of), tensor...))))
	}
	const float32s, int32s = 1, 3
	dim := message{}.number(1, 1)
	dims := constant("dims", int32s, message{}.bytes(2, message{}.bytes(2, dim)).number(7, elements))
	zero := constant("zero", float32s, message{}.bytes(2, nil).bytes(4, make([]byte, 4)))
	fill := message{}.text(1, "y").text(2, "Fill").text(3, "dims").text(3, "zero").bytes(5, attribute("T", message{}.number(6, float32s)))
	return message{}.bytes(1, dims).bytes(1, zero).bytes(1, fill)
}
