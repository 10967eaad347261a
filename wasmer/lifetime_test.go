//lint:file-ignore SA1012 nil contexts are part of the contract

package wasmer_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

func TestAnInstanceClosedInItsStartFunctionIsFreed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "f" (func $f)) (memory 1) (start $f))`)
		imports := wasmer.NewImports().Function("f", func(c *wasmer.Caller) { _ = c.Instance().Close() })
		before := mappings()
		var kept []*wasmer.Instance
		for range 200 {
			instance, _ := module.InstantiateWithImports(imports)
			_ = instance.Close()
			kept = append(kept, instance)
		}
		require.Less(t, mappings(), before+150)
		runtime.KeepAlive(kept)
	})
}

func TestMappingsStayFewWhenMemoriesAreShown(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, limits := range []string{"1", "1 2", "1 2 shared"} {
			module := compile(t, engine, `(module (memory (export "memory") `+limits+`))`)
			before := mappings()
			for range 3000 {
				instance, err := module.Instantiate()
				require.NoError(t, err)
				require.Len(t, instance.Memory.Data(), wasmer.PageSize)
				require.NoError(t, instance.Close())
			}
			require.Less(t, mappings(), before+300, "memory %s", limits)
		}
	})
}

func TestClosingAMemoryOfAnInstancesStoreLeavesTheInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (func (export "f")))`, nil)
		memory, err := instance.Store().NewMemory(1, 1)
		require.NoError(t, err)
		require.NoError(t, memory.Close())
		_, err = instance.Exports["f"]()
		require.NoError(t, err)
	})
}

// collect collects all garbage there is, with what its cleanups hold.
func collect() {
	for range 4 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

func TestAFunctionOrAMemoryKeepsItsInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var functions []*wasmer.Function
		var typed []func(context.Context, int32) (int32, error)
		var exports []func(...any) (wasmer.Value, error)
		var memories []*wasmer.Memory
		for n := range 20 {
			module, err := engine.Compile(background, []byte(twoHosts))
			require.NoError(t, err)
			make := func() *wasmer.Instance {
				instance, err := module.InstantiateWithImports(wasmer.NewImports().
					Function("a", func(x int32) int32 { return x + int32(n) }).Function("b", func() {}))
				require.NoError(t, err)
				return instance
			}
			functions = append(functions, function(t, make(), "run"))
			run, err := wasmer.Func1[int32, int32](make(), "run")
			require.NoError(t, err)
			typed = append(typed, run)
			exports = append(exports, make().Exports["run"])
			memory := make().Memory
			require.NoError(t, memory.WriteUint32Le(8, uint32(n)+1))
			memories = append(memories, memory)
		}
		for range 3 {
			collect()
			for n := range functions {
				values, err := functions[n].Call(nil, 1)
				require.NoError(t, err)
				require.EqualValues(t, n+1, values[0].ToI32())
				result, err := typed[n](nil, 1)
				require.NoError(t, err)
				require.EqualValues(t, n+1, result)
				value, err := exports[n](1)
				require.NoError(t, err)
				require.EqualValues(t, n+1, value.ToI32())
				kept, err := memories[n].ReadUint32Le(8)
				require.NoError(t, err)
				require.EqualValues(t, n+1, kept)
				require.NoError(t, memories[n].Grow(1))
			}
		}
	})
}

func TestAHostClosureThatHoldsItsInstanceIsCollected(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, twoHosts)
		var collected atomic.Int64
		const rounds = 2000
		flatBut(t, rounds, 200, 128*9<<30, func(n int) {
			var instance *wasmer.Instance
			ballast := new([1 << 14]byte)
			imports := wasmer.NewImports().
				Function("a", func(x int32) int32 { return x + int32(len(instance.Exports)) + int32(ballast[0]) }).
				Function("b", func(c *wasmer.Caller) {})
			var err error
			instance, err = module.InstantiateWithImports(imports)
			require.NoError(t, err)
			instance.SetContextData(instance)
			_, err = instance.Exports["run"](1)
			require.NoError(t, err)
			runtime.AddCleanup(ballast, func(int) { collected.Add(1) }, 0)
			if n%100 == 0 {
				runtime.GC()
			}
		})
		require.Eventually(t, func() bool { collect(); return collected.Load() >= rounds }, 10*time.Second, time.Millisecond)
	})
}

