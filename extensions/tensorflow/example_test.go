//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package tensorflow_test

import (
	"context"
	"fmt"
	"log"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/digits/guest"
	"github.com/wasmerio/go-ext-wasm/extensions/tensorflow"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A guest tells which digits images show, by a frozen graph that it brings and the host allows. The guest is
// testdata/digits.wat.
func Example() {
	ctx := context.Background()
	module, err := tensorflow.New(tensorflow.Config{Models: [][]byte{digits.TensorFlow}})
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
	if loaded, err := g.Load(ctx, "load", digits.TensorFlow); err != nil || loaded == 0 {
		log.Fatal("no session: ", err)
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
