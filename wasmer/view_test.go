package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

func ExampleMemory_View() {
	instance, err := wasmer.NewInstance([]byte(`(module (memory (export "memory") 1) (data (i32.const 8) "abracadabra"))`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer instance.Close()
	count := 0
	err = instance.Memory.View(func(data []byte) error {
		for _, letter := range data[8:19] {
			if letter == 'a' {
				count++
			}
		}
		return nil
	})
	fmt.Println(count, err)
	// Output: 5 <nil>
}

func TestAViewIsTheMemoryItself(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		guest := instance(t, compile(t, engine, grower))
		defer guest.Close()
		run(t, guest, "store", 10, 1)
		require.NoError(t, guest.Memory.View(func(data []byte) error {
			require.Equal(t, wasmer.PageSize, len(data))
			require.Equal(t, len(data), cap(data), "it does not reach further")
			require.EqualValues(t, 1, data[10])
			data[11] = 2
			require.EqualValues(t, 2, loaded(t, guest, "load", 11))
			run(t, guest, "store", 12, 3)
			require.EqualValues(t, 3, data[12])
			require.NoError(t, guest.Memory.WriteByteAt(13, 4))
			require.EqualValues(t, 4, data[13])
			return nil
		}))
		require.ErrorIs(t, guest.Memory.View(func([]byte) error { return io.ErrNoProgress }), io.ErrNoProgress)
		require.ErrorContains(t, guest.Memory.View(nil), "needs a function")
		require.NoError(t, guest.Close())
		require.ErrorIs(t, guest.Memory.View(func([]byte) error { panic("called") }), wasmer.ErrClosed)
		require.ErrorIs(t, (*wasmer.Memory)(nil).View(func([]byte) error { panic("called") }), wasmer.ErrClosed)

		empty := instance(t, compile(t, engine, `(module (memory (export "memory") 0 1))`))
		defer empty.Close()
		require.NoError(t, empty.Memory.View(func(data []byte) error {
			require.Empty(t, data)
			return nil
		}))
	})
}

// A slice of a memory that had moved would show, and change, what is no memory any more.
func TestGrowthDuringAViewLeavesItInPlace(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, grower)
		var guests []*wasmer.Instance
		for range 20 { // side by side, so that most cannot grow without moving
			guest := instance(t, module)
			defer guest.Close()
			guests = append(guests, guest)
		}
		refused := 0
		for n, guest := range guests {
			grow := []func() bool{
				func() bool { return loaded(t, guest, "grow", 1) >= 0 },
				func() bool {
					_, err := guest.Memory.GrowBy(1)
					if err != nil {
						require.ErrorIs(t, err, wasmer.ErrResource)
					}
					return err == nil
				},
			}[n%2]
			grown := uint64(0)
			require.NoError(t, guest.Memory.View(func(data []byte) error {
				for range 5 {
					if grow() {
						grown++
					} else {
						refused++
					}
					data[100]++
					require.EqualValues(t, data[100], loaded(t, guest, "load", 100), "guest %d", n)
				}
				require.Len(t, data, wasmer.PageSize)
				return nil
			}))
			require.Equal(t, 1+grown, guest.Memory.Pages())
			require.True(t, grow(), "it may move again")
			require.EqualValues(t, 5, loaded(t, guest, "load", 100))
		}
		switch engine.Memories() {
		case wasmer.ReservedMemories:
			require.Zero(t, refused, "they never move")
		case wasmer.BoundedMemories:
			require.NotZero(t, refused)
		}
	})
}

