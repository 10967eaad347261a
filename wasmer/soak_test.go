package wasmer_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// raceDetector says that the tests run under it.
var raceDetector = func() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}()

// times scales a number of repetitions from the full one of the long form.
func times(full int) int {
	switch soak {
	case "long":
		return full
	case "short":
		return full / 10
	}
	return full / 100
}

// usage is what the process has of the system.
type usage struct {
	resident, virtual uint64
	mappings          int
}

func used() usage {
	for range 3 {
		runtime.GC()
		time.Sleep(2 * time.Millisecond) // for cleanups
	}
	return usage{memoryStatus("VmRSS"), memoryStatus("VmSize"), mappings()}
}

// flat runs a step some times to warm up and fails if memory, address space or mappings grow in the rounds after that: by
// more than what is noise in the whole, whatever their number.
func flat(t *testing.T, rounds, warm int, step func(n int)) {
	t.Helper()
	flatBut(t, rounds, warm, 0, step)
}

// flatBut is flat for steps that may use up some address space in all.
func flatBut(t *testing.T, rounds, warm int, virtual uint64, step func(n int)) {
	t.Helper()
	for n := range warm {
		step(n)
	}
	before := used()
	began := time.Now()
	for n := range rounds {
		step(warm + n)
	}
	took := time.Since(began)
	after := used()
	t.Logf("%d rounds, %v each: resident %d -> %d KiB, virtual %d -> %d MiB, mappings %d -> %d", rounds,
		took/time.Duration(rounds), before.resident>>10, after.resident>>10,
		before.virtual>>20, after.virtual>>20, before.mappings, after.mappings)
	if raceDetector {
		return // it keeps shadow memory of its own
	}
	if after.resident > before.resident+16<<20 {
		t.Errorf("resident memory grew by %d KiB in %d rounds", (after.resident-before.resident)>>10, rounds)
	}
	// Threads come with stacks and malloc arenas of 64 MiB.
	if after.virtual > before.virtual+1<<30+virtual {
		t.Errorf("the address space grew by %d MiB in %d rounds", (after.virtual-before.virtual)>>20, rounds)
	}
	if after.mappings > before.mappings+150 {
		t.Errorf("mappings grew by %d in %d rounds", after.mappings-before.mappings, rounds)
	}
}

// awaitFreed collects garbage until what it held is freed, which goroutines do that get their turn later.
func awaitFreed(t *testing.T, freed func() bool) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		if freed() {
			return
		}
		require.Less(t, time.Since(began), time.Minute)
	}
}

const twoHosts = `(module (import "env" "a" (func $a (param i32) (result i32))) (import "env" "b" (func $b))
	(memory (export "memory") 1 4)
	(func (export "run") (param i32) (result i32) (call $b) (call $a (local.get 0)))
	(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
	(func (export "grow") (result i32) (memory.grow (i32.const 1))))`

func twoHostImports() *wasmer.Imports {
	return wasmer.NewImports().Function("a", func(x int32) int32 { return x + 1 }).Function("b", func(*wasmer.Caller) {})
}

func TestSoakInstances(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module, imports := compile(t, engine, twoHosts), twoHostImports()
		flat(t, times(200_000), 500, func(n int) {
			instance, err := module.InstantiateWithImports(imports)
			require.NoError(t, err)
			result, err := instance.Exports["run"](n)
			if err != nil || result.ToI32() != int32(n+1) {
				t.Fatalf("got %v, %v", result, err)
			}
			require.NoError(t, instance.Close())
		})
	})
}

func TestSoakModules(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		wasm, err := wasmer.Wat2Wasm(`(module (func (export "f") (result i32) i32.const 0x0badf00d))`)
		require.NoError(t, err)
		// Distinct: the constant, of five bytes in LEB128, is another one in each.
		at := slices.Index(wasm, 0x41) + 1
		flat(t, times(20_000), 200, func(n int) {
			var constant [binary.MaxVarintLen32]byte
			value := uint32(n) | 0x08000000
			for i := range constant {
				constant[i] = byte(value>>(7*i))&0x7f | 0x80
			}
			constant[4] &= 0x7f
			copy(wasm[at:], constant[:])
			module, err := engine.Compile(background, wasm)
			require.NoError(t, err)
			if n%16 == 0 {
				instance, err := module.Instantiate()
				require.NoError(t, err)
				require.EqualValues(t, value, call(t, instance, "f").ToI32())
				require.NoError(t, instance.Close())
			}
			require.NoError(t, module.Close())
		})
	})
}

