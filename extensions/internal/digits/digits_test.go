package digits_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
)

func TestModelsAreMadeAgainToTheBit(t *testing.T) {
	classifier := digits.Train()
	require.True(t, string(classifier.ONNX()) == string(digits.ONNX), "digits.onnx is old: go generate")
	require.True(t, string(classifier.TensorFlow()) == string(digits.TensorFlow), "digits.pb is old: go generate")
	require.True(t, string(classifier.TensorFlowLite()) == string(digits.TensorFlowLite), "digits.tflite is old: go generate")

	right := 0
	images := digits.Images(2, 1000) // others than those that it was trained with
	for i := range images {
		if classifier.Classify(&images[i]) == images[i].Digit {
			right++
		}
	}
	require.Equal(t, 973, right)
}

func TestImagesShowDigits(t *testing.T) {
	images := digits.Images(1, 100)
	for i, image := range images {
		require.Equal(t, i%digits.Classes, image.Digit)
		ink := 0
		for _, pixel := range image.Pixels {
			require.True(t, pixel >= 0 && pixel <= 1)
			if pixel > 0.5 {
				ink++
			}
		}
		require.Greater(t, ink, 5)
		require.Less(t, ink, 30)
	}
}
