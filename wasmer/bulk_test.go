package wasmer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// bulkGuest works on the memory $m of 4 GiB, and copies between it and $n, which has one page.
const bulkGuest = `(module %s
	(data $d "0123456789abcdef")
	(func (export "init") (param i32 i32 i32) (memory.init $m $d (local.get 0) (local.get 1) (local.get 2)))
	(func (export "drop") (data.drop $d))
	(func (export "fill") (param i32 i32 i32) (memory.fill $m (local.get 0) (local.get 1) (local.get 2)))
	(func (export "copy") (param i32 i32 i32) (memory.copy $m $m (local.get 0) (local.get 1) (local.get 2)))
	(func (export "out") (param i32 i32 i32) (memory.copy $n $m (local.get 0) (local.get 1) (local.get 2)))
	(func (export "in") (param i32 i32 i32) (memory.copy $m $n (local.get 0) (local.get 1) (local.get 2)))
	(func (export "load8") (param i32) (result i32) (i32.load8_u $m (local.get 0)))
	(func (export "load32") (param i32) (result i32) (i32.load $m (local.get 0)))
	(func (export "load64") (param i32) (result i64) (i64.load $m (local.get 0)))
	(func (export "far32") (param i32) (result i32) (i32.load $m offset=0xfffffff0 (local.get 0)))
	(func (export "last32") (param i32) (result i32) (i32.load $m offset=0xffffffff (local.get 0)))
	(func (export "store8") (param i32 i32) (i32.store8 $m (local.get 0) (local.get 1)))
	(func (export "store32") (param i32 i32) (i32.store $m (local.get 0) (local.get 1)))
	(func (export "store64") (param i32 i64) (i64.store $m (local.get 0) (local.get 1)))
	(func (export "size") (result i32) (memory.size $m))
	(func (export "grow") (param i32) (result i32) (memory.grow $m (local.get 0)))
	(func (export "atomic.load") (param i32) (result i32) (i32.atomic.load $m (local.get 0)))
	(func (export "atomic.store") (param i32 i32) (i32.atomic.store $m (local.get 0) (local.get 1)))
	(func (export "atomic.add") (param i32 i32) (result i32) (i32.atomic.rmw.add $m (local.get 0) (local.get 1)))
	(func (export "atomic.xchg64") (param i32 i64) (result i64) (i64.atomic.rmw.xchg $m (local.get 0) (local.get 1)))
	(func (export "atomic.cas8") (param i32 i32 i32) (result i32) (i32.atomic.rmw8.cmpxchg_u $m (local.get 0) (local.get 1) (local.get 2)))
	(func (export "atomic.far") (param i32) (result i32) (i32.atomic.load $m offset=0xfffffff0 (local.get 0)))
	(func (export "notify") (param i32) (result i32) (memory.atomic.notify $m (local.get 0) (i32.const 1)))
	%s)`

// vectorGuest is for compilers with SIMD.
const vectorGuest = `
	(func (export "load128") (param i32) (result v128) (v128.load $m (local.get 0)))
	(func (export "store128") (param i32 v128) (v128.store $m (local.get 0) (local.get 1)))`

// end is an offset counted from the end of the 4 GiB.
func end(n int) uint32 { return uint32(1<<32 - n) }

