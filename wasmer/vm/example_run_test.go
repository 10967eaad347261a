package vm_test

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// untimed writes to standard output what is the same each time: times are replaced.
type untimed struct{}

var (
	clocks    = regexp.MustCompile(`^\[[-0-9]+ [:.0-9]+\]`)
	durations = regexp.MustCompile(`(time|second): [0-9]+`)
)

func (untimed) Write(p []byte) (int, error) {
	text := clocks.ReplaceAllString(string(p), "[time]")
	_, err := fmt.Print(durations.ReplaceAllString(text, "$1: N"))
	return len(p), err
}

// E01: versions, and what is logged. The level can be changed at any time.
func Example_e01VersionAndLog() {
	fmt.Println(wasmer.Version().String() != "", wasmer.EngineVersion().Major)

	var level slog.LevelVar
	level.Set(vm.LogError)
	wasmer.SetLogger(slog.New(vm.NewLogHandler(untimed{}, &level)))
	defer wasmer.SetLogger(nil)

	v := vm.New(vm.Config{})
	defer v.Close()
	run := func() { _, _ = v.RunBytes(background, []byte(`(module (func (export "f") unreachable))`), "f") }
	run()
	level.Set(vm.LogOff)
	run()
	// Output:
	// true 7
	// [time] [error] execution failed: unreachable, Code: 0x89
	// [time] [error]     wasmer: module[] function[$0] failed: wasm error: unreachable
	// [time] [error]     wasm stack trace:
	// [time] [error]         .$0()
	// [time] [error]             0x1e
	// [time] [error]     When executing function name: "f"
}

// E02: vectors, and references to Go values.
func Example_e02VectorsAndReferences() {
	low, high := wasmer.V128(5678, 1234).ToV128()
	fmt.Println(high, low)

	num := 1234
	ref := wasmer.ExternRef(&num)
	num = 5678
	fmt.Println(*ref.ToExternRef().(*int))
	// Output:
	// 1234 5678
	// 5678
}

// E03: limits and types are plain data.
func Example_e03LimitsAndTypes() {
	limit := wasmer.Limits{Min: 12}
	fmt.Println(limit.HasMax)
	fmt.Println(limit.Min)
	limit = wasmer.Limits{Min: 15, Max: 50, HasMax: true}
	fmt.Println(limit.HasMax)
	fmt.Println(limit.Min)
	fmt.Println(limit.Max)
	limit = wasmer.Limits{Min: 20, Shared: true}
	fmt.Println(limit.HasMax)
	fmt.Println(limit.Shared)
	fmt.Println(limit.Min)
	limit = wasmer.Limits{Min: 30, Max: 40, HasMax: true, Shared: true}
	fmt.Println(limit.HasMax)
	fmt.Println(limit.Shared)
	fmt.Println(limit.Min)
	fmt.Println(limit.Max)

	function := wasmer.FunctionType{
		Params:  []wasmer.ValueType{wasmer.ValueTypeExternRef, wasmer.ValueTypeI32, wasmer.ValueTypeI64},
		Results: []wasmer.ValueType{wasmer.ValueTypeF32, wasmer.ValueTypeF64},
	}
	fmt.Println(len(function.Params), len(function.Results), function)
	fmt.Println(wasmer.TableType{Element: wasmer.ValueTypeExternRef, Limits: wasmer.Limits{Min: 10, Max: 20, HasMax: true}})
	fmt.Println(wasmer.MemoryType{Limits: wasmer.Limits{Min: 1, Max: 5, HasMax: true}})
	fmt.Println(wasmer.GlobalType{Value: wasmer.ValueTypeF64, Mutable: true})
	// Output:
	// false
	// 12
	// true
	// 15
	// 50
	// false
	// true
	// 20
	// true
	// true
	// 30
	// 40
	// 3 2 (func (param externref i32 i64) (result f32 f64))
	// (table 10 20 externref)
	// (memory 1 5)
	// (global (mut f64))
}

// E04: a function of a file in one call.
func Example_e04RunRapidly() {
	v := vm.New(vm.Config{WASI: true})
	defer v.Close()

	res, err := v.RunFile(background, "../../testdata/fib.wasm", "fib", uint32(21))
	if err != nil {
		fmt.Println("Run failed:", err)
		return
	}
	fmt.Println("Get fibonacci[21]:", res[0].ToI32())
	// Output: Get fibonacci[21]: 17711
}

// E05: the same step by step; the function can be executed again and again.
func Example_e05InstantiateAndRunManually() {
	v := vm.New(vm.Config{})
	defer v.Close()

	if err := v.LoadFile(background, "../../testdata/fib.wasm"); err != nil {
		fmt.Println("Load WASM from file FAILED:", err)
		return
	}
	if err := v.Validate(); err != nil {
		fmt.Println("Validation FAILED:", err)
		return
	}
	if err := v.Instantiate(background); err != nil {
		fmt.Println("Instantiation FAILED:", err)
		return
	}
	res, err := v.Execute(background, "fib", uint32(25))
	if err != nil {
		fmt.Println("Run FAILED:", err)
		return
	}
	fmt.Println("Get fibonacci[25]:", res[0].ToI32())
	// Output: Get fibonacci[25]: 121393
}

