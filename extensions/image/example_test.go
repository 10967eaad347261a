package image_test

import (
	"bytes"
	"context"
	"fmt"
	goimage "image"
	"image/color"
	"image/png"

	"github.com/wasmerio/go-ext-wasm/extensions/image"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A guest asks for a picture as a single pixel, which is what a model for classification does with more of them.
func Example() {
	const average = `(module
		(import "wasmedge_image" "load_png" (func $load (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
		(memory (export "memory") 1)
		(func (export "average") (param $file i32) (param $length i32) (result i32)
			(call $load (local.get $file) (local.get $length)
				(i32.const 1) (i32.const 1) (i32.const 0) ;; one pixel, in RGB of 8 bits
				(i32.const 0) (i32.const 3))))`
	picture := goimage.NewRGBA(goimage.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		picture.Set(i%64, i/64, color.RGBA{200, 100, 50, 255})
	}
	var file bytes.Buffer
	_ = png.Encode(&file, picture)

	ctx := context.Background()
	module := wasmer.Must(wasmer.Compile([]byte(average)))
	defer module.Close()
	instance := wasmer.Must(wasmer.Instantiate(ctx, module, wasmer.NewImports().Add(image.New(image.Config{MaxPixels: 1 << 20}))))
	defer instance.Close()
	_ = instance.Memory.Write(1024, file.Bytes())
	load := wasmer.Must(wasmer.Func2[int32, int32, int32](instance, "average"))
	fmt.Println(load(ctx, 1024, int32(file.Len())))
	fmt.Println(wasmer.Must(instance.Memory.Read(0, 3)))
	// Output:
	// 0 <nil>
	// [200 100 50]
}