func TestCloseOfNothing(t *testing.T) {
	for range 2 {
		require.NoError(t, (*wasmer.Engine)(nil).Close())
		require.NoError(t, (*wasmer.Module)(nil).Close())
		require.NoError(t, (*wasmer.Store)(nil).Close())
		require.NoError(t, (*wasmer.Instance)(nil).Close())
		require.NoError(t, (*wasmer.Memory)(nil).Close())
		(*wasmer.Imports)(nil).Close()
		require.NoError(t, new(wasmer.Engine).Close())
		require.NoError(t, new(wasmer.Module).Close())
		require.NoError(t, new(wasmer.Instance).Close())
	}
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{CompileThreads: -1})
	require.Error(t, err)
	require.NoError(t, engine.Close())
	module, err := wasmer.Compile(nil)
	require.Error(t, err)
	require.NoError(t, module.Close())
	module, err = wasmer.DeserializeModule(nil)
	require.Error(t, err)
	require.NoError(t, module.Close())
	instance, err := wasmer.NewInstance([]byte("no"))
	require.Error(t, err)
	require.NoError(t, instance.Close())
	instance, err = wasmer.NewInstance(wasmtest.Fixture(t, "start_trap.wasm"))
	require.Error(t, err)
	require.NoError(t, instance.Close())
	memory, err := wasmer.NewMemory(2, 1)
	require.Error(t, err)
	require.NoError(t, memory.Close())
	_, err = (*wasmer.Instance)(nil).Function("f")
	require.ErrorIs(t, err, wasmer.ErrClosed)
	_, err = (*wasmer.Function)(nil).Call(nil)
	require.ErrorIs(t, err, wasmer.ErrClosed)
	_, err = (*wasmer.Module)(nil).Instantiate()
	require.ErrorIs(t, err, wasmer.ErrClosed)
	_, err = (*wasmer.Engine)(nil).Compile(nil, nil)
	require.ErrorIs(t, err, wasmer.ErrClosed)
	require.ErrorIs(t, (*wasmer.Engine)(nil).Validate(nil), wasmer.ErrClosed)
}

