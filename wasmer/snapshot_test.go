package wasmer_test

import (
	"bytes"
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// stateful has state of each kind, most of it not exported, and functions that change and tell it.
const stateful = `(module
	(import "env" "double" (func $double (param i32) (result i32)))
	(memory (export "memory") 1 5)
	(data (i32.const 8) "begin")
	(data $more "passive")
	(global $count (mut i32) (i32.const 7))
	(global $wide (mut i64) (i64.const -1))
	(global $real (mut f64) (f64.const 0.5))
	(global $single (mut f32) (f32.const 0.25))
	(global $f (mut funcref) (ref.func $one))
	(table $t 3 10 funcref)
	(table $e 2 externref)
	(elem $p func $two $double)
	(elem (table $t) (i32.const 0) func $one $double)
	(elem declare func $one $two)
	(type $number (func (param i32) (result i32)))
	(func $one (type $number) i32.const 1)
	(func $two (type $number) i32.const 2)
	(func (export "change")
		(global.set $count (i32.add (global.get $count) (i32.const 1)))
		(global.set $wide (i64.const 0x1122334455667788))
		(global.set $real (f64.reinterpret_i64 (i64.const 0x7ff800000000abcd)))
		(global.set $single (f32.reinterpret_i32 (i32.const 0x7fa00001)))
		(global.set $f (ref.func $two))
		(drop (memory.grow (i32.const 2)))
		(memory.init $more (i32.const 0x20000) (i32.const 0) (i32.const 7))
		(i32.store8 (i32.const 8) (i32.const 66))
		(table.init $t $p (i32.const 1) (i32.const 0) (i32.const 2))
		(drop (table.grow $t (ref.func $two) (i32.const 2)))
		(table.set $t (i32.const 0) (ref.null func))
		data.drop $more
		elem.drop $p)
	(func (export "count") (result i32) global.get $count)
	(func (export "wide") (result i64) global.get $wide)
	(func (export "real") (result i64) (i64.reinterpret_f64 (global.get $real)))
	(func (export "single") (result i32) (i32.reinterpret_f32 (global.get $single)))
	(func (export "pages") (result i32) memory.size)
	(func (export "size") (result i32) (table.size $t))
	(func (export "element") (param i32 i32) (result i32) (call_indirect $t (type $number) (local.get 1) (local.get 0)))
	(func (export "global") (param i32) (result i32)
		(table.set $t (i32.const 2) (global.get $f))
		(call_indirect $t (type $number) (local.get 0) (i32.const 2)))
	(func (export "init") (memory.init $more (i32.const 0) (i32.const 0) (i32.const 1)))
	(func (export "initTable") (table.init $t $p (i32.const 0) (i32.const 0) (i32.const 1)))
	(func (export "keep") (param externref) (table.set $e (i32.const 1) (local.get 0))))`

func doubling() *wasmer.Imports {
	return wasmer.NewImports().Function("double", func(n int32) int32 { return 2 * n })
}

// state is all that the module tells of itself.
func state(t testing.TB, i *wasmer.Instance) map[string]any {
	t.Helper()
	told := map[string]any{}
	for _, name := range []string{"count", "wide", "real", "single", "pages", "size"} {
		told[name] = run(t, i, name)[0].String()
	}
	element := function(t, i, "element")
	for at := range 6 {
		if values, err := element.Call(background, at, 21); err != nil {
			told[utoa(uint64(at))] = err.Error()[:40]
		} else {
			told[utoa(uint64(at))] = values[0].ToI32()
		}
	}
	for _, name := range []string{"init", "initTable"} {
		_, err := function(t, i, name).Call(background)
		told[name] = err == nil
	}
	told["global"] = run(t, i, "global", 21)[0].ToI32()
	data, err := i.Memory.Read(0, i.Memory.Size())
	require.NoError(t, err)
	told["memory"] = bytes.TrimRight(data, "\x00")
	return told
}

func snapshotOf(t testing.TB, i *wasmer.Instance) *wasmer.Snapshot {
	t.Helper()
	snapshot, err := i.Snapshot(background)
	require.NoError(t, err)
	t.Cleanup(func() { _ = snapshot.Close() })
	return snapshot
}

func restored(t testing.TB, snapshot *wasmer.Snapshot, imports *wasmer.Imports) *wasmer.Instance {
	t.Helper()
	i, err := wasmer.InstantiateFrom(background, snapshot, imports)
	require.NoError(t, err)
	t.Cleanup(func() { _ = i.Close() })
	return i
}

func marshal(t testing.TB, snapshot *wasmer.Snapshot) []byte {
	t.Helper()
	data, err := snapshot.MarshalBinary()
	require.NoError(t, err)
	return data
}

func TestSnapshot(t *testing.T) {
	for _, memories := range []wasmer.Memories{wasmer.ReservedMemories, wasmer.BoundedMemories} {
		t.Run(memories.String(), func(t *testing.T) {
			eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
				engine = engineOf(t, engine, wasmer.EngineConfig{Memories: memories})
				testSnapshot(t, engine)
			})
		})
	}
}

