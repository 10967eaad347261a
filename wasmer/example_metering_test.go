package wasmer_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func ExampleMeter() {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Metering: wasmer.Metering{Mode: wasmer.MeteringExact}})
	if err != nil {
		panic(err)
	}
	defer engine.Close()
	ctx := context.Background()
	module, err := engine.Compile(ctx, []byte(`(module
		(func $fib (export "fib") (param $n i32) (result i32)
			(if (i32.lt_s (local.get $n) (i32.const 2)) (then (return (i32.const 1))))
			(return (i32.add
				(call $fib (i32.sub (local.get $n) (i32.const 2)))
				(call $fib (i32.sub (local.get $n) (i32.const 1)))))))`))
	if err != nil {
		panic(err)
	}
	defer module.Close()
	instance, err := wasmer.Instantiate(ctx, module, nil)
	if err != nil {
		panic(err)
	}
	defer instance.Close()
	fib, _ := instance.Function("fib")

	results, err := fib.Call(ctx, 20)
	fmt.Println(results, err, instance.Meter().Instructions())

	_ = instance.Meter().SetLimit(250_000)
	_, err = fib.Call(ctx, 20)
	fmt.Println(errors.Is(err, wasmer.ErrCostLimit), instance.Meter().Used() <= 250_000)

	_ = instance.Meter().Grant(1_000_000) // it can be called again
	results, err = fib.Call(ctx, 20)
	fmt.Println(results, err)
	// Output:
	// [10946] <nil> 229851
	// true true
	// [10946] <nil>
}

func ExampleNamedCosts() {
	costs, err := wasmer.NamedCosts(map[string]uint64{"call": 100, "i32.add": 1, "i32.mul": 3})
	if err != nil {
		panic(err)
	}
	metering := wasmer.Metering{Mode: wasmer.MeteringBlock, Costs: costs, CountInstructions: true, Limit: 1_000_000}
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Metering: metering})
	if err != nil {
		panic(err)
	}
	defer engine.Close()
	store, err := wasmer.NewStore(engine)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	module, err := engine.Compile(context.Background(), []byte(`(module
		(import "env" "read" (func $read (param i32) (result i32)))
		(func (export "run") (result i32) (i32.mul (i32.const 6) (i32.add (call $read (i32.const 3)) (i32.const 4)))))`))
	if err != nil {
		panic(err)
	}
	defer module.Close()
	imports := wasmer.NewImports().FunctionWithCost("read", func(n int32) int32 { return n }, 1000)
	instance, err := store.Instantiate(context.Background(), "", module, imports)
	if err != nil {
		panic(err)
	}
	run, _ := instance.Function("run")
	results, err := run.Call(context.Background())
	fmt.Println(results, err, store.Meter().Used(), store.Meter().Instructions())
	// Output: [42] <nil> 1104 7
}
