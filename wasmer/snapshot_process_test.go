package wasmer_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestSnapshotOfWASI(t *testing.T) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(t, err)
	defer engine.Close()
	module := compile(t, engine, `(module
		(import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
		(memory (export "memory") 1) (data (i32.const 0) "file")
		(func (export "open") (result i32)
			(call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
		(func (export "close") (param i32) (result i32) (call $close (local.get 0))))`)
	imports := wasmer.NewImports().WASI(wasmer.NewWASI(wasmer.WASIConfig{
		Mounts: []wasmer.Mount{{Guest: "/", FS: fstest.MapFS{"file": {Data: []byte("contents")}}}},
	}))
	i, err := wasmer.Instantiate(background, module, imports)
	require.NoError(t, err)
	defer i.Close()
	snapshot := snapshotOf(t, i)
	require.EqualValues(t, 0, run(t, i, "open")[0].ToI32())
	_, err = i.Snapshot(background)
	var refused *wasmer.StateError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, []string{"the guest has opened or changed its file descriptor 4"}, refused.Reasons)
	require.EqualValues(t, 0, run(t, i, "close", 4)[0].ToI32())
	snapshotOf(t, i)
	require.EqualValues(t, 0, run(t, i, "close", 3)[0].ToI32())
	_, err = i.Snapshot(background)
	require.ErrorContains(t, err, "has closed its file descriptor 3")

	require.NoError(t, i.Reset(background))
	require.EqualValues(t, 0, run(t, i, "open")[0].ToI32(), "a reset opens what a guest begins with")
	require.NoError(t, i.Reset(background))
	require.EqualValues(t, 8, run(t, i, "close", 4)[0].ToI32(), "and closes what it had opened")
	again := restored(t, snapshot, imports)
	require.EqualValues(t, 0, run(t, again, "open")[0].ToI32())
}

func TestSnapshotAndRecordedHostCallsGiveTheSameMemoryInAnotherProcess(t *testing.T) {
	const source = `(module
		(import "env" "input" (func $input (result i32)))
		(memory (export "memory") 2) (global $at (mut i32) (i32.const 16))
		(func (export "step") (param i32)
			(loop $next
				(i32.store (global.get $at) (i32.mul (call $input) (i32.load (i32.sub (global.get $at) (i32.const 4)))))
				(i32.store (i32.const 4) (i32.add (i32.load (i32.const 4)) (call $input)))
				(global.set $at (i32.add (global.get $at) (i32.const 4)))
				(br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
			(i32.store (global.get $at) (i32.const 77))))`
	const fileEnv = "WASMER_GO_TEST_SNAPSHOT"
	finish := func(t *testing.T, i *wasmer.Instance) []byte {
		for range 3 {
			run(t, i, "step", 1000)
		}
		data, err := i.Memory.Read(0, i.Memory.Size())
		require.NoError(t, err)
		return data
	}
	if name := os.Getenv(fileEnv); name != "" {
		inChild(t, func(t *testing.T) {
			file, err := os.Open(name)
			require.NoError(t, err)
			defer file.Close()
			var sizes [3]uint32
			require.NoError(t, binary.Read(file, binary.LittleEndian, &sizes))
			parts := make([][]byte, len(sizes))
			for n, size := range sizes {
				parts[n] = make([]byte, size)
				_, err := file.Read(parts[n])
				require.NoError(t, err)
			}
			results := make([]int32, sizes[1]/4)
			require.NoError(t, binary.Read(bytes.NewReader(parts[1]), binary.LittleEndian, results))
			for _, compiler := range wasmer.Compilers() { // others than the one of the recorder too
				engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler})
				require.NoError(t, err)
				defer engine.Close()
				snapshot, err := compile(t, engine, source).UnmarshalSnapshot(parts[0])
				require.NoError(t, err)
				replayed := results
				i := restored(t, snapshot, wasmer.NewImports().Function("input", func() int32 {
					result := replayed[0]
					replayed = replayed[1:]
					return result
				}))
				require.Equal(t, parts[2], finish(t, i))
				require.Empty(t, replayed)
			}
		})
		return
	}
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(t, err)
	defer engine.Close()
	var record []int32
	now := time.Now().UnixNano()
	i, err := wasmer.Instantiate(background, compile(t, engine, source), wasmer.NewImports().Function("input", func() int32 {
		now = now*6364136223846793005 + 1442695040888963407
		record = append(record, int32(now>>33)|1)
		return record[len(record)-1]
	}))
	require.NoError(t, err)
	defer i.Close()
	require.NoError(t, i.Memory.WriteUint32Le(12, 99))
	run(t, i, "step", 1000)
	snapshot := marshal(t, snapshotOf(t, i))
	record = record[:0]
	memory := finish(t, i)
	var file bytes.Buffer
	require.NoError(t, binary.Write(&file, binary.LittleEndian, [3]uint32{uint32(len(snapshot)), uint32(4 * len(record)), uint32(len(memory))}))
	file.Write(snapshot)
	require.NoError(t, binary.Write(&file, binary.LittleEndian, record))
	file.Write(memory)
	name := t.TempDir() + "/recorded"
	require.NoError(t, os.WriteFile(name, file.Bytes(), 0o600))
	t.Setenv(fileEnv, name)
	inChild(t, nil)
}
