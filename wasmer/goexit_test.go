package wasmer_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

const ending = `(module (import "env" "end" (func $end (param i32) (result i32)))
	(memory (export "memory") 1)
	(func (export "run") (param i32) (result i32)
		(drop (call $end (local.get 0)))
		(i32.store (i32.const 0) (i32.const 1))
		(i32.const 1)))`

// inGoroutine runs the body in a goroutine of its own and reports whether it came to its end. The goroutine's deferred
// calls have run.
func inGoroutine(body func()) (finished bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		body()
		finished = true
	}()
	<-done
	return finished
}

// requireGivenUp sees that an instance is closed after its goroutine ended in the middle of a call.
func requireGivenUp(t *testing.T, instance *wasmer.Instance) {
	t.Helper()
	_, err := instance.Exports["run"](0)
	require.ErrorIs(t, err, wasmer.ErrClosed)
	require.Zero(t, instance.Memory.Size())
	_, err = instance.Memory.Read(0, 1)
	require.ErrorIs(t, err, wasmer.ErrClosed)
	require.NoError(t, instance.Close())
}

func TestGoexitInAHostFunction(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		other := instantiate(t, engine, `(module (func (export "f") (result i32) (i32.const 42)) (func (export "trap") unreachable))`, nil)
		look := func() {
			nilDereference(t)
			runtime.GC()
			require.EqualValues(t, 42, call(t, other, "f").ToI32())
			_, err := other.Exports["trap"]()
			require.ErrorIs(t, err, wasmer.TrapUnreachable)
			nilDereference(t)
		}
		for name, end := range map[string]func(){
			"Goexit":                          runtime.Goexit,
			"Goexit while panicking":          func() { defer runtime.Goexit(); panic("lost") },
			"Goexit, then a recovered panic":  func() { defer func() { _ = recover() }(); defer panic("lost"); runtime.Goexit() },
			"Goexit, then a panic":            func() { defer panic("lost"); runtime.Goexit() },
			"FailNow":                         func() { new(testing.T).FailNow() },
			"SkipNow":                         func() { new(testing.T).SkipNow() },
			"Goexit with a trap in its defer": func() { defer look(); runtime.Goexit() },
		} {
			t.Run(name, func(t *testing.T) {
				inChild(t, func(t *testing.T) {
					var instance *wasmer.Instance
					deferred := 0
					instance = instantiate(t, engine, ending, wasmer.NewImports().Function("end", func(x int32) int32 {
						defer func() { deferred++ }()
						end()
						return x
					}))
					finished := inGoroutine(func() {
						runtime.LockOSThread()
						thread := ffi.ThreadID()
						defer func() {
							deferred++
							look() // in the same goroutine
						}()
						defer func() {
							// A goroutine that ends locked takes its thread with it; one that unlocks leaves it to others.
							runtime.UnlockOSThread()
							require.Equal(t, thread, ffi.ThreadID())
						}()
						_, _ = instance.Exports["run"](0)
					})
					require.False(t, finished)
					require.Equal(t, 2, deferred)
					requireGivenUp(t, instance)
					for range 100 { // on whatever threads there are
						require.True(t, inGoroutine(look))
					}
				})
			})
		}
	})
}

// fakeT is a test that fails without failing the one that looks on.
type fakeT struct{ failed bool }

func (f *fakeT) Errorf(string, ...any) { f.failed = true }
func (f *fakeT) FailNow()              { runtime.Goexit() }

func TestFailNowOfATestInAHostFunction(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		fake := new(fakeT)
		cleaned := false
		instance := instantiate(t, engine, ending, wasmer.NewImports().Function("end", func(x int32) int32 {
			defer func() { cleaned = true }()
			require.Equal(fake, 1, x+2, "fails")
			return x
		}))
		require.False(t, inGoroutine(func() {
			result, err := instance.Exports["run"](0)
			t.Errorf("the call returned %v, %v", result, err)
		}))
		require.True(t, fake.failed)
		require.True(t, cleaned)
		requireGivenUp(t, instance)
		nilDereference(t)
	})
}

// The same thread goes on with other goroutines, with the goroutine locked or not.
func TestAThreadGoesOnAfterGoexit(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, ending)
		traps := instantiate(t, engine, `(module (func (export "trap") unreachable))`, nil)
		imports := wasmer.NewImports().Function("end", func(int32) int32 { runtime.Goexit(); return 0 })
		for n := range 200 {
			instance, err := module.InstantiateWithImports(imports)
			require.NoError(t, err)
			require.False(t, inGoroutine(func() {
				if n%2 == 0 {
					runtime.LockOSThread() // this thread ends with the goroutine
				}
				defer nilDereference(t)
				defer func() {
					if _, err := traps.Exports["trap"](); err == nil {
						t.Error("no trap")
					}
				}()
				_, _ = instance.Exports["run"](0)
			}))
			nilDereference(t)
			require.True(t, inGoroutine(func() { nilDereference(t) }))
			requireGivenUp(t, instance)
		}
	})
}

