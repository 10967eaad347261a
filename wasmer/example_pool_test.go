package wasmer_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const counterWat = `(module
	(memory (export "memory") 1)
	(func (export "handle") (param i32) (result i32)
		(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
		(i32.mul (local.get 0) (i32.load (i32.const 0)))))`

// A hundred thousand requests, each to an instance that has served nobody before: one that had would answer more.
func ExampleNewPool() {
	ctx := context.Background()
	module := wasmer.Must(wasmer.Compile([]byte(counterWat)))
	defer module.Close()
	pool := wasmer.Must(wasmer.NewPool(ctx, module, nil, wasmer.PoolConfig{MaxLive: 4}))
	defer pool.Close()

	serve := func(request int32) (int32, error) {
		instance, err := pool.Get(ctx)
		if err != nil {
			return 0, err
		}
		defer pool.Put(instance)
		handle, err := wasmer.Func1[int32, int32](instance, "handle")
		if err != nil {
			return 0, err
		}
		return handle(ctx, request)
	}
	for request := range int32(100_000) {
		if answer, err := serve(request); err != nil || answer != request {
			fmt.Println(request, answer, err)
		}
	}
	stats := pool.Stats()
	fmt.Println("made:", stats.Made, "reset:", stats.Reset)
	// Output: made: 1 reset: 100000
}

// What took long to set up is done once: instances begin where another one was.
func ExampleInstantiateFrom() {
	ctx := context.Background()
	module := wasmer.Must(wasmer.Compile([]byte(counterWat)))
	defer module.Close()
	first := wasmer.Must(wasmer.Instantiate(ctx, module, nil))
	defer first.Close()
	handle := wasmer.Must(wasmer.Func1[int32, int32](first, "handle"))
	for range 41 {
		wasmer.Must(handle(ctx, 1))
	}

	snapshot := wasmer.Must(first.Snapshot(ctx))
	defer snapshot.Close()
	for range 2 {
		instance := wasmer.Must(wasmer.InstantiateFrom(ctx, snapshot, nil))
		defer instance.Close()
		handle := wasmer.Must(wasmer.Func1[int32, int32](instance, "handle"))
		fmt.Println(wasmer.Must(handle(ctx, 1)))
	}
	// Output:
	// 42
	// 42
}

// A snapshot goes on in another process, on another machine, and with another compiler.
func ExampleModule_UnmarshalSnapshot() {
	ctx := context.Background()
	module := wasmer.Must(wasmer.Compile([]byte(counterWat)))
	defer module.Close()
	instance := wasmer.Must(wasmer.Instantiate(ctx, module, nil))
	defer instance.Close()
	if err := instance.Memory.WriteString(0x8000, "a long calculation"); err != nil {
		fmt.Println(err)
	}
	var file bytes.Buffer
	wasmer.Must(wasmer.Must(instance.Snapshot(ctx)).WriteTo(&file))

	engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Singlepass}))
	defer engine.Close()
	elsewhere := wasmer.Must(engine.Compile(ctx, []byte(counterWat)))
	snapshot := wasmer.Must(elsewhere.ReadSnapshot(&file))
	goesOn := wasmer.Must(wasmer.InstantiateFrom(ctx, snapshot, nil))
	defer goesOn.Close()
	fmt.Println(goesOn.Memory.ReadString(0x8000, 18))
	// Output: a long calculation <nil>
}

// An instance serves again and again, and begins each time as it was made.
func ExampleInstance_Reset() {
	ctx := context.Background()
	instance := wasmer.Must(wasmer.NewInstance([]byte(counterWat)))
	defer instance.Close()
	for range 2 {
		fmt.Println(wasmer.Must(instance.Exports["handle"](1)), wasmer.Must(instance.Exports["handle"](1)))
		if err := instance.Reset(ctx); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// 1 2
	// 1 2
}

// A module with a start function is reset to what that has done, without running it again.
func ExampleImports_Resettable() {
	ctx := context.Background()
	module := wasmer.Must(wasmer.Compile([]byte(`(module
		(global $n (export "n") (mut i32) (i32.const 0))
		(func $start (global.set $n (i32.const 42)))
		(start $start))`)))
	defer module.Close()
	instance := wasmer.Must(wasmer.Instantiate(ctx, module, wasmer.NewImports().Resettable()))
	defer instance.Close()
	n := wasmer.Must(instance.Global("n"))
	if err := n.Set(7); err != nil {
		fmt.Println(err)
	}
	if err := instance.Reset(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(wasmer.Must(n.Get()))
	// Output: 42
}
