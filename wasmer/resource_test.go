package wasmer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// limitAddressSpace leaves the process so many bytes more.
func limitAddressSpace(t *testing.T, more uint64) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs RLIMIT_AS")
	}
	limit := memoryStatus("VmSize") + more
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}))
}

// untilRefused makes things until there is no room for more, which must be told with the limit that was hit.
func untilRefused(t *testing.T, limit string, make func(n int) (any, error)) (made []any) {
	t.Helper()
	for n := range 1_000_000 {
		thing, err := make(n)
		if err != nil {
			require.ErrorIs(t, err, wasmer.ErrResource, "after %d", n)
			require.ErrorContains(t, err, limit, "after %d", n)
			return made
		}
		made = append(made, thing)
	}
	t.Fatal("there is no end")
	return nil
}

const addressSpace = "RLIMIT_AS (ulimit -v) is "

// Nothing that the system refuses ends the process, and the error names the limit. What is there goes on.
func TestRefusalsNameTheLimit(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, make := range map[string]func(*testing.T) func(int) (any, error){
			"instances": func(t *testing.T) func(int) (any, error) {
				module := compile(t, engine, `(module (memory (export "memory") 50))`)
				return func(int) (any, error) { return wasmer.Instantiate(background, module, nil) }
			},
			"instances without memory": func(t *testing.T) func(int) (any, error) {
				module := compile(t, engine, `(module (func (export "f")))`)
				return func(int) (any, error) { return wasmer.Instantiate(background, module, nil) }
			},
			"memories": func(t *testing.T) func(int) (any, error) {
				store := newStore(t, engine)
				return func(int) (any, error) { return store.NewMemory(50, 60) }
			},
			"tables": func(t *testing.T) func(int) (any, error) {
				store := newStore(t, engine)
				return func(int) (any, error) {
					return store.NewTable(wasmer.TableType{Element: wasmer.ValueTypeFuncRef, Limits: wasmer.Limits{Min: 1_000_000}}, nil)
				}
			},
			"tables of instances": func(t *testing.T) func(int) (any, error) {
				module := compile(t, engine, `(module (table 1000000 funcref))`)
				return func(int) (any, error) { return wasmer.Instantiate(background, module, nil) }
			},
			"code": func(t *testing.T) func(int) (any, error) {
				text := "(module " + strings.Repeat("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const 77777)))", 3000) + ")"
				wasm, err := wasmer.Wat2Wasm(text)
				require.NoError(t, err)
				artifact, err := compile(t, engine, wasm).Serialize()
				require.NoError(t, err)
				often := 50
				if engine.Compiler() == wasmer.LLVM {
					often = 1000 // it takes its time
				}
				return func(n int) (any, error) {
					if n%often == 0 {
						return engine.Compile(background, wasm)
					}
					return engine.Deserialize(background, artifact)
				}
			},
			"stacks": func(t *testing.T) func(int) (any, error) {
				deep := engineOf(t, engine, wasmer.EngineConfig{StackSize: 32 << 20, MaxCallDepth: 1000, Memories: engine.Memories()})
				var guest *wasmer.Instance
				guest = instantiate(t, deep, `(module (import "env" "down" (func $down)) (func (export "run") (call $down)))`,
					wasmer.NewImports().Function("down", func(ctx context.Context) error {
						_, err := function(t, guest, "run").Call(ctx)
						return err
					}))
				return func(int) (any, error) {
					_, err := function(t, guest, "run").Call(background)
					return nil, err
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				inChild(t, func(t *testing.T) {
					guest := instantiate(t, engine, grower, nil)
					require.EqualValues(t, 1, call(t, guest, "grow", 0).ToI32()) // it has a stack
					next := make(t)
					limitAddressSpace(t, 350<<20)
					made := untilRefused(t, addressSpace, next)
					before := guest.Memory.Pages()
					grown := []int32{int32(before)}
					if (name == "memories" || name == "instances") && engine.Memories() == wasmer.BoundedMemories {
						grown = append(grown, -1) // they may have taken the last page
					}
					require.Contains(t, grown, call(t, guest, "grow", 1).ToI32(), "what is there goes on")
					require.EqualValues(t, -1, call(t, guest, "grow", 20000).ToI32()&call(t, guest, "grow", 60000).ToI32()|
						map[bool]int32{true: -1}[engine.Memories() == wasmer.ReservedMemories], "memory.grow has no room")
					if _, err := next(0); err != nil {
						require.ErrorIs(t, err, wasmer.ErrResource, "again")
					}
					if name == "instances" && engine.Memories() == wasmer.BoundedMemories {
						_, err := newStore(t, engine).NewMemory(3000, 3000)
						require.ErrorIs(t, err, wasmer.ErrResource)
						for _, guest := range made {
							require.NoError(t, guest.(*wasmer.Instance).Close())
						}
						_, err = engine.Compile(background, []byte(grower))
						require.NoError(t, err, "what was freed can be had by others")
						_, err = newStore(t, engine).NewMemory(1500, 1500)
						require.NoError(t, err, "what was freed can be had in one piece")
					}
					runtime.KeepAlive(made)
				})
			})
		}
	})
}

