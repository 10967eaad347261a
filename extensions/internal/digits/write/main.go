// Command write trains the classifier and writes its models into the current folder.
package main

import (
	"log"
	"os"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
)

func main() {
	classifier := digits.Train()
	for name, model := range map[string][]byte{
		"digits.onnx":   classifier.ONNX(),
		"digits.pb":     classifier.TensorFlow(),
		"digits.tflite": classifier.TensorFlowLite(),
	} {
		if err := os.WriteFile(name, model, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
