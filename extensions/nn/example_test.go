//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package nn_test

import (
	"context"
	"fmt"
	"log"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits/guest"
	"github.com/wasmerio/go-ext-wasm/extensions/nn"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A guest tells which digits images show, by a model that the host gives under a name. The guest is testdata/digits.wat.
func Example() {
	ctx := context.Background()
	module, err := nn.New(nn.Config{Models: map[string]nn.Model{
		"digits": {Encoding: nn.ONNX, Data: digits.ONNX},
	}})
	if err != nil {
		log.Fatal(err)
	}
	compiled, err := wasmer.Compile(program)
	if err != nil {
		log.Fatal(err)
	}
	defer compiled.Close()
	g, err := guest.New(ctx, compiled, wasmer.NewImports().Add(module))
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	if errno, err := g.Load(ctx, "load_by_name", []byte("digits")); err != nil || errno != 0 {
		log.Fatal(errno, err)
	}
	for _, image := range digits.Images(3, 4) {
		digit, err := g.Classify(ctx, &image)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(digit)
	}
	// Output:
	// 0
	// 1
	// 2
	// 3
}