// E06: a module under a name, for others to import from, and to be called by that name.
func Example_e06RegisterAndExecute() {
	v := vm.New(vm.Config{})
	defer v.Close()

	if err := v.RegisterFile(background, "mod", "../../testdata/fib.wasm"); err != nil {
		fmt.Println("WASM registration failed:", err)
		return
	}
	res, err := v.ExecuteRegistered(background, "mod", "fib", int32(25))
	if err != nil {
		fmt.Println("Run FAILED:", err)
		return
	}
	fmt.Println("Get fibonacci[25]:", res[0].ToI32())
	// Output: Get fibonacci[25]: 121393
}

// E07: on a goroutine of its own.
func Example_e07Asynchronous() {
	v := vm.New(vm.Config{})
	defer v.Close()

	async := v.AsyncRunFile(background, "../../testdata/fib.wasm", "fib", uint32(20))
	res, err := async.Result()
	if err != nil {
		fmt.Println("Error message:", err)
		return
	}
	fmt.Println("Get the result:", res[0].ToI32())

	async = v.AsyncExecute(background, "fib", uint32(25))
	if res, err = async.Result(); err != nil {
		fmt.Println("Error message:", err)
		return
	}
	fmt.Println("Get the result:", res[0].ToI32())
	// Output:
	// Get the result: 10946
	// Get the result: 121393
}

// E08: what the active module exports.
func Example_e08ListFunctions() {
	v := vm.New(vm.Config{})
	defer v.Close()
	if err := errors.Join(v.LoadBytes(background, fibonacci), v.Validate(), v.Instantiate(background)); err != nil {
		fmt.Println(err)
		return
	}
	for _, function := range v.Functions() {
		fmt.Println("Exported function name:", function.Name)
		fmt.Println(function.Type)
	}
	// Output:
	// Exported function name: fib
	// (func (param i32) (result i32))
}

// E09: instructions and times, which the log tells of after each execution.
func Example_e09Statistics() {
	var level slog.LevelVar
	level.Set(vm.LogError)
	v := vm.New(vm.Config{
		Statistics: vm.StatisticsConfig{Instructions: true, Time: true},
		Engine:     wasmer.EngineConfig{Logger: slog.New(vm.NewLogHandler(untimed{}, &level))},
	})
	defer v.Close()

	if err := errors.Join(v.LoadFile(background, "../../testdata/fib.wasm"), v.Validate(), v.Instantiate(background)); err != nil {
		fmt.Println(err)
		return
	}
	for _, function := range v.Functions() {
		fmt.Println("Exported function name:", function.Name)
	}
	level.Set(vm.LogDebug)
	res, err := v.Execute(background, "fib", int32(30))
	level.Set(vm.LogError)
	if err != nil {
		fmt.Println("Run FAILED:", err)
		return
	}
	fmt.Println("Get fibonacci[30]:", res[0].ToI32())
	// Output:
	// Exported function name: fib
	// [time] [debug]  Execution succeeded.
	// [time] [debug]
	//  ====================  Statistics  ====================
	//  Total execution time: N ns
	//  Wasm instructions execution time: N ns
	//  Host functions execution time: N ns
	//  Executed wasm instructions count: 28271634
	//  Gas costs: 0
	//  Instructions per second: N
	// Get fibonacci[30]: 1346269
}

// E10: the parts that a VM is made of, by themselves: an engine loads, validates and compiles, a store links and executes.
func Example_e10StepByStep() {
	engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{}))
	defer engine.Close()
	store := wasmer.Must(wasmer.NewStore(engine))
	defer store.Close()

	ast, err := wasmer.Inspect(addTwo)
	if err != nil {
		fmt.Println("Load WASM from buffer FAILED:", err)
		return
	}
	for _, imported := range ast.Imports() {
		fmt.Println("Import:", imported.Module, imported.Name)
	}
	for _, exported := range ast.Exports() {
		fmt.Println("Export:", exported.Name)
	}
	if err := engine.Validate(addTwo); err != nil {
		fmt.Println("Validation FAILED:", err)
		return
	}
	module := wasmer.Must(engine.Compile(background, addTwo))
	defer module.Close()
	if _, err := store.Instantiate(background, "math", module, adder()); err != nil {
		fmt.Println("WASM registration FAILED:", err)
		return
	}
	fmt.Println("Registered module name:", store.Instance("math").Name())
	add := wasmer.Must(store.Instance("math").Function("addTwo"))
	fmt.Println(add.Type())
	fmt.Println("Get the result:", wasmer.Must(add.Call(background, 1234, 5678))[0].ToI32())
	fmt.Println("Get the result:", wasmer.Must(add.CallAsync(background, 1, 2).Result())[0].ToI32())
	fmt.Println(store.Instance("nobody") == nil)
	// Output:
	// Import: extern func-add
	// Export: addTwo
	// Registered module name: math
	// (func (param i32 i32) (result i32))
	// Get the result: 6912
	// Get the result: 3
	// true
}

// E21: waiting for some time, and no longer.
func Example_e21AsynchronousWithTimeout() {
	v := vm.New(vm.Config{})
	defer v.Close()

	async := v.AsyncRunBytes(background, []byte(`(module (func (export "loop") (loop (br 0))))`), "loop")
	if !async.WaitFor(50 * time.Millisecond) {
		async.Cancel()
	}
	_, err := async.Result()
	var code wasmer.ErrorCode
	if errors.As(err, &code) {
		fmt.Println("Error message:", code)
	}
	// Output: Error message: execution interrupted
}
