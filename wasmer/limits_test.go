package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestMemoriesStopAtTheLimitOfTheEngine(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		limited := engineOf(t, engine, wasmer.EngineConfig{MaxMemoryPages: 5})
		for _, text := range []string{"(memory 6)", "(memory 6 6)", "(memory 6 9 shared)", "(memory 1) (memory 6)", "(memory 65536)"} {
			instance, err := compile(t, limited, "(module "+text+")").Instantiate()
			require.ErrorIs(t, err, wasmer.ErrResource, text)
			require.Nil(t, instance)
		}
		store := newStore(t, limited)
		_, err := store.NewMemory(6, 6)
		require.ErrorIs(t, err, wasmer.ErrResource)
		_, err = store.NewMemoryOf(wasmer.MemoryType{Limits: wasmer.Limits{Min: 6}})
		require.ErrorIs(t, err, wasmer.ErrResource)
		for _, limits := range []string{"4", "4 10", "4 10 shared"} {
			text := `(module (memory (export "memory") ` + limits + `) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
				(func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))`
			for _, instance := range []*wasmer.Instance{instantiate(t, limited, text, nil), instantiateIn(t, store, limited, text, nil)} {
				require.Equal(t, "(memory "+limits+")", instance.Memory.Type().String())
				for _, pages := range []int{2, 6, 65536, math.MaxInt32, -1} {
					require.EqualValues(t, -1, call(t, instance, "grow", pages).ToI32(), "%d", pages)
					require.ErrorIs(t, instance.Memory.Grow(uint32(pages)), wasmer.ErrResource)
				}
				_, err := instance.Memory.GrowBy(1 << 40)
				require.ErrorIs(t, err, wasmer.ErrResource)
				require.EqualValues(t, 4, call(t, instance, "grow", 1).ToI32(), "exactly to the limit")
				require.ErrorIs(t, instance.Memory.Grow(1), wasmer.ErrResource)
				require.EqualValues(t, 5, instance.Memory.Pages())
				require.Zero(t, call(t, instance, "load", 5*wasmer.PageSize-1).ToI32())
				require.ErrorIs(t, failing(t, instance, "load", 5*wasmer.PageSize), wasmer.TrapOutOfBounds)
			}
		}
		memory, err := store.NewMemoryOf(wasmer.MemoryType{Limits: wasmer.Limits{Min: 5, Max: 6, HasMax: true}})
		require.NoError(t, err, "a larger maximum is none that can be reached")
		require.ErrorIs(t, memory.Grow(1), wasmer.ErrResource)
		// The limit is that of the engine of the module, or of the store's for what the host makes.
		open := instantiateIn(t, store, engine, `(module (memory (export "memory") 6))`, nil)
		require.EqualValues(t, 6, open.Memory.Pages())
	})
}

func TestAStoreMakesSoManyInstances(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		limited := engineOf(t, engine, wasmer.EngineConfig{MaxInstances: 3})
		module := compile(t, limited, `(module (func (export "f") (result i32) (i32.const 1)))`)
		store := newStore(t, limited)
		for range 3 {
			instance, err := store.Instantiate(background, "", module, nil)
			require.NoError(t, err)
			require.NoError(t, instance.Close(), "closed ones count")
		}
		for range 2 {
			instance, err := store.Instantiate(background, "name", module, nil)
			require.ErrorIs(t, err, wasmer.ErrResource)
			require.ErrorContains(t, err, "MaxInstances")
			require.Nil(t, instance)
			require.Nil(t, store.Instance("name"))
		}
		_, err := store.NewInstance("host", map[string]wasmer.Extern{"f": hostConstant(t, store, 1)})
		require.NoError(t, err, "what the host makes is not counted")
		for range 10 {
			instance, err := module.Instantiate()
			require.NoError(t, err, "each in a store of its own")
			require.NoError(t, instance.Close())
		}
		first, err := module.Instantiate()
		require.NoError(t, err)
		defer first.Close()
		user := compile(t, limited, `(module (import "a" "f" (func (result i32))))`)
		for range 2 {
			_, err = wasmer.Instantiate(background, user, wasmer.NewImports().Instance("a", first))
			require.NoError(t, err)
		}
		_, err = wasmer.Instantiate(background, user, wasmer.NewImports().Instance("a", first))
		require.ErrorIs(t, err, wasmer.ErrResource, "the store of the first counts them all")
	})
}

