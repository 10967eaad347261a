package vm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// E11: a host function that reads its guest's memory.
func Example_e11MemoryOfTheCaller() {
	loadOffset := func(c *wasmer.Caller, offset uint32) error {
		v, err := c.MemoryAt(0).ReadUint32Le(uint64(offset))
		if err != nil {
			return err
		}
		fmt.Println("u32 at memory[{}]: {}", offset, v)
		return nil
	}
	v := vm.New(vm.Config{HostModules: []wasmer.HostModule{
		wasmer.NewImports().Namespace("host").Function("load_offset", loadOffset),
	}})
	defer v.Close()
	_, err := v.RunBytes(background, []byte(`(module (import "host" "load_offset" (func $load (param i32)))
		(memory (export "memory") 1) (data (i32.const 16) "\01\02\00\00")
		(func (export "f") (call $load (i32.const 16))))`), "f")
	fmt.Println(err)
	// Output:
	// u32 at memory[{}]: {} 16 513
	// <nil>
}

// E12: an error of the host's own, with its code.
func Example_e12UserDefinedError() {
	v := vm.New(vm.Config{Engine: wasmer.EngineConfig{Logger: slog.New(vm.NewLogHandler(untimed{}, vm.LogError))}})
	defer v.Close()

	err := v.RegisterHost(wasmer.NewImports().Namespace("extern").
		Function("trap", func(code uint32) error { return wasmer.UserError(code) }))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = v.RunBytes(background, trapping, "trap", uint32(5566))
	var code wasmer.ErrorCode
	if errors.As(err, &code) && code.Category() == wasmer.CategoryUser {
		fmt.Println("Get the error code:", code.Code())
	}
	// Output:
	// [time] [error] user defined failed: user defined error code, Code: 0x15be
	// [time] [error]     When executing function name: "trap"
	// Get the error code: 5566
}

// E13: a host module of a function, a table, a memory and a global.
func Example_e13HostModule() {
	v := vm.New(vm.Config{})
	defer v.Close()
	store := v.Store()

	i32 := wasmer.TypeI32
	add := wasmer.Must(store.NewFunction(wasmer.FunctionType{Params: []wasmer.ValueType{i32, i32}, Results: []wasmer.ValueType{i32}},
		func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
			return []wasmer.Value{wasmer.I32(args[0].ToI32() + args[1].ToI32())}, nil
		}, 0))
	table := wasmer.Must(store.NewTable(wasmer.TableType{
		Element: wasmer.ValueTypeFuncRef, Limits: wasmer.Limits{Min: 10, Max: 20, HasMax: true},
	}, nil))
	memory := wasmer.Must(store.NewMemory(1, 2))
	global := store.NewGlobal(wasmer.GlobalType{Value: i32, Mutable: true}, 666)
	module := wasmer.Must(store.NewInstance("", map[string]wasmer.Extern{
		"add": add, "table": table, "memory": memory, "global": global,
	}))
	if err := v.RegisterInstance("module", module); err != nil {
		fmt.Println("WASM registration FAILED:", err)
		return
	}
	res, err := v.RunBytes(background, []byte(`(module (import "module" "add" (func $add (param i32 i32) (result i32)))
		(import "module" "table" (table 10 20 funcref)) (import "module" "memory" (memory 1 2))
		(import "module" "global" (global $g (mut i32)))
		(func (export "f") (result i32) (call $add (global.get $g) (i32.add (table.size) (memory.size)))))`), "f")
	fmt.Println(res, err)
	// Output: [677] <nil>
}