func testSnapshot(t *testing.T, engine *wasmer.Engine) {
	module := compile(t, engine, stateful)
	original, err := wasmer.Instantiate(background, module, doubling())
	require.NoError(t, err)
	defer original.Close()
	first := snapshotOf(t, original)
	run(t, original, "change")
	second := snapshotOf(t, original)
	bytesOfSecond := marshal(t, second)
	before := state(t, restored(t, first, doubling()))
	after := state(t, restored(t, second, doubling()))
	require.NotEqual(t, before, after)

	t.Run("an instance made from it has all of the state", func(t *testing.T) {
		require.Equal(t, "8", after["count"])
		require.Equal(t, "9221120237041134541", after["real"], "a NaN keeps its bits")
		require.Equal(t, "2141192193", after["single"], "a signalling one too")
		require.Equal(t, after, state(t, original), "and the original went on undisturbed")
	})
	t.Run("it is the beginning again", func(t *testing.T) {
		fresh, err := wasmer.Instantiate(background, module, doubling())
		require.NoError(t, err)
		defer fresh.Close()
		require.Equal(t, before, state(t, fresh))
	})
	t.Run("a snapshot of a restored instance is the same", func(t *testing.T) {
		again := restored(t, second, doubling())
		require.Equal(t, bytesOfSecond, marshal(t, snapshotOf(t, again)))
	})
	t.Run("functions of imports are the new ones", func(t *testing.T) {
		i := restored(t, first, wasmer.NewImports().Function("double", func(n int32) int32 { return -n }))
		require.EqualValues(t, -21, run(t, i, "element", 1, 21)[0].ToI32())
	})
	t.Run("instances of one snapshot are apart", func(t *testing.T) {
		a, b := restored(t, first, doubling()), restored(t, first, doubling())
		run(t, a, "change")
		require.Equal(t, before, state(t, b))
		require.NoError(t, first.Close())
		require.NoError(t, a.Reset(background))
		require.Equal(t, before, state(t, a), "also when the snapshot is gone")
	})
	t.Run("bytes", func(t *testing.T) {
		require.Less(t, len(bytesOfSecond), 10_000)
		read, err := module.ReadSnapshot(bytes.NewReader(bytesOfSecond))
		require.NoError(t, err)
		defer read.Close()
		require.Equal(t, after, state(t, restored(t, read, doubling())))
		var out bytes.Buffer
		n, err := read.WriteTo(&out)
		require.NoError(t, err)
		require.EqualValues(t, out.Len(), n)
		require.Equal(t, bytesOfSecond, out.Bytes())
	})
	t.Run("code of all compilers takes it over", func(t *testing.T) {
		for _, compiler := range wasmer.Compilers() {
			other, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, Metering: wasmer.Metering{Mode: wasmer.MeteringBlock}})
			require.NoError(t, err)
			defer other.Close()
			moved, err := second.For(compile(t, other, stateful))
			require.NoError(t, err)
			defer moved.Close()
			i := restored(t, moved, doubling())
			require.Equal(t, bytesOfSecond, marshal(t, snapshotOf(t, i)))
			require.Equal(t, after, state(t, i))
		}
	})
}

func TestSnapshotOfVectors(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		if !hasSIMD(engine) {
			t.Skip("no SIMD")
		}
		module := compile(t, engine, `(module (global $v (mut v128) (v128.const i64x2 1 2))
			(func (export "set") (param v128) (global.set $v (local.get 0)))
			(func (export "get") (result v128) global.get $v))`)
		i, err := wasmer.Instantiate(background, module, nil)
		require.NoError(t, err)
		defer i.Close()
		want := wasmer.V128(math.MaxUint64-1, 0x7ff0000000000001)
		run(t, i, "set", want)
		require.Equal(t, want, run(t, restored(t, snapshotOf(t, i), nil), "get")[0])
		require.NoError(t, i.Reset(background))
		require.Equal(t, wasmer.V128(1, 2), run(t, i, "get")[0])
	})
}

