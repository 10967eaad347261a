package image_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	goimage "image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/image"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Where the guest has a file, and where it wants pixels.
const (
	filePlace = 1 << 10
	outPlace  = 2 << 20
	pages     = 64
)

var formats = []string{"rgb8", "bgr8", "rgb32f", "bgr32f"}

// program imports all functions, and exports each under its name; the file and the place of the pixels are always the same ones.
// "sum" adds up bytes of pixels.
func program() string {
	var imports, exports strings.Builder
	for _, codec := range []string{"jpg", "png"} {
		fmt.Fprintf(&imports, `(import "wasmedge_image" "load_%s" (func $%[1]s (param i32 i32 i32 i32 i32 i32 i32) (result i32)))`, codec)
		fmt.Fprintf(&exports, `(func (export "load_%s") (param $length i32) (param $w i32) (param $h i32) (param $format i32) (param $room i32) (result i32)
			(call $%[1]s (i32.const %[2]d) (local.get $length) (local.get $w) (local.get $h) (local.get $format)
				(i32.const %[3]d) (local.get $room)))`, codec, filePlace, outPlace)
		for _, format := range formats {
			name := codec + "_to_" + format
			fmt.Fprintf(&imports, `(import "wasmedge_image" "wasmedge_image_load_%s" (func $%[1]s (param i32 i32 i32 i32 i32) (result i32)))`, name)
			fmt.Fprintf(&exports, `(func (export "%s") (param $length i32) (param $w i32) (param $h i32) (result i32)
				(call $%[1]s (i32.const %[2]d) (local.get $length) (local.get $w) (local.get $h) (i32.const %[3]d)))`, name, filePlace, outPlace)
		}
	}
	return fmt.Sprintf(`(module %s (memory (export "memory") %d) %s
		(func (export "sum") (param $n i32) (result i64) (local $sum i64)
			(loop $next
				(local.set $n (i32.sub (local.get $n) (i32.const 1)))
				(local.set $sum (i64.add (local.get $sum) (i64.load8_u (i32.add (i32.const %d) (local.get $n)))))
				(br_if $next (local.get $n)))
			(local.get $sum)))`, &imports, pages, &exports, outPlace)
}

type guest struct {
	*wasmer.Instance
	t testing.TB
}

func newGuest(t testing.TB, config image.Config) *guest {
	t.Helper()
	return &guest{hostile.Instantiate(t, program(), wasmer.NewImports().Add(image.New(config))), t}
}

// in is the guest in a subtest.
func (g *guest) in(t testing.TB) *guest { return &guest{g.Instance, t} }

func (g *guest) call(name string, arguments ...any) wasmer.Value {
	g.t.Helper()
	function, err := g.Function(name)
	require.NoError(g.t, err)
	values, err := function.Call(g.t.Context(), arguments...)
	require.NoError(g.t, err)
	return values[0]
}

// load has the guest load a file, by both forms of the functions, which must do the same. It gives the result and the
// bytes of the pixels.
func (g *guest) load(codec string, file []byte, width, height, format int) (result int32, pixels []byte) {
	g.t.Helper()
	require.Less(g.t, len(file), outPlace-filePlace)
	require.NoError(g.t, g.Memory.Write(filePlace, file))
	size := 3 * width * height
	if format >= 2 {
		size *= 4
	}
	forms := map[string][]any{
		"load_" + codec:                  {len(file), width, height, format, size},
		codec + "_to_" + formats[format]: {len(file), width, height},
	}
	result = -1
	for name, arguments := range forms {
		require.NoError(g.t, g.Memory.Write(outPlace, make([]byte, size+1)))
		code := g.call(name, arguments...).ToI32()
		got, err := g.Memory.Read(outPlace, uint64(size))
		require.NoError(g.t, err)
		if result >= 0 {
			require.Equal(g.t, result, code, name)
			require.Equal(g.t, pixels, got, name)
		}
		result, pixels = code, got
		behind, err := g.Memory.ReadByteAt(outPlace + uint64(size))
		require.NoError(g.t, err)
		require.Zero(g.t, behind, "a byte behind the pixels")
	}
	return result, pixels
}

// channels turns pixels of any format into bytes, red first.
func channels(pixels []byte, format int) []byte {
	if format >= 2 {
		single := make([]byte, len(pixels)/4)
		for i := range single {
			single[i] = byte(math.Round(float64(math.Float32frombits(binary.LittleEndian.Uint32(pixels[4*i:]))) * 255))
		}
		pixels = single
	}
	ordered := bytes.Clone(pixels)
	if format%2 == 1 {
		for i := 0; i < len(ordered); i += 3 {
			ordered[i], ordered[i+2] = ordered[i+2], ordered[i]
		}
	}
	return ordered
}

// picture is smooth, and different at each place and in each channel.
func picture(width, height int) *goimage.NRGBA {
	made := goimage.NewNRGBA(goimage.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			made.SetNRGBA(x, y, color.NRGBA{
				R: byte(255 * x / width), G: byte(255 * y / height), B: byte(40 + 100*(x+y)/(width+height)), A: 255,
			})
		}
	}
	return made
}

// bytesOf are the channels of an image's pixels, what is transparent on black.
func bytesOf(made goimage.Image) []byte {
	var pixels []byte
	for y := made.Bounds().Min.Y; y < made.Bounds().Max.Y; y++ {
		for x := made.Bounds().Min.X; x < made.Bounds().Max.X; x++ {
			r, g, b, _ := made.At(x, y).RGBA()
			pixels = append(pixels, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return pixels
}

func pngOf(t testing.TB, made goimage.Image) []byte {
	t.Helper()
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, made))
	return file.Bytes()
}

func jpegOf(t testing.TB, made goimage.Image) []byte {
	t.Helper()
	var file bytes.Buffer
	require.NoError(t, jpeg.Encode(&file, made, &jpeg.Options{Quality: 95}))
	return file.Bytes()
}
