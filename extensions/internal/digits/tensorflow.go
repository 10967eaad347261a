package digits

const (
	tensorflowFloat    = 1
	tensorflowProducer = 1882 // what TensorFlow 2.17 writes
)

// TensorFlow is the classifier as a frozen graph of TensorFlow that takes any number of images at once.
//
// https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/graph.proto
func (c *Classifier) TensorFlow() []byte {
	attribute := func(name string, value message) message { return message{}.text(1, name).bytes(2, value) }
	float := message{}.number(6, tensorflowFloat)
	shape := func(dims ...int) (m message) {
		for _, dim := range dims {
			m = m.bytes(2, message{}.number(1, uint64(dim)))
		}
		return m
	}
	constant := func(name string, values []float32, dims ...int) message {
		tensor := message{}.number(1, tensorflowFloat).bytes(2, shape(dims...)).bytes(4, floats(values))
		return message{}.text(1, name).text(2, "Const").
			bytes(5, attribute("dtype", float)).
			bytes(5, attribute("value", message{}.bytes(8, tensor)))
	}
	operator := func(name, operator string, inputs ...string) message {
		m := message{}.text(1, name).text(2, operator)
		for _, input := range inputs {
			m = m.text(3, input)
		}
		return m.bytes(5, attribute("T", float))
	}
	multiply := func(name, input, weights string) message {
		not := message{}.number(5, 0)
		return operator(name, "MatMul", input, weights).
			bytes(5, attribute("transpose_a", not)).bytes(5, attribute("transpose_b", not))
	}
	placeholder := message{}.text(1, Input).text(2, "Placeholder").
		bytes(5, attribute("dtype", float)).
		bytes(5, attribute("shape", message{}.bytes(7, shape(-1, Pixels))))
	return message{}.
		bytes(1, placeholder).
		bytes(1, constant("first/weights", c.First.transposed(), c.First.In, c.First.Out)).
		bytes(1, constant("first/bias", c.First.Bias, c.First.Out)).
		bytes(1, constant("second/weights", c.Second.transposed(), c.Second.In, c.Second.Out)).
		bytes(1, constant("second/bias", c.Second.Bias, c.Second.Out)).
		bytes(1, multiply("first/product", Input, "first/weights")).
		bytes(1, operator("hidden", "BiasAdd", "first/product", "first/bias")).
		bytes(1, operator("active", "Relu", "hidden")).
		bytes(1, multiply("second/product", "active", "second/weights")).
		bytes(1, operator("scores", "BiasAdd", "second/product", "second/bias")).
		bytes(1, operator(Output, "Softmax", "scores")).
		bytes(4, message{}.number(1, tensorflowProducer))
}

// transposed are the weights with one row an input.
func (l *Layer) transposed() []float32 {
	out := make([]float32, 0, len(l.Weights))
	for i := range l.In {
		for o := range l.Out {
			out = append(out, l.Weights[o*l.In+i])
		}
	}
	return out
}
