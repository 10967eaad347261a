package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const endlessWat = `(module
	(memory (export "memory") 1)
	(func (export "endless") (i32.store (i32.const 0) (i32.const 42)) (loop (br 0)))
	(func (export "answer") (result i32) (i32.load (i32.const 0))))`

// A guest stops when the context of its call ends, and can be called again.
func ExampleErrInterrupted() {
	instance := wasmer.Must(wasmer.NewInstance([]byte(endlessWat)))
	defer instance.Close()
	endless := wasmer.Must(instance.Function("endless"))

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := endless.Call(ctx)
	fmt.Println(err)
	fmt.Println(errors.Is(err, wasmer.ErrInterrupted), errors.Is(err, context.DeadlineExceeded))

	answer := wasmer.Must(wasmer.Must(instance.Function("answer")).Call(context.Background()))
	fmt.Println(answer[0])
	// Output:
	// wasmer: execution interrupted: context deadline exceeded
	// true true
	// 42
}

// A call on a goroutine of its own can be waited for, and given up.
func ExampleFunction_CallAsync() {
	instance := wasmer.Must(wasmer.NewInstance([]byte(endlessWat)))
	defer instance.Close()

	async := wasmer.Must(instance.Function("endless")).CallAsync(context.Background())
	if !async.WaitFor(10 * time.Millisecond) {
		async.Cancel()
	}
	_, err := async.Result()
	fmt.Println(err)
	// Output: wasmer: execution interrupted: context canceled
}

// Close ends the calls under way; the code tells them why.
func ExampleInstance_CloseWithExitCode() {
	instance := wasmer.Must(wasmer.NewInstance([]byte(endlessWat)))
	async := wasmer.Must(instance.Function("endless")).CallAsync(context.Background())
	async.WaitFor(10 * time.Millisecond)
	instance.CloseWithExitCode(3)

	_, err := async.Result()
	var exit *wasmer.ExitError
	fmt.Println(errors.As(err, &exit), exit.Code)
	// Output: true 3
}
