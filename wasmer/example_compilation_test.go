package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Code for another machine is made here and serialized, to be run there.
func ExampleCodeTarget() {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Target: wasmer.CodeTarget{Triple: "riscv64gc-unknown-linux-gnu"}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	module, err := engine.Compile(context.Background(), []byte(`(module (func (export "f")))`))
	if err != nil {
		log.Fatal(err)
	}
	artifact, err := module.Serialize()
	fmt.Println(len(artifact) > 0, err)
	_, err = module.Instantiate()
	fmt.Println(errors.Is(err, wasmer.ErrUnsupported))
	// Output:
	// true <nil>
	// true
}

// Compilations of modules that others have written are bounded in time and memory, and tell how far they are.
func ExampleCompileProgress() {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{
		MaxModuleSize: 10 << 20, MaxFunctionSize: 100_000, MaxCompileMemory: 256 << 20,
		OnProgress: func(_ context.Context, progress wasmer.CompileProgress) {
			if progress.Phase == wasmer.PhaseDone {
				fmt.Println(progress.Phase, progress.Done == progress.Total)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	module, err := engine.Compile(context.Background(), []byte(`(module (func (export "f")))`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(module.CompileStats().Functions)
	// Output:
	// done true
	// 1
}

// A level of optimization for each compiler that has it.
func ExampleOptLevel() {
	for _, compiler := range []wasmer.Compiler{wasmer.Cranelift, wasmer.Singlepass} {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, OptLevel: wasmer.OptSpeedAndSize})
		if errors.Is(err, wasmer.ErrUnsupported) {
			fmt.Println(err)
			continue
		}
		fmt.Println(engine.Compiler(), wasmer.OptSpeedAndSize, err)
		_ = engine.Close()
	}
	// Output:
	// cranelift speed-and-size <nil>
	// wasmer: unsupported: engine: EngineConfig.OptLevel: the compiler singlepass does not have the level speed-and-size, but default, none
}
