package image_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	goimage "image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/image"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestF124ImagesAreDecoded(t *testing.T) {
	g := newGuest(t, image.Config{})
	const width, height = 31, 17
	transparent := picture(width, height)
	for i := 3; i < len(transparent.Pix); i += 4 {
		transparent.Pix[i] = byte(i)
	}
	gray, deep := goimage.NewGray(transparent.Rect), goimage.NewRGBA64(transparent.Rect)
	palette := goimage.NewPaletted(transparent.Rect, color.Palette{color.Black, color.White, color.NRGBA{200, 100, 50, 255}})
	for y := range height {
		for x := range width {
			gray.SetGray(x, y, color.Gray{byte(3 * (x + y))})
			deep.SetRGBA64(x, y, color.RGBA64{uint16(x * 1000), uint16(y * 1000), 12345, 65535})
			palette.SetColorIndex(x, y, byte(x+y)%3)
		}
	}
	smooth := picture(width, height)
	grayJPEG, err := jpeg.Decode(bytes.NewReader(jpegOf(t, gray)))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		codec string
		file  []byte
		want  goimage.Image
		// off is by how much a channel may differ: JPEG loses a little.
		off float64
	}{
		"png":                {"png", pngOf(t, smooth), smooth, 0},
		"png with alpha":     {"png", pngOf(t, transparent), transparent, 1},
		"png in gray":        {"png", pngOf(t, gray), gray, 0},
		"png with a palette": {"png", pngOf(t, palette), palette, 0},
		"png of 16 bits":     {"png", pngOf(t, deep), deep, 0},
		"jpg":                {"jpg", jpegOf(t, smooth), smooth, 12},
		"jpg in gray":        {"jpg", jpegOf(t, gray), grayJPEG, 0},
	} {
		for format, formatName := range formats {
			t.Run(name+" to "+formatName, func(t *testing.T) {
				g := g.in(t)
				result, pixels := g.load(test.codec, test.file, width, height, format)
				require.EqualValues(t, image.Success, result)
				want, got := bytesOf(test.want), channels(pixels, format)
				require.Len(t, got, len(want))
				for i := range want {
					require.InDelta(t, want[i], got[i], test.off, "channel %d of pixel %d", i%3, i/3)
				}
			})
		}
	}
}

func TestF124ImagesAreResized(t *testing.T) {
	g := newGuest(t, image.Config{})
	// A quarter of one colour each, so that the middle of each quarter stays what it is.
	quarters := goimage.NewRGBA(goimage.Rect(0, 0, 200, 100))
	colors := []color.RGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 0, 255}}
	for y := range 100 {
		for x := range 200 {
			quarters.SetRGBA(x, y, colors[y/50*2+x/100])
		}
	}
	files := map[string][]byte{"png": pngOf(t, quarters), "jpg": jpegOf(t, quarters)}
	for codec, file := range files {
		for _, size := range []goimage.Point{{2, 2}, {20, 20}, {20, 80}, {200, 100}, {300, 200}, {8, 300}} {
			for format := range formats {
				t.Run(fmt.Sprintf("%s to %v %s", codec, size, formats[format]), func(t *testing.T) {
					g := g.in(t)
					result, pixels := g.load(codec, file, size.X, size.Y, format)
					require.EqualValues(t, image.Success, result)
					got := channels(pixels, format)
					for quarter, want := range colors {
						x, y := size.X*(1+2*(quarter%2))/4, size.Y*(1+2*(quarter/2))/4
						at := got[3*(y*size.X+x):][:3]
						for channel, value := range []byte{want.R, want.G, want.B} {
							require.InDelta(t, value, at[channel], 8, "quarter %d, channel %d", quarter, channel)
						}
					}
				})
			}
		}
	}
}

func TestGuestsWorkOnPixels(t *testing.T) {
	g := newGuest(t, image.Config{})
	uniform := goimage.NewGray(goimage.Rect(0, 0, 100, 100))
	for i := range uniform.Pix {
		uniform.Pix[i] = 77
	}
	result, _ := g.load("png", pngOf(t, uniform), 30, 20, 0)
	require.EqualValues(t, image.Success, result)
	require.EqualValues(t, 77*3*30*20, g.call("sum", 3*30*20).ToI64())
}

