package wasmer_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A guest that was built with wasmedge-bindgen takes strings and slices, and gives them, or an error.
func ExampleInstance_CallBindgen() {
	module := wasmer.Must(wasmer.Compile([]byte(wasmEdgeBindgen)))
	defer module.Close()
	instance := wasmer.Must(wasmer.Instantiate(context.Background(), module, wasmer.NewImports().Bindgen()))
	defer instance.Close()

	var text string
	err := instance.CallBindgen(context.Background(), "say", []any{"bindgen"}, &text)
	fmt.Println(text, err)

	var failed *wasmer.BindgenError
	err = instance.CallBindgen(context.Background(), "fail", nil, &text)
	fmt.Println(errors.As(err, &failed), failed.Message)
	// Output:
	// hello bindgen <nil>
	// true it broke
}

// A host function ends its guest with a code of its own, or without an error.
func ExampleUserError() {
	module := wasmer.Must(wasmer.Compile([]byte(`(module (import "env" "check" (func $check (param i32)))
		(func (export "run") (param i32) (call $check (local.get 0))))`)))
	defer module.Close()
	check := func(n uint32) error {
		if n == 0 {
			return wasmer.ErrTerminate
		}
		return wasmer.UserError(n)
	}
	instance := wasmer.Must(wasmer.Instantiate(context.Background(), module, wasmer.NewImports().Function("check", check)))
	defer instance.Close()
	run := wasmer.Must(instance.Function("run"))

	_, err := run.Call(context.Background(), 5566)
	var code wasmer.ErrorCode
	fmt.Println(errors.As(err, &code), code.Category(), code.Code())
	_, err = run.Call(context.Background(), 0)
	fmt.Println(err)
	// Output:
	// true user 5566
	// <nil>
}
