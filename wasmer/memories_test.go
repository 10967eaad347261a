package wasmer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// eachMemories runs a test for every compiler with both kinds of memories.
func eachMemories(t *testing.T, test func(t *testing.T, engine *wasmer.Engine)) {
	t.Helper()
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, memories := range []wasmer.Memories{wasmer.ReservedMemories, wasmer.BoundedMemories} {
			t.Run(memories.String(), func(t *testing.T) {
				test(t, engineOf(t, engine, wasmer.EngineConfig{Memories: memories}))
			})
		}
	})
}

func eachBounded(t *testing.T, test func(t *testing.T, engine *wasmer.Engine)) {
	t.Helper()
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		test(t, engineOf(t, engine, wasmer.EngineConfig{Memories: wasmer.BoundedMemories}))
	})
}

func TestMemoriesOfAnEngine(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		require.Equal(t, "bounded", engineOf(t, engine, wasmer.EngineConfig{Memories: wasmer.BoundedMemories}).Memories().String())
		require.NotEqual(t, wasmer.DefaultMemories, engine.Memories(), "it is told which ones these are")
	})
	_, err := wasmer.NewEngine(wasmer.EngineConfig{Memories: 3})
	require.ErrorContains(t, err, "Memories is 3")
	require.Equal(t, "Memories(3)", wasmer.Memories(3).String())
}

// The code differs: an artifact is for engines with the same kind of memories.
func TestArtifactsKnowTheirMemories(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		engines := []*wasmer.Engine{
			engineOf(t, engine, wasmer.EngineConfig{Memories: wasmer.ReservedMemories}),
			engineOf(t, engine, wasmer.EngineConfig{Memories: wasmer.BoundedMemories}),
		}
		for n, engine := range engines {
			artifact, err := compile(t, engine, grower).Serialize()
			require.NoError(t, err)
			_, err = engines[1-n].Deserialize(background, artifact)
			require.ErrorIs(t, err, wasmer.ErrIncompatible)
			loaded, err := engine.Deserialize(background, artifact)
			require.NoError(t, err)
			guest, err := loaded.Instantiate()
			require.NoError(t, err)
			require.EqualValues(t, 1, call(t, guest, "grow", 5).ToI32())
			require.NoError(t, guest.Memory.WriteByteAt(6*wasmer.PageSize-1, 7))
			require.EqualValues(t, 7, call(t, guest, "load", 6*wasmer.PageSize-1).ToI32())
			require.ErrorIs(t, failing(t, guest, "load", 6*wasmer.PageSize), wasmer.TrapOutOfBounds)
			require.NoError(t, guest.Close())
			require.NoError(t, loaded.Close())
		}
	})
}

const grower = `(module (memory (export "memory") 1)
	(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
	(func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
	(func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1))))`

