package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// The first program: a module in the text format, called with Go values.
func Example() {
	instance, err := wasmer.NewInstance([]byte(`
		(module
		  (func (export "sum") (param i32 i32) (result i32)
		    (i32.add (local.get 0) (local.get 1))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	result, err := instance.Exports["sum"](5, 37)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result, result.ToI32())
	// Output: 42 42
}

// A guest calls a Go function.
func Example_imports() {
	imports := wasmer.NewImports().
		Function("sum", func(x, y int32) int32 { return x + y })

	instance, err := wasmer.NewInstanceWithImports([]byte(`
		(module
		  (import "env" "sum" (func $sum (param i32 i32) (result i32)))
		  (func (export "add1") (param i32 i32) (result i32)
		    (i32.add (call $sum (local.get 0) (local.get 1)) (i32.const 1))))`), imports)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	result, err := instance.Exports["add1"](1, 2)
	fmt.Println(result, err)
	// Output: 4 <nil>
}

// A host function reads its caller's memory.
func Example_caller() {
	imports := wasmer.NewImports().
		Function("log", func(c *wasmer.Caller, ptr, n uint32) error {
			message, err := c.Memory().ReadString(uint64(ptr), uint64(n))
			fmt.Println("guest says:", message)
			return err
		})
	instance, err := wasmer.NewInstanceWithImports([]byte(`
		(module
		  (import "env" "log" (func $log (param i32 i32)))
		  (memory (export "memory") 1)
		  (data (i32.const 16) "hello")
		  (func (export "run") (call $log (i32.const 16) (i32.const 5))))`), imports)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	_, err = instance.Exports["run"]()
	fmt.Println(err)
	// Output:
	// guest says: hello
	// <nil>
}

// The memory of an instance is a slice of bytes, or read with checked accessors.
func Example_memory() {
	instance, err := wasmer.NewInstance([]byte(`
		(module
		  (memory (export "memory") 1)
		  (data (i32.const 1024) "Hello, World!\00")
		  (func (export "return_hello") (result i32) (i32.const 1024)))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	result, err := instance.Exports["return_hello"]()
	if err != nil {
		log.Fatal(err)
	}
	pointer := result.ToI32()
	fmt.Println(string(instance.Memory.Data()[pointer : pointer+13]))

	hello, err := instance.Memory.ReadCString(uint64(pointer))
	fmt.Println(hello, err)

	_, err = instance.Memory.ReadUint32Le(wasmer.PageSize)
	fmt.Println(err)
	// Output:
	// Hello, World!
	// Hello, World! <nil>
	// wasmer: out of bounds: 4 bytes at offset 65536 of a memory of 65536 bytes
}

// Strings in and out: the guest's allocator lends the memory.
func Example_greet() {
	wasm, err := wasmer.ReadBytes("../testdata/greet.wasm")
	if err != nil {
		log.Fatal(err)
	}
	instance, err := wasmer.NewInstance(wasm)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	greeting, err := instance.CallString(context.Background(), "greet", "Wasmer 🐹", true)
	fmt.Println(greeting, err)

	// The same by hand.
	ctx, subject := context.Background(), "WebAssembly"
	input, err := instance.AllocString(subject)
	if err != nil {
		log.Fatal(err)
	}
	output, err := instance.Exports["greet"](input)
	if err != nil {
		log.Fatal(err)
	}
	greeting, err = instance.Memory.ReadCString(uint64(uint32(output.ToI32())))
	fmt.Println(greeting, err)
	fmt.Println(
		instance.Free(ctx, input, uint64(len(subject)+1)),
		instance.Free(ctx, uint64(uint32(output.ToI32())), uint64(len(greeting)+1)))
	// Output:
	// Hello, Wasmer 🐹! <nil>
	// Hello, WebAssembly! <nil>
	// <nil> <nil>
}

var errDenied = errors.New("denied")

// The error of a host function ends the guest and comes out of the call as the same error.
func Example_hostError() {
	imports := wasmer.NewImports().
		Function("check", func(id int32) error { return fmt.Errorf("user %d: %w", id, errDenied) })
	instance, err := wasmer.NewInstanceWithImports([]byte(`
		(module
		  (import "env" "check" (func $check (param i32)))
		  (func (export "run") (call $check (i32.const 7)) unreachable))`), imports)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	_, err = instance.Exports["run"]()
	fmt.Println(err, errors.Is(err, errDenied))
	// Output: user 7: denied true
}

// A guest that fails is an error which tells the kind and the guest's call stack.
func Example_trap() {
	instance, err := wasmer.NewInstance([]byte(`
		(module $shop
		  (func $price (param i32) (result i32) (i32.div_s (i32.const 100) (local.get 0)))
		  (func $order (export "order") (param i32) (result i32) (call $price (local.get 0))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	_, err = instance.Exports["order"](0)
	fmt.Println(errors.Is(err, wasmer.TrapDivisionByZero))

	var trap *wasmer.Trap
	if errors.As(err, &trap) {
		for _, frame := range trap.Frames {
			fmt.Println(frame.Module, frame.Function)
		}
	}
	// Output:
	// true
	// shop price
	// shop order
}

// A function with several results.
func ExampleFunction_Call() {
	instance, err := wasmer.NewInstance([]byte(`
		(module
		  (func (export "divide") (param i32 i32) (result i32 i32)
		    (i32.div_u (local.get 0) (local.get 1))
		    (i32.rem_u (local.get 0) (local.get 1))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	divide, err := instance.Function("divide")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(divide.Type())
	results, err := divide.Call(context.Background(), 17, 5)
	fmt.Println(results, err)
	// Output:
	// (func (param i32 i32) (result i32 i32))
	// [3 2] <nil>
}

// A typed function checks its type once; its calls neither convert nor allocate.
func ExampleFunc2() {
	instance, err := wasmer.NewInstance([]byte(`
		(module
		  (func (export "hypotenuse") (param f64 f64) (result f64)
		    (f64.sqrt (f64.add
		      (f64.mul (local.get 0) (local.get 0))
		      (f64.mul (local.get 1) (local.get 1))))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	hypotenuse, err := wasmer.Func2[float64, float64, float64](instance, "hypotenuse")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(hypotenuse(context.Background(), 3, 4))

	_, err = wasmer.Func2[int32, int32, int32](instance, "hypotenuse")
	fmt.Println(err)
	// Output:
	// 5 <nil>
	// wasmer: function "hypotenuse" is (func (param f64 f64) (result f64)), the Go types stand for (func (param i32 i32) (result i32))
}

// A raw call reads its arguments from a stack of 64-bit slots and leaves its results there.
func ExampleFunction_CallRaw() {
	instance, err := wasmer.NewInstance([]byte(`
		(module (func (export "mul") (param i64 i64) (result i64) (i64.mul (local.get 0) (local.get 1))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	mul, err := instance.Function("mul")
	if err != nil {
		log.Fatal(err)
	}
	stack := []uint64{6, 7}
	err = mul.CallRaw(context.Background(), stack)
	fmt.Println(stack[0], err)
	// Output: 42 <nil>
}

// A definition of the same name replaces the earlier one, for instance to replace one function of a prepared list.
func ExampleImports_replace() {
	imports := wasmer.NewImports().
		Function("now", func() int64 { return 1700000000 }).
		Function("now", func() int64 { return 42 })
	instance, err := wasmer.NewInstanceWithImports([]byte(`
		(module
		  (import "env" "now" (func $now (result i64)))
		  (func (export "clock") (result i64) (call $now)))`), imports)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	fmt.Println(instance.Exports["clock"]())
	// Output: 42 <nil>
}

// A module whose imports do not fit says which, and what is wrong with each.
func ExampleLinkError() {
	imports := wasmer.NewImports().
		Function("lgo", func(int32) {}).
		Function("now", func() int32 { return 0 })
	_, err := wasmer.NewInstanceWithImports([]byte(`
		(module
		  (import "env" "log" (func (param i32)))
		  (import "env" "now" (func (result i64))))`), imports)

	var link *wasmer.LinkError
	if errors.As(err, &link) {
		for _, missing := range link.Imports {
			fmt.Println(missing.Module, missing.Name, missing.Want, missing.Hint)
		}
	}
	// Output:
	// env log (func (param i32)) is "lgo" meant?
	// env now (func (result i64))
}

// An engine compiles once for many instances.
func ExampleEngine() {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Singlepass})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	ctx := context.Background()
	module, err := engine.Compile(ctx, []byte(`
		(module
		  (global $n (mut i32) (i32.const 0))
		  (func (export "next") (result i32)
		    (global.set $n (i32.add (global.get $n) (i32.const 1)))
		    (global.get $n)))`))
	if err != nil {
		log.Fatal(err)
	}
	defer module.Close()

	for range 2 {
		instance, err := wasmer.Instantiate(ctx, module, nil)
		if err != nil {
			log.Fatal(err)
		}
		next, err := wasmer.Func0[int32](instance, "next")
		if err != nil {
			log.Fatal(err)
		}
		_, _ = next(ctx)
		fmt.Println(next(ctx))
		instance.Close()
	}
	// Output:
	// 2 <nil>
	// 2 <nil>
}

// A compiled module is kept as an artifact and loaded again without compiling.
func ExampleModule_Serialize() {
	module, err := wasmer.Compile([]byte(`(module (func (export "answer") (result i32) (i32.const 42)))`))
	if err != nil {
		log.Fatal(err)
	}
	defer module.Close()
	artifact, err := module.Serialize()
	if err != nil {
		log.Fatal(err)
	}

	loaded, err := wasmer.DeserializeModule(artifact)
	if err != nil {
		log.Fatal(err)
	}
	defer loaded.Close()
	instance, err := loaded.Instantiate()
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	fmt.Println(instance.Exports["answer"]())

	artifact[len(artifact)-1] ^= 1
	_, err = wasmer.DeserializeModule(artifact)
	fmt.Println(errors.Is(err, wasmer.ErrIncompatible))
	// Output:
	// 42 <nil>
	// true
}

// Two modules linked: the second imports the first one's exports.
func ExampleStore() {
	ctx := context.Background()
	store, err := wasmer.NewStore(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	math := wasmer.Must(wasmer.Compile([]byte(`
		(module (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1))))`)))
	defer math.Close()
	main := wasmer.Must(wasmer.Compile([]byte(`
		(module
		  (import "math" "double" (func $double (param i32) (result i32)))
		  (func (export "run") (result i32) (call $double (i32.const 21))))`)))
	defer main.Close()

	if _, err := store.Instantiate(ctx, "math", math, nil); err != nil {
		log.Fatal(err)
	}
	instance, err := store.Instantiate(ctx, "", main, nil)
	if err != nil {
		log.Fatal(err)
	}
	run, err := wasmer.Func0[int32](instance, "run")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(run(ctx))
	// Output: 42 <nil>
}
