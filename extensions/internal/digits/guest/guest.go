// Package guest drives programs that classify the images of package digits.
package guest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Guest is an instance of a program that classifies images. It exports where it wants the model and the pixels in its memory,
// and the function classify, which tells the digit.
type Guest struct {
	*wasmer.Instance

	model, pixels uint64
}

// New makes a guest of a program.
func New(ctx context.Context, module *wasmer.Module, imports *wasmer.Imports) (*Guest, error) {
	instance, err := wasmer.Instantiate(ctx, module, imports)
	if err != nil {
		return nil, err
	}
	guest := &Guest{Instance: instance}
	for name, at := range map[string]*uint64{"model": &guest.model, "pixels": &guest.pixels} {
		global, err := instance.Global(name)
		if err != nil {
			return nil, err
		}
		value, err := global.Get()
		if err != nil {
			return nil, err
		}
		*at = uint64(value.ToI32())
	}
	return guest, nil
}

// Load writes bytes to where the guest wants the model, and calls a function with their number, and further arguments.
func (g *Guest) Load(ctx context.Context, function string, bytes []byte, args ...any) (int32, error) {
	if err := g.Memory.Write(g.model, bytes); err != nil {
		return 0, err
	}
	return g.Call(ctx, function, append([]any{len(bytes)}, args...)...)
}

// Classify has the guest look at an image.
func (g *Guest) Classify(ctx context.Context, image *digits.Image) (int32, error) {
	data := make([]byte, 0, 4*digits.Pixels)
	for _, pixel := range image.Pixels {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(pixel))
	}
	if err := g.Memory.Write(g.pixels, data); err != nil {
		return 0, err
	}
	return g.Call(ctx, "classify")
}

// Accuracy is the share of so many images, none of which the classifier was trained with, that the guest knows.
func (g *Guest) Accuracy(ctx context.Context, images int) (float64, error) {
	right := 0
	set := digits.Images(3, images)
	for i := range set {
		digit, err := g.Classify(ctx, &set[i])
		if err != nil {
			return 0, fmt.Errorf("image %d: %w", i, err)
		}
		if int(digit) == set[i].Digit {
			right++
		}
	}
	return float64(right) / float64(images), nil
}

// Call calls an export that gives one number.
func (g *Guest) Call(ctx context.Context, name string, args ...any) (int32, error) {
	function, err := g.Function(name)
	if err != nil {
		return 0, err
	}
	values, err := function.Call(ctx, args...)
	if err != nil {
		return 0, err
	}
	return values[0].ToI32(), nil
}