func TestWhatCannotBeCaptured(t *testing.T) {
	cases := []struct {
		name, module string
		prepare      func(t *testing.T, store *wasmer.Store, i *wasmer.Instance)
		reasons      []string
	}{
		{"an externref", stateful, func(t *testing.T, _ *wasmer.Store, i *wasmer.Instance) {
			run(t, i, "keep", wasmer.ExternRef("kept"))
		}, []string{"element 1 of the table 1 holds a reference of type externref"}},
		{"a function of the host in a table", `(module (table (export "t") 2 funcref))`,
			func(t *testing.T, store *wasmer.Store, i *wasmer.Instance) {
				require.NoError(t, exportedTable(t, i, "t").Set(1, hostConstant(t, store, 1)))
			}, []string{"element 1 of the table 0 refers to a function that is no function or import of the module"}},
		{"a function of another instance in a global", `(module (global (export "g") (mut funcref) (ref.null func)))`,
			func(t *testing.T, store *wasmer.Store, i *wasmer.Instance) {
				other := instantiateIn(t, store, i.Module().Engine(), `(module (func (export "f")))`, nil)
				require.NoError(t, exportedGlobal(t, i, "g").Set(function(t, other, "f")))
			}, []string{"the global 0 refers to a function that is no function or import of the module"}},
		{"what is imported", `(module (import "env" "m" (memory 1)) (import "env" "t" (table 1 funcref))
			(import "env" "g" (global (mut i32))) (import "env" "c" (global i32)))`, nil,
			[]string{"the memory 0 is imported", "the table 0 is imported", "the mutable global 0 is imported"}},
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				store := newStore(t, engine)
				instantiateNamed(t, store, engine, "env", `(module (memory (export "m") 1) (table (export "t") 1 funcref)
					(global (export "g") (mut i32) (i32.const 1)) (global (export "c") i32 (i32.const 1))
					(func (export "double") (param i32) (result i32) local.get 0))`)
				i := instantiateIn(t, store, engine, c.module, nil)
				if c.prepare != nil {
					c.prepare(t, store, i)
				}
				_, err := i.Snapshot(background)
				var state *wasmer.StateError
				require.ErrorAs(t, err, &state)
				require.Equal(t, c.reasons, state.Reasons)
				if c.prepare == nil {
					require.ErrorAs(t, i.Reset(background), &state, "nor put back")
					require.Equal(t, c.reasons, state.Reasons)
				}
			})
		}
	})
}

// What others hold of an instance stays valid, and what it imports is found by its position.
func TestSnapshotsOfLinkedInstances(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		instantiateNamed(t, store, engine, "env", `(module (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))`)
		i := instantiateIn(t, store, engine, stateful, nil)
		run(t, i, "change")
		want := state(t, restored(t, snapshotOf(t, i), doubling()))
		named, err := store.InstantiateFrom(background, "restored", snapshotOf(t, i), nil)
		require.NoError(t, err)
		require.Equal(t, want, state(t, named))
		importer := instantiateIn(t, store, engine, `(module (import "restored" "memory" (memory 1))
			(func (export "load") (result i32) (i32.load8_u (i32.const 8))) (func (export "pages") (result i32) memory.size))`, nil)
		require.EqualValues(t, 66, run(t, importer, "load")[0].ToI32())
		run(t, named, "count")
		require.NoError(t, named.Reset(background))
		require.EqualValues(t, 3, run(t, importer, "pages")[0].ToI32())
	})
}

func TestConstantsOfASnapshot(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "c" (global i32)) (global $g (mut i32) (global.get 0))
			(func (export "get") (result i32) global.get $g))`)
		with := func(n int32) (*wasmer.Store, *wasmer.Imports) {
			store := newStore(t, engine)
			global := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32}, n)
			return store, wasmer.NewImports().Global("env", "c", global)
		}
		_, imports := with(5)
		i, err := wasmer.Instantiate(background, module, imports)
		require.NoError(t, err)
		snapshot := snapshotOf(t, i)
		_, imports = with(5)
		require.EqualValues(t, 5, run(t, restored(t, snapshot, imports), "get")[0].ToI32())
		_, imports = with(6)
		_, err = wasmer.InstantiateFrom(background, snapshot, imports)
		require.ErrorIs(t, err, wasmer.ErrSnapshot)
		require.ErrorContains(t, err, "imported constant 0")
		require.NoError(t, i.Reset(background))
		require.EqualValues(t, 5, run(t, i, "get")[0].ToI32())
	})
}

// A run that was recorded goes on in another process from a snapshot and the results of the host, and ends with the same memory.
func TestSnapshotsOfWhatRunsOrIsClosed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "host" (func $host)) (memory (export "memory") 1)
			(func (export "run") call $host))`)
		var i *wasmer.Instance
		var inside []error
		i, err := wasmer.Instantiate(background, module, wasmer.NewImports().Function("host", func() {
			_, err := i.Snapshot(background)
			inside = append(inside, err, i.Reset(background))
		}))
		require.NoError(t, err)
		run(t, i, "run")
		for _, err := range inside {
			require.ErrorIs(t, err, wasmer.ErrRunning)
		}
		canceled, cancel := context.WithCancel(background)
		cancel()
		_, err = i.Snapshot(canceled)
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		require.ErrorIs(t, i.Reset(canceled), context.Canceled)
		snapshot := snapshotOf(t, i)
		require.NoError(t, i.Close())
		_, err = i.Snapshot(background)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.ErrorIs(t, i.Reset(background), wasmer.ErrClosed)
		require.NoError(t, snapshot.Close())
		require.NoError(t, snapshot.Close())
		_, err = wasmer.InstantiateFrom(background, snapshot, doubling())
		require.Error(t, err)
		_, err = snapshot.MarshalBinary()
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = wasmer.InstantiateFrom(background, nil, nil)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		var none *wasmer.Instance
		_, err = none.Snapshot(background)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.ErrorIs(t, none.Reset(background), wasmer.ErrClosed)
		host, err := newStore(t, engine).NewInstance("", nil)
		require.NoError(t, err)
		_, err = host.Snapshot(background)
		require.ErrorAs(t, err, new(*wasmer.StateError))
	})
}
