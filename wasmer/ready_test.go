package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestNativeClocks(t *testing.T) {
	const guest = `(module (import "env" "clock_realtime" (func $r (result i64))) (import "env" "clock_monotonic" (func $m (result i64)))
		(func (export "realtime") (result i64) (call $r)) (func (export "monotonic") (result i64) (call $m)))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, guest, wasmer.NewImports().Clock())
		before := time.Now()
		first := call(t, instance, "monotonic").ToI64()
		now := time.Unix(0, call(t, instance, "realtime").ToI64())
		time.Sleep(time.Millisecond)
		second := call(t, instance, "monotonic").ToI64()
		require.False(t, now.Before(before.Round(0)) || now.After(time.Now().Round(0)))
		require.GreaterOrEqual(t, second-first, int64(time.Millisecond))
	})
}

func TestNativeRandomNumbers(t *testing.T) {
	const guest = `(module (import "env" "random_get" (func $get (result i64))) (import "env" "random_fill" (func $fill (param i32 i32)))
		(memory (export "memory") 1)
		(func (export "get") (result i64) (call $get)) (func (export "fill") (param i32 i32) (call $fill (local.get 0) (local.get 1))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, guest, wasmer.NewImports().Random())
		seen := map[int64]bool{}
		for range 1000 {
			seen[call(t, instance, "get").ToI64()] = true
		}
		require.Len(t, seen, 1000)
		run(t, instance, "fill", 100, 1000)
		data := instance.Memory.Data()
		require.Equal(t, strings.Repeat("\x00", 100), string(data[:100]))
		require.Equal(t, strings.Repeat("\x00", 100), string(data[1100:1200]))
		for at := 100; at < 1100; at += 100 {
			require.NotEqual(t, strings.Repeat("\x00", 100), string(data[at:at+100]))
		}
		run(t, instance, "fill", wasmer.PageSize, 0)
		require.ErrorAs(t, failing(t, instance, "fill", wasmer.PageSize-1, 2), new(*wasmer.NativeError))
	})
}

const logging = `(module (import "env" "log_write" (func $log (param i32 i32 i32))) (memory (export "memory") 1) (data (i32.const 8) "message 0")
	(func (export "log") (param i32 i32 i32) (call $log (local.get 0) (local.get 1) (local.get 2)))
	(func (export "many") (param $n i32) (local $i i32)
		(loop $again
			(call $log (local.get $i) (i32.const 8) (i32.const 9))
			(br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))))`

func newLogRing(t testing.TB, limit int) *wasmer.LogRing {
	ring, err := wasmer.NewLogRing(limit)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ring.Close() })
	return ring
}

