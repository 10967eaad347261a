package wasmer_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Each function begins with an instruction that cannot trap: see MeteringMode.
const framed = `(module
	(memory 1) (table 4 funcref) (elem (i32.const 0) $first)
	(func $first (nop) (unreachable))
	(func $second (param i32) (result i32) (i32.load (i32.add (local.get 0) (i32.const -1))))
	(func $block (block (loop (br_if 1 (i32.const 0)) (unreachable))))
	(func $calls (nop) (call $nothing) (call $nothing) (call $first) (call $nothing))
	(func $nothing)
	(func $jumps (param i32)
		(block (block (br_table 0 1 2 (local.get 0))) (call $calls)) (call $first))
	(func (export "first") (nop) (call $first))
	(func (export "second") (drop (call $second (i32.const 0))))
	(func (export "block") (nop) (call $block) (nop))
	(func (export "calls") (nop) (call $calls))
	(func (export "jumps") (call $jumps (i32.const 0)))
	(func (export "more") (call $jumps (i32.const 1)))
	(func (export "if") (if (i32.const 1) (then (call $calls)) (else (call $first))))
	(func (export "else") (if (i32.const 0) (then (call $calls)) (else (call $first))))
	(func (export "indirect") (call_indirect (i32.const 0)) (nop)))`

// What is inserted does not move the instructions of the frames.
func TestFramesAreThoseOfUnmeteredCode(t *testing.T) {
	eachMetered(t, wasmer.Metering{}, func(t *testing.T, engine *wasmer.Engine) {
		plain := instantiate(t, engineOf(t, engine, wasmer.EngineConfig{}), framed, nil)
		metered := instantiate(t, engine, framed, nil)
		for _, f := range plain.List(wasmer.ExternFunction) {
			var want, got *wasmer.Trap
			require.True(t, errors.As(failing(t, plain, f.Name), &want))
			require.True(t, errors.As(failing(t, metered, f.Name), &got))
			if engine.Compiler() == wasmer.Singlepass { // it tells the function only
				for _, trap := range []*wasmer.Trap{want, got} {
					for i := range trap.Frames {
						trap.Frames[i].FunctionOffset, trap.Frames[i].ModuleOffset = 0, 0
					}
				}
			}
			require.Equal(t, want, got, f.Name)
		}
	})
}
