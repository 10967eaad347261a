package digits

import _ "embed"

//go:generate go run ./write

// The models, as the command write has written them.
var (
	//go:embed digits.onnx
	ONNX []byte
	//go:embed digits.pb
	TensorFlow []byte
	//go:embed digits.tflite
	TensorFlowLite []byte
)
