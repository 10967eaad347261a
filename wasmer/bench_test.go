package wasmer_test

import (
	"context"
	"testing"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// The hot paths, for work on the library itself; benchmarks/ compares them with other runtimes.

const benchWat = `(module
  (import "env" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "sum") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "run") (param $n i32)
    (loop $again
      (drop (call $host (local.get $n)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`

func benchInstance(b *testing.B) *wasmer.Instance {
	imports := wasmer.NewImports().Function("host", func(x int32) int32 { return x + 1 })
	instance, err := wasmer.NewInstanceWithImports([]byte(benchWat), imports)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { instance.Close() })
	return instance
}

func BenchmarkCall(b *testing.B) {
	ctx := context.Background()
	instance := benchInstance(b)
	f := wasmer.Must(instance.Function("sum"))
	typed := wasmer.Must(wasmer.Func2[int32, int32, int32](instance, "sum"))
	exported := instance.Exports["sum"]
	stack := make([]uint64, 2)

	for _, bm := range []struct {
		name string
		call func() error
	}{
		{"EmptyCgo", func() error { ffi.Nothing(); return nil }},
		{"Raw", func() error { stack[0], stack[1] = 5, 37; return f.CallRaw(ctx, stack) }},
		{"Typed", func() error { _, err := typed(ctx, 5, 37); return err }},
		{"Call", func() error { _, err := f.Call(ctx, 5, 37); return err }},
		{"Exports", func() error { _, err := exported(5, 37); return err }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bm.call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHostCall(b *testing.B) {
	const calls = 1000
	run := wasmer.Must(benchInstance(b).Function("run"))
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := run.CallRaw(ctx, []uint64{calls}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/hostcall")
}

func BenchmarkInstantiate(b *testing.B) {
	imports := wasmer.NewImports().Function("host", func(x int32) int32 { return x + 1 })
	module := wasmer.Must(wasmer.Compile([]byte(benchWat)))
	defer module.Close()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		instance, err := wasmer.Instantiate(ctx, module, imports)
		if err != nil {
			b.Fatal(err)
		}
		instance.Close()
	}
}

func BenchmarkMemory(b *testing.B) {
	memory := benchInstance(b).Memory
	b.ReportAllocs()
	for b.Loop() {
		if _, err := memory.ReadUint32Le(1024); err != nil {
			b.Fatal(err)
		}
	}
}

// References, globals, and host functions of types known at run time only.
func BenchmarkCore(b *testing.B) {
	ctx := context.Background()
	store := wasmer.Must(wasmer.NewStore(nil))
	defer store.Close()
	i32 := []wasmer.ValueType{wasmer.TypeI32}
	host := wasmer.Must(store.NewFunction(wasmer.FunctionType{Params: i32, Results: i32},
		func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
			return args, nil
		}, 0))
	instance := wasmer.Must(store.Instantiate(ctx, "", wasmer.Must(wasmer.Compile([]byte(`(module
		(import "env" "host" (func $host (param i32) (result i32)))
		(table (export "table") 10 funcref) (elem (i32.const 0) func $f) (func $f)
		(global (export "global") (mut i64) (i64.const 1))
		(func (export "same") (param externref) (result externref) (local.get 0))
		(func (export "run") (param $n i32)
			(loop $again
				(drop (call $host (local.get $n)))
				(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
		(func (export "indirect") (param $n i32)
			(loop $again
				(call_indirect (i32.const 0))
				(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`))),
		wasmer.NewImports().Extern("env", "host", host)))
	table, global := wasmer.Must(instance.Table("table")), wasmer.Must(instance.Global("global"))
	same := wasmer.Must(instance.Function("same"))
	value := new(int)
	const calls = 1000
	loop := func(name string) func() error {
		f := wasmer.Must(instance.Function(name))
		return func() error { return f.CallRaw(ctx, []uint64{calls}) }
	}
	for _, bm := range []struct {
		name string
		op   func() error
	}{
		{"TableGet", func() error { _, err := table.Get(0); return err }},
		{"GlobalGet", func() error { _, err := global.Get(); return err }},
		{"GlobalSet", func() error { return global.Set(5) }},
		{"Externref", func() error { _, err := same.Call(ctx, value); return err }},
		{"NewFunction1000", loop("run")},
		{"CallIndirect1000", loop("indirect")},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bm.op(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
