package image

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const waiting = `(module
	(import "wasmedge_image" "load_png" (func $load (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
	(memory (export "memory") 1)
	(func (export "load") (param $length i32) (result i32)
		(call $load (i32.const 0) (local.get $length) (i32.const 2) (i32.const 2) (i32.const 0) (i32.const 60000) (i32.const 12))))`

// newWaiting gives an instance of waiting, its function, and the length of the file that it has.
func newWaiting(t *testing.T, imports *wasmer.Imports) (*wasmer.Instance, func(context.Context, int32) (int32, error), int32) {
	t.Helper()
	module, err := wasmer.Compile([]byte(waiting))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, module.Close()) })
	instance, err := wasmer.Instantiate(t.Context(), module, imports)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, instance.Close()) })
	load, err := wasmer.Func1[int32, int32](instance, "load")
	require.NoError(t, err)
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, image.NewGray(image.Rect(0, 0, 3, 3))))
	require.NoError(t, instance.Memory.Write(0, file.Bytes()))
	return instance, load, int32(file.Len())
}

func TestAGuestWaitsForItsTurnAsLongAsItsContextLetsIt(t *testing.T) {
	m := New(Config{})
	_, load, size := newWaiting(t, wasmer.NewImports().Add(m))
	for range cap(m.turns) {
		m.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := load(ctx, size)
		ended <- err
	}()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	<-m.turns
	result, err := load(t.Context(), size)
	require.NoError(t, err)
	require.EqualValues(t, Success, result)
	require.Len(t, m.turns, cap(m.turns)-1, "the turn was given back")
}

func TestDecodingEndsWithItsCall(t *testing.T) {
	for _, by := range []string{"context", "close"} {
		t.Run(by, func(t *testing.T) {
			m, begun := New(Config{}), make(chan bool)
			endless := pngFiles
			endless.decode = func(file io.Reader) (image.Image, error) {
				begun <- true
				for {
					if _, err := file.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
						return nil, err
					}
				}
			}
			imports := wasmer.NewImports().Namespace("wasmedge_image").Function("load_png",
				func(c *wasmer.Caller, file, length, width, height, format, out, room uint32) (uint32, error) {
					return m.load(c, endless, file, length, target{width, height, pixelFormat(format), out, uint64(room)})
				})
			instance, load, size := newWaiting(t, imports)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error)
			go func() {
				_, err := load(ctx, size)
				ended <- err
			}()
			<-begun
			if by == "context" {
				cancel()
				require.ErrorIs(t, <-ended, context.Canceled)
			} else {
				require.NoError(t, instance.Close())
				require.ErrorIs(t, <-ended, wasmer.ErrClosed)
			}
		})
	}
}

// scans is a JPEG file whose scans go through all of its pixels and change none.
func scans(side uint16, number int) []byte {
	high, low := byte(side>>8), byte(side)
	file := []byte{0xff, 0xd8, 0xff, 0xdb, 0, 67, 0} // quantization
	file = append(file, bytes.Repeat([]byte{1}, 64)...)
	file = append(file, 0xff, 0xc2, 0, 11, 8, high, low, high, low, 1, 1, 0x11, 0) // a progressive frame in gray
	file = append(file, 0xff, 0xc4, 0, 20, 0x10, 1)                                // one code: 0 is a run of 2^14 blocks, and 14 bits more
	file = append(append(file, make([]byte, 15)...), 0xe0)
	blocks := (int(side) / 8) * (int(side) / 8)
	runs := (blocks + 1<<14 - 1) >> 14
	scan := append([]byte{0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0}, make([]byte, (runs*15+7)/8)...)
	return append(append(file, bytes.Repeat(scan, number)...), 0xff, 0xd9)
}

func TestScansAreBounded(t *testing.T) {
	m := New(Config{})
	decode := func(file []byte) error {
		memory, err := wasmer.NewMemory(1, 1)
		require.NoError(t, err)
		defer memory.Close()
		require.NoError(t, memory.Write(0, file))
		to := target{width: 8, height: 8, out: 1 << 15, room: 1 << 15}
		return m.decode(t.Context(), memory, jpegFiles, 0, uint32(len(file)), to)
	}
	require.NoError(t, decode(scans(64, maxPasses)))
	require.ErrorContains(t, decode(scans(64, maxPasses+1)), "the file has 101 scans, more than 100")
	require.ErrorContains(t, decode(scans(4096, 1000)), "the file has 1000 scans, more than 100")
	require.NoError(t, decode(append(scans(64, 1), scans(64, maxPasses+1)...)), "what follows the image does not count")
	comment := slices.Concat([]byte{0xff, 0xfe, 0x03, 0xe8}, bytes.Repeat([]byte{0xff, 0xda}, 499))
	file := scans(64, 2)
	require.NoError(t, decode(slices.Concat(file[:2], comment, file[2:])), "nor does what is not shown")
}

func FuzzScans(f *testing.F) {
	f.Add(scans(64, 2))
	f.Fuzz(func(t *testing.T, file []byte) {
		require.LessOrEqual(t, scansOf(file), bytes.Count(file, []byte{0xff, 0xda}))
	})
}
