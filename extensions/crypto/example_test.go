package crypto_test

import (
	"context"
	"fmt"
	"log"

	"github.com/wasmerio/go-ext-wasm/extensions/crypto"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A guest hashes a message by the host's functions.
func Example() {
	module, err := wasmer.Compile([]byte(`
		(module
		  (import "wasi_ephemeral_crypto_symmetric" "symmetric_state_open" (func $open (param i32 i32 i32 i32 i32) (result i32)))
		  (import "wasi_ephemeral_crypto_symmetric" "symmetric_state_absorb" (func $absorb (param i32 i32 i32) (result i32)))
		  (import "wasi_ephemeral_crypto_symmetric" "symmetric_state_squeeze" (func $squeeze (param i32 i32 i32) (result i32)))
		  (import "wasi_ephemeral_crypto_symmetric" "symmetric_state_close" (func $close (param i32) (result i32)))
		  (memory (export "memory") 1)
		  (data (i32.const 0) "SHA-256")
		  (data (i32.const 8) "\01")                       ;; neither a key nor options
		  (global $state i32 (i32.const 16))
		  (func (export "hash") (param $message i32) (param $length i32) (param $digest i32) (result i32)
		    (if (call $open (i32.const 0) (i32.const 7) (i32.const 8) (i32.const 8) (global.get $state)) (then unreachable))
		    (if (call $absorb (i32.load (global.get $state)) (local.get $message) (local.get $length)) (then unreachable))
		    (if (call $squeeze (i32.load (global.get $state)) (local.get $digest) (i32.const 32)) (then unreachable))
		    (call $close (i32.load (global.get $state)))))`))
	if err != nil {
		log.Fatal(err)
	}
	defer module.Close()

	ctx := context.Background()
	instance, err := wasmer.Instantiate(ctx, module, wasmer.NewImports().Add(crypto.New(crypto.Config{})))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	if err := instance.Memory.WriteString(100, "abc"); err != nil {
		log.Fatal(err)
	}
	hash, err := instance.Function("hash")
	if err != nil {
		log.Fatal(err)
	}
	answer, err := hash.Call(ctx, 100, 3, 200)
	if err != nil {
		log.Fatal(err)
	}
	digest, err := instance.Memory.Read(200, 32)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v %x\n", answer[0], digest)
	// Output: 0 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
}
