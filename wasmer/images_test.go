package wasmer_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// segment is a data segment, as the test puts it into a memory itself.
type segment struct {
	offset int
	data   string
	// global has the offset come from an import.
	global bool
}

func (s segment) String() string {
	if s.global {
		return fmt.Sprintf(`(data (global.get $base) %q)`, s.data)
	}
	return fmt.Sprintf(`(data (i32.const %d) %q)`, s.offset, s.data)
}

// base is what the imported global has.
const base = 70_000

// big is data that is worth an image.
var big = strings.Repeat("0123456789abcdef", 128<<10/16)

// Instances begin with the data of their segments, the first, which copies it, and those that share it; whatever others have
// done to theirs. An artifact does the same.
func TestEveryInstanceBeginsWithTheSegments(t *testing.T) {
	const pages = 6
	tests := map[string][]segment{
		"one":                {{1024, big, false}},
		"at both ends":       {{0, "first", false}, {pages*wasmer.PageSize - len(big), big, false}},
		"in order":           {{100, big, false}, {50_000, strings.Repeat("x", 100_000), false}, {60_000, "y", false}, {99, "zz", false}},
		"with an import":     {{4096, big, false}, {base, strings.Repeat("i", 500), true}, {base + 100, "later", false}},
		"an import first":    {{base, "import", true}, {base + 3, big, false}},
		"nothing in between": {{1 << 16, big, false}, {300_000, "", false}, {pages * wasmer.PageSize, "", false}},
		"small":              {{8, "small", false}},
	}
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, segments := range tests {
			want := make([]byte, pages*wasmer.PageSize)
			var source strings.Builder
			for _, segment := range segments {
				copy(want[segment.offset:], segment.data)
				source.WriteString(segment.String())
			}
			compiled := compile(t, engine, fmt.Sprintf(`(module (global $base (import "env" "base") i32)
					(memory (export "memory") %d 8) %s (data $passive "passive")
					(func (export "init") (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 7)))
					(func (export "spoil") (drop (memory.grow (i32.const 1)))
						(memory.fill (i32.const 0) (i32.const 238) (i32.mul (memory.size) (i32.const 65536)))))`,
				pages, source.String()))
			artifact, err := compiled.Serialize()
			require.NoError(t, err)
			loaded, err := engine.Deserialize(background, artifact)
			require.NoError(t, err)
			t.Cleanup(func() { _ = loaded.Close() })

			for _, module := range []*wasmer.Module{compiled, loaded} {
				for round := range 8 {
					store, err := wasmer.NewStore(engine)
					require.NoError(t, err)
					global := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32}, base)
					instance, err := store.Instantiate(background, "", module, wasmer.NewImports().Global("env", "base", global))
					require.NoError(t, err)
					got, err := instance.Memory.Read(0, pages*wasmer.PageSize)
					require.NoError(t, err)
					require.True(t, bytes.Equal(want, got), name)
					if round%2 == 0 { // the place is nobody else's afterwards
						require.True(t, bytes.Equal(want, instance.Memory.Data()), name)
					}
					run(t, instance, "init")
					require.Equal(t, "passive", wasmer.Must(instance.Memory.ReadString(0, 7)))
					run(t, instance, "spoil")
					require.EqualValues(t, pages+1, instance.Memory.Pages())
					require.NoError(t, store.Close())
				}
			}
		}
	})
}

// What fails leaves what the specification says: the segments before the one that is out of bounds, in what is imported and
// in what others have references to.
func TestInstantiationFailsTheSameWithSharedData(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, test := range map[string]struct {
			segments string
			seen     int32
		}{
			"data":    {fmt.Sprintf(`(data (i32.const 0) %q) (data (i32.const 393217) "")`, big), '3'},
			"element": {fmt.Sprintf(`(elem (i32.const 4) $peek) (data (i32.const 0) %q)`, big), 0},
		} {
			store, err := wasmer.NewStore(engine)
			require.NoError(t, err)
			host := instantiateIn(t, store, engine, `(module (table (export "table") 4 funcref)
					(type $peek (func (result i32)))
					(func (export "peek") (result i32) (call_indirect (type $peek) (i32.const 1))))`, nil)
			module := compile(t, engine, `(module (import "host" "table" (table 4 funcref)) (memory 6)
					(func $peek (result i32) (i32.load8_u (i32.const 3)))
					(elem (i32.const 1) $peek) `+test.segments+`)`)
			for range 4 {
				_, err := store.Instantiate(background, "", module, wasmer.NewImports().Instance("host", host))
				require.ErrorAs(t, err, new(*wasmer.Trap), name)
				require.Equal(t, test.seen, call(t, host, "peek").ToI32(), name)
			}
			require.NoError(t, store.Close())
		}

		store, err := wasmer.NewStore(engine)
		require.NoError(t, err)
		memory, err := store.NewMemory(4, 4)
		require.NoError(t, err)
		module := compile(t, engine, fmt.Sprintf(`(module (import "env" "memory" (memory 4))
				(data (i32.const 0) %q) (data (i32.const 262143) "second") (data (i32.const 0) "third"))`, big))
		for range 3 {
			require.NoError(t, memory.Write(0, make([]byte, memory.Size())))
			_, err = store.Instantiate(background, "", module, wasmer.NewImports().Namespace("env").Memory("memory", memory))
			require.ErrorIs(t, err, wasmer.TrapOutOfBounds)
			require.Equal(t, big, string(memory.Data()[:len(big)]))
		}
		require.NoError(t, store.Close())
	})
}

