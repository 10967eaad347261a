package process_test

import (
	"context"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/extensions/process"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A guest runs echo, the only command that it may.
func Example() {
	const greeting = `(module
		(import "wasmedge_process" "wasmedge_process_set_prog_name" (func $name (param i32 i32)))
		(import "wasmedge_process" "wasmedge_process_add_arg" (func $arg (param i32 i32)))
		(import "wasmedge_process" "wasmedge_process_run" (func $run (result i32)))
		(import "wasmedge_process" "wasmedge_process_get_stdout_len" (func $length (result i32)))
		(import "wasmedge_process" "wasmedge_process_get_stdout" (func $stdout (param i32)))
		(memory (export "memory") 1)
		(data (i32.const 0) "echohello from a command")
		(func (export "greet") (result i32)
			(call $name (i32.const 0) (i32.const 4))
			(call $arg (i32.const 4) (i32.const 20))
			(drop (call $run))
			(call $stdout (i32.const 100))
			(call $length)))`
	ctx := context.Background()
	module := wasmer.Must(wasmer.Compile([]byte(greeting)))
	defer module.Close()
	commands := process.New(process.Config{Commands: []string{"echo"}})
	instance := wasmer.Must(wasmer.Instantiate(ctx, module, wasmer.NewImports().Add(commands)))
	defer instance.Close()
	greet := wasmer.Must(wasmer.Func0[uint32](instance, "greet"))
	length := wasmer.Must(greet(ctx))
	fmt.Print(wasmer.Must(instance.Memory.ReadString(100, uint64(length))))
	// Output: hello from a command
}