func TestCloseDuringAViewFreesAfterIt(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, grower)
		before := ffi.ReadMemoryStats(false).Memories
		shared := newStore(t, engine)
		for name, open := range map[string]func() (*wasmer.Memory, func() error){
			"instance": func() (*wasmer.Memory, func() error) {
				guest := instance(t, module)
				return guest.Memory, guest.Close
			},
			"memory": func() (*wasmer.Memory, func() error) {
				memory, err := wasmer.NewMemory(1, 2)
				require.NoError(t, err)
				return memory, memory.Close
			},
			"store": func() (*wasmer.Memory, func() error) {
				memory, err := shared.NewMemory(1, 2)
				require.NoError(t, err)
				return memory, shared.Close
			},
		} {
			memory, closeIt := open()
			require.NoError(t, memory.View(func(data []byte) error {
				data[1] = 42
				elsewhere := make(chan error)
				go func() { elsewhere <- closeIt() }()
				require.NoError(t, <-elsewhere, name)
				require.NoError(t, closeIt(), name)
				_, err := memory.ReadByteAt(1)
				require.ErrorIs(t, err, wasmer.ErrClosed, name)
				require.ErrorIs(t, memory.View(func([]byte) error { panic("called") }), wasmer.ErrClosed)
				require.EqualValues(t, 42, data[1], name)
				data[len(data)-1] = 1
				return nil
			}))
			require.ErrorIs(t, memory.View(func([]byte) error { panic("called") }), wasmer.ErrClosed)
		}
		require.Equal(t, before, ffi.ReadMemoryStats(false).Memories, "all are freed")
	})
}

func TestResetDuringAViewChangesNothing(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		guest := instance(t, compile(t, engine, grower))
		defer guest.Close()
		require.NoError(t, guest.Memory.View(func(data []byte) error {
			data[7] = 42
			soon, cancel := context.WithTimeout(background, 10*time.Millisecond)
			defer cancel()
			require.ErrorIs(t, guest.Reset(soon), context.DeadlineExceeded)
			require.EqualValues(t, 42, data[7])
			require.EqualValues(t, 42, loaded(t, guest, "load", 7))
			return nil
		}))
		require.NoError(t, guest.Reset(background))
		require.Zero(t, loaded(t, guest, "load", 7))
	})
}

func TestViewsNest(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		calls := 0
		imports := wasmer.NewImports().Namespace("env").Function("f", func(c *wasmer.Caller) error {
			calls++
			return c.Memory().View(func(data []byte) error {
				data[0] += 10
				if calls > 1 {
					return nil
				}
				back, err := c.Instance().Function("run")
				require.NoError(t, err)
				_, err = back.Call(c.Context())
				return err
			})
		})
		guest, err := wasmer.Instantiate(background, compile(t, engine, `(module
			(import "env" "f" (func $f)) (memory (export "memory") 1)
			(func (export "run") (i32.store8 (i32.const 1) (i32.const 7)) (call $f)))`), imports)
		require.NoError(t, err)
		defer guest.Close()
		require.NoError(t, guest.Memory.View(func(outer []byte) error {
			require.NoError(t, guest.Memory.View(func(inner []byte) error {
				inner[0]++
				run(t, guest, "run")
				return nil
			}))
			require.Equal(t, []byte{21, 7}, outer[:2])
			return nil
		}))
		require.Equal(t, 2, calls)
	})
}

// What ends a function early ends its view: else a bounded memory could never move again, and no memory were freed.
func TestAViewEndsWithItsFunction(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		before := ffi.ReadMemoryStats(false).Memories
		guest := instance(t, compile(t, engine, grower))
		failure := errors.New("failure")
		require.PanicsWithError(t, failure.Error(), func() {
			_ = guest.Memory.View(func([]byte) error { panic(failure) })
		})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = guest.Memory.View(func([]byte) error {
				runtime.Goexit()
				return nil
			})
		}()
		<-ended
		require.EqualValues(t, 1, loaded(t, guest, "grow", 200))
		require.NoError(t, guest.Close())
		require.Equal(t, before, ffi.ReadMemoryStats(false).Memories)
	})
}

func TestViewsWhileGuestsRunAndGrow(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, grower)
		guest, neighbour := instance(t, module), instance(t, module)
		defer neighbour.Close()
		const viewers, rounds = 4, 200
		var views, growth sync.WaitGroup
		stop := make(chan struct{})
		growth.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if guest.Memory.Pages() < 500 {
					_, _ = guest.Memory.GrowBy(1)
				}
				run(t, guest, "store", 200, n)
			}
		})
		failed := make([]error, viewers)
		for slot := range viewers {
			views.Go(func() {
				for n := 1; n <= rounds && failed[slot] == nil; n++ {
					failed[slot] = guest.Memory.View(func(data []byte) error {
						if data[slot] != byte(n-1) {
							return fmt.Errorf("viewer %d: %d, not %d", slot, data[slot], n-1)
						}
						runtime.Gosched()
						data[slot] = byte(n)
						return nil
					})
				}
			})
		}
		views.Wait()
		close(stop)
		growth.Wait()
		require.NoError(t, errors.Join(failed...))
		for slot := range viewers {
			require.EqualValues(t, rounds, loaded(t, guest, "load", slot))
		}
		require.NoError(t, guest.Close())
	})
}