// The sysctl is named, and its value.
func TestTheLimitOfMappingsIsNamed(t *testing.T) {
	data, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if err != nil {
		t.Skip(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(data)))
	require.NoError(t, err)
	if most > 100_000 {
		t.Skip("there are too many to use them up")
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		inChild(t, func(t *testing.T) {
			reserved := engineOf(t, engine, wasmer.EngineConfig{Memories: wasmer.ReservedMemories})
			module := compile(t, reserved, grower)
			var pages [][]byte
			for n := 0; n < most-600; n++ { // of different access, so that they are not merged
				page, err := syscall.Mmap(-1, 0, 4096, []int{syscall.PROT_NONE, syscall.PROT_READ}[n%2], syscall.MAP_ANON|syscall.MAP_PRIVATE)
				if err != nil {
					break
				}
				pages = append(pages, page)
			}
			guests := untilRefused(t, fmt.Sprintf("the sysctl vm.max_map_count is %d, ", most), func(int) (any, error) {
				return wasmer.Instantiate(background, module, nil)
			})
			require.NotEmpty(t, guests)
			for _, page := range pages {
				_ = syscall.Munmap(page)
			}
			guest, err := wasmer.Instantiate(background, module, nil)
			require.NoError(t, err, "there is room again")
			require.NoError(t, guest.Close())
			runtime.KeepAlive(guests)
		})
	})
}

// With bounded memories a process of 4 GiB of address space does all that others do.
func TestBoundedMemoriesUnderAnAddressSpaceLimit(t *testing.T) {
	const limit = 4 << 30
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		inChild(t, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skip("needs RLIMIT_AS")
			}
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}))
			module := compile(t, engine, grower)
			guest, err := wasmer.Instantiate(background, module, nil)
			if engine.Memories() == wasmer.ReservedMemories {
				require.ErrorIs(t, err, wasmer.ErrResource)
				require.ErrorContains(t, err, addressSpace+strconv.Itoa(limit)+" bytes")
				return
			}
			require.NoError(t, err)
			useMemories(t, module, guest, 16*1000)
		})
	})
}

// The same in a control group with 512 MiB of memory, where one can be made.
func TestBoundedMemoriesInAControlGroup(t *testing.T) {
	const limit = 512 << 20
	eachBounded(t, func(t *testing.T, engine *wasmer.Engine) {
		group := filepath.Join("/sys/fs/cgroup/memory", "wasmer-go-test-"+strconv.Itoa(os.Getpid()))
		if os.Getenv(childEnv) == "" {
			if err := os.Mkdir(group, 0o700); err != nil {
				t.Skip(err)
			}
			t.Cleanup(func() { _ = os.Remove(group) })
			if err := os.WriteFile(filepath.Join(group, "memory.limit_in_bytes"), []byte(strconv.Itoa(limit)), 0); err != nil {
				t.Skip(err)
			}
			t.Setenv("WASMER_GO_TEST_GROUP", group)
		}
		inChild(t, func(t *testing.T) {
			procs := filepath.Join(os.Getenv("WASMER_GO_TEST_GROUP"), "cgroup.procs")
			require.NoError(t, os.WriteFile(procs, []byte(strconv.Itoa(os.Getpid())), 0))
			module := compile(t, engine, grower)
			useMemories(t, module, instance(t, module), 16*200) // of which each must have its own pages
		})
	})
}

// useMemories makes many instances, and one whose memory grows to 300 MiB, all of it in use.
func useMemories(t *testing.T, module *wasmer.Module, guest *wasmer.Instance, count int) {
	t.Helper()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range count / 4 {
				other, err := wasmer.Instantiate(background, module, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if err := other.Memory.WriteUint32Le(4096, 1); err != nil {
					t.Error(err)
				}
				defer other.Close()
			}
		})
	}
	group.Wait()
	page := bytes.Repeat([]byte("x"), wasmer.PageSize)
	for pages := guest.Memory.Pages(); pages < 300<<20/wasmer.PageSize; pages = guest.Memory.Pages() {
		require.EqualValues(t, pages, loaded(t, guest, "grow", 16))
		for n := range uint64(16) {
			require.NoError(t, guest.Memory.Write((pages+n)*wasmer.PageSize, page))
		}
	}
	for at := uint64(wasmer.PageSize); at < guest.Memory.Size(); at += 1 << 20 {
		b, err := guest.Memory.ReadByteAt(at)
		require.NoError(t, err)
		require.EqualValues(t, 'x', b)
	}
	require.NoError(t, guest.Close())
}