func TestALogRingGivesWhatGuestsWrite(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		ring := newLogRing(t, 1000)
		instance := instantiate(t, engine, logging, wasmer.NewImports().Log(ring))
		run(t, instance, "log", 7, 8, 9)
		run(t, instance, "log", -1, wasmer.PageSize, 0)
		run(t, instance, "many", 100) // 17 bytes each, of 1000, of which 25 are taken
		require.ErrorAs(t, failing(t, instance, "log", 7, wasmer.PageSize-1, 2), new(*wasmer.NativeError))
		entry, err := ring.Next(background)
		require.NoError(t, err)
		require.Equal(t, wasmer.LogEntry{Level: 7, Text: "message 0", Lost: 43}, entry)
		entry, err = ring.Next(background)
		require.NoError(t, err)
		require.Equal(t, wasmer.LogEntry{Level: -1}, entry)
		for i := range int32(57) {
			entry, err = ring.Next(background)
			require.NoError(t, err)
			require.Equal(t, wasmer.LogEntry{Level: i, Text: "message 0"}, entry)
		}
		for range 3 {
			ctx, cancel := context.WithTimeout(background, time.Millisecond)
			_, err = ring.Next(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
			_, err = ring.Next(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		run(t, instance, "log", 9, 8, 9)
		require.NoError(t, ring.Close())
		require.NoError(t, ring.Close())
		run(t, instance, "log", 10, 8, 9)
		entry, err = ring.Next(background)
		require.NoError(t, err)
		require.EqualValues(t, 9, entry.Level)
		_, err = ring.Next(background)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = ring.Next(noContext)
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestALogRingIsReadWhileGuestsWrite(t *testing.T) {
	const writers, each = 4, 2000
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		ring := newLogRing(t, 2000)
		module := compile(t, engine, logging)
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().Log(ring))
				if err != nil {
					t.Error(err)
					return
				}
				defer instance.Close()
				f, err := instance.Function("many")
				for range each / 100 {
					if err == nil {
						_, err = f.Call(background, 100)
					}
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		go func() {
			wg.Wait()
			_ = ring.Close()
		}()
		total, lost := 0, uint64(0)
		for {
			entry, err := ring.Next(background)
			if errors.Is(err, wasmer.ErrClosed) {
				break
			}
			require.NoError(t, err)
			require.Equal(t, "message 0", entry.Text)
			total, lost = total+1, lost+entry.Lost
		}
		// Those lost behind the last entry are told of by none.
		require.LessOrEqual(t, uint64(total)+lost, uint64(writers*each))
		require.GreaterOrEqual(t, total, 2000/17)
	})
}

func TestATableOfKeysAndValues(t *testing.T) {
	const guest = `(module
		(import "env" "kv_get" (func $get (param i32 i32 i32 i32) (result i32)))
		(import "env" "kv_set" (func $set (param i32 i32 i32 i32) (result i32)))
		(import "env" "kv_delete" (func $delete (param i32 i32) (result i32)))
		(memory (export "memory") 1) (data (i32.const 0) "onetwothree")
		(export "get" (func $get)) (export "set" (func $set)) (export "delete" (func $delete)))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		table := wasmer.NewKeyValue(3*64 + 30)
		instance := instantiate(t, engine, guest, wasmer.NewImports().KeyValue(table))
		other := instantiate(t, engine, guest, wasmer.NewImports().KeyValue(table))
		i32 := func(name string, args ...any) int32 { return call(t, instance, name, args...).ToI32() }
		require.EqualValues(t, -1, i32("get", 0, 3, 100, 10))
		require.EqualValues(t, 1, i32("set", 0, 3, 3, 8)) // one: twothree
		require.EqualValues(t, 8, i32("get", 0, 3, 100, 10))
		require.Equal(t, "twothree\x00", string(instance.Memory.Data()[100:109]))
		require.EqualValues(t, 8, i32("get", 0, 3, 200, 3), "no room for all of it")
		require.Equal(t, "two\x00", string(instance.Memory.Data()[200:204]))
		require.EqualValues(t, 8, call(t, other, "get", 0, 3, 100, 10).ToI32(), "guests share it")
		require.EqualValues(t, 8, i32("get", 0, 3, 0, 8), "over its key")
		require.Equal(t, "twothree", string(instance.Memory.Data()[:8]))

		value, ok := table.Get("one")
		require.True(t, ok)
		require.Equal(t, "twothree", string(value))
		require.NoError(t, table.Set("", nil))
		value, ok = table.Get("")
		require.True(t, ok)
		require.Empty(t, value)
		require.NoError(t, table.Set("x", make([]byte, 18)))
		require.Equal(t, 3, table.Len())
		require.ErrorIs(t, table.Set("x", make([]byte, 19)), wasmer.ErrResource)
		require.EqualValues(t, 0, i32("set", 3, 3, 0, 0), "an entry more")
		require.NoError(t, table.Set("x", make([]byte, 17)))
		require.True(t, table.Delete("x"))
		require.False(t, table.Delete("x"))
		require.EqualValues(t, 1, call(t, other, "delete", 0, 3).ToI32())
		require.EqualValues(t, 0, call(t, other, "delete", 0, 3).ToI32())
		require.EqualValues(t, 1, i32("delete", 0, 0))
		require.Zero(t, table.Len())
		for _, args := range [][]any{{-1, 2, 0, 0}, {0, 1, -1, 2}, {wasmer.PageSize, 1, 0, 0}} {
			require.ErrorAs(t, failing(t, instance, "get", args...), new(*wasmer.NativeError))
			require.ErrorAs(t, failing(t, instance, "set", args...), new(*wasmer.NativeError))
		}
		require.ErrorAs(t, failing(t, instance, "delete", 1, -1), new(*wasmer.NativeError))
		require.Zero(t, table.Len())
	})
}

func TestGuestsCopyBetweenMemories(t *testing.T) {
	const guest = `(module
		(import "env" "peer_read" (func $read (param i32 i32 i32))) (import "env" "peer_write" (func $write (param i32 i32 i32)))
		(import "env" "peer_size" (func $size (result i64))) (memory (export "memory") 1) (data (i32.const 0) "mine")
		(export "read" (func $read)) (export "write" (func $write)) (export "size" (func $size)))`
	for _, memories := range []wasmer.Memories{wasmer.ReservedMemories, wasmer.BoundedMemories} {
		eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
			engine = engineOf(t, engine, wasmer.EngineConfig{Memories: memories})
			store := newStore(t, engine)
			peer := instantiateIn(t, store, engine, `(module (memory (export "memory") 1 5) (data (i32.const 0) "yours"))`, nil)
			instance, err := wasmer.Instantiate(background, compile(t, engine, guest), wasmer.NewImports().Peer(peer.Memory))
			require.NoError(t, err)
			require.Same(t, store, instance.Store())
			run(t, instance, "read", 100, 0, 5)
			require.Equal(t, "yours", string(instance.Memory.Data()[100:105]))
			_, err = peer.Memory.GrowBy(2)
			require.NoError(t, err)
			require.EqualValues(t, 3*wasmer.PageSize, call(t, instance, "size").ToI64())
			run(t, instance, "write", 3*wasmer.PageSize-4, 0, 4)
			require.Equal(t, "mine", string(peer.Memory.Data()[3*wasmer.PageSize-4:]))
			for _, c := range []struct {
				name         string
				to, from, of int
			}{{"read", 0, 3*wasmer.PageSize - 4, 5}, {"read", wasmer.PageSize - 4, 0, 5}, {"write", 0, wasmer.PageSize - 4, 5}, {"write", -1, 0, 1}, {"read", 0, 0, -1}} {
				require.ErrorAs(t, failing(t, instance, c.name, c.to, c.from, c.of), new(*wasmer.NativeError), "%v", c)
			}
			require.NoError(t, peer.Close())
			run(t, instance, "read", 100, 0, 5) // what another instance holds on to lives on
			_, err = wasmer.Instantiate(background, compile(t, engine, guest), wasmer.NewImports().Peer(peer.Memory))
			require.ErrorIs(t, err, wasmer.ErrClosed)
		})
	}
}

func TestReadyMadeFunctionsNeedTheirData(t *testing.T) {
	for _, imports := range []*wasmer.Imports{
		wasmer.NewImports().Log(nil), wasmer.NewImports().KeyValue(nil), wasmer.NewImports().Peer(nil),
	} {
		_, err := wasmer.NewInstanceWithImports([]byte("(module)"), imports)
		require.ErrorContains(t, err, "has no")
	}
	for _, imports := range []*wasmer.Imports{
		(*wasmer.Imports)(nil).Log(nil), (*wasmer.Imports)(nil).KeyValue(nil), (*wasmer.Imports)(nil).Peer(nil), (*wasmer.Imports)(nil).Clock(),
	} {
		require.Nil(t, imports)
	}
}

func ExampleImports_KeyValue() {
	table := wasmer.NewKeyValue(1 << 20)
	_ = table.Set("name", []byte("Wasmer"))
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module
		(import "env" "kv_get" (func $get (param i32 i32 i32 i32) (result i32)))
		(memory (export "memory") 1) (data (i32.const 0) "name")
		(func (export "size") (result i32) (call $get (i32.const 0) (i32.const 4) (i32.const 100) (i32.const 50))))`),
		wasmer.NewImports().KeyValue(table))
	if err != nil {
		panic(err)
	}
	defer instance.Close()
	size, _ := instance.Exports["size"]()
	name, _ := instance.Memory.ReadString(100, uint64(size.ToI32()))
	fmt.Println(name)
	// Output: Wasmer
}