func TestViewsAndAccessesOfALargeMemory(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		guest := instance(t, compile(t, engine, `(module (memory (export "memory") 32769)
			(func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
			(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`))
		defer guest.Close()
		check := func(size int) {
			t.Helper()
			checkBounds(t, guest.Memory)
			require.NoError(t, guest.Memory.View(func(data []byte) error {
				require.Len(t, data, size)
				for _, at := range []int{0, math.MaxInt32, math.MaxInt32 + 1, size - 1} {
					data[at] = byte(at%251 + 1)
					require.EqualValues(t, at%251+1, loaded(t, guest, "load", uint32(at)), "at %#x", at)
				}
				return nil
			}))
		}
		most := 65536
		if engine.Compiler() == wasmer.LLVM && engine.Memories() == wasmer.BoundedMemories {
			most--
		}
		check(1<<31 + wasmer.PageSize)
		require.EqualValues(t, -1, loaded(t, guest, "grow", most+1-32769))
		require.EqualValues(t, 32769, loaded(t, guest, "grow", most-32769))
		require.EqualValues(t, most, guest.Memory.Pages())
		require.EqualValues(t, math.MaxInt32%251+1, loaded(t, guest, "load", math.MaxInt32), "the bytes are still there")
		check(most * wasmer.PageSize)
		require.EqualValues(t, -1, loaded(t, guest, "grow", 1))
	})
}

// An access is a few instructions of Go: it passes no border, and allocates nothing.
func TestAccessesDoNotLeaveGo(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		guest := instance(t, compile(t, engine, grower))
		defer guest.Close()
		memory := guest.Memory
		text, buffer := []byte("text"), make([]byte, 8)
		look := func([]byte) error { return nil }
		for name, access := range map[string]func() error{
			"Size":          func() error { memory.Size(); memory.Pages(); memory.Length(); return nil },
			"Data":          func() error { memory.Data(); return nil },
			"View":          func() error { return memory.View(look) },
			"Write":         func() error { return memory.Write(100, text) },
			"WriteString":   func() error { return memory.WriteString(100, "text") },
			"ReadAt":        func() error { _, err := memory.ReadAt(buffer, 0); return err },
			"WriteAt":       func() error { _, err := memory.WriteAt(buffer, 0); return err },
			"ReadByteAt":    func() error { _, err := memory.ReadByteAt(1); return err },
			"WriteByteAt":   func() error { return memory.WriteByteAt(1, 1) },
			"ReadUint16Le":  func() error { _, err := memory.ReadUint16Le(2); return err },
			"WriteUint16Le": func() error { return memory.WriteUint16Le(2, 1) },
			"ReadUint32Le":  func() error { _, err := memory.ReadUint32Le(4); return err },
			"WriteUint32Le": func() error { return memory.WriteUint32Le(4, 1) },
			"ReadUint64Le":  func() error { _, err := memory.ReadUint64Le(8); return err },
			"WriteUint64Le": func() error { return memory.WriteUint64Le(8, 1) },
			"ReadFloat32Le": func() error { _, err := memory.ReadFloat32Le(4); return err },
			"ReadFloat64Le": func() error { _, err := memory.ReadFloat64Le(8); return err },
		} {
			require.NoError(t, access(), name) // the first Data tells that the memory is shown
			require.Zero(t, testing.AllocsPerRun(100, func() { _ = access() }), name)
			require.Zero(t, crossings(func() { _ = access() }), name)
		}
		require.NotZero(t, crossings(func() { run(t, guest, "load", 1) }), "a call crosses")
	})
}

// crossings are the calls of C in one call of f: others may make some in the background, so of several, the least.
func crossings(f func()) int64 {
	least := int64(math.MaxInt64)
	for range 20 {
		before := runtime.NumCgoCall()
		f()
		least = min(least, runtime.NumCgoCall()-before)
	}
	return least
}
