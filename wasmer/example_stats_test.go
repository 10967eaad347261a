package wasmer_test

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"log/slog"
	"os"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const ticking = `(module $ticking
	(import "env" "tick" (func $tick))
	(func (export "run") (param $n i32)
		(loop $again
			(call $tick)
			(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
	(func (export "fail") unreachable))`

// What an instance has done, and how long it took.
func ExampleInstance_Stats() {
	ctx := context.Background()
	engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{MeasureTime: true}))
	defer engine.Close()
	module := wasmer.Must(engine.Compile(ctx, []byte(ticking)))
	defer module.Close()
	instance := wasmer.Must(wasmer.Instantiate(ctx, module, wasmer.NewImports().Function("tick", func() {})))
	defer instance.Close()

	run := wasmer.Must(instance.Function("run"))
	if _, err := run.Call(ctx, 1000); err != nil {
		fmt.Println(err)
	}
	stats := instance.Stats()
	fmt.Println(stats.Calls, stats.HostCalls, stats.Failures)
	fmt.Println(stats.TotalTime() == stats.WasmTime+stats.HostTime, stats.HostTime > 0)
	// Output:
	// 1 1000 0
	// true true
}

// The report for people.
func ExampleInstanceStats_Report() {
	stats := wasmer.InstanceStats{WasmTime: 556372295, Instructions: 28271634}
	fmt.Print(stats.Report())
	// Output:
	//  ====================  Statistics  ====================
	//  Total execution time: 556372295 ns
	//  Wasm instructions execution time: 556372295 ns
	//  Host functions execution time: 0 ns
	//  Executed wasm instructions count: 28271634
	//  Gas costs: 0
	//  Instructions per second: 50814237
}

// The statistics of the process as a variable of package expvar, which serves them under /debug/vars.
func ExampleStats() {
	expvar.Publish("wasmer", expvar.Func(func() any { return wasmer.Stats() }))

	fmt.Println(expvar.Get("wasmer").String()[:9])
	// Output: {"calls":
}

// What an engine has made.
func ExampleEngine_Stats() {
	engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{}))
	defer engine.Close()
	module := wasmer.Must(engine.Compile(context.Background(), []byte(ticking)))
	defer module.Close()

	stats := engine.Stats()
	fmt.Println(stats.Compilations, stats.Modules, stats.Instances, stats.CodeBytes > 0)
	// Output: 1 1 0 true
}

// Calls that fail are told to a logger.
func ExampleEngineConfig_logger() {
	withoutTime := func(_ []string, attribute slog.Attr) slog.Attr {
		if attribute.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return attribute
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{Logger: logger}))
	defer engine.Close()
	module := wasmer.Must(engine.Compile(context.Background(), []byte(ticking)))
	defer module.Close()

	errTick := errors.New("no time left")
	imports := wasmer.NewImports().Function("tick", func() error { return errTick })
	instance := wasmer.Must(wasmer.Instantiate(context.Background(), module, imports))
	defer instance.Close()
	run := wasmer.Must(instance.Function("run"))
	_, err := run.Call(context.Background(), 1)
	fmt.Println(err)
	// Output:
	// level=ERROR msg="execution failed" module=ticking function=run error="no time left"
	// no time left
}

// The logger of all engines that have none of their own.
func ExampleSetLogger() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	wasmer.SetLogger(logger)
	defer wasmer.SetLogger(nil)

	fmt.Println(wasmer.Validate([]byte("(module)")))
	// Output: true
}