func TestGoexitThroughNestedCalls(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		t.Run("through two stores", func(t *testing.T) {
			inner := instantiate(t, engine, ending, wasmer.NewImports().Function("end", func(int32) int32 { runtime.Goexit(); return 0 }))
			returned := false
			outer := instantiate(t, engine, ending, wasmer.NewImports().Function("end", func(c *wasmer.Caller, n int32) (int32, error) {
				defer nilDereference(t)
				values, err := function(t, inner, "run").Call(c.Context(), n)
				returned = true
				return values[0].ToI32(), err
			}))
			require.False(t, inGoroutine(func() {
				defer nilDereference(t)
				_, _ = outer.Exports["run"](1)
				returned = true
			}))
			require.False(t, returned)
			requireGivenUp(t, inner)
			requireGivenUp(t, outer)
		})
		t.Run("several times through one store", func(t *testing.T) {
			var instance *wasmer.Instance
			returned := false
			instance = instantiate(t, engine, ending, wasmer.NewImports().Function("end", func(c *wasmer.Caller, n int32) (int32, error) {
				defer nilDereference(t)
				if n == 0 {
					runtime.Goexit()
				}
				_, err := function(t, instance, "run").Call(c.Context(), n-1)
				returned = true
				return 0, err
			}))
			require.False(t, inGoroutine(func() {
				defer nilDereference(t)
				_, _ = instance.Exports["run"](10)
				returned = true
			}))
			require.False(t, returned)
			requireGivenUp(t, instance)
		})
		t.Run("in turns through two stores", func(t *testing.T) {
			var instances [2]*wasmer.Instance
			for i := range instances {
				instances[i] = instantiate(t, engine, ending, wasmer.NewImports().Function("end", func(c *wasmer.Caller, n int32) (int32, error) {
					defer nilDereference(t)
					if n == 0 {
						runtime.Goexit()
					}
					_, err := function(t, instances[1-i], "run").Call(c.Context(), n-1)
					return 0, err
				}))
			}
			require.False(t, inGoroutine(func() { _, _ = instances[0].Exports["run"](7) }))
			requireGivenUp(t, instances[0])
			requireGivenUp(t, instances[1])
		})
		t.Run("in a nested store only", func(t *testing.T) {
			// The outer host function waits for another goroutine, which ends.
			inner := instantiate(t, engine, ending, wasmer.NewImports().Function("end", func(int32) int32 { runtime.Goexit(); return 0 }))
			outer := instantiate(t, engine, ending, wasmer.NewImports().Function("end", func(c *wasmer.Caller, n int32) int32 {
				if inGoroutine(func() { _, _ = inner.Exports["run"](n) }) {
					t.Error("the goroutine did not end")
				}
				nilDereference(t)
				return 0
			}))
			require.EqualValues(t, 1, call(t, outer, "run", 0).ToI32())
			requireGivenUp(t, inner)
		})
	})
}

func TestGoexitInAStartFunction(t *testing.T) {
	const text = `(module (import "env" "end" (func $end)) (memory (export "memory") 1) (func (export "run") (param i32)) (start $end))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, text)
		var kept *wasmer.Instance
		imports := wasmer.NewImports().Function("end", func(c *wasmer.Caller) {
			kept = c.Instance()
			runtime.Goexit()
		})
		require.False(t, inGoroutine(func() {
			defer nilDereference(t)
			_, _ = module.InstantiateWithImports(imports)
		}))
		_, err := kept.Function("run")
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.Zero(t, kept.Memory.Size())
		require.NoError(t, kept.Close())

		store, err := wasmer.NewStore(engine)
		require.NoError(t, err)
		require.False(t, inGoroutine(func() { _, _ = store.Instantiate(background, "a", module, imports) }))
		require.Nil(t, store.Instance("a"))
		_, err = store.Instantiate(background, "a", module, imports)
		require.ErrorIs(t, err, wasmer.ErrClosed, "the whole store is given up")
		require.NoError(t, store.Close())
	})
}

// Others who wait for the store learn that it is closed.
func TestGoexitEndsTheWaitOfOthers(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		inside, leave := make(chan struct{}), make(chan struct{})
		instance := instantiate(t, engine, ending, wasmer.NewImports().Function("end", func(int32) int32 {
			close(inside)
			<-leave
			runtime.Goexit()
			return 0
		}))
		var group sync.WaitGroup
		group.Go(func() { _, _ = instance.Exports["run"](0) })
		<-inside
		for range 8 {
			group.Go(func() {
				if _, err := instance.Exports["run"](0); !errors.Is(err, wasmer.ErrClosed) {
					t.Errorf("got %v", err)
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		close(leave)
		group.Wait()
		requireGivenUp(t, instance)
	})
}

func TestGoexitLeavesNothingBehind(t *testing.T) {
	const start = `(module (import "env" "end" (func $end (param i32) (result i32))) (memory 1)
		(func $start (drop (call $end (i32.const 0)))) (start $start))`
	rounds := 2000
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, text := range []string{ending, start} {
			module := compile(t, engine, text)
			var again func(context.Context, int32) (int32, error)
			imports := wasmer.NewImports().Function("end", func(c *wasmer.Caller, n int32) int32 {
				if n > 0 {
					_, _ = again(c.Context(), n-1)
				}
				runtime.Goexit()
				return 0
			})
			flat(t, rounds, 200, func(n int) {
				require.False(t, inGoroutine(func() {
					instance, err := module.InstantiateWithImports(imports)
					require.NoError(t, err)
					again, err = wasmer.Func1[int32, int32](instance, "run")
					require.NoError(t, err)
					_, _ = again(background, int32(n%3))
				}))
			})
		}
	})
}
