// Package conformance runs WebAssembly's official test suite, and random modules, on this library and on others.
// README.md says how.
package conformance

import (
	"slices"

	_ "github.com/wasmerio/go-ext-wasm/conformance/internal/cgo" // how the two Rust runtimes link
	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Engines lists this library with each of its compilers, then the rivals.
func Engines() []suite.Engine {
	return slices.Concat(WasmerEngines(), []suite.Engine{wazeroEngine{}, wasmtimeEngine{}})
}

// spectest is the host module that the suite's scripts import, for runtimes that have no better way to make one.
func spectest(more string) ([]byte, error) {
	return wasmer.Wat2Wasm(`(module
		(func (export "print"))
		(func (export "print_i32") (param i32))
		(func (export "print_i64") (param i64))
		(func (export "print_f32") (param f32))
		(func (export "print_f64") (param f64))
		(func (export "print_i32_f32") (param i32 f32))
		(func (export "print_f64_f64") (param f64 f64))
		(global (export "global_i32") i32 (i32.const 666))
		(global (export "global_i64") i64 (i64.const 666))
		(global (export "global_f32") f32 (f32.const 666.6))
		(global (export "global_f64") f64 (f64.const 666.6))
		(table (export "table") 10 20 funcref)
		(memory (export "memory") 1 2)` + more + `)`)
}

// hostModule is its name.
const hostModule = "spectest"