// A module without bounds checks must not get a memory that ends where another one begins; the other way round is fine.
func TestLinkingMemoriesOfTheOtherKind(t *testing.T) {
	const importer = `(module (import "env" "memory" (memory 1))
		(func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
		(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		reserved := engineOf(t, engine, wasmer.EngineConfig{Memories: wasmer.ReservedMemories})
		bounded := engineOf(t, engine, wasmer.EngineConfig{Memories: wasmer.BoundedMemories})
		refused := func(store *wasmer.Store, imports *wasmer.Imports) {
			t.Helper()
			_, err := store.Instantiate(background, "", compile(t, reserved, importer), imports)
			var link *wasmer.LinkError
			require.ErrorAs(t, err, &link)
			require.ErrorContains(t, err, `import "env"."memory"`)
			require.ErrorContains(t, err, "EngineConfig.Memories is BoundedMemories")
		}
		works := func(memory *wasmer.Memory, guest *wasmer.Instance) {
			t.Helper()
			require.NoError(t, memory.WriteByteAt(77, 5))
			require.EqualValues(t, 5, call(t, guest, "load", 77).ToI32())
			require.EqualValues(t, 1, call(t, guest, "grow", 3).ToI32())
			require.EqualValues(t, 5, call(t, guest, "load", 77).ToI32())
			require.NoError(t, memory.WriteByteAt(4*wasmer.PageSize-1, 6))
			require.EqualValues(t, 6, call(t, guest, "load", 4*wasmer.PageSize-1).ToI32())
			require.ErrorIs(t, failing(t, guest, "load", 4*wasmer.PageSize), wasmer.TrapOutOfBounds)
		}
		memoryOf := func(store *wasmer.Store) *wasmer.Memory {
			memory, err := store.NewMemoryOf(wasmer.MemoryType{Limits: wasmer.Limits{Min: 1}})
			require.NoError(t, err)
			return memory
		}

		store := newStore(t, bounded)
		memory := memoryOf(store)
		refused(store, wasmer.NewImports().Extern("env", "memory", memory))
		refused(store, wasmer.NewImports().Instance("env", instantiateIn(t, store, bounded, grower, nil)))
		// Through an instance that only passes it on.
		between := instantiateIn(t, store, bounded, `(module (import "env" "memory" (memory 1)) (export "memory" (memory 0)))`,
			wasmer.NewImports().Extern("env", "memory", memory))
		refused(store, wasmer.NewImports().Instance("env", between))
		works(memory, instantiateIn(t, store, bounded, importer, wasmer.NewImports().Instance("env", between)))

		store = newStore(t, reserved)
		memory = memoryOf(store)
		works(memory, instantiateIn(t, store, bounded, importer, wasmer.NewImports().Extern("env", "memory", memory)))
		exporter := instantiateIn(t, store, reserved, grower, nil)
		works(exporter.Memory, instantiateIn(t, store, bounded, importer, wasmer.NewImports().Instance("env", exporter)))
		// A module of the other kind in the store of this one has memories of its own kind.
		guest := instantiateIn(t, store, bounded, grower, nil)
		works(guest.Memory, guest)
		refused(store, wasmer.NewImports().Instance("env", guest))
	})
}

// Growing moves a bounded memory whose neighbour is in the way: its bytes come along, others stay what they are.
func TestMemoriesGrowAmongOthers(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, grower)
		var guests []*wasmer.Instance
		sizes := map[*wasmer.Instance]uint64{}
		write := func(n int, from, to uint64) {
			content := strings.Repeat(string(rune('A'+n)), int(to-from))
			require.NoError(t, guests[n].Memory.WriteString(from, content))
			sizes[guests[n]] = to
		}
		check := func(n int) {
			size := sizes[guests[n]]
			content, err := guests[n].Memory.ReadString(0, size)
			require.NoError(t, err)
			require.Equal(t, int(size), strings.Count(content, string(rune('A'+n))), "guest %d of %d bytes", n, size)
			require.ErrorIs(t, failing(t, guests[n], "load", int(size)), wasmer.TrapOutOfBounds)
			require.ErrorIs(t, failing(t, guests[n], "store", int(size), 1), wasmer.TrapOutOfBounds)
		}
		for n := range 7 {
			guests = append(guests, instance(t, module))
			defer guests[n].Close()
			write(n, 0, wasmer.PageSize)
		}
		for round := range 3 {
			for n, guest := range guests {
				before := sizes[guest]
				pages := []int{1, 3, 0, 20, 300}[(n+round)%5] // some of them beyond what is copied
				if n%2 == 0 {
					require.EqualValues(t, before/wasmer.PageSize, call(t, guest, "grow", pages).ToI32())
				} else {
					require.NoError(t, guest.Memory.Grow(uint32(pages)))
				}
				grown := before + uint64(pages)*wasmer.PageSize
				added, err := guest.Memory.ReadString(before, grown-before)
				require.NoError(t, err)
				require.Equal(t, int(grown-before), strings.Count(added, "\x00"), "new pages are zero")
				write(n, before, grown)
			}
			for n := range guests {
				check(n)
			}
		}
	})
}

// The host reads and writes on other goroutines while the guest's growing moves the memory: no write is lost, and nothing
// but the memory's own bytes is seen.
func TestHostsUseMemoriesThatMove(t *testing.T) {
	eachBounded(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (memory (export "memory") 1)
			(func (export "grow") (result i32) (loop $next (br_if $next (i32.lt_s (memory.grow (i32.const 1)) (i32.const 400)))) (memory.size)))`)
		for range 5 {
			guest, neighbour := instance(t, module), instance(t, module)
			require.NoError(t, neighbour.Memory.WriteString(0, strings.Repeat("x", wasmer.PageSize)))
			var stop atomic.Bool
			var group sync.WaitGroup
			for g := range uint64(3) {
				group.Go(func() {
					at := 1000 * g
					for n := uint64(1); !stop.Load(); n++ {
						size := guest.Memory.Size()
						if err := guest.Memory.WriteUint64Le(at, n); err != nil {
							t.Error(err)
						}
						got, err := guest.Memory.ReadUint64Le(at)
						last, lastErr := guest.Memory.ReadByteAt(size - 1)
						if err != nil || lastErr != nil || got != n || last != 0 {
							t.Errorf("got %d (%v) and %d (%v) after %d in %d bytes", got, err, last, lastErr, n, size)
							return
						}
						if data := guest.Memory.Data(); len(data) == 0 || data[len(data)-1] != 0 {
							t.Errorf("%d bytes, the last of a neighbour", len(data))
						}
					}
				})
			}
			require.EqualValues(t, 401, run(t, guest, "grow")[0].ToI32())
			time.Sleep(time.Millisecond)
			stop.Store(true)
			group.Wait()
			require.NoError(t, guest.Close())
			require.NoError(t, neighbour.Close())
		}
	})
}

