// Package image gives guests the module wasmedge_image: JPEG and PNG files, decoded and resized to pixels in their memory.
//
// Both forms of the module are there: load_jpg and load_png of WasmEdge 0.13, and the functions of WasmEdge-image 0.11, such as
// wasmedge_image_load_jpg_to_rgb8.
package image

import (
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"runtime"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Config bounds what guests have decoded.
type Config struct {
	// MaxPixels is how many pixels an image may have, as its file says before it is decoded, and after it was resized;
	// 0 is 16 Mi. Decoding takes up to 24 bytes of memory for each, resizing 4, and as many images are decoded at once
	// as there are CPUs.
	MaxPixels int
	// MaxFile is how many bytes a file may have; 0 is 64 MiB.
	MaxFile int
	// Logger is told, on the debug level, why an image was refused, which the guest does not learn; nil tells nobody.
	Logger *slog.Logger
}

// What the functions return.
const (
	Success = 0
	// Fail is of files that are damaged, too large, or of another format, of unknown pixel formats, and of places outside
	// of the guest's memory.
	Fail = 1
)

// Module is the host module wasmedge_image. It keeps nothing of its guests. Goroutines may share it.
type Module struct {
	config Config
	// turns has an element for each image that is being decoded.
	turns chan struct{}
}

// New makes the module.
func New(config Config) *Module {
	if config.MaxPixels <= 0 {
		config.MaxPixels = 16 << 20
	}
	if config.MaxFile <= 0 {
		config.MaxFile = 64 << 20
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Module{config: config, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// codec is one of the package image's.
type codec struct {
	name       string
	dimensions func(io.Reader) (image.Config, error)
	// passes is how often the file has the decoder go through all pixels.
	passes func(file []byte) int
	decode func(io.Reader) (image.Image, error)
}

var (
	jpegFiles = codec{"jpg", jpeg.DecodeConfig, scansOf, jpeg.Decode}
	pngFiles  = codec{"png", png.DecodeConfig, func([]byte) int { return 1 }, png.Decode}
)

// AddTo implements wasmer.HostModule.
func (m *Module) AddTo(imports *wasmer.Imports) {
	imports.Namespace("wasmedge_image")
	for _, codec := range []codec{jpegFiles, pngFiles} {
		imports.Function("load_"+codec.name, func(c *wasmer.Caller, file, length, width, height, format, out, room uint32) (uint32, error) {
			return m.load(c, codec, file, length, target{width, height, pixelFormat(format), out, uint64(room)})
		})
		for format, name := range formatNames {
			imports.Function("wasmedge_image_load_"+codec.name+"_to_"+name, func(c *wasmer.Caller, file, length, width, height, out uint32) (uint32, error) {
				to := target{width, height, pixelFormat(format), out, 0}
				to.room = to.size()
				return m.load(c, codec, file, length, to)
			})
		}
	}
}

// load gives the guest an image, or Fail. The error says that the call's context has ended, or that the instance was closed.
func (m *Module) load(c *wasmer.Caller, codec codec, file, length uint32, to target) (uint32, error) {
	ctx, stop := perinstance.Context(c)
	defer stop(nil)
	err := m.decode(ctx, c.Memory(), codec, file, length, to)
	if err == nil {
		return Success, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return Fail, fmt.Errorf("image: %w", cause)
	}
	m.config.Logger.LogAttrs(ctx, slog.LevelDebug, "image refused", slog.String("format", codec.name), slog.Any("error", err))
	return Fail, nil
}

// reader ends with its context.
type reader struct {
	io.Reader
	ctx context.Context
}

// Read reads little at a time: a few bytes of a file may stand for much work.
func (r reader) Read(p []byte) (int, error) {
	const atOnce = 64
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p[:min(len(p), atOnce)])
}