// Machine code of modules that were loaded goes with them, however they came.
func TestSoakArtifacts(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		wasm := wasmtest.Fixture(t, "traps.wasm")
		module := compile(t, engine, wasm)
		trusting := engineOf(t, engine, wasmer.EngineConfig{TrustEmbeddedCode: true})
		universal, err := module.Embed(wasm)
		require.NoError(t, err)
		name := filepath.Join(t.TempDir(), "artifact")
		for way, load := range map[string]func() (*wasmer.Module, error){
			"bytes": func() (*wasmer.Module, error) {
				artifact, err := module.Serialize()
				require.NoError(t, err)
				return engine.Deserialize(background, artifact)
			},
			"file": func() (*wasmer.Module, error) {
				require.NoError(t, module.SerializeTo(name))
				return engine.DeserializeFile(background, name)
			},
			"universal": func() (*wasmer.Module, error) { return trusting.Compile(background, universal) },
		} {
			t.Run(way, func(t *testing.T) {
				flat(t, times(20_000), 200, func(n int) {
					loaded, err := load()
					require.NoError(t, err)
					if n%16 == 0 {
						instance, err := loaded.Instantiate()
						require.NoError(t, err)
						require.EqualValues(t, 42, call(t, instance, "ok").ToI32())
						require.NoError(t, instance.Close())
					}
					require.NoError(t, loaded.Close())
				})
			})
		}
	})
}

func TestSoakCalls(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, twoHosts, twoHostImports())
		add, err := wasmer.Func2[int32, int32, int32](instance, "add")
		require.NoError(t, err)
		run := function(t, instance, "run")
		stack := make([]uint64, 2)
		flat(t, times(10_000_000), 1000, func(n int) {
			if sum, err := add(background, int32(n), 1); err != nil || sum != int32(n)+1 {
				t.Fatalf("got %d, %v", sum, err)
			}
			if n%4 == 0 {
				stack[0] = uint64(uint32(n))
				if err := run.CallRaw(background, stack); err != nil || stack[0] != uint64(uint32(n)+1) {
					t.Fatalf("got %d, %v", stack[0], err)
				}
			}
		})
	})
}

// Constructors that fail, at each step, leave nothing behind.
func TestSoakFailures(t *testing.T) {
	errHost := errors.New("the host's error")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		binary, err := wasmer.Wat2Wasm(twoHosts)
		require.NoError(t, err)
		hosted := compile(t, engine, twoHosts)
		startTrap := compile(t, engine, wasmtest.Fixture(t, "start_trap.wasm"))
		startHost := compile(t, engine, `(module (import "env" "f" (func $f)) (memory (export "memory") 1) (start $f))`)
		segment := compile(t, engine, `(module (memory 1) (data (i32.const 65536) "x"))`)
		needsMemory := compile(t, engine, `(module (import "env" "memory" (memory 1 2)))`)
		artifact, err := hosted.Serialize()
		require.NoError(t, err)
		artifact[len(artifact)-1] ^= 1
		failing := wasmer.NewImports().Function("f", func() error { return errHost })
		panicking := wasmer.NewImports().Function("f", func() { panic(errHost) })
		refused := func(as any) func(*wasmer.Instance, error) error {
			return func(instance *wasmer.Instance, err error) error {
				if instance != nil || !errors.As(err, as) {
					return fmt.Errorf("got %v, %w", instance, err)
				}
				return nil
			}
		}
		is := func(err, want error) error {
			if !errors.Is(err, want) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		}
		for _, failure := range []struct {
			name string
			step func() error
		}{
			{"damaged module", func() error {
				module, err := engine.Compile(background, binary[:len(binary)-3])
				if module != nil || !errors.As(err, new(*wasmer.CompileError)) {
					return fmt.Errorf("got %w", err)
				}
				return nil
			}},
			{"broken text", func() error {
				if err := engine.Validate([]byte("(module (func (export \"f\") (result i32) i64.const 1))")); !errors.As(err, new(*wasmer.CompileError)) {
					return fmt.Errorf("got %w", err)
				}
				return nil
			}},
			{"damaged artifact", func() error {
				_, err := engine.Deserialize(background, artifact)
				return is(err, wasmer.ErrIncompatible)
			}},
			{"memory too large to declare", func() error {
				_, err := engine.Compile(background, []byte("(module (memory 65537))"))
				if !errors.As(err, new(*wasmer.CompileError)) {
					return fmt.Errorf("got %w", err)
				}
				return nil
			}},
			{"memory larger than allowed", func() error {
				if memory, err := wasmer.NewMemory(1, 65537); memory != nil || err == nil {
					return errors.New("allowed")
				}
				return nil
			}},
			{"missing import", func() error { return refused(new(*wasmer.LinkError))(hosted.Instantiate()) }},
			{"wrong import", func() error {
				return refused(new(*wasmer.LinkError))(hosted.InstantiateWithImports(
					wasmer.NewImports().Function("a", func() {}).Function("b", func() {})))
			}},
			{"memory of another size", func() error {
				memory, err := wasmer.NewMemory(1, 3)
				if err != nil {
					return err
				}
				defer memory.Close()
				return refused(new(*wasmer.LinkError))(needsMemory.InstantiateWithImports(wasmer.NewImports().Memory("memory", memory)))
			}},
			{"trap in the start function", func() error { return refused(new(*wasmer.Trap))(startTrap.Instantiate()) }},
			{"segment out of bounds", func() error { return refused(new(*wasmer.Trap))(segment.Instantiate()) }},
			{"host error in the start function", func() error {
				_, err := startHost.InstantiateWithImports(failing)
				return is(err, errHost)
			}},
			{"host panic in the start function", func() (err error) {
				defer func() { err = is(recover().(error), errHost) }()
				_, err = startHost.InstantiateWithImports(panicking)
				return err
			}},
			{"definition of a host function", func() error {
				if _, err := wasmer.NewImports().Append("f", func(int) {}, nil); err == nil {
					return errors.New("allowed")
				}
				return nil
			}},
		} {
			t.Run(failure.name, func(t *testing.T) {
				flat(t, times(100_000), 300, func(int) {
					if err := failure.step(); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
	})
}

// A memory whose bytes were shown keeps its address range, and nothing else.
func TestSoakShownMemories(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, limits := range []string{"1", "1 4", "1 4 shared"} {
			t.Run(limits, func(t *testing.T) {
				module := compile(t, engine, `(module (memory (export "memory") `+limits+`))`)
				rounds := times(100_000)
				// Each shown page is gone, and about 16,000 of them share a reservation.
				gone := uint64(rounds)*2*wasmer.PageSize + 64*9<<30
				flatBut(t, rounds, 300, gone, func(n int) {
					instance, err := module.Instantiate()
					require.NoError(t, err)
					data := instance.Memory.Data()
					if len(data) != wasmer.PageSize || data[0] != 0 || data[wasmer.PageSize-1] != 0 {
						t.Fatal("a new memory is not clear")
					}
					data[0], data[wasmer.PageSize-1] = 1, 2
					require.NoError(t, instance.Close())
					if n%1000 == 0 && (data[0] != 0 || data[wasmer.PageSize-1] != 0) {
						t.Fatal("after Close there is something left")
					}
				})
			})
		}
	})
}

func TestSoakInstancesDroppedWithoutClose(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module, imports := compile(t, engine, twoHosts), twoHostImports()
		flatBut(t, times(100_000), 500, 128*9<<30, func(n int) {
			instance, err := module.InstantiateWithImports(imports)
			require.NoError(t, err)
			_, err = instance.Exports["run"](n)
			require.NoError(t, err)
			if n%100 == 0 { // small objects with large memories: the collector alone would wait for long
				awaitFreed(t, func() bool { return engine.Stats().Instances <= 100 })
			}
		})
	})
}