func TestUseAfterClose(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: shared.Compiler()})
		require.NoError(t, err)
		module, err := engine.Compile(nil, []byte(twoHosts))
		require.NoError(t, err)
		artifact, err := module.Serialize()
		require.NoError(t, err)
		instance, err := module.InstantiateWithImports(twoHostImports())
		require.NoError(t, err)
		run := function(t, instance, "run")
		add, err := wasmer.Func2[int32, int32, int32](instance, "add")
		require.NoError(t, err)

		// What was made from a module goes on without it.
		for range 2 {
			require.NoError(t, module.Close())
		}
		collect()
		require.EqualValues(t, 3, call(t, instance, "run", 2).ToI32())

		store, err := wasmer.NewStore(shared)
		require.NoError(t, err)
		memory, err := store.NewMemory(1, 2)
		require.NoError(t, err)
		data := instance.Memory.Data()
		require.NoError(t, memory.Close())
		for range 2 {
			require.NoError(t, instance.Close())
			require.NoError(t, store.Close())
			require.NoError(t, memory.Close())
			require.NoError(t, engine.Close())
		}
		require.Zero(t, data[0])
		open := compile(t, shared, twoHosts)
		require.Empty(t, instance.Memory.Data())
		require.Zero(t, instance.Memory.Size())
		require.Zero(t, instance.Memory.Pages())
		require.Zero(t, instance.Memory.Length())
		buffer := make([]byte, 1)
		for name, use := range map[string]func() error{
			"Engine.Validate":         func() error { return engine.Validate([]byte("(module)")) },
			"Engine.Compile":          func() error { _, err := engine.Compile(nil, []byte("(module)")); return err },
			"Engine.Deserialize":      func() error { _, err := engine.Deserialize(nil, artifact); return err },
			"Module.Serialize":        func() error { _, err := module.Serialize(); return err },
			"Module.Instantiate":      func() error { _, err := module.Instantiate(); return err },
			"Instantiate":             func() error { _, err := wasmer.Instantiate(nil, module, nil); return err },
			"Store.Instantiate":       func() error { _, err := store.Instantiate(nil, "a", open, twoHostImports()); return err },
			"Store.NewMemory":         func() error { _, err := store.NewMemory(1, 1); return err },
			"Instance.Function":       func() error { _, err := instance.Function("add"); return err },
			"Instance.ExportedMemory": func() error { _, err := instance.ExportedMemory("memory"); return err },
			"Instance.Exports":        func() error { _, err := instance.Exports["run"](1); return err },
			"Instance.Alloc":          func() error { _, err := instance.Alloc(nil, 1); return err },
			"Instance.AllocString":    func() error { _, err := instance.AllocString("x"); return err },
			"Instance.Free":           func() error { return instance.Free(nil, 0, 1) },
			"Instance.CallString":     func() error { _, err := instance.CallString(nil, "f", "x", true); return err },
			"Instance.CallBytes":      func() error { _, err := instance.CallBytes(nil, "f", nil); return err },
			"Function.Call":           func() error { _, err := run.Call(nil, 1); return err },
			"Function.CallRaw":        func() error { return run.CallRaw(nil, make([]uint64, 1)) },
			"Func2":                   func() error { _, err := wasmer.Func2[int32, int32, int32](instance, "add"); return err },
			"typed":                   func() error { _, err := add(nil, 1, 2); return err },
			"Memory.Read":             func() error { _, err := instance.Memory.Read(0, 0); return err },
			"Memory.Write":            func() error { return instance.Memory.Write(0, nil) },
			"Memory.ReadString":       func() error { _, err := instance.Memory.ReadString(0, 1); return err },
			"Memory.ReadCString":      func() error { _, err := instance.Memory.ReadCString(0); return err },
			"Memory.WriteString":      func() error { return instance.Memory.WriteString(0, "x") },
			"Memory.ReadAt":           func() error { _, err := instance.Memory.ReadAt(buffer, 0); return err },
			"Memory.WriteAt":          func() error { _, err := instance.Memory.WriteAt(buffer, 0); return err },
			"Memory.ReadByteAt":       func() error { _, err := memory.ReadByteAt(0); return err },
			"Memory.WriteByteAt":      func() error { return memory.WriteByteAt(0, 1) },
			"Memory.ReadUint16Le":     func() error { _, err := memory.ReadUint16Le(0); return err },
			"Memory.ReadUint32Le":     func() error { _, err := memory.ReadUint32Le(0); return err },
			"Memory.ReadUint64Le":     func() error { _, err := memory.ReadUint64Le(0); return err },
			"Memory.ReadFloat32Le":    func() error { _, err := memory.ReadFloat32Le(0); return err },
			"Memory.WriteFloat64Le":   func() error { return memory.WriteFloat64Le(0, 1) },
			"Memory.Grow":             func() error { return instance.Memory.Grow(1) },
			"Memory.GrowBy":           func() error { _, err := memory.GrowBy(0); return err },
			"imported memory": func() error {
				importing := compile(t, shared, `(module (import "env" "m" (memory 1)))`)
				_, err := importing.InstantiateWithImports(wasmer.NewImports().Memory("m", memory))
				return err
			},
			"imported instance": func() error {
				importing := compile(t, shared, `(module (import "i" "add" (func (param i32 i32) (result i32))))`)
				_, err := importing.InstantiateWithImports(wasmer.NewImports().Instance("i", instance))
				return err
			},
		} {
			require.ErrorIs(t, use(), wasmer.ErrClosed, name)
		}
	})
}

