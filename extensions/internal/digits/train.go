package digits

import "math/rand/v2"

// Hidden is the width of the classifier's hidden layer.
const Hidden = 32

// Layer computes weights · x + bias. Weights are row by row, one row an output.
type Layer struct {
	In, Out       int
	Weights, Bias []float32
}

// Classifier is a perceptron with one hidden layer: ReLU after the first, and the higher a number of the second, the more
// likely is its digit.
type Classifier struct{ First, Second Layer }

// Train makes a classifier.
func Train() *Classifier {
	const (
		images, rounds = 8000, 12
		rate           = 0.02
	)
	random := source{rand.NewPCG(7, 7)}
	c := &Classifier{newLayer(Pixels, Hidden, random), newLayer(Hidden, Classes, random)}
	set := Images(1, images)
	for round := range rounds {
		for range set {
			c.learn(&set[random.below(images)], rate/float32(1+round/4))
		}
	}
	return c
}

func newLayer(in, out int, random source) Layer {
	layer := Layer{in, out, make([]float32, in*out), make([]float32, out)}
	for i := range layer.Weights {
		layer.Weights[i] = float32(random.below(2001)-1000) / 1000 / 8
	}
	return layer
}

// Classify is the digit that the image most likely shows.
func (c *Classifier) Classify(image *Image) int {
	_, output := c.compute(image.Pixels[:])
	return Largest(output)
}

// Largest is the index of the largest number.
func Largest(of []float32) int {
	largest := 0
	for i, v := range of {
		if v > of[largest] {
			largest = i
		}
	}
	return largest
}

func (c *Classifier) compute(pixels []float32) (hidden, output []float32) {
	hidden = c.First.compute(pixels)
	for i, v := range hidden {
		hidden[i] = max(v, 0)
	}
	return hidden, c.Second.compute(hidden)
}

// A product is rounded before it is added: some processors would join both, and come to other weights.
func (l *Layer) compute(input []float32) []float32 {
	output := make([]float32, l.Out)
	for o := range output {
		sum := l.Bias[o]
		for i, weight := range l.Weights[o*l.In : (o+1)*l.In] {
			sum += float32(weight * input[i])
		}
		output[o] = sum
	}
	return output
}

// learn goes one step down the gradient of the squared error.
func (c *Classifier) learn(image *Image, rate float32) {
	hidden, output := c.compute(image.Pixels[:])
	for i := range output {
		if i == image.Digit {
			output[i]--
		}
	}
	gradient := c.Second.learn(hidden, output, rate)
	for i := range gradient {
		if hidden[i] == 0 {
			gradient[i] = 0
		}
	}
	c.First.learn(image.Pixels[:], gradient, rate)
}

// learn changes the layer by the gradient of its output, and returns that of its input.
func (l *Layer) learn(input, gradient []float32, rate float32) []float32 {
	before := make([]float32, l.In)
	for o, g := range gradient {
		step := float32(g * rate)
		row := l.Weights[o*l.In : (o+1)*l.In]
		for i := range row {
			before[i] += float32(row[i] * g)
			row[i] -= float32(step * input[i])
		}
		l.Bias[o] -= step
	}
	return before
}
