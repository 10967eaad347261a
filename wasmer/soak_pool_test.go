package wasmer_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Users of a pool leave nothing behind, whatever they look up, keep and do.
func TestSoakPools(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, stateful)
		pool := newPool(t, module, doubling(), wasmer.PoolConfig{})
		wasi := wasmer.NewWASI(wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", FS: fstest.MapFS{}}}})
		guests := newPool(t, compile(t, engine, `(module
			(import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
			(memory (export "memory") 1) (table (export "t") 1 funcref) (global (export "g") (mut i32) (i32.const 0))
			(func (export "run") (drop (call $close (i32.const 3)))))`), wasmer.NewImports().WASI(wasi), wasmer.PoolConfig{MaxIdle: 1})
		flat(t, times(50_000), times(50_000)+300, func(n int) {
			i := get(t, pool)
			run(t, i, "change")
			if n%7 == 0 {
				_, _ = function(t, i, "element").Call(background, 0, 1) // traps
			}
			require.NoError(t, pool.Put(i))
			i = get(t, guests)
			run(t, i, "run")
			require.NoError(t, exportedTable(t, i, "t").Set(0, function(t, i, "run")))
			require.NoError(t, exportedGlobal(t, i, "g").Set(n&0xff))
			if n%5 == 0 {
				require.NoError(t, i.Close())
			} else {
				require.NoError(t, guests.Put(i))
			}
		})
	})
}

// Snapshots, what is made of them, and resets leave nothing behind.
func TestSoakSnapshots(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, stateful)
		i, err := wasmer.Instantiate(background, module, doubling().Resettable())
		require.NoError(t, err)
		defer i.Close()
		flat(t, times(20_000), times(20_000)+100, func(int) {
			run(t, i, "change")
			snapshot, err := i.Snapshot(background)
			require.NoError(t, err)
			data, err := snapshot.MarshalBinary()
			require.NoError(t, err)
			read, err := module.UnmarshalSnapshot(data)
			require.NoError(t, err)
			restored, err := wasmer.InstantiateFrom(background, read, doubling())
			require.NoError(t, err)
			require.NoError(t, restored.Reset(background))
			require.NoError(t, restored.Close())
			require.NoError(t, snapshot.Close())
			require.NoError(t, read.Close())
			require.NoError(t, i.Reset(background))
		})
	})
}