func TestModulesHaveAtMostSoManyBytes(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		binary, err := wasmer.Wat2Wasm(`(module (func (export "f")))`)
		require.NoError(t, err)
		limited := engineOf(t, engine, wasmer.EngineConfig{MaxModuleSize: len(binary)})
		compile(t, limited, binary)
		require.NoError(t, limited.Validate(binary))
		larger := append(append([]byte{}, binary...), 0, 1, 0)
		require.NoError(t, engine.Validate(larger))
		require.ErrorIs(t, limited.Validate(larger), wasmer.ErrResource)
		_, err = limited.Compile(background, larger)
		require.ErrorIs(t, err, wasmer.ErrResource)
		require.ErrorContains(t, err, fmt.Sprintf("%d bytes", len(larger)))
		text := []byte(`(module)` + strings.Repeat(" ", len(binary)))
		require.ErrorIs(t, limited.Validate(text), wasmer.ErrResource, "text counts as it is given")
	})
}

func TestBadLimitsAreErrors(t *testing.T) {
	for name, config := range map[string]wasmer.EngineConfig{
		"CompileThreads": {CompileThreads: -1}, "MaxModuleSize": {MaxModuleSize: -1}, "MaxCallDepth": {MaxCallDepth: -1},
		"StackSize": {StackSize: -1}, "MaxMemoryPages": {MaxMemoryPages: -1}, "MaxTableElements": {MaxTableElements: -1},
		"MaxInstances": {MaxInstances: -1},
	} {
		engine, err := wasmer.NewEngine(config)
		require.ErrorContains(t, err, name+" is -1")
		require.Nil(t, engine)
	}
	for name, config := range map[string]wasmer.EngineConfig{
		"StackSize": {StackSize: 1<<30 + 1}, "MaxMemoryPages": {MaxMemoryPages: 65537}, "MaxTableElements": {MaxTableElements: math.MaxInt},
	} {
		_, err := wasmer.NewEngine(config)
		require.ErrorContains(t, err, name)
	}
	_, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: 77})
	require.ErrorIs(t, err, wasmer.ErrUnsupported)
}

const recurses = `(module (func $f (export "f") (param i32) (result i32)
	(if (result i32) (local.get 0) (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1))))) (else (i32.const 0)))))`

// deepest is the depth that a recursion reaches.
func deepest(t *testing.T, instance *wasmer.Instance) int {
	t.Helper()
	f := function(t, instance, "f")
	low, high := 0, 1<<26
	for high-low > 1 {
		middle := (low + high) / 2
		if _, err := f.Call(background, middle); err != nil {
			require.ErrorIs(t, err, wasmer.TrapStackOverflow)
			high = middle
		} else {
			low = middle
		}
	}
	return low
}

// Guests run on stacks that are used again, also by guests with another limit: whoever ran before on the thread, each
// guest has what its engine gives it.
func TestStacksHaveTheSizeOfTheEngine(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		make := func(size int) *wasmer.Instance {
			return instantiate(t, engineOf(t, engine, wasmer.EngineConfig{StackSize: size}), recurses, nil)
		}
		onLockedThread(func() {
			small, large := make(64<<10), make(16<<20)
			alone := deepest(t, small)
			require.Positive(t, alone)
			far := deepest(t, large)
			require.Greater(t, far, 10*alone)
			for range 3 {
				require.InDelta(t, alone, deepest(t, small), 2, "after the large one")
				require.InDelta(t, far, deepest(t, large), 2, "after the small one")
			}
			medium := deepest(t, make(0))
			require.InDelta(t, 16, float64(far)/float64(medium), 2, "the default is 1 MiB")
			require.Less(t, alone, medium/10)
			require.InDelta(t, alone, deepest(t, make(1)), 2, "rounded up to 64 KiB")
			require.InDelta(t, alone, deepest(t, make(64<<10)), 2)
			require.Greater(t, deepest(t, make(64<<10+1)), alone*3/2)
		})
	})
}

// The same on a thread where the large one ran first.
func TestASmallStackAfterALargeOne(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		depths := func(sizes ...int) (depths []int) {
			onLockedThread(func() {
				for _, size := range sizes {
					depths = append(depths, deepest(t, instantiate(t, engineOf(t, engine, wasmer.EngineConfig{StackSize: size}), recurses, nil)))
				}
			})
			return depths
		}
		up, down := depths(64<<10, 1<<20, 16<<20), depths(16<<20, 1<<20, 64<<10)
		for n := range up {
			require.InDelta(t, up[n], down[2-n], 2)
		}
	})
}