func TestSoakModulesDroppedWithoutClose(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		flatBut(t, times(10_000), 200, 128*9<<30, func(n int) {
			module, err := engine.Compile(background, []byte(twoHosts))
			require.NoError(t, err)
			_ = module
			if n%50 == 0 {
				awaitFreed(t, func() bool { return engine.Stats().Modules <= 50 })
			}
		})
	})
}

func TestSoakGrowth(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module, imports := compile(t, engine, twoHosts), twoHostImports()
		flatBut(t, times(50_000), 500, uint64(times(50_000))*8*wasmer.PageSize+64*9<<30, func(n int) {
			instance, err := module.InstantiateWithImports(imports)
			require.NoError(t, err)
			if n%2 == 0 {
				require.Len(t, instance.Memory.Data(), wasmer.PageSize)
			}
			require.NoError(t, instance.Memory.Grow(1))
			for range 2 {
				_, err = instance.Exports["grow"]()
				require.NoError(t, err)
			}
			require.NoError(t, instance.Memory.WriteByteAt(4*wasmer.PageSize-1, 1))
			require.ErrorIs(t, instance.Memory.Grow(1), wasmer.ErrResource)
			require.NoError(t, instance.Close())
		})
		instance := instantiate(t, engine, twoHosts, imports)
		for range 3 {
			_, err := instance.Exports["grow"]()
			require.NoError(t, err)
		}
		flat(t, times(1_000_000), 500, func(int) { // refused
			if result, err := instance.Exports["grow"](); err != nil || result.ToI32() != -1 {
				t.Fatalf("got %v, %v", result, err)
			}
		})
	})
}

func TestSoakHostMemories(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "memory" (memory 1 2)) (export "memory" (memory 0)))`)
		flat(t, times(50_000), 300, func(n int) {
			memory, err := wasmer.NewMemory(1, 2)
			require.NoError(t, err)
			instance, err := module.InstantiateWithImports(wasmer.NewImports().Memory("memory", memory))
			require.NoError(t, err)
			require.NoError(t, memory.WriteByteAt(9, 7))
			if n%2 == 0 {
				require.NoError(t, memory.Close())
			}
			b, err := instance.Memory.ReadByteAt(9)
			require.NoError(t, err)
			require.EqualValues(t, 7, b)
			require.NoError(t, instance.Close())
			require.NoError(t, memory.Close())
		})
	})
}
