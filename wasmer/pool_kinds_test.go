package wasmer_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestPoolOfStartCode(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var starts atomic.Int32
		imports := func() (*wasmer.Imports, error) {
			return wasmer.NewImports().Function("next", func() int32 { return starts.Add(1) }), nil
		}
		module := compile(t, engine, `(module (import "env" "next" (func $next (result i32)))
			(memory (export "memory") 1) (global $n (mut i32) (i32.const 0))
			(func (export "_initialize") (i32.store (i32.const 8) (call $next)))
			(func (export "add") (result i32) (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 10))) (i32.load (i32.const 8))))`)
		pool := newPool(t, module, nil, wasmer.PoolConfig{Imports: imports, Prewarm: 1})
		a, b := get(t, pool), get(t, pool)
		for range 3 {
			require.EqualValues(t, 11, run(t, a, "add")[0].ToI32())
			require.EqualValues(t, 12, run(t, b, "add")[0].ToI32())
			require.NoError(t, pool.Put(b))
			require.NoError(t, pool.Put(a))
			a, b = get(t, pool), get(t, pool)
		}
		require.EqualValues(t, 2, starts.Load())

		run(t, a, "add")
		snapshot := snapshotOf(t, a)
		warm := newPool(t, module, nil, wasmer.PoolConfig{Imports: imports, Snapshot: snapshot})
		for range 3 {
			i := get(t, warm)
			require.EqualValues(t, 21, run(t, i, "add")[0].ToI32())
			require.NoError(t, warm.Put(i))
		}
		require.EqualValues(t, 2, starts.Load())
		_, err := wasmer.NewPool(background, compile(t, engine, `(module)`), nil, wasmer.PoolConfig{Snapshot: snapshot})
		require.ErrorIs(t, err, wasmer.ErrSnapshot)
	})
}

func TestPoolOfWASI(t *testing.T) {
	engine := newEngine(t, wasmer.EngineConfig{})
	module := compile(t, engine, `(module
		(import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
		(memory (export "memory") 1) (data (i32.const 0) "file") (data (i32.const 32) "\00\00\00\00\04")
		(func (export "open") (result i32)
			(drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
			(i32.load (i32.const 16)))
		(func (export "write") (drop (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 20))))
		(func (export "exit") (call $exit (i32.const 4))))`)
	config := wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", FS: fstest.MapFS{"file": {Data: []byte("contents")}}}}}
	var out bytes.Buffer
	config.Stdout = &out
	pool := newPool(t, module, wasmer.NewImports().WASI(wasmer.NewWASI(config)), wasmer.PoolConfig{MaxLive: 1})
	for range 4 {
		i := get(t, pool)
		require.EqualValues(t, 4, run(t, i, "open")[0].ToI32(), "what others have opened is closed")
		require.EqualValues(t, 5, run(t, i, "open")[0].ToI32())
		run(t, i, "write")
		require.NoError(t, pool.Put(i))
	}
	require.Equal(t, "filefilefilefile", out.String())
	i := get(t, pool)
	_, err := function(t, i, "exit").Call(background)
	require.ErrorAs(t, err, new(*wasmer.ExitError))
	require.ErrorAs(t, pool.Put(i), new(*wasmer.ExitError))
	i = get(t, pool)
	require.EqualValues(t, 4, run(t, i, "open")[0].ToI32())
	require.NoError(t, pool.Put(i))
	require.Equal(t, wasmer.PoolStats{Idle: 1, Made: 2, Reset: 5}, pool.Stats())
}

func TestPoolAndMeter(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		engine = engineOf(t, engine, wasmer.EngineConfig{Metering: wasmer.Metering{Mode: wasmer.MeteringBlock, Limit: 1000}})
		pool := newPool(t, compile(t, engine, `(module (func (export "f") (loop (br 0))))`), nil, wasmer.PoolConfig{})
		for range 3 {
			i := get(t, pool)
			require.EqualValues(t, 1000, i.Meter().Remaining())
			require.Zero(t, i.Meter().Used())
			require.ErrorIs(t, failing(t, i, "f"), wasmer.ErrCostLimit)
			require.NoError(t, i.Meter().SetLimit(5000))
			require.ErrorIs(t, failing(t, i, "f"), wasmer.ErrCostLimit)
			require.NoError(t, pool.Put(i))
		}
		require.EqualValues(t, 1, pool.Stats().Made)
	})
}

func TestPoolOfTiers(t *testing.T) {
	engine := tieredEngine(t, wasmer.EngineConfig{})
	release := occupied(t, engine)
	module := compile(t, engine, touching)
	pool := newPool(t, module, nil, wasmer.PoolConfig{MaxLive: 1})
	i := get(t, pool)
	require.Equal(t, wasmer.TierBaseline, i.Tier())
	release()
	waitTier(t, module)
	require.NoError(t, pool.Put(i))
	i = get(t, pool)
	require.Equal(t, wasmer.TierOptimized, i.Tier())
	require.NoError(t, pool.Put(i))
	require.Equal(t, wasmer.PoolStats{Idle: 1, Made: 2, Reset: 1, Replaced: 1}, pool.Stats())
}

func TestPoolOfWhatCannotBeReset(t *testing.T) {
	engine := newEngine(t, wasmer.EngineConfig{})
	module := compile(t, engine, `(module (import "env" "memory" (memory 1)) (export "memory" (memory 0)))`)
	memory, err := wasmer.NewMemory(1, 1)
	require.NoError(t, err)
	defer memory.Close()
	pool := newPool(t, module, nil, wasmer.PoolConfig{MaxLive: 1, Imports: func() (*wasmer.Imports, error) {
		return wasmer.NewImports().Memory("memory", memory), nil
	}})
	_, err = pool.Get(background)
	require.ErrorIs(t, err, wasmer.ErrStoreMismatch)
	externs := newPool(t, compile(t, engine, `(module (import "env" "v" (func $v (result externref)))
		(table (export "t") 1 externref) (func $f (table.set 0 (i32.const 0) (call $v))) (start $f))`), wasmer.NewImports().Function("v", func() any { return "a value" }), wasmer.PoolConfig{})
	for range 3 {
		i := get(t, externs)
		require.Equal(t, "a value", element(t, exportedTable(t, i, "t"), 0).ToExternRef())
		require.NoError(t, exportedTable(t, i, "t").Set(0, wasmer.ExternRef("another")))
		require.NoError(t, externs.Put(i))
	}
	require.Equal(t, wasmer.PoolStats{Made: 3, Replaced: 3}, externs.Stats())
}
