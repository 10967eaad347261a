package wasmer_test

import (
	"context"
	"testing"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// What the kinds of memories cost: to make, to look into, and in code that does nothing but loads and stores.
func BenchmarkMemories(b *testing.B) {
	const sieve = `(module (memory (export "memory") 16)
		(func (export "run") (result i32) (local $n i32) (local $at i32) (local $primes i32)
			(memory.fill (i32.const 0) (i32.const 0) (i32.const 1000000))
			(local.set $n (i32.const 2))
			(loop $next
				(if (i32.eqz (i32.load8_u (local.get $n))) (then
					(local.set $primes (i32.add (local.get $primes) (i32.const 1)))
					(local.set $at (i32.add (local.get $n) (local.get $n)))
					(block $done (loop $mark
						(br_if $done (i32.ge_u (local.get $at) (i32.const 1000000)))
						(i32.store8 (local.get $at) (i32.const 1))
						(local.set $at (i32.add (local.get $at) (local.get $n)))
						(br $mark)))))
				(br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000000))))
			(local.get $primes)))`
	ctx := context.Background()
	for _, compiler := range wasmer.Compilers() {
		for _, memories := range []wasmer.Memories{wasmer.ReservedMemories, wasmer.BoundedMemories} {
			engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, Memories: memories}))
			b.Cleanup(func() { engine.Close() })
			small := wasmer.Must(engine.Compile(ctx, []byte(`(module (memory (export "memory") 1))`)))
			guest := wasmer.Must(wasmer.Instantiate(ctx, wasmer.Must(engine.Compile(ctx, []byte(sieve))), nil))
			b.Cleanup(func() { guest.Close() })
			run := wasmer.Must(guest.Function("run"))
			for _, bm := range []struct {
				name string
				op   func() error
			}{
				{"Instantiate", func() error {
					instance, err := wasmer.Instantiate(ctx, small, nil)
					if err == nil {
						err = instance.Close()
					}
					return err
				}},
				{"Read", func() error { _, err := guest.Memory.ReadUint32Le(1024); return err }},
				{"Sieve", func() error { _, err := run.Call(ctx); return err }},
			} {
				b.Run(compiler.String()+"/"+memories.String()+"/"+bm.name, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if err := bm.op(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