// A guest of one engine calls one of another, by way of the host, and both overflow and go on.
func TestStacksOfNestedGuests(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		const size = 64 << 10
		inner := instantiate(t, engineOf(t, engine, wasmer.EngineConfig{StackSize: size}), recurses, nil)
		outer := instantiate(t, engineOf(t, engine, wasmer.EngineConfig{StackSize: 16 << 20}), `(module (import "env" "f" (func $host (result i32)))
			(func $f (export "f") (param i32) (result i32) (if (result i32) (local.get 0)
				(then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1))))) (else (call $host)))))`,
			wasmer.NewImports().Function("f", func() (int32, error) {
				_, err := function(t, inner, "f").Call(background, 1_000_000)
				if !errors.Is(err, wasmer.TrapStackOverflow) {
					return 0, fmt.Errorf("got %w", err)
				}
				_, err = function(t, inner, "f").Call(background, 50)
				return 0, err
			}))
		alone := deepest(t, inner)
		for _, depth := range []int{0, 10, alone, 10 * alone} {
			require.EqualValues(t, depth, call(t, outer, "f", depth).ToI32())
		}
		require.ErrorIs(t, failing(t, outer, "f", 1<<24), wasmer.TrapStackOverflow)
		require.InDelta(t, alone, deepest(t, inner), 2)
	})
}

// In a store with modules of several engines that of the store counts.
func TestTheStackOfAStore(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		small, large := engineOf(t, engine, wasmer.EngineConfig{StackSize: 64 << 10}), engineOf(t, engine, wasmer.EngineConfig{StackSize: 4 << 20})
		alone := deepest(t, instantiate(t, small, recurses, nil))
		in := instantiateIn(t, newStore(t, small), large, recurses, nil)
		require.InDelta(t, alone, deepest(t, in), 2)
		in = instantiateIn(t, newStore(t, large), small, recurses, nil)
		require.Greater(t, deepest(t, in), 10*alone)
	})
}

// What the system refuses is an error. The limit of address space is that of a process, which ends with the test.
func TestTheSystemRefusesAddressSpace(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs RLIMIT_AS")
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, ready := range []bool{true, false} {
			t.Run(map[bool]string{true: "warm", false: "cold"}[ready], func(t *testing.T) {
				inChild(t, func(t *testing.T) {
					module := compile(t, engine, `(module (memory (export "memory") 1) (func (export "f") (result i32) (i32.load (i32.const 0))))`)
					plain := compile(t, engine, recurses)
					var instance *wasmer.Instance
					if ready {
						instance = instantiate(t, engine, recurses, nil)
						require.EqualValues(t, 5, call(t, instance, "f", 5).ToI32())
					}
					limit := memoryStatus("VmSize") + 256<<20
					require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}))
					var kept []any
					memories, instances := 0, 0
					for range 100_000 {
						memory, err := wasmer.NewMemory(1, 1)
						if err != nil {
							require.ErrorIs(t, err, wasmer.ErrResource)
							require.Nil(t, memory)
							break
						}
						memories++
						kept = append(kept, memory)
					}
					require.Less(t, memories, 100_000)
					for range 100_000 {
						made, err := module.Instantiate()
						if err != nil {
							require.ErrorIs(t, err, wasmer.ErrResource)
							require.Nil(t, made)
							break
						}
						instances++
						kept = append(kept, made)
					}
					require.Less(t, instances, 100_000)
					// Guests of other threads take stacks: each runs, or says that there is none.
					for range 20 {
						onLockedThread(func() {
							made, err := plain.Instantiate()
							if err == nil {
								_, err = function(t, made, "f").Call(background, 100)
								kept = append(kept, made)
							}
							if err != nil {
								require.ErrorIs(t, err, wasmer.ErrResource)
							}
						})
					}
					if ready {
						require.EqualValues(t, 7, call(t, instance, "f", 7).ToI32(), "what is there goes on")
					}
					_, err := engine.Compile(background, []byte(recurses))
					if err != nil {
						require.ErrorIs(t, err, wasmer.ErrResource)
					}
					runtime.KeepAlive(kept)
				})
			})
		}
	})
}

