package wasmer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// dirtyGuest writes memory in the ways that guests have.
const dirtyGuest = `(module
	(import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
	(import "env" "host" (func $host (param i32 i32)))
	(memory $m (export "memory") 16 %s) (export "again" (memory $m)) (data $segment "0123456789abcdef")
	(func (export "store8") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
	(func (export "store64") (param i32 i32) (i64.store (local.get 0) (i64.extend_i32_u (local.get 1))))
	(func (export "f64") (param i32 i32) (f64.store (local.get 0) (f64.convert_i32_u (local.get 1))))
	(func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
	(func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
	(func (export "init") (param i32) (memory.init $segment (local.get 0) (i32.const 0) (i32.const 16)))
	(func (export "add") (param i32 i32) (drop (i32.atomic.rmw.add (local.get 0) (local.get 1))))
	(func (export "exchange") (param i32 i32) (drop (i32.atomic.rmw.cmpxchg (local.get 0) (i32.atomic.load (local.get 0)) (local.get 1))))
	(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
	(func (export "host") (param i32 i32) (call $host (local.get 0) (local.get 1)))
	(func (export "clock") (param i32) (drop (call $clock (i32.const 1) (i64.const 0) (local.get 0))))
	(func (export "read") (param i32 i32) (result i32)
		(i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1))
		(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))) (i32.load (i32.const 8)))
	%s)`

// pagesOf lists the pages of ranges, which must be in order and apart.
func pagesOf(t *testing.T, ranges []wasmer.PageRange) (pages []uint64) {
	t.Helper()
	end := uint64(0)
	for n, r := range ranges {
		require.Zero(t, r.Offset%wasmer.DirtyPageSize+r.Size%wasmer.DirtyPageSize)
		require.Positive(t, r.Size)
		require.True(t, n == 0 || r.Offset > end, "neighbours are one range")
		end = r.Offset + r.Size
		for offset := r.Offset; offset < end; offset += wasmer.DirtyPageSize {
			pages = append(pages, offset/wasmer.DirtyPageSize)
		}
	}
	return pages
}

// Random writes in all ways that there are; a copy of the whole memory tells which pages have changed.
func TestDirtyPages(t *testing.T) {
	const vector = `(func (export "vector") (param i32 i32) (v128.store (local.get 0) (i32x4.splat (local.get 1))))`
	file := t.TempDir() + "/input"
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("contents of a file "), 10_000), 0o600))
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, limits := range []string{"", "64 shared"} {
			t.Run(strings.TrimSpace("memory "+limits), func(t *testing.T) {
				simd := ""
				if hasSIMD(engine) {
					simd = vector
				}
				input, err := os.Open(file)
				require.NoError(t, err)
				defer input.Close()
				wasi := wasmer.NewWASI(wasmer.WASIConfig{Stdin: input})
				var memory *wasmer.Memory
				imports := wasmer.NewImports().WASI(wasi).Function("host", func(c *wasmer.Caller, at, n uint32) error {
					return c.Memory().Write(uint64(at), bytes.Repeat([]byte{byte(n)}, int(n)))
				})
				instance := instantiate(t, engine, fmt.Sprintf(dirtyGuest, limits, simd), imports)
				memory = instance.Memory
				random := rand.New(rand.NewPCG(1, uint64(len(limits))))
				at := func(n uint64) uint64 { return random.Uint64N(memory.Size() - n) }
				call := func(name string, args ...any) { run(t, instance, name, args...) }
				number := func() uint32 { return random.Uint32() }
				word := func() uint32 { return uint32(at(8) &^ 7) }
				writers := map[string]func(){
					"store8": func() { call("store8", at(1), number()) }, "store64": func() { call("store64", at(8), number()) },
					"f64":  func() { call("f64", at(8), number()) },
					"fill": func() { call("fill", at(20_000), number(), random.Uint64N(20_000)) },
					"copy": func() { call("copy", at(20_000), at(20_000), random.Uint64N(20_000)) },
					"init": func() { call("init", at(16)) }, "add": func() { call("add", word(), number()) },
					"exchange": func() { call("exchange", word(), number()) },
					"host":     func() { call("host", at(5000), random.Uint64N(5000)) },
					"clock":    func() { call("clock", at(8)) },
					"read":     func() { call("read", at(9000), random.Uint64N(9000)) },
					"grow": func() {
						if memory.Pages() < 40 {
							call("grow", random.Uint64N(3))
						}
					},
					"Grow": func() {
						if memory.Pages() < 40 {
							require.NoError(t, memory.Grow(1))
						}
					},
					"Write": func() { require.NoError(t, memory.WriteString(at(4), "word")) },
					"Data":  func() { memory.Data()[at(1)]++ },
					"WriteAt": func() {
						_, err := io.NewOffsetWriter(memory, int64(at(100))).Write(make([]byte, 100))
						require.NoError(t, err)
					},
					"system call": func() { // writes right into the memory
						offset := at(100)
						_, err := input.ReadAt(memory.Data()[offset:offset+100], random.Int64N(100))
						require.NoError(t, err)
					},
				}
				if simd != "" {
					writers["vector"] = func() { call("vector", at(16), number()) }
				}
				names := slices.Sorted(maps.Keys(writers))
				_, err = memory.DirtyPages()
				require.ErrorContains(t, err, "call TrackDirty first")
				require.NoError(t, memory.TrackDirty())
				// The kernel watches writes for one of them only: the other one reads the memory.
				again, err := instance.ExportedMemory("again")
				require.NoError(t, err)
				require.NoError(t, again.TrackDirty())
				model := slices.Clone(memory.Data())
				for round := range 120 {
					used := []string{names[round%len(names)]}
					for range round % 4 {
						used = append(used, names[random.IntN(len(names))])
					}
					for _, name := range used {
						writers[name]()
					}
					dirty, err := memory.DirtyPages()
					require.NoError(t, err)
					now := memory.Data()
					model = append(model, make([]byte, len(now)-len(model))...)
					var want []uint64
					for page := range len(now) / wasmer.DirtyPageSize {
						part := now[page*wasmer.DirtyPageSize:][:wasmer.DirtyPageSize]
						if was := model[page*wasmer.DirtyPageSize:]; !bytes.Equal(was[:len(part)], part) {
							want = append(want, uint64(page))
							copy(was, part)
						}
					}
					require.Equal(t, want, pagesOf(t, dirty), "after %v", used)
					dirty, err = again.DirtyPages()
					require.NoError(t, err)
					require.Equal(t, want, pagesOf(t, dirty), "without the kernel, after %v", used)
				}
			})
		}
	})
}