// pngSized is a PNG file whose header says a size that is not that of its pixels.
func pngSized(t *testing.T, width, height uint32) []byte {
	file := pngOf(t, picture(8, 8))
	header := file[12:29] // type and contents of the first chunk
	binary.BigEndian.PutUint32(header[4:], width)
	binary.BigEndian.PutUint32(header[8:], height)
	binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(header))
	return file
}

// jpegSized is the same for JPEG.
func jpegSized(t *testing.T, width, height uint16) []byte {
	file := jpegOf(t, picture(8, 8))
	frame := bytes.Index(file, []byte{0xff, 0xc0})
	require.Positive(t, frame)
	binary.BigEndian.PutUint16(file[frame+5:], height)
	binary.BigEndian.PutUint16(file[frame+7:], width)
	return file
}

func TestBombsAreRefusedBeforeTheyAreDecoded(t *testing.T) {
	real := pngOf(t, goimage.NewNRGBA(goimage.Rect(0, 0, 1000, 1000)))
	require.Less(t, len(real), 10_000, "it is decoded to 400 times as much")
	g := newGuest(t, image.Config{MaxPixels: 500_000})
	for name, test := range map[string]struct {
		codec string
		file  []byte
	}{
		"a real one":      {"png", real},
		"png":             {"png", pngSized(t, 65535, 65535)},
		"png, the widest": {"png", pngSized(t, 1<<31-1, 1<<31-1)},
		"png, wide":       {"png", pngSized(t, 1<<31-1, 1)},
		"png, one more":   {"png", pngSized(t, 500, 1001)},
		"png of none":     {"png", pngSized(t, 0, 0)},
		"jpg":             {"jpg", jpegSized(t, 65535, 65535)},
		"jpg, one more":   {"jpg", jpegSized(t, 500, 1001)},
		"jpg of none":     {"jpg", jpegSized(t, 0, 8)},
	} {
		t.Run(name, func(t *testing.T) {
			g := g.in(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			result, _ := g.load(test.codec, test.file, 8, 8, 0)
			runtime.ReadMemStats(&after)
			require.EqualValues(t, image.Fail, result)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2<<20), "bytes were allocated")
		})
	}
	decodes := newGuest(t, image.Config{MaxPixels: 1_000_000})
	result, _ := decodes.load("png", real, 8, 8, 0)
	require.EqualValues(t, image.Success, result)
}

func TestTargetsAreBounded(t *testing.T) {
	g := newGuest(t, image.Config{MaxPixels: 10_000, MaxFile: 100_000})
	file := pngOf(t, picture(10, 10))
	require.NoError(t, g.Memory.Write(filePlace, file))
	size := len(file)
	for name, test := range map[string]struct {
		arguments []any
		want      int32
	}{
		"fits":               {[]any{size, 10, 10, 0, 300}, image.Success},
		"more room":          {[]any{size, 10, 10, 0, 1000}, image.Success},
		"no room":            {[]any{size, 10, 10, 0, 299}, image.Fail},
		"no room for floats": {[]any{size, 10, 10, 2, 1199}, image.Fail},
		"room for floats":    {[]any{size, 10, 10, 2, 1200}, image.Success},
		"unknown format":     {[]any{size, 10, 10, 4, 1200}, image.Fail},
		"most of formats":    {[]any{size, 10, 10, -1, 1200}, image.Fail},
		"no width":           {[]any{size, 0, 10, 0, 300}, image.Fail},
		"no height":          {[]any{size, 10, 0, 0, 300}, image.Fail},
		"many pixels":        {[]any{size, 100, 101, 0, 100_000}, image.Fail},
		"all pixels":         {[]any{size, -1, -1, 0, -1}, image.Fail},
		"small by overflow":  {[]any{size, math.MinInt32, 2, 0, 300}, image.Fail},
		"no file":            {[]any{0, 10, 10, 0, 300}, image.Fail},
		"half a file":        {[]any{size / 2, 10, 10, 0, 300}, image.Fail},
		"a long file":        {[]any{100_001, 10, 10, 0, 300}, image.Fail},
		"outside of memory":  {[]any{-1, 10, 10, 0, 300}, image.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			g := g.in(t)
			require.Equal(t, test.want, g.call("load_png", test.arguments...).ToI32())
		})
	}
	require.NoError(t, g.Memory.Write(filePlace, file))
	require.EqualValues(t, image.Fail, g.call("png_to_rgb8", size, 1000, 1000).ToI32())
	require.EqualValues(t, image.Fail, g.call("png_to_rgb8", size, math.MinInt32, math.MinInt32).ToI32())
}