// growingWriter grows the guest's memory while it has a slice of it.
type growingWriter struct {
	grow func()
	got  []byte
}

func (w *growingWriter) Write(p []byte) (int, error) {
	w.grow()
	w.got = append(w.got, p...)
	return len(p), nil
}

// What is lent to a host function, or to a writer of WASI, is there until it returns, although the memory moves meanwhile.
func TestSlicesOutliveAMoveDuringAHostFunction(t *testing.T) {
	const guest = `(module
		(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
		(memory (export "memory") 1) (data (i32.const 0) "\10\00\00\00\05\00\00\00") (data (i32.const 16) "hello")
		(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
		(func (export "run") (result i32) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))`
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, grow := range map[string]func(*wasmer.Instance){
			"by the host": func(i *wasmer.Instance) { require.NoError(t, i.Memory.Grow(5)) },
			"by a guest":  func(i *wasmer.Instance) { run(t, i, "grow", 5) },
		} {
			t.Run(name, func(t *testing.T) {
				var instance, other *wasmer.Instance
				writer := &growingWriter{}
				writer.grow = func() {
					grow(instance)
					other = instantiate(t, engine, grower, nil) // which gets any place that is free
					require.NoError(t, other.Memory.WriteString(0, strings.Repeat("x", wasmer.PageSize)))
				}
				wasi := wasmer.NewWASI(wasmer.WASIConfig{Stdout: io.Writer(writer)})
				instance = instantiate(t, engine, guest, wasmer.NewImports().WASI(wasi))
				require.Zero(t, run(t, instance, "run")[0].ToI32())
				require.Equal(t, "hello", string(writer.got))
				text, err := instance.Memory.ReadString(16, 5)
				require.NoError(t, err)
				require.Equal(t, "hello", text)
				written, err := instance.Memory.ReadUint32Le(8)
				require.NoError(t, err)
				require.EqualValues(t, 5, written)
			})
		}
	})
}

// A slice from Data that is out of use shows zeros, or what it showed, and never the bytes of another instance.
func TestStaleSlicesOfBoundedMemories(t *testing.T) {
	eachBounded(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, grower)
		var stale [][]byte
		for n := range 100 {
			guest := instance(t, module)
			data := guest.Memory.Data()
			data[0], data[len(data)-1] = 'a', 'a'
			if n%2 == 0 {
				require.EqualValues(t, 1, call(t, guest, "grow", 1+n%40).ToI32())
				require.EqualValues(t, 'a', call(t, guest, "load", 0).ToI32())
				stale = append(stale, guest.Memory.Data())
			}
			stale = append(stale, data)
			require.NoError(t, guest.Close())
		}
		for range 200 {
			guest := instance(t, module)
			defer guest.Close()
			require.NoError(t, guest.Memory.WriteString(0, strings.Repeat("x", wasmer.PageSize)))
		}
		for _, data := range stale {
			require.Equal(t, -1, bytes.IndexByte(data, 'x'))
			data[0] = 'b'
		}
	})
}

const live = 5000

// Thousands of bounded memories share a few mappings, and leave nothing behind.
func TestBoundedMemoriesShareMappings(t *testing.T) {
	eachBounded(t, func(t *testing.T, engine *wasmer.Engine) { liveInstances(t, engine, live) })
}

// 50,000 instances live in one process, whose number of mappings is limited to 65,530.
func TestSoakFiftyThousandInstances(t *testing.T) {
	if soak == "" {
		t.Skip("WASMER_GO_SOAK is not set")
	}
	eachBounded(t, func(t *testing.T, engine *wasmer.Engine) { liveInstances(t, engine, 10*live) })
}