// An artifact brings code: the limits are those of the engine that loads it.
func TestLimitsHoldForArtifacts(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		limited := engineOf(t, engine, wasmer.EngineConfig{MaxMemoryPages: 5, MaxTableElements: 3, StackSize: 64 << 10})
		load := func(engine *wasmer.Engine, module *wasmer.Module) *wasmer.Module {
			artifact, err := module.Serialize()
			require.NoError(t, err)
			loaded, err := engine.Deserialize(background, artifact)
			require.NoError(t, err)
			t.Cleanup(func() { _ = loaded.Close() })
			return loaded
		}
		for _, text := range []string{`(module (memory 6))`, `(module (table 4 funcref))`, `(module (table (export "t") 4 4 funcref))`} {
			_, err := load(limited, compile(t, engine, text)).Instantiate()
			require.ErrorIs(t, err, wasmer.ErrResource, text)
		}
		grows, err := load(limited, compile(t, engine, `(module (memory (export "memory") 1))`)).Instantiate()
		require.NoError(t, err)
		defer grows.Close()
		require.ErrorIs(t, grows.Memory.Grow(5), wasmer.ErrResource)
		small, err := load(limited, compile(t, engine, recurses)).Instantiate()
		require.NoError(t, err)
		defer small.Close()
		large, err := load(engine, compile(t, limited, recurses)).Instantiate()
		require.NoError(t, err)
		defer large.Close()
		require.Greater(t, deepest(t, large), 10*deepest(t, small))

		// What an engine may not compile it may not load either.
		plain := engineOf(t, engine, wasmer.EngineConfig{Features: wasmer.NewFeatures()})
		artifact, err := compile(t, engine, `(module (memory 1) (memory 1))`).Serialize()
		require.NoError(t, err)
		_, err = plain.Deserialize(background, artifact)
		require.ErrorIs(t, err, wasmer.ErrIncompatible)
	})
}

// Nothing, where it is allowed, is no special case.
func TestSizesOfZero(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		memory, err := store.NewMemoryOf(wasmer.MemoryType{})
		require.NoError(t, err)
		table := tableOf(t, store, wasmer.ValueTypeExternRef, wasmer.Limits{}, nil)
		text := `(module (import "env" "m" (memory 0)) (import "env" "t" (table 0 externref)) (export "m" (memory 0)) (export "t" (table 0))
			(memory (export "none") 0 0) (table (export "nothing") 0 0 funcref) (data (i32.const 0) "") (elem (table 1) (i32.const 0) func)
			(func (export "load") (result i32) (i32.load8_u (i32.const 0))))`
		instance := instantiateIn(t, store, engine, text, wasmer.NewImports().Extern("env", "m", memory).Table("env", "t", table))
		none, err := instance.ExportedMemory("none")
		require.NoError(t, err)
		for _, m := range []*wasmer.Memory{memory, none, instance.Memory} {
			require.Zero(t, m.Size())
			require.NotNil(t, m.Data())
			require.Empty(t, m.Data())
			require.ErrorIs(t, m.WriteByteAt(0, 1), wasmer.ErrOutOfBounds)
			require.NoError(t, m.WriteString(0, ""))
			require.NoError(t, m.Grow(0))
		}
		require.ErrorIs(t, failing(t, instance, "load"), wasmer.TrapOutOfBounds)
		require.ErrorIs(t, none.Grow(1), wasmer.ErrResource)
		require.NoError(t, memory.Grow(1))
		require.NoError(t, memory.WriteByteAt(0, 5))
		require.EqualValues(t, 5, call(t, instance, "load").ToI32())
		_, err = exportedTable(t, instance, "nothing").Grow(1, nil)
		require.ErrorIs(t, err, wasmer.ErrResource)
		_, err = table.Grow(1, "x")
		require.NoError(t, err)
		require.Equal(t, "x", element(t, exportedTable(t, instance, "t"), 0).ToExternRef())
	})
}

// Each of the calls that are nested in each other has a stack: they must not all be kept.
func TestStacksOfNestedCallsAreFreed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var instance *wasmer.Instance
		deepest := 0
		imports := wasmer.NewImports().Function("down", func(ctx context.Context, n int32) error {
			deepest = max(deepest, mappings())
			if n == 0 {
				return nil
			}
			_, err := function(t, instance, "run").Call(ctx, n-1)
			return err
		})
		instance = instantiate(t, engine, `(module (import "env" "down" (func $down (param i32)))
			(func (export "run") (param i32) (call $down (local.get 0))))`, imports)
		before := mappings()
		_, err := function(t, instance, "run").Call(background, 300)
		require.NoError(t, err)
		require.Greater(t, deepest, before+300, "each stack is a mapping of its own")
		require.Less(t, mappings(), before+150)
	})
}
