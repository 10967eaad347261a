package vm_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// say is what a compiler makes of
//
//	#[wasm_bindgen] pub fn say(name: &str) -> String { format!("hello {name}") }
//	#[wasm_bindgen] pub fn fail() { wasm_bindgen::throw_str("no!") }
const say = `(module
	(import "wbg" "__wbindgen_throw" (func $throw (param i32 i32)))
	(memory (export "memory") 1) (data (i32.const 16) "hello no!")
	(global $top (mut i32) (i32.const 1024))
	(func $malloc (export "__wbindgen_malloc") (param $size i32) (param $align i32) (result i32)
		(global.set $top (i32.and (i32.add (i32.add (global.get $top) (local.get $size)) (i32.const 15)) (i32.const -16)))
		(i32.sub (global.get $top) (i32.and (i32.add (local.get $size) (i32.const 15)) (i32.const -16))))
	(func (export "__wbindgen_free") (param i32 i32 i32))
	(func (export "say") (param $ret i32) (param $at i32) (param $size i32) (local $to i32)
		(local.set $to (call $malloc (i32.add (local.get $size) (i32.const 6)) (i32.const 1)))
		(memory.copy (local.get $to) (i32.const 16) (i32.const 6))
		(memory.copy (i32.add (local.get $to) (i32.const 6)) (local.get $at) (local.get $size))
		(i32.store (local.get $ret) (local.get $to))
		(i32.store offset=4 (local.get $ret) (i32.add (local.get $size) (i32.const 6))))
	(func (export "fail") (call $throw (i32.const 22) (i32.const 3))))`

func TestF090ExecuteBindgenOfTheActiveAndOfRegisteredModules(t *testing.T) {
	v := newVM(t, vm.Config{HostModules: []wasmer.HostModule{wasmer.NewImports().Bindgen()}})
	var text string
	require.ErrorAs(t, v.ExecuteBindgen(background, "say", []any{"you"}, &text), new(*vm.StateError))
	require.NoError(t, v.RegisterBytes(background, "lib", []byte(say)))
	require.NoError(t, v.ExecuteBindgenRegistered(background, "lib", "say", []any{"lib"}, &text))
	require.Equal(t, "hello lib", text)
	requireCode(t, 0x80, v.ExecuteBindgenRegistered(background, "nobody", "say", []any{"lib"}, &text))
	ready(t, v, say)
	require.NoError(t, v.ExecuteBindgen(background, "say", []any{"you"}, &text))
	require.Equal(t, "hello you", text)
	var failed *wasmer.BindgenError
	require.ErrorAs(t, v.ExecuteBindgen(background, "fail", nil), &failed)
	require.Equal(t, "no!", failed.Message)
	require.Equal(t, vm.Instantiated, v.State())
	require.NoError(t, v.ExecuteBindgen(background, "say", []any{"again"}, &text))
}

// A guest that was built with wasm-bindgen takes a string and gives one.
func ExampleVM_ExecuteBindgen() {
	v := vm.New(vm.Config{HostModules: []wasmer.HostModule{wasmer.NewImports().Bindgen()}})
	defer v.Close()
	if err := v.RegisterBytes(background, "greeter", []byte(say)); err != nil {
		fmt.Println(err)
		return
	}
	var greeting string
	err := v.ExecuteBindgenRegistered(background, "greeter", "say", []any{"Wasmer"}, &greeting)
	fmt.Println(greeting, err)
	err = v.ExecuteBindgenRegistered(background, "greeter", "fail", nil)
	fmt.Println(err)
	// Output:
	// hello Wasmer <nil>
	// wasmer: call "fail": the guest's error: no!
}