func TestPixelsStayInsideOfMemory(t *testing.T) {
	guest := hostile.New(t, program(), wasmer.NewImports().Add(image.New(image.Config{})))
	ptr, length := guest.Put(t, 64, string(pngOf(t, picture(10, 10))))
	end := int32(guest.Memory.Size())
	require.EqualValues(t, image.Success, guest.I32(t, "load_png", ptr, length, 10, 10, 0, end-300, 300))
	require.EqualValues(t, image.Fail, guest.I32(t, "load_png", ptr, length, 10, 10, 0, end-299, 300))
	require.EqualValues(t, image.Success, guest.I32(t, "wasmedge_image_load_png_to_bgr32f", ptr, length, 10, 10, end-1200))
	require.EqualValues(t, image.Fail, guest.I32(t, "wasmedge_image_load_png_to_bgr32f", ptr, length, 10, 10, end-1199))
	require.EqualValues(t, image.Fail, guest.I32(t, "load_png", end, length, 10, 10, 0, 0, 300))
}

func TestBrokenFilesAreRefused(t *testing.T) {
	g := newGuest(t, image.Config{})
	files := map[string][]byte{"png": pngOf(t, picture(30, 20)), "jpg": jpegOf(t, picture(30, 20))}
	random := rand.New(rand.NewPCG(1, 2))
	for codec, file := range files {
		other := map[string]string{"png": "jpg", "jpg": "png"}[codec]
		result, _ := g.load(other, file, 4, 4, 0)
		require.EqualValues(t, image.Fail, result, "a %s is no %s", codec, other)
		for range 200 {
			cut := random.IntN(len(file) - 20)
			result, _ := g.load(codec, file[:cut], 4, 4, 0)
			require.EqualValues(t, image.Fail, result, "%s of %d bytes", codec, cut)
			broken := bytes.Clone(file)
			for range 1 + random.IntN(4) {
				broken[random.IntN(len(broken))] = byte(random.Uint32())
			}
			g.load(codec, broken, 4, 4, 0) // many of these are images
		}
		result, _ = g.load(codec, file, 4, 4, 0)
		require.EqualValues(t, image.Success, result)
	}
}

func TestReasonsAreLogged(t *testing.T) {
	var log bytes.Buffer
	g := newGuest(t, image.Config{MaxPixels: 100, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	g.load("png", pngOf(t, picture(11, 10)), 4, 4, 0)
	require.Contains(t, log.String(), "image refused")
	require.Contains(t, log.String(), "11 times 10 pixels, not between 1 and 100")
}

func TestHostileGuests(t *testing.T) {
	var decoded atomic.Int64
	hostile.Fuzz(t, hostile.Config{
		Program: program(),
		Imports: wasmer.NewImports().Add(image.New(image.Config{MaxPixels: 10_000})),
		Data:    []string{string(pngOf(t, picture(30, 20))), string(jpegOf(t, picture(30, 20)))},
		Check: func(name string, results []uint64) error {
			if results[0] > image.Fail {
				return fmt.Errorf("returned %d", results[0])
			}
			if results[0] == image.Success {
				decoded.Add(1)
			}
			return nil
		},
		Refused: func(_ string, err error) error { return err },
	})
	require.Greater(t, decoded.Load(), int64(20), "pixels were decoded")
}
