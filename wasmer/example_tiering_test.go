package wasmer_test

import (
	"context"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// The first instance runs at once; those that are made when the optimized code is there run on that.
func ExampleModule_WaitTier() {
	engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Tiered}))
	defer engine.Close()
	ctx := context.Background()
	module := wasmer.Must(engine.Compile(ctx, wasmer.Must(wasmer.ReadBytes("../testdata/fib.wasm"))))

	first := wasmer.Must(module.Instantiate())
	fmt.Println(wasmer.Must(first.Exports["fib"](20)))

	if err := module.WaitTier(ctx); err != nil {
		fmt.Println("stays as it is:", err)
	}
	second := wasmer.Must(module.Instantiate())
	fmt.Println(wasmer.Must(second.Exports["fib"](20)), second.Tier(), module.Compiler())
	// Output:
	// 10946
	// 10946 optimized cranelift
}

// Where the first code is good enough, nothing is compiled in the background.
func ExampleTiering() {
	engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{
		Compiler: wasmer.Tiered,
		Tiering:  wasmer.Tiering{Off: true},
	}))
	defer engine.Close()
	module := wasmer.Must(engine.Compile(context.Background(), []byte(`(module (func (export "f")))`)))
	fmt.Println(module.Tier(), module.Compiler())
	// Output: baseline singlepass
}