func liveInstances(t *testing.T, engine *wasmer.Engine, count int) {
	module := compile(t, engine, grower)
	mapped, resident := mappings(), memoryStatus("VmRSS")
	before := ffi.ReadMemoryStats(true)
	guests := make([]*wasmer.Instance, count)
	start := time.Now()
	for n := range guests {
		guest, err := wasmer.Instantiate(context.Background(), module, nil)
		require.NoError(t, err, "instance %d", n)
		guests[n] = guest
		require.NoError(t, guest.Memory.WriteUint32Le(uint64(n%16380), uint32(n)))
	}
	took := time.Since(start)
	now := ffi.ReadMemoryStats(true)
	require.EqualValues(t, count, now.Memories-before.Memories)
	require.EqualValues(t, count*wasmer.PageSize, now.Accessible-before.Accessible)
	require.GreaterOrEqual(t, now.Reserved, now.Accessible-before.Accessible)
	require.InDelta(t, mappings(), now.Mappings, 20)
	t.Logf("%d instances in %v (%v each), %d mappings more, %d MiB resident more, %d bytes each", count, took.Round(time.Millisecond),
		took/time.Duration(count), mappings()-mapped, (memoryStatus("VmRSS")-resident)>>20, (memoryStatus("VmRSS")-resident)/uint64(count))
	require.Less(t, mappings()-mapped, 200+count/100)
	for n, guest := range guests {
		word := uint32(n)
		require.EqualValues(t, byte(word), loaded(t, guest, "load", n%16380), "instance %d", n)
	}
	for n, guest := range guests { // every third one stays a while, so that what is free lies in pieces
		if n%3 != 0 {
			require.NoError(t, guest.Close())
		}
	}
	for n := range guests {
		if n%3 == 1 {
			guests[n] = instance(t, module)
			require.Zero(t, loaded(t, guests[n], "load", n%16380))
			require.EqualValues(t, 1, loaded(t, guests[n], "grow", n%3))
		}
	}
	for _, guest := range guests {
		require.NoError(t, guest.Close())
	}
	require.Equal(t, before.Memories, ffi.ReadMemoryStats(false).Memories)
	require.Less(t, mappings()-mapped, 300)
}

// call2 calls an export without Exports.
func loaded(t testing.TB, guest *wasmer.Instance, name string, args ...any) int32 {
	t.Helper()
	return run(t, guest, name, args...)[0].ToI32()
}

func ExampleEngineConfig_memories() {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Memories: wasmer.BoundedMemories})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	module := wasmer.Must(engine.Compile(context.Background(), []byte(`(module (memory (export "memory") 1))`)))
	defer module.Close()
	var instances []*wasmer.Instance
	for range 1000 { // reserved memories would take 9,000 GiB of address space
		instances = append(instances, wasmer.Must(wasmer.Instantiate(context.Background(), module, nil)))
	}
	fmt.Println(len(instances), instances[999].Memory.Pages(), engine.Memories())
	for _, instance := range instances {
		instance.Close()
	}
	// Output: 1000 1 bounded
}

func TestTotalOfTheMemoriesOfAnEngine(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		limited := engineOf(t, engine, wasmer.EngineConfig{MaxTotalMemoryPages: 10, Memories: engine.Memories()})
		module := compile(t, limited, grower)
		refused := func() {
			t.Helper()
			_, err := wasmer.Instantiate(background, module, nil)
			require.ErrorIs(t, err, wasmer.ErrResource)
			require.ErrorContains(t, err, "EngineConfig.MaxTotalMemoryPages, 10")
		}
		store := newStore(t, limited)
		host, err := store.NewMemory(3, 5)
		require.NoError(t, err)
		first, second := instance(t, module), instance(t, module)
		require.EqualValues(t, -1, loaded(t, first, "grow", 6), "5 are left")
		require.EqualValues(t, 1, loaded(t, first, "grow", 4))
		require.ErrorIs(t, host.Grow(2), wasmer.ErrResource)
		require.NoError(t, host.Grow(1))
		refused()
		_, err = store.NewMemory(1, 1)
		require.ErrorIs(t, err, wasmer.ErrResource)
		require.EqualValues(t, 1, loaded(t, second, "grow", 0))
		require.NoError(t, first.Close())
		require.EqualValues(t, 1, loaded(t, second, "grow", 4), "what was freed can be had again")
		require.EqualValues(t, -1, loaded(t, second, "grow", 2))
		third := instance(t, module)
		refused()
		require.NoError(t, third.Close())
		require.NoError(t, second.Close())
		require.NoError(t, store.Close())
		for range 10 {
			defer instance(t, module).Close()
		}
		refused()
	})
}
