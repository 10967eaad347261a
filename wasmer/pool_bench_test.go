package wasmer_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// touching has a function that writes to one page of its memory.
const touching = `(module (memory (export "memory") 1) (data (i32.const 0) "begin")
	(func (export "touch") (param i32) (i32.store (i32.const 8192) (local.get 0))))`

func BenchmarkPool(b *testing.B) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(b, err)
	defer engine.Close()
	module := compile(b, engine, touching)
	pool := newPool(b, module, nil, wasmer.PoolConfig{})
	b.Run("get and put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i, _ := pool.Get(background)
			_ = pool.Put(i)
		}
	})
	b.Run("get, a page touched by the host, put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i, _ := pool.Get(background)
			_ = i.Memory.WriteUint32Le(8192, 1)
			_ = pool.Put(i)
		}
	})
	b.Run("get, a call that touches a page, put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i, _ := pool.Get(background)
			touch, _ := wasmer.Func1[int32, wasmer.Void](i, "touch")
			_, _ = touch(background, 5)
			_ = pool.Put(i)
		}
	})
	b.Run("reset, a page touched by the host", func(b *testing.B) {
		i := get(b, pool)
		defer func() { _ = pool.Put(i) }()
		b.ReportAllocs()
		for b.Loop() {
			_ = i.Memory.WriteUint32Le(8192, 1)
			_ = i.Reset(background)
		}
	})
	b.Run("instantiate and close", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i, _ := wasmer.Instantiate(background, module, nil)
			_ = i.Close()
		}
	})
	snapshot := snapshotOf(b, get(b, pool))
	b.Run("instantiate from a snapshot and close", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i, _ := wasmer.InstantiateFrom(background, snapshot, nil)
			_ = i.Close()
		}
	})
}
