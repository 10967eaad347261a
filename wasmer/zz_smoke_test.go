package wasmer_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const sumWat = `(module (memory (export "memory") 1) (func (export "sum") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))`

func TestSmoke(t *testing.T) {
	for _, c := range wasmer.Compilers() {
		e := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{Compiler: c}))
		m, err := e.Compile(context.Background(), []byte(sumWat))
		require.NoError(t, err)
		i, err := m.Instantiate()
		require.NoError(t, err)
		v, err := i.Exports["sum"](5, 37)
		require.NoError(t, err)
		fmt.Println(v)
		require.NoError(t, i.Close())
		require.NoError(t, m.Close())
	}
	i, err := wasmer.NewInstanceWithImports([]byte(`(module (import "env" "f" (func $f (param i32) (result i32))) (func (export "run") (param i32) (result i32) local.get 0 call $f))`),
		wasmer.NewImports().Function("f", func(x int32) int32 { return x + 1 }))
	require.NoError(t, err)
	fmt.Println(i.Exports["run"](41))
	i, err = wasmer.NewInstanceWithImports([]byte(`(module (import "env" "f" (func $f (param i32) (result i32))) (func (export "run") (param i32) (result i32) local.get 0 call $f))`),
		wasmer.NewImports().Function("f", func(x int32) int32 { panic("boom") }))
	require.NoError(t, err)
	require.PanicsWithValue(t, "boom", func() { i.Exports["run"](41) })
	i, err = wasmer.NewInstance([]byte(`(module $m (func $inner unreachable) (func (export "u") call $inner))`))
	require.NoError(t, err)
	_, err = i.Exports["u"]()
	fmt.Println(err)
	require.ErrorIs(t, err, wasmer.TrapUnreachable)
}

func BenchmarkRaw(b *testing.B) {
	i := wasmer.Must(wasmer.NewInstance([]byte(sumWat)))
	f := wasmer.Must(i.Function("sum"))
	ctx := context.Background()
	b.Run("raw", func(b *testing.B) {
		st := []uint64{5, 37}
		for b.Loop() {
			st[0] = 5
			_ = f.CallRaw(ctx, st)
		}
	})
	b.Run("typed", func(b *testing.B) {
		g := wasmer.Must(wasmer.Func2[int32, int32, int32](i, "sum"))
		for b.Loop() {
			_, _ = g(ctx, 5, 37)
		}
	})
	b.Run("exports", func(b *testing.B) {
		g := i.Exports["sum"]
		for b.Loop() {
			_, _ = g(5, 37)
		}
	})
	b.Run("call", func(b *testing.B) {
		for b.Loop() {
			_, _ = f.Call(ctx, 5, 37)
		}
	})
	b.Run("instantiate", func(b *testing.B) {
		m := i.Module()
		_ = m
		mm := wasmer.Must(wasmer.Compile([]byte(sumWat)))
		for b.Loop() {
			k, err := wasmer.Instantiate(ctx, mm, nil)
			if err != nil {
				b.Fatal(err)
			}
			k.Close()
		}
	})
	b.Run("host", func(b *testing.B) {
		k, err := wasmer.NewInstanceWithImports([]byte(`(module (import "env" "f" (func $f (param i32) (result i32)))
		(func (export "run") (param i32) (loop $l (drop (call $f (local.get 0))) (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))`),
			wasmer.NewImports().Function("f", func(x int32) int32 { return x + 1 }))
		if err != nil {
			b.Fatal(err)
		}
		r := wasmer.Must(k.Function("run"))
		for b.Loop() {
			r.CallRaw(ctx, []uint64{1000})
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/hostcall")
	})
}