// The data is shared from the second instance on, and freed with the module and its instances.
func TestSharedDataIsCountedAndFreed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("data is copied here")
	}
	inChild(t, func(t *testing.T) { // where nobody else has images
		eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
			before := wasmer.Stats()
			module := compile(t, engine, fmt.Sprintf(`(module (memory 4) (data (i32.const 5000) %q))`, big))
			first := instance(t, module)
			require.Equal(t, before.ImageBytes, wasmer.Stats().ImageBytes)
			second := instance(t, module)
			require.NoError(t, first.Close())
			for range 5 {
				require.NoError(t, instance(t, module).Close())
			}
			stats := wasmer.Stats()
			require.Equal(t, before.Images+1, stats.Images)
			require.GreaterOrEqual(t, stats.ImageBytes-before.ImageBytes, int64(len(big)))
			require.Less(t, stats.ImageBytes-before.ImageBytes, int64(len(big)+2*4096))
			require.NoError(t, module.Close())
			require.Equal(t, before.Images+1, wasmer.Stats().Images)
			require.NoError(t, second.Close())
			require.Equal(t, before.Images, wasmer.Stats().Images)
			require.Equal(t, before.ImageBytes, wasmer.Stats().ImageBytes)
			maps, err := os.ReadFile("/proc/self/maps")
			require.NoError(t, err)
			require.NotContains(t, string(maps), "wasmer-memory", "also where memories were")
		})
	})
}

// Dirty pages of shared data are those that the instance has written.
func TestDirtyPagesOfSharedData(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, fmt.Sprintf(`(module (memory (export "memory") 4) (data (i32.const 8192) %q)
			(func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1))))`, big))
		for range 3 {
			i := instance(t, module)
			require.NoError(t, i.Memory.TrackDirty())
			run(t, i, "store", 8192, 'x')
			run(t, i, "store", 100_000, wasmer.Must(i.Memory.ReadByteAt(100_000))) // what it has already
			run(t, i, "store", 200_000, 'y')
			pages, err := i.Memory.DirtyPages()
			require.NoError(t, err)
			require.Equal(t, []wasmer.PageRange{{Offset: 8192, Size: 4096}, {Offset: 48 * 4096, Size: 4096}}, pages)
			require.NoError(t, i.Close())
		}
	})
}

// Goroutines that make instances with shared data, write all over it, grow, trap and close, at once, see nothing of each other:
// neither do slices that were kept.
func TestSharedDataUnderConcurrency(t *testing.T) {
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		var modules []*wasmer.Module
		for i := range 3 {
			modules = append(modules, compile(t, engine, fmt.Sprintf(`(module (memory (export "memory") %d 9) (data (i32.const %d) %q)
				(func (export "spoil") (param i32)
					(memory.fill (i32.const 0) (local.get 0) (i32.mul (memory.size) (i32.const 65536))))
				(func (export "beyond") (i32.store8 (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))))`,
				3+i, 1000*i, big)))
		}
		want := func(i int) []byte {
			memory := make([]byte, (3+i)*wasmer.PageSize)
			copy(memory[1000*i:], big)
			return memory
		}
		wants := [][]byte{want(0), want(1), want(2)}
		work := func(worker int) error {
			var kept [][]byte
			for round := range 20 {
				which := (worker + round) % len(modules)
				i, err := wasmer.Instantiate(background, modules[which], nil)
				if err != nil {
					return err
				}
				got, err := i.Memory.Read(0, i.Memory.Size())
				if err != nil || !bytes.Equal(got, wants[which]) {
					return fmt.Errorf("another's bytes in round %d: %v", round, err)
				}
				if round%5 == 0 {
					kept = append(kept, i.Memory.Data())
				}
				if round%2 == 0 {
					if err := i.Memory.Grow(2); err != nil {
						return err
					}
					if rest := wasmer.Must(i.Memory.Read(uint64(len(got)), 2*wasmer.PageSize)); !bytes.Equal(rest, make([]byte, len(rest))) {
						return fmt.Errorf("what was added is not zero in round %d", round)
					}
				}
				if _, err = wasmer.Must(i.Function("spoil")).Call(background, worker+1); err != nil {
					return err
				}
				if _, err = wasmer.Must(i.Function("beyond")).Call(background); !errors.Is(err, wasmer.TrapOutOfBounds) {
					return fmt.Errorf("beyond the end: %v", err)
				}
				_ = i.Close()
			}
			for _, bytes := range kept {
				if slices.ContainsFunc(bytes, func(b byte) bool { return b != 0 }) {
					return errors.New("a slice that was kept too long shows something")
				}
			}
			return nil
		}
		var group sync.WaitGroup
		var failures [8]error
		for worker := range failures {
			group.Go(func() { failures[worker] = work(worker) })
		}
		group.Wait()
		require.NoError(t, errors.Join(failures[:]...))
	})
}
