package wasmer_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A function uses its own instance's memory, however it is called: what a caller has for one, or passes as arguments, must not
// come in its place.
func TestFunctionsUseTheMemoriesOfTheirInstance(t *testing.T) {
	const library = `(module %s (table (export "t") 4 funcref) (elem (i32.const 0) func $load $store $none $load)
		(func $load (export "load") (param i32 i32) (result i32) (i32.load (i32.add (local.get 0) (local.get 1))))
		(func $store (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
		(func $none (export "none") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1))))`
	const user = `(module (type $load (func (param i32 i32) (result i32))) (type $store (func (param i32 i32)))
		(import "lib" "load" (func $load (type $load))) (import "lib" "store" (func $store (type $store)))
		(import "lib" "none" (func $none (type $load))) (import "lib" "t" (table $t 4 funcref))
		%s
		(table $own 4 funcref) (elem (table $own) (i32.const 0) func $load $store $mine $none)
		(func $mine (type $load) (i32.const 77))
		(func (export "direct") (param i32 i32) (result i32) (call $load (local.get 0) (local.get 1)))
		(func (export "none") (param i32 i32) (result i32) (call $none (local.get 0) (local.get 1)))
		(func (export "set") (param i32 i32) (call $store (local.get 0) (local.get 1)))
		(func (export "shared") (param i32 i32 i32) (result i32)
			(call_indirect $t (type $load) (local.get 0) (local.get 1) (local.get 2)))
		(func (export "own") (param i32 i32 i32) (result i32)
			(call_indirect $own (type $load) (local.get 0) (local.get 1) (local.get 2)))
		(func (export "move") (table.copy $own $t (i32.const 2) (i32.const 0) (i32.const 1))))`
	eachPairOfCompilers(t, func(t *testing.T, callee, caller *wasmer.Engine) {
		for _, memories := range []string{
			`(memory (export "m") 1)`, `(import "env" "m" (memory 1)) (export "m" (memory 0))`,
			`(import "env" "m" (memory 1)) (memory 1) (export "m" (memory 0))`,
		} {
			for _, callers := range []string{``, `(memory 1) (data (i32.const 0) "wrong")`, `(import "env" "n" (memory 1))`} {
				store := newStore(t, caller)
				m, err := store.NewMemory(1, 1)
				require.NoError(t, err)
				n, err := store.NewMemory(1, 1)
				require.NoError(t, err)
				imports := func() *wasmer.Imports { return wasmer.NewImports().Extern("env", "m", m).Extern("env", "n", n) }
				lib, err := store.Instantiate(background, "lib", compile(t, callee, fmt.Sprintf(library, memories)), imports())
				require.NoError(t, err)
				instance := instantiateIn(t, store, caller, fmt.Sprintf(user, callers), imports())

				run(t, instance, "set", 1000, 4321)
				own, err := lib.ExportedMemory("m")
				require.NoError(t, err)
				got, err := own.ReadUint32Le(1000)
				require.NoError(t, err)
				require.EqualValues(t, 4321, got)
				for range 2 {
					require.EqualValues(t, 4321, call(t, instance, "direct", 600, 400).ToI32())
					require.EqualValues(t, 200, call(t, instance, "none", 600, 400).ToI32())
					require.EqualValues(t, 4321, call(t, instance, "shared", 1, 999, 0).ToI32())
					require.EqualValues(t, 998, call(t, instance, "shared", 999, 1, 2).ToI32())
					require.EqualValues(t, 4321, call(t, instance, "own", 500, 500, 0).ToI32())
					require.EqualValues(t, 77, call(t, instance, "own", 500, 500, 2).ToI32())
					require.EqualValues(t, 0, call(t, instance, "own", 500, 500, 3).ToI32())
				}
				run(t, instance, "move")
				require.EqualValues(t, 4321, call(t, instance, "own", 999, 1, 2).ToI32(), "moved to another table")
				require.ErrorIs(t, failing(t, instance, "shared", 0, 0, 1), wasmer.TrapBadSignature)
				require.ErrorIs(t, failing(t, instance, "direct", 65536, 0), wasmer.TrapOutOfBounds)
				require.EqualValues(t, 4321, call(t, lib, "load", 1, 999).ToI32())
			}
		}
	})
}

// Vectors are passed in different ways too.
func TestVectorsArriveWhateverCompiledCallerAndCallee(t *testing.T) {
	eachPairOfCompilers(t, func(t *testing.T, callee, caller *wasmer.Engine) {
		if !hasSIMD(callee) || !hasSIMD(caller) {
			t.Skip("Singlepass has no vectors")
		}
		store := newStore(t, caller)
		instantiateNamed(t, store, callee, "lib", `(module
			(func (export "f") (param i32 v128 f32 v128 i64) (result v128)
				(i64x2.add (i64x2.mul (local.get 1) (local.get 3)) (i64x2.splat (i64.add (local.get 4) (i64.extend_i32_u (local.get 0)))))))`)
		instance := instantiateIn(t, store, caller, `(module
			(type $t (func (param i32 v128 f32 v128 i64) (result v128))) (import "lib" "f" (func $f (type $t)))
			(table 1 funcref) (elem (i32.const 0) func $f)
			(func $sum (param v128) (result i64) (i64.add (i64x2.extract_lane 0 (local.get 0)) (i64x2.extract_lane 1 (local.get 0))))
			(func (export "direct") (result i64) (call $sum
				(call $f (i32.const 1) (v128.const i64x2 2 3) (f32.const 9) (v128.const i64x2 10 100) (i64.const 1000))))
			(func (export "indirect") (result i64) (call $sum
				(call_indirect (type $t) (i32.const 1) (v128.const i64x2 2 3) (f32.const 9) (v128.const i64x2 10 100) (i64.const 1000)
					(i32.const 0)))))`, nil)
		for _, name := range []string{"direct", "indirect"} {
			require.EqualValues(t, 2*10+3*100+2*1001, call(t, instance, name).ToI64(), name)
		}
	})
}
