// Package digits is what the tests of inference run: images of digits that it draws itself, a classifier that it trains on
// them, and the classifier as a file of ONNX, TensorFlow and TensorFlow Lite. All of it comes out the same to the bit on
// every machine.
package digits

import "math/rand/v2"

// Side is the width and the height of an image, Pixels their product, Classes the number of digits.
const (
	Side    = 10
	Pixels  = Side * Side
	Classes = 10
)

// Image is a digit: pixels from 0 to 1, row by row, and what it shows.
type Image struct {
	Pixels [Pixels]float32
	Digit  int
}

const (
	glyphWidth  = 5
	glyphHeight = 7
)

// glyphs are the digits as they are drawn, one row a number, whose lowest bit is at the right.
var glyphs = [Classes][glyphHeight]uint8{
	{0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110},
	{0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110},
	{0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111},
	{0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110},
	{0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010},
	{0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110},
	{0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110},
	{0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000},
	{0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110},
	{0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100},
}

// Images draws n digits, each in turn: somewhere in the image, slanted or not, of some brightness, with noise, and with
// pixels that are missing.
func Images(seed uint64, n int) []Image {
	random := source{rand.NewPCG(seed, 1)}
	images := make([]Image, n)
	for i := range images {
		images[i] = draw(i%Classes, random)
	}
	return images
}

func draw(digit int, random source) Image {
	image := Image{Digit: digit}
	left, top := random.below(Side-glyphWidth+1), random.below(Side-glyphHeight+1)
	slant, ink := random.below(3)-1, 140+random.below(116)
	var levels [Pixels]int
	for y, row := range glyphs[digit] {
		// The upper rows of a slanted digit lie further to one side than the lower ones.
		shift := slant * (glyphHeight/2 - y) / (glyphHeight / 2)
		for x := range glyphWidth {
			column := left + x + shift
			inked := row>>(glyphWidth-1-x)&1 == 1
			if inked && column >= 0 && column < Side && random.below(40) != 0 {
				levels[(top+y)*Side+column] = ink
			}
		}
	}
	for i, level := range levels {
		image.Pixels[i] = float32(min(level+random.below(60), 255)) / 255
	}
	return image
}

// source is a generator of which only whole numbers are taken: how they become others is not fixed.
type source struct{ *rand.PCG }

func (s source) below(n int) int { return int(s.Uint64() >> 33 % uint64(n)) }