// All that ends exactly at 2^32 is in bounds of a memory of 4 GiB, and nothing that ends a byte later.
func TestAccessesThatEndAtFourGiB(t *testing.T) {
	const local = `(memory $m (export "m") 65536 65536%s) (memory $n (export "n") 1)`
	const before = `(memory $n (export "n") 1) (memory $m (export "m") 65536 65536%s)`
	const imported = `(import "env" "m" (memory $m 65536 65536%s)) (memory $n (export "n") 1) (export "m" (memory $m))`
	const both = `(import "env" "n" (memory $n 1)) (import "env" "m" (memory $m 65536 65536%s)) (export "m" (memory $m)) (export "n" (memory $n))`
	const second = `(import "env" "n" (memory $n 1)) (memory $m (export "m") 65536 65536%s) (export "n" (memory $n))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, memories := range map[string]string{"local": local, "second": before, "imported": imported, "both imported": both, "local beside an imported one": second} {
			for _, shared := range []string{"", " shared"} {
				t.Run(name+shared, func(t *testing.T) {
					store := newStore(t, engine)
					m, err := store.NewMemoryOf(wasmer.MemoryType{Limits: wasmer.Limits{Min: 65536, Max: 65536, HasMax: true, Shared: shared != ""}})
					require.NoError(t, err)
					n, err := store.NewMemory(1, 1)
					require.NoError(t, err)
					vectors := ""
					if hasSIMD(engine) {
						vectors = vectorGuest
					}
					text := fmt.Sprintf(bulkGuest, fmt.Sprintf(memories, shared), vectors)
					if strings.Contains(memories, `"n" (memory $n 1))`) {
						n, err = store.NewMemoryOf(wasmer.MemoryType{Limits: wasmer.Limits{Min: 1}})
						require.NoError(t, err)
					}
					instance := instantiateIn(t, store, engine, text, wasmer.NewImports().Extern("env", "m", m).Extern("env", "n", n))
					checkTheEnd(t, instance, hasSIMD(engine))
				})
			}
		}
	})
}

func checkTheEnd(t *testing.T, instance *wasmer.Instance, vectors bool) {
	m, err := instance.ExportedMemory("m")
	require.NoError(t, err)
	n, err := instance.ExportedMemory("n")
	require.NoError(t, err)
	require.EqualValues(t, 1<<32, m.Size())
	require.EqualValues(t, 65536, call(t, instance, "size").ToI32())
	require.EqualValues(t, -1, call(t, instance, "grow", 1).ToI32())
	require.EqualValues(t, 65536, call(t, instance, "grow", 0).ToI32())
	tail := func(n int) string {
		t.Helper()
		text, err := m.ReadString(uint64(end(n)), uint64(n))
		require.NoError(t, err)
		return text
	}
	traps := func(name string, args ...any) {
		t.Helper()
		before := tail(64)
		require.ErrorIs(t, failing(t, instance, name, args...), wasmer.TrapOutOfBounds, "%s%v", name, args)
		require.Equal(t, before, tail(64), "%s%v wrote something", name, args)
	}

	require.NoError(t, m.WriteString(0, "first"))
	run(t, instance, "init", end(16), 0, 16)
	require.Equal(t, "0123456789abcdef", tail(16))
	run(t, instance, "init", end(1), 15, 1)
	run(t, instance, "init", end(5), 2, 5)
	require.Equal(t, "0123456789a23456", tail(16))
	traps("init", end(16), 1, 16)
	traps("init", end(15), 0, 16)
	traps("init", end(1), 0, 2)
	traps("init", end(1), 16, 1)
	traps("init", end(1), -1, 1)
	traps("init", end(3), 14, 3)
	run(t, instance, "init", end(1), 16, 0)

	run(t, instance, "fill", end(4), 'x', 4)
	require.Equal(t, "0123456789a2xxxx", tail(16))
	run(t, instance, "fill", end(1), 'y', 1)
	run(t, instance, "fill", end(1), 'z', 0)
	run(t, instance, "fill", end(9000), 0x141, 8900)
	require.Equal(t, strings.Repeat("A", 8900), tail(9000)[:8900])
	traps("fill", end(4), 'x', 5)
	traps("fill", end(1), 'x', 2)
	traps("fill", end(1), 'x', -1)
	traps("fill", 2, 'x', -1)
	traps("fill", end(4), 'x', end(4))

	require.NoError(t, m.WriteString(uint64(end(16)), "0123456789abcdef"))
	run(t, instance, "copy", end(8), end(16), 8)
	require.Equal(t, "0123456701234567", tail(16))
	run(t, instance, "copy", end(16), end(15), 15)
	require.Equal(t, "1234567012345677", tail(16), "forward, overlapping")
	run(t, instance, "copy", end(15), end(16), 15)
	require.Equal(t, "1123456701234567", tail(16), "backward, overlapping")
	run(t, instance, "copy", 100, end(6), 6)
	text, err := m.ReadString(100, 7)
	require.NoError(t, err)
	require.Equal(t, "234567\x00", text)
	run(t, instance, "copy", end(5), 0, 5)
	require.Equal(t, "first", tail(5))
	traps("copy", end(5), 0, 6)
	traps("copy", 0, end(5), 6)
	traps("copy", end(1), end(1), 2)
	traps("copy", end(1), 0, -1)

	run(t, instance, "out", 10, end(5), 5)
	run(t, instance, "out", 65531, end(5), 5)
	for _, offset := range []uint64{10, 65531} {
		text, err = n.ReadString(offset, 5)
		require.NoError(t, err)
		require.Equal(t, "first", text)
	}
	require.NoError(t, n.WriteString(65530, "second"))
	run(t, instance, "in", end(6), 65530, 6)
	require.Equal(t, "second", tail(6))
	traps("out", 65532, end(5), 5)
	traps("out", 0, end(5), 6)
	traps("in", end(6), 65530, 7)
	traps("in", end(5), 65530, 6)
	traps("in", end(6), 65531, 6)

	for _, access := range []struct {
		load, store string
		size        int
		value       any
	}{{"load8", "store8", 1, int32(0x7f)}, {"load32", "store32", 4, int32(-0x01020304)}, {"load64", "store64", 8, int64(-0x0102030405060708)},
		{"atomic.load", "atomic.store", 4, int32(0x11223344)}, {"load128", "store128", 16, [2]uint64{1<<63 + 1, 1<<63 + 2}}} {
		if access.size == 16 && !vectors {
			continue
		}
		run(t, instance, access.store, end(access.size), access.value)
		require.Equal(t, access.value, run(t, instance, access.load, end(access.size))[0].Go())
		if strings.HasPrefix(access.load, "atomic") {
			if instance.Module().Engine().Memories() == wasmer.ReservedMemories { // else code of Singlepass looks at the bounds first
				require.ErrorIs(t, failing(t, instance, access.load, end(3)), wasmer.TrapUnalignedAtomic)
			}
			continue
		}
		for past := 1; past < access.size; past++ {
			traps(access.load, end(past))
			traps(access.store, end(past), access.value)
		}
	}
	require.Equal(t, run(t, instance, "load32", end(4)), run(t, instance, "far32", 12))
	traps("far32", 13)
	traps("far32", 16)
	traps("far32", -1)
	traps("last32", 0)
	traps("last32", 1)
	require.Equal(t, run(t, instance, "load32", end(4)), run(t, instance, "atomic.far", 12))
	traps("atomic.far", 16)
	run(t, instance, "store32", end(4), 5)
	require.EqualValues(t, 5, call(t, instance, "atomic.add", end(4), 2).ToI32())
	require.EqualValues(t, 7, call(t, instance, "atomic.load", end(4)).ToI32())
	run(t, instance, "store64", end(8), 9)
	require.EqualValues(t, 9, call(t, instance, "atomic.xchg64", end(8), 10).ToI64())
	run(t, instance, "store8", end(1), 3)
	require.EqualValues(t, 3, call(t, instance, "atomic.cas8", end(1), 3, 4).ToI32())
	require.EqualValues(t, 4, call(t, instance, "load8", end(1)).ToI32())
	require.Zero(t, call(t, instance, "notify", end(4)).ToI32())

	run(t, instance, "drop")
	traps("init", end(1), 0, 1)
	traps("init", 0, 0, 1)
	run(t, instance, "init", end(1), 0, 0)
	text, err = m.ReadString(0, 6)
	require.NoError(t, err)
	require.Equal(t, "first\x00", text, "the beginning is as it was")
}

// The host at the same place.
func TestTheHostAtTheEndOfFourGiB(t *testing.T) {
	memory, err := wasmer.NewMemory(65536, 65536)
	require.NoError(t, err)
	defer memory.Close()
	require.NoError(t, memory.WriteString(uint64(end(4)), "last"))
	text, err := memory.ReadString(uint64(end(4)), 4)
	require.NoError(t, err)
	require.Equal(t, "last", text)
	require.ErrorIs(t, memory.WriteString(uint64(end(3)), "last"), wasmer.ErrOutOfBounds)
	require.NoError(t, memory.WriteString(1<<32, ""))
	require.ErrorIs(t, memory.WriteByteAt(1<<32, 1), wasmer.ErrOutOfBounds)
	require.ErrorIs(t, memory.Grow(1), wasmer.ErrResource)
	require.Len(t, memory.Data(), 1<<32)
	require.EqualValues(t, 1<<32-1, memory.Length())
}