func TestCloseDuringACall(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "host" (func $host)) (memory (export "memory") 16)
			(func (export "run") (result i32) (call $host) (i32.store (i32.const 4) (i32.const 7)) (i32.load (i32.const 4))))`)
		before := mappings()
		for _, inside := range []bool{false, true} {
			for range 100 {
				entered, leave := make(chan struct{}), make(chan struct{})
				var instance *wasmer.Instance
				var err error
				instance, err = module.InstantiateWithImports(wasmer.NewImports().Function("host", func(c *wasmer.Caller) {
					close(entered)
					<-leave
					if inside {
						require.NoError(t, instance.Close())
						_, err := c.Function("run")
						require.ErrorIs(t, err, wasmer.ErrClosed)
						_, err = instance.Exports["run"]()
						require.ErrorIs(t, err, wasmer.ErrClosed)
					}
				}))
				require.NoError(t, err)
				memory := instance.Memory
				result := make(chan error)
				go func() {
					_, err := instance.Exports["run"]()
					result <- err
				}()
				<-entered
				if !inside {
					require.NoError(t, instance.Close()) // it does not wait
					_, err = instance.Exports["run"]()
					require.ErrorIs(t, err, wasmer.ErrClosed)
					_, err = memory.Read(0, 1)
					require.ErrorIs(t, err, wasmer.ErrClosed)
					runtime.GC()
				}
				close(leave)
				var exit *wasmer.ExitError
				require.ErrorAs(t, <-result, &exit, "no instruction runs after the host function")
				require.Zero(t, exit.Code)
			}
		}
		require.Less(t, mappings(), before+100, "the memories are freed")
	})
}

// All handles, closed and used in any order by several goroutines: errors, no fault, nothing left.
func TestCloseAndUseInAnyOrder(t *testing.T) {
	rounds := 60
	if soak != "" {
		rounds = 2000
	}
	eachCompiler(t, func(t *testing.T, compilerOf *wasmer.Engine) {
		errHost := errors.New("the host's error")
		check := func(err error) {
			if err != nil && !errors.Is(err, wasmer.ErrClosed) && !errors.Is(err, wasmer.ErrInterrupted) && !errors.Is(err, errHost) &&
				!errors.Is(err, wasmer.ErrResource) && !errors.Is(err, wasmer.TrapUnreachable) &&
				!errors.Is(err, wasmer.ErrNameTaken) {
				t.Error(err)
			}
		}
		flatBut(t, rounds, 10, 256*9<<30, func(n int) {
			engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compilerOf.Compiler()})
			require.NoError(t, err)
			module, err := engine.Compile(background, []byte(`(module (import "env" "host" (func $host (param i32) (result i32)))
				(import "env" "memory" (memory 1 100)) (export "memory" (memory 0))
				(func (export "run") (param i32) (result i32) (call $host (local.get 0)))
				(func (export "trap") unreachable) (func (export "grow") (result i32) (memory.grow (i32.const 1))))`))
			require.NoError(t, err)
			store, err := wasmer.NewStore(engine)
			require.NoError(t, err)
			memory, err := store.NewMemory(1, 100)
			if n%2 == 0 {
				memory, err = wasmer.NewMemory(1, 100)
			}
			require.NoError(t, err)
			var instance *wasmer.Instance
			imports := wasmer.NewImports().Memory("memory", memory).Function("host", func(c *wasmer.Caller, n int32) (int32, error) {
				switch n % 5 {
				case 0:
					return n, errHost
				case 1:
					f, err := c.Function("grow")
					if err != nil {
						return 0, err
					}
					values, err := f.Call(c.Context())
					if err != nil {
						return 0, err
					}
					return values[0].ToI32(), nil
				case 2:
					_ = c.Memory().Grow(1)
				case 3:
					runtime.Gosched()
				}
				return n, nil
			})
			instance, err = module.InstantiateWithImports(imports)
			require.NoError(t, err)
			run := function(t, instance, "run")
			var group sync.WaitGroup
			for g := range 6 {
				group.Go(func() {
					random := rand.New(rand.NewPCG(uint64(n), uint64(g)))
					for range 60 {
						ctx, cancel := context.WithTimeout(background, time.Duration(random.IntN(1000))*time.Microsecond)
						switch random.IntN(24) {
						case 0, 1, 2, 3:
							_, err := run.Call(ctx, random.IntN(10))
							check(err)
						case 4:
							_, err := instance.Exports["trap"]()
							check(err)
						case 5:
							check(instance.Memory.WriteUint32Le(100, 1))
						case 6:
							_, err := memory.Read(0, 100)
							check(err)
						case 7:
							if data := memory.Data(); len(data) > 0 {
								data[len(data)-1] = 1
							}
						case 8:
							check(memory.Grow(1))
						case 9:
							other, err := wasmer.Instantiate(ctx, module, imports)
							check(err)
							if random.IntN(2) == 0 {
								check(other.Close())
							}
						case 10:
							other, err := store.Instantiate(ctx, "x", module, wasmer.NewImports().Function("host", func(x int32) int32 { return x }))
							if err != nil && !errors.As(err, new(*wasmer.LinkError)) {
								check(err)
							}
							check(other.Close())
						case 11:
							_, err := module.Serialize()
							check(err)
						case 12:
							check(engine.Validate([]byte("(module)")))
						case 13:
							_, err := instance.Function("grow")
							check(err)
						case 14:
							runtime.GC()
						case 15:
							if random.IntN(8) == 0 {
								check(engine.Close())
							}
						case 16:
							if random.IntN(8) == 0 {
								check(module.Close())
							}
						case 17:
							if random.IntN(8) == 0 {
								check(instance.Close())
							}
						case 18:
							if random.IntN(8) == 0 {
								check(memory.Close())
							}
						case 19:
							if random.IntN(8) == 0 {
								check(store.Close())
							}
						default:
							runtime.Gosched()
						}
						cancel()
					}
				})
			}
			group.Wait()
			check(instance.Close())
			check(store.Close())
		})
	})
}
