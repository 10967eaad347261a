package image

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"math"

	"golang.org/x/image/draw"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// pixelFormat is how pixels lie in memory, row by row without gaps: three channels, red first or blue first, as bytes or as
// float32 from 0 to 1.
type pixelFormat uint32

const (
	rgb8 pixelFormat = iota
	bgr8
	rgb32f
	bgr32f
)

var formatNames = [...]string{rgb8: "rgb8", bgr8: "bgr8", rgb32f: "rgb32f", bgr32f: "bgr32f"}

// target is what an image is to become, and the place for it.
type target struct {
	width, height uint32
	format        pixelFormat
	out           uint32
	// room is how many bytes there are for it.
	room uint64
}

// rowSize is in bytes.
func (t target) rowSize() uint64 {
	if t.format == rgb32f || t.format == bgr32f {
		return 12 * uint64(t.width)
	}
	return 3 * uint64(t.width)
}

// size is in bytes, and at least what no memory has if it is more.
func (t target) size() uint64 {
	if pixels := uint64(t.width) * uint64(t.height); pixels > math.MaxUint32 {
		return pixels
	}
	return t.rowSize() * uint64(t.height)
}

// decode decodes a file in the memory of a guest, resizes it, and puts it there.
func (m *Module) decode(ctx context.Context, memory *wasmer.Memory, codec codec, file, length uint32, to target) error {
	switch pixels := uint64(to.width) * uint64(to.height); {
	case uint64(to.format) >= uint64(len(formatNames)):
		return fmt.Errorf("image: pixel format %d is unknown", to.format)
	case pixels == 0 || pixels > uint64(m.config.MaxPixels):
		return fmt.Errorf("image: %d times %d pixels are not between 1 and %d", to.width, to.height, m.config.MaxPixels)
	case to.size() > to.room:
		return fmt.Errorf("image: %d bytes of pixels do not fit into %d", to.size(), to.room)
	case uint64(length) > uint64(m.config.MaxFile):
		return fmt.Errorf("image: a file of %d bytes is larger than %d", length, m.config.MaxFile)
	}
	if end := uint64(to.out) + to.size(); memory != nil && end > memory.Size() {
		return fmt.Errorf("%w: pixels up to %d of a memory of %d bytes", wasmer.ErrOutOfBounds, end, memory.Size())
	}
	select {
	case m.turns <- struct{}{}:
		defer func() { <-m.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	data, err := memory.Read(uint64(file), uint64(length)) // a copy: other threads of the guest cannot change it
	if err != nil {
		return err
	}
	config, err := codec.dimensions(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if pixels := uint64(config.Width) * uint64(config.Height); pixels == 0 || pixels > uint64(m.config.MaxPixels) {
		return fmt.Errorf("image: the file has %d times %d pixels, not between 1 and %d", config.Width, config.Height, m.config.MaxPixels)
	}
	if passes := codec.passes(data); passes > maxPasses {
		return fmt.Errorf("image: the file has %d scans, more than %d", passes, maxPasses)
	}
	decoded, err := codec.decode(reader{bytes.NewReader(data), ctx})
	if err != nil {
		return err
	}
	// This scaler looks at up to four pixels for each new one, needs no further memory, and puts what is transparent on black.
	resized := image.NewRGBA(image.Rect(0, 0, int(to.width), int(to.height)))
	draw.ApproxBiLinear.Scale(resized, resized.Bounds(), decoded, decoded.Bounds(), draw.Src, nil)
	return to.write(memory, resized)
}

// write puts pixels into the memory.
func (t target) write(memory *wasmer.Memory, pixels *image.RGBA) error {
	row := make([]byte, 0, t.rowSize())
	place := uint64(t.out)
	for y := range int(t.height) {
		row = row[:0]
		for x := range int(t.width) {
			pixel := pixels.Pix[pixels.PixOffset(x, y):]
			first, last := pixel[0], pixel[2]
			if t.format == bgr8 || t.format == bgr32f {
				first, last = last, first
			}
			if t.format == rgb8 || t.format == bgr8 {
				row = append(row, first, pixel[1], last)
				continue
			}
			for _, channel := range [...]byte{first, pixel[1], last} {
				row = binary.LittleEndian.AppendUint32(row, math.Float32bits(float32(float64(channel)/255)))
			}
		}
		if err := memory.Write(place, row); err != nil {
			return err
		}
		place += uint64(len(row))
	}
	return nil
}