// E14: WASI for a guest, and what it has exited with.
func Example_e14WASI() {
	v := vm.New(vm.Config{WASI: true})
	defer v.Close()
	err := v.WASI().Configure(wasmer.WASIConfig{
		Args: []string{"app", "one"}, Env: map[string]string{"LANG": "C"}, Mounts: []wasmer.Mount{{Guest: ".", Host: "."}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Exits with the number of its arguments.
	_, err = v.RunBytes(background, []byte(`(module
		(import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
		(memory (export "memory") 1)
		(func (export "_start") (drop (call $args (i32.const 0) (i32.const 4))) (call $exit (i32.load (i32.const 0)))))`), "_start")
	fmt.Println("WASI exit code:", v.WASI().ExitCode(), errors.As(err, new(*wasmer.ExitError)))
	// Output: WASI exit code: 2 true
}

// E15: a guest calls a host function.
func Example_e15HostFunction() {
	v := vm.New(vm.Config{})
	defer v.Close()

	imports := wasmer.NewImports().Namespace("extern").Function("func-add", func(a, b int32) int32 { return a + b })
	if err := v.RegisterHost(imports); err != nil {
		fmt.Println(err)
		return
	}
	res, err := v.RunBytes(background, addTwo, "addTwo", uint32(1234), uint32(5678))
	if err != nil {
		fmt.Println("Error message:", err)
		return
	}
	fmt.Println("Get the result:", res[0].ToI32())
	// Output: Get the result: 6912
}

// E16: data for a host function are what its closure captures.
func Example_e16HostData() {
	v := vm.New(vm.Config{})
	defer v.Close()

	var data int32
	imports := wasmer.NewImports().Namespace("extern").Function("func-add", func(a, b int32) int32 {
		data = a + b
		return data
	})
	if err := v.RegisterHost(imports); err != nil {
		fmt.Println(err)
		return
	}
	res, err := v.RunBytes(background, addTwo, "addTwo", uint32(1234), uint32(5678))
	if err != nil {
		fmt.Println("Error message:", err)
		return
	}
	fmt.Println("Get the result:", res[0].ToI32())
	fmt.Println("Data value:", data)
	// Output:
	// Get the result: 6912
	// Data value: 6912
}

// E17: tables, memories and globals of the host.
func Example_e17Instances() {
	store := wasmer.Must(wasmer.NewStore(nil))
	defer store.Close()

	table := wasmer.Must(store.NewTable(wasmer.TableType{
		Element: wasmer.ValueTypeExternRef, Limits: wasmer.Limits{Min: 10, Max: 20, HasMax: true},
	}, nil))
	fmt.Println(table.Set(3, "five"), wasmer.CodeOf(table.Set(13, "five")))
	fmt.Println(wasmer.Must(table.Get(3)).ToExternRef(), table.Size())
	_, err := table.Grow(6, nil)
	fmt.Println(table.Size(), err)
	_, err = table.Grow(6, nil)
	fmt.Println(table.Size(), wasmer.CodeOf(err))

	memory := wasmer.Must(store.NewMemory(1, 5))
	fmt.Println(memory.Pages(), memory.WriteString(0x1000, "A quick brown fox jumps over the lazy dog"))
	fmt.Println(wasmer.CodeOf(memory.Write(0xffff, make([]byte, 10))))
	fmt.Println(memory.ReadString(0x1000, 10))
	fmt.Println(memory.Grow(2), memory.Pages())
	fmt.Println(wasmer.CodeOf(memory.Grow(3)), memory.Pages())

	global := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI64, Mutable: true}, uint64(1000))
	fmt.Println(wasmer.Must(global.Get()), global.Set(uint64(888)))
	fmt.Println(wasmer.Must(global.Get()))
	// Output:
	// <nil> out of bounds table access
	// five 10
	// 16 <nil>
	// 16 out of bounds table access
	// 1 <nil>
	// out of bounds memory access
	// A quick br <nil>
	// <nil> 3
	// out of bounds memory access 3
	// 1000 <nil>
	// 888
}

// E18: what instructions cost, and how much is allowed.
func Example_e18CostTable() {
	costs := wasmer.Must(wasmer.NamedCosts(map[string]uint64{
		"block": 10, "loop": 11, "if": 12, "else": 12, "br": 20, "br_if": 21, "br_table": 22,
	}))
	v := vm.New(vm.Config{Statistics: vm.StatisticsConfig{Cost: true, Costs: costs, CostLimit: 5_000_000}})
	defer v.Close()

	res, err := v.RunFile(background, "../../testdata/fib.wasm", "fib", 26)
	fmt.Println(res, err, v.Statistics().Cost)
	_, err = v.Execute(background, "fib", 27)
	fmt.Println(wasmer.CodeOf(err))
	// Output:
	// [196418] <nil> 4714020
	// cost limit exceeded
}
