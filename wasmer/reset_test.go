package wasmer_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestReset(t *testing.T) {
	for _, memories := range []wasmer.Memories{wasmer.ReservedMemories, wasmer.BoundedMemories} {
		t.Run(memories.String(), func(t *testing.T) {
			eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
				module := compile(t, engineOf(t, engine, wasmer.EngineConfig{Memories: memories}), stateful)
				fresh, err := wasmer.Instantiate(background, module, doubling())
				require.NoError(t, err)
				defer fresh.Close()
				want := state(t, fresh)
				kept, err := wasmer.Instantiate(background, module, doubling().Resettable())
				require.NoError(t, err)
				defer kept.Close()
				derived, err := wasmer.Instantiate(background, module, doubling())
				require.NoError(t, err)
				defer derived.Close()
				for name, i := range map[string]*wasmer.Instance{"kept": kept, "derived": derived} {
					first, change := marshal(t, snapshotOf(t, i)), function(t, i, "change")
					for range 3 {
						_, err := change.Call(background)
						require.NoError(t, err)
						require.NoError(t, i.Memory.Write(0x1fff0, []byte("left behind")))
						require.NoError(t, i.Reset(background))
						require.Equal(t, first, marshal(t, snapshotOf(t, i)), name)
						require.Equal(t, want, state(t, i), name)
						require.NoError(t, i.Memory.Grow(1))
						grown, err := i.Memory.Read(0x10000, 0x10000)
						require.NoError(t, err)
						require.Equal(t, make([]byte, 0x10000), grown, "what grows again is zero")
						require.NoError(t, i.Reset(background))
					}
				}
			})
		})
	}
}

func TestResetOfStartCode(t *testing.T) {
	const start = `(module (memory (export "memory") 1) (global $n (mut i32) (i32.const 1))
		(func $start (global.set $n (i32.const 5)) (i32.store (i32.const 100) (i32.const 42)))
		(func (export "add") (result i32)
			(global.set $n (i32.add (global.get $n) (i32.load (i32.const 100))))
			(i32.store (i32.const 100) (i32.const 7)) global.get $n) `
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, source := range map[string]string{
			"a start function": start + `(start $start))`,
			"_initialize":      start + `(export "_initialize" (func $start)))`,
		} {
			module := compile(t, engine, source)
			i, err := wasmer.Instantiate(background, module, nil)
			require.NoError(t, err)
			defer i.Close()
			require.EqualValues(t, 47, run(t, i, "add")[0].ToI32(), name)
			var refused *wasmer.StateError
			require.ErrorAs(t, i.Reset(background), &refused, name)
			require.EqualValues(t, 54, run(t, i, "add")[0].ToI32(), "nothing has changed")

			kept, err := wasmer.Instantiate(background, module, wasmer.NewImports().Resettable())
			require.NoError(t, err)
			defer kept.Close()
			warm := restored(t, snapshotOf(t, i), nil)
			for range 3 {
				require.EqualValues(t, 47, run(t, kept, "add")[0].ToI32(), name)
				require.NoError(t, kept.Reset(background))
				require.EqualValues(t, 61, run(t, warm, "add")[0].ToI32(), "of a snapshot: no start code runs")
				require.NoError(t, warm.Reset(background))
			}
		}
	})
}

func TestResetAfterTheGuestHasFailed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		i := instantiate(t, engine, `(module (memory (export "memory") 1) (global $n (export "n") (mut i32) (i32.const 3))
			(func (export "trap") (global.set $n (i32.const 9)) (i32.store (i32.const 8) (i32.const 1)) unreachable)
			(func (export "forever") (global.set $n (i32.const 9)) (loop (br 0)))
			(func $deep (export "deep") (global.set $n (i32.const 9)) call $deep))`, nil)
		fail := map[string]func() error{
			"trap": func() error { return failing(t, i, "trap") },
			"deep": func() error { return failing(t, i, "deep") },
			"forever": func() error {
				ctx, cancel := context.WithCancel(background)
				go cancel()
				_, err := function(t, i, "forever").Call(ctx)
				return err
			},
		}
		for range 3 {
			for name, fail := range fail {
				require.Error(t, fail())
				require.NoError(t, i.Reset(background), name)
				require.EqualValues(t, 3, value(t, exportedGlobal(t, i, "n")).ToI32(), name)
				v, err := i.Memory.ReadUint32Le(8)
				require.NoError(t, err)
				require.Zero(t, v)
			}
		}
	})
}

// What the host has of the memory stays valid, whatever size the memory had meanwhile.
func TestResetAndTheHostsMemory(t *testing.T) {
	for _, memories := range []wasmer.Memories{wasmer.ReservedMemories, wasmer.BoundedMemories} {
		t.Run(memories.String(), func(t *testing.T) {
			engine, err := wasmer.NewEngine(wasmer.EngineConfig{Memories: memories})
			require.NoError(t, err)
			defer engine.Close()
			i := instantiate(t, engine, `(module (memory (export "memory") 1 9) (data (i32.const 5) "x"))`, nil)

			t.Run("a slice that is longer than the memory", func(t *testing.T) {
				require.NoError(t, i.Memory.Grow(3))
				data := i.Memory.Data()
				data[0x30000] = 1
				require.NoError(t, i.Reset(background))
				require.EqualValues(t, 1, i.Memory.Pages())
				sum := 0
				for _, b := range data {
					sum += int(b)
				}
				require.LessOrEqual(t, sum, int('x')+1) // it can be read
				data[0x30000] = 2
				require.NoError(t, i.Memory.Grow(3))
				v, err := i.Memory.ReadByteAt(0x30000)
				require.NoError(t, err)
				require.Contains(t, []int{0, 2}, int(v))
			})
			t.Run("accesses at the same time", func(t *testing.T) {
				require.NoError(t, i.Reset(background))
				var done atomic.Bool
				var group sync.WaitGroup
				defer group.Wait()
				defer done.Store(true)
				for range 2 {
					group.Go(func() {
						for !done.Load() {
							data, err := i.Memory.Read(0, i.Memory.Size()&^0xffff)
							if err != nil { // it has shrunk in between
								require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
								continue
							}
							if data[5] != 'x' {
								t.Error("read", data[5])
								return
							}
						}
					})
				}
				for range 300 {
					require.NoError(t, i.Memory.Grow(2))
					require.NoError(t, i.Memory.WriteByteAt(0x2ffff, 1))
					require.NoError(t, i.Reset(background))
				}
			})
			t.Run("dirty pages", func(t *testing.T) {
				require.NoError(t, i.Reset(background))
				require.NoError(t, i.Memory.TrackDirty())
				require.NoError(t, i.Memory.WriteByteAt(0x2001, 1))
				pages, err := i.Memory.DirtyPages()
				require.NoError(t, err)
				require.Equal(t, []wasmer.PageRange{{Offset: 0x2000, Size: 4096}}, pages)
				require.NoError(t, i.Reset(background))
				pages, err = i.Memory.DirtyPages()
				require.NoError(t, err)
				require.Equal(t, []wasmer.PageRange{{Offset: 0x2000, Size: 4096}}, pages, "a reset has changed it")
				require.NoError(t, i.Memory.WriteByteAt(0x3001, 1))
				pages, err = i.Memory.DirtyPages()
				require.NoError(t, err)
				require.Equal(t, []wasmer.PageRange{{Offset: 0x3000, Size: 4096}}, pages)
				require.NoError(t, i.Memory.UntrackDirty())
			})
		})
	}
}