// What takes long looks whether its guest is to end.
func TestLongNativeFunctionsEndWithTheirCall(t *testing.T) {
	const pages = 16384 // of which those are touched that are filled until it ends
	guest := fmt.Sprintf(`(module (import "env" "random_fill" (func $fill (param i32 i32))) (memory (export "memory") %d)
		(func (export "fill") (param i32 i32) (call $fill (local.get 0) (local.get 1))))`, pages)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, guest, wasmer.NewImports().Random())
		fill, err := instance.Function("fill")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err = fill.Call(ctx, 0, pages*wasmer.PageSize)
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		last, err := instance.Memory.Read((pages-1)*wasmer.PageSize, wasmer.PageSize)
		require.NoError(t, err)
		require.Equal(t, make([]byte, wasmer.PageSize), last, "it did not fill all")
		run(t, instance, "fill", 0, 100)
	})
}

// A peer may be the memory itself.
func TestLongCopiesWithinAMemory(t *testing.T) {
	const guest = `(module (import "env" "memory" (memory 64)) (import "env" "peer_read" (func $read (param i32 i32 i32)))
		(func (export "copy") (param i32 i32 i32) (call $read (local.get 0) (local.get 1) (local.get 2))))`
	const size = 64 * wasmer.PageSize
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		memory, err := store.NewMemory(64, 64)
		require.NoError(t, err)
		instance := instantiateIn(t, store, engine, guest, wasmer.NewImports().Memory("memory", memory).Peer(memory))
		want := make([]byte, size)
		for _, c := range []struct{ to, from, n int }{{1000, 0, 3 << 20}, {0, 1000, 3 << 20}, {0, 5, size - 5}, {5, 0, size - 5}, {7, 7, size - 7}} {
			for at := range want {
				want[at] = byte(at ^ at>>8 ^ at>>16)
			}
			require.NoError(t, memory.Write(0, want))
			copy(want[c.to:], want[c.from:c.from+c.n])
			run(t, instance, "copy", c.to, c.from, c.n)
			got, err := memory.Read(0, size)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), c)
		}
	})
}