func TestTrackingOfDirtyPages(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (import "env" "look" (func $look))
			(memory (export "memory") 1) (export "again" (memory 0)) (memory (export "none") 0) (func (export "look") (i32.store (i32.const 5000) (i32.const 1)) (call $look)))`,
			wasmer.NewImports().Function("look", func(c *wasmer.Caller) error {
				dirty, err := c.Memory().DirtyPages()
				require.Equal(t, []wasmer.PageRange{{Offset: 4096, Size: 4096}}, dirty)
				return err
			}))
		memory := instance.Memory
		dirty := func(m *wasmer.Memory) []wasmer.PageRange {
			t.Helper()
			ranges, err := m.DirtyPages()
			require.NoError(t, err)
			return ranges
		}
		require.NoError(t, memory.TrackDirty())
		require.Empty(t, dirty(memory))
		run(t, instance, "look")
		require.Empty(t, dirty(memory), "the host function has asked")

		again, err := instance.ExportedMemory("again")
		require.NoError(t, err)
		require.NoError(t, again.TrackDirty())
		require.NoError(t, memory.WriteString(4095, "ab"))
		for _, m := range []*wasmer.Memory{memory, again} {
			require.Equal(t, []wasmer.PageRange{{Offset: 0, Size: 8192}}, dirty(m), "each tracks for itself")
		}
		require.NoError(t, memory.WriteString(4095, "ab"))
		require.Empty(t, dirty(memory), "nothing changed")
		require.NoError(t, memory.WriteString(4095, "xy"))
		require.NoError(t, memory.TrackDirty())
		require.Empty(t, dirty(memory), "it began anew")
		require.NoError(t, memory.UntrackDirty())
		_, err = memory.DirtyPages()
		require.ErrorContains(t, err, "TrackDirty")

		none, err := instance.ExportedMemory("none")
		require.NoError(t, err)
		require.NoError(t, none.TrackDirty())
		require.Empty(t, dirty(none))
		require.NoError(t, none.Grow(2))
		require.Empty(t, dirty(none), "zero as before")
		require.NoError(t, none.WriteByteAt(2*wasmer.PageSize-1, 1))
		require.Equal(t, []wasmer.PageRange{{Offset: 2*wasmer.PageSize - 4096, Size: 4096}}, dirty(none))

		require.NoError(t, instance.Close())
		_, err = memory.DirtyPages()
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.ErrorIs(t, memory.TrackDirty(), wasmer.ErrClosed)
		require.ErrorIs(t, memory.UntrackDirty(), wasmer.ErrClosed)
		require.ErrorIs(t, (*wasmer.Memory)(nil).TrackDirty(), wasmer.ErrClosed)
	})
}

// Snapshots of a memory that hold what has changed since the one before, and an instance that goes on from there.
func ExampleMemory_DirtyPages() {
	ctx := context.Background()
	module := wasmer.Must(wasmer.Compile([]byte(`(module (memory (export "memory") 16)
		(func (export "count") (param i32) (i32.store (local.get 0) (i32.add (i32.load (local.get 0)) (i32.const 1)))))`)))
	defer module.Close()
	guest := wasmer.Must(wasmer.Instantiate(ctx, module, nil))
	defer guest.Close()
	count := wasmer.Must(guest.Function("count"))

	type part struct {
		offset uint64
		data   []byte
	}
	base := wasmer.Must(guest.Memory.Read(0, guest.Memory.Size()))
	if err := guest.Memory.TrackDirty(); err != nil {
		fmt.Println(err)
		return
	}
	var deltas [][]part
	for _, address := range []int{0, 0, 300_000} {
		wasmer.Must(count.Call(ctx, address))
		var delta []part
		for _, dirty := range wasmer.Must(guest.Memory.DirtyPages()) {
			delta = append(delta, part{dirty.Offset, wasmer.Must(guest.Memory.Read(dirty.Offset, dirty.Size))})
		}
		fmt.Println(len(delta), "range at", delta[0].offset, "of", len(delta[0].data), "bytes")
		deltas = append(deltas, delta)
	}

	// A fresh instance, and all that was snapshot of the other's memory. Globals and tables are not part of it.
	fresh := wasmer.Must(wasmer.Instantiate(ctx, module, nil))
	defer fresh.Close()
	if missing := guest.Memory.Pages() - fresh.Memory.Pages(); missing > 0 {
		wasmer.Must(fresh.Memory.GrowBy(missing))
	}
	wasmer.Must(fresh.Memory.WriteAt(base, 0))
	for _, delta := range deltas {
		for _, part := range delta {
			wasmer.Must(fresh.Memory.WriteAt(part.data, int64(part.offset)))
		}
	}
	fmt.Println(wasmer.Must(fresh.Memory.ReadUint32Le(0)), wasmer.Must(fresh.Memory.ReadUint32Le(300_000)))
	// Output:
	// 1 range at 0 of 4096 bytes
	// 1 range at 0 of 4096 bytes
	// 1 range at 299008 of 4096 bytes
	// 2 1
}

// What tracking costs: nothing while a guest runs, a pass over the memory when it is asked.
func BenchmarkDirtyPages(b *testing.B) {
	const pages, dirty = 1024, 10
	instance := wasmer.Must(wasmer.NewInstance([]byte(fmt.Sprintf(`(module (memory (export "memory") %d)
		(func (export "write") (param $n i32) (loop $again
			(i32.store (i32.mul (local.get $n) (i32.const 40000)) (i32.add (local.get $n) (i32.load (i32.mul (local.get $n) (i32.const 40000)))))
			(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`, pages))))
	b.Cleanup(func() { instance.Close() })
	write := wasmer.Must(instance.Function("write"))
	memory := instance.Memory
	for offset := uint64(0); offset < memory.Size(); offset += 8 {
		binary.LittleEndian.PutUint64(memory.Data()[offset:], offset)
	}
	run := func(name string, after func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := write.CallRaw(context.Background(), []uint64{dirty}); err != nil {
					b.Fatal(err)
				}
				if err := after(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("Off", func() error { return nil })
	if err := memory.TrackDirty(); err != nil {
		b.Fatal(err)
	}
	run("On", func() error { return nil })
	run("DirtyPages64MiB", func() error {
		ranges, err := memory.DirtyPages()
		if err == nil && len(ranges) != dirty {
			return fmt.Errorf("%d ranges", len(ranges))
		}
		return err
	})
	run("CopyAll64MiB", func() error { _, err := memory.Read(0, memory.Size()); return err })
}
