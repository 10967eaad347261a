package wasmer_test

import (
	"bytes"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// The memory example of go-ext-wasm's README.
func TestMemoryProgramOfTheReadme(t *testing.T) {
	bytes, err := wasmer.ReadBytes(wasmtest.Path(t, "memory.wasm"))
	require.NoError(t, err)
	instance, err := wasmer.NewInstance(bytes)
	require.NoError(t, err)
	defer instance.Close()
	result, err := instance.Exports["return_hello"]()
	require.NoError(t, err)
	pointer := result.ToI32()
	memory := instance.Memory.Data()
	require.Equal(t, "Hello, World!", string(memory[pointer:pointer+13]))
	require.Zero(t, memory[pointer+13])
	require.EqualValues(t, 1114112, instance.Memory.Length())
	require.Len(t, memory, 1114112)
	require.Equal(t, len(memory), cap(memory))
	require.EqualValues(t, 17, instance.Memory.Pages())
	text, err := instance.Memory.ReadCString(uint64(pointer))
	require.NoError(t, err)
	require.Equal(t, "Hello, World!", text)
	text, err = instance.Memory.ReadString(uint64(pointer), 5)
	require.NoError(t, err)
	require.Equal(t, "Hello", text)
}

func TestInstancesWithoutAndWithSeveralMemories(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "no_memory.wasm"), nil)
		require.False(t, instance.HasMemory())
		require.Nil(t, instance.Memory)
		require.Nil(t, instance.Memory.Data())
		require.Zero(t, instance.Memory.Length())
		require.ErrorIs(t, instance.Memory.Grow(1), wasmer.ErrClosed)
		require.NoError(t, instance.Memory.Close())
		require.EqualValues(t, 3, call(t, instance, "add", 1, 2).ToI32())

		instance = instantiate(t, engine, wasmtest.Fixture(t, "two_memories.wasm"), nil)
		require.True(t, instance.HasMemory())
		a, err := instance.ExportedMemory("a")
		require.NoError(t, err)
		require.Same(t, a, instance.Memory, "the first, if none is called memory")
		b, err := instance.ExportedMemory("b")
		require.NoError(t, err)
		require.Equal(t, "(memory 2 4)", b.Type().String())
		for text, memory := range map[string]*wasmer.Memory{"first": a, "second": b} {
			got, err := memory.ReadString(0, uint64(len(text)))
			require.NoError(t, err)
			require.Equal(t, text, got)
		}
		_, err = function(t, instance, "store_b").Call(background, 0, 'S')
		require.NoError(t, err)
		require.Equal(t, "Second", string(b.Data()[:6]))
		require.Equal(t, "first", string(a.Data()[:5]))
		require.EqualValues(t, 2, call(t, instance, "grow_b", 1).ToI32())
		require.Equal(t, []uint64{1, 3}, []uint64{a.Pages(), b.Pages()})
	})
}

// accessors read and write n bytes at an offset.
var accessors = []struct {
	name  string
	n     uint64
	read  func(*wasmer.Memory, uint64) (any, error)
	write func(*wasmer.Memory, uint64) error
	value any
	bytes string
}{
	{
		"Byte", 1, func(m *wasmer.Memory, o uint64) (any, error) { return m.ReadByteAt(o) },
		func(m *wasmer.Memory, o uint64) error { return m.WriteByteAt(o, 0xfe) }, byte(0xfe), "\xfe",
	},
	{
		"Uint16", 2, func(m *wasmer.Memory, o uint64) (any, error) { return m.ReadUint16Le(o) },
		func(m *wasmer.Memory, o uint64) error { return m.WriteUint16Le(o, 0xfedc) }, uint16(0xfedc), "\xdc\xfe",
	},
	{
		"Uint32", 4, func(m *wasmer.Memory, o uint64) (any, error) { return m.ReadUint32Le(o) },
		func(m *wasmer.Memory, o uint64) error { return m.WriteUint32Le(o, 0xfedcba98) }, uint32(0xfedcba98), "\x98\xba\xdc\xfe",
	},
	{
		"Uint64", 8, func(m *wasmer.Memory, o uint64) (any, error) { return m.ReadUint64Le(o) },
		func(m *wasmer.Memory, o uint64) error { return m.WriteUint64Le(o, 0xfedcba9876543210) },
		uint64(0xfedcba9876543210), "\x10\x32\x54\x76\x98\xba\xdc\xfe",
	},
	{
		"Float32", 4, func(m *wasmer.Memory, o uint64) (any, error) { return m.ReadFloat32Le(o) },
		func(m *wasmer.Memory, o uint64) error { return m.WriteFloat32Le(o, 1.5) }, float32(1.5), "\x00\x00\xc0\x3f",
	},
	{
		"Float64", 8, func(m *wasmer.Memory, o uint64) (any, error) { return m.ReadFloat64Le(o) },
		func(m *wasmer.Memory, o uint64) error { return m.WriteFloat64Le(o, -2) }, -2.0, "\x00\x00\x00\x00\x00\x00\x00\xc0",
	},
	{
		"Bytes", 3, func(m *wasmer.Memory, o uint64) (any, error) { return m.Read(o, 3) },
		func(m *wasmer.Memory, o uint64) error { return m.Write(o, []byte("abc")) }, []byte("abc"), "abc",
	},
	{
		"String", 5, func(m *wasmer.Memory, o uint64) (any, error) { return m.ReadString(o, 5) },
		func(m *wasmer.Memory, o uint64) error { return m.WriteString(o, "h\x00llo") }, "h\x00llo", "h\x00llo",
	},
}

// checkBounds reads and writes at the beginning and the end of the memory, and around.
func checkBounds(t *testing.T, memory *wasmer.Memory) {
	t.Helper()
	size := memory.Size()
	for _, a := range accessors {
		for _, offset := range []uint64{0, 1, size / 2, size - a.n} {
			require.NoError(t, a.write(memory, offset), a.name)
			value, err := a.read(memory, offset)
			require.NoError(t, err, a.name)
			require.Equal(t, a.value, value, a.name)
			require.Equal(t, a.bytes, string(memory.Data()[offset:offset+a.n]), a.name)
		}
		before, err := memory.Read(size-16, 16)
		require.NoError(t, err)
		for _, offset := range []uint64{
			size - a.n + 1, size, size + 1, 1 << 32, 1<<32 - 1 + 1<<32, 1 << 63, math.MaxInt64, math.MaxUint64 - a.n + 1, math.MaxUint64,
		} {
			require.ErrorIs(t, a.write(memory, offset), wasmer.ErrOutOfBounds, "%s at %#x", a.name, offset)
			_, err := a.read(memory, offset)
			require.ErrorIs(t, err, wasmer.ErrOutOfBounds, "%s at %#x", a.name, offset)
		}
		after, err := memory.Read(size-16, 16)
		require.NoError(t, err)
		require.Equal(t, before, after, "%s: a refused write changes nothing", a.name)
	}
	for _, n := range []uint64{size + 1, 1 << 33, 1 << 63, math.MaxUint64} {
		for _, offset := range []uint64{0, 1, size} {
			_, err := memory.Read(offset, n)
			require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
			_, err = memory.ReadString(offset, n)
			require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
		}
	}
	empty, err := memory.Read(size, 0)
	require.NoError(t, err, "nothing at the end is inside")
	require.Empty(t, empty)
	require.NoError(t, memory.Write(size, nil))
	require.NoError(t, memory.WriteString(size, ""))
	require.ErrorIs(t, memory.Write(size+1, nil), wasmer.ErrOutOfBounds)

	require.NoError(t, memory.Write(size-3, []byte{'o', 'k', 0}))
	text, err := memory.ReadCString(size - 3)
	require.NoError(t, err)
	require.Equal(t, "ok", text)
	require.NoError(t, memory.WriteByteAt(size-1, '!'))
	for _, offset := range []uint64{size - 3, size, size + 1, math.MaxUint64} {
		_, err = memory.ReadCString(offset)
		require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
	}
}

func TestMemoryAccessIsChecked(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "grow.wasm"), nil)
		checkBounds(t, instance.Memory)
		require.NoError(t, instance.Memory.Grow(2))
		checkBounds(t, instance.Memory)
		copied, err := instance.Memory.Read(0, 4)
		require.NoError(t, err)
		copied[0]++
		require.NotEqual(t, copied[0], instance.Memory.Data()[0], "Read copies")
		require.NoError(t, instance.Close())
		for _, a := range accessors {
			require.ErrorIs(t, a.write(instance.Memory, 0), wasmer.ErrClosed)
			_, err := a.read(instance.Memory, 0)
			require.ErrorIs(t, err, wasmer.ErrClosed)
		}
		require.Zero(t, instance.Memory.Size())
		require.Zero(t, instance.Memory.Pages())
		require.Nil(t, instance.Memory.Data())
		require.ErrorIs(t, instance.Memory.Grow(1), wasmer.ErrClosed)
		_, err = instance.Memory.ReadAt(make([]byte, 1), 0)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = instance.Memory.WriteAt(make([]byte, 1), 0)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = instance.Memory.ReadCString(0)
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestAMemoryOf4GiB(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (memory (export "memory") 65536)
			(func (export "load8") (param i32) (result i32) (i32.load8_u (local.get 0)))
			(func (export "load32") (param i32) (result i32) (i32.load (local.get 0)))
			(func (export "size") (result i32) (memory.size)) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`, nil)
		memory := instance.Memory
		require.EqualValues(t, 1<<32, memory.Size())
		require.EqualValues(t, 65536, memory.Pages())
		require.EqualValues(t, math.MaxUint32, memory.Length(), "it saturates")
		require.Equal(t, 1<<32, len(memory.Data()))
		require.EqualValues(t, 65536, call(t, instance, "size").ToI32())
		checkBounds(t, memory)
		require.NoError(t, memory.WriteByteAt(math.MaxUint32, 42))
		require.EqualValues(t, 42, call(t, instance, "load8", uint32(math.MaxUint32)).ToI32())
		require.NoError(t, memory.WriteUint32Le(1<<32-4, 0xabcdef01))
		require.EqualValues(t, 0xabcdef01, uint32(call(t, instance, "load32", -4).ToI32()))
		_, err := function(t, instance, "load32").Call(background, -3)
		require.ErrorIs(t, err, wasmer.TrapOutOfBounds)
		require.EqualValues(t, -1, call(t, instance, "grow", 1).ToI32())
		require.EqualValues(t, 65536, call(t, instance, "grow", 0).ToI32())
		require.ErrorIs(t, memory.Grow(1), wasmer.ErrResource)

		host, err := wasmer.NewMemory(65536, 65536)
		require.NoError(t, err)
		require.EqualValues(t, math.MaxUint32, host.Length())
		require.NoError(t, host.WriteUint64Le(1<<32-8, 1))
		require.NoError(t, host.Close())
	})
}

func TestMemoriesAreReadersAndWriters(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		memory := instantiate(t, engine, wasmtest.Fixture(t, "grow.wasm"), nil).Memory
		content := bytes.Repeat([]byte("0123456789abcdef"), wasmer.PageSize/16)
		n, err := memory.WriteAt(content, 0)
		require.NoError(t, err)
		require.Equal(t, len(content), n)
		require.NoError(t, iotest.TestReader(io.NewSectionReader(memory, 0, int64(memory.Size())), content))
		all, err := io.ReadAll(io.NewSectionReader(memory, 100, math.MaxInt64-100))
		require.NoError(t, err)
		require.Equal(t, content[100:], all)

		buffer := make([]byte, 8)
		for _, c := range []struct {
			offset int64
			n      int
			err    error
		}{
			{0, 8, nil},
			{wasmer.PageSize - 8, 8, nil},
			{wasmer.PageSize - 7, 7, io.EOF},
			{wasmer.PageSize, 0, io.EOF},
			{math.MaxInt64, 0, io.EOF},
			{-1, 0, wasmer.ErrOutOfBounds},
			{math.MinInt64, 0, wasmer.ErrOutOfBounds},
		} {
			n, err := memory.ReadAt(buffer, c.offset)
			require.Equal(t, c.n, n, c.offset)
			if c.err == io.EOF || c.err == nil {
				require.Equal(t, c.err, err, "io.EOF itself: callers compare")
			} else {
				require.ErrorIs(t, err, c.err)
			}
			n, err = memory.WriteAt([]byte("01234567"), c.offset)
			require.Equal(t, c.n, n, c.offset)
			if c.err == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, wasmer.ErrOutOfBounds, c.offset)
			}
		}
		for _, offset := range []int64{0, wasmer.PageSize, math.MaxInt64} {
			n, err := memory.ReadAt(nil, offset)
			require.Zero(t, n)
			require.NoError(t, err)
		}
		writer := io.NewOffsetWriter(memory, 100)
		copied, err := io.Copy(writer, iotest.OneByteReader(strings.NewReader("through an io.Writer")))
		require.NoError(t, err)
		require.EqualValues(t, 20, copied)
		require.Equal(t, "through an io.Writer", string(memory.Data()[100:120]))
	})
}

func TestDataIsTheMemoryItself(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "grow.wasm"), nil)
		first, second := instance.Memory.Data(), instance.Memory.Data()
		first[10] = 1
		require.EqualValues(t, 1, second[10])
		require.EqualValues(t, 1, call(t, instance, "load8", 10).ToI32())
		_, err := function(t, instance, "store8").Call(background, 11, 2)
		require.NoError(t, err)
		require.EqualValues(t, 2, first[11])

		previous, err := instance.Memory.GrowBy(3)
		require.NoError(t, err)
		require.EqualValues(t, 1, previous)
		require.EqualValues(t, 4, call(t, instance, "grow", 2).ToI32())
		require.Len(t, first, wasmer.PageSize)
		require.Equal(t, len(first), cap(first), "it does not reach into the new pages")
		if engine.Memories() == wasmer.ReservedMemories {
			require.Equal(t, []byte{1, 2}, first[10:12], "it still shows the same bytes")
		}
		first = instance.Memory.Data()
		require.Equal(t, []byte{1, 2}, first[10:12])
		first[12] = 3
		grown := instance.Memory.Data()
		require.Len(t, grown, 6*wasmer.PageSize)
		require.EqualValues(t, 3, grown[12])
		require.EqualValues(t, 3, call(t, instance, "load8", 12).ToI32())
		require.Zero(t, grown[6*wasmer.PageSize-1], "new pages are zero")

		empty := instantiate(t, engine, `(module (memory (export "memory") 0 1))`, nil).Memory
		require.NotNil(t, empty.Data())
		require.Empty(t, empty.Data())
		_, err = empty.ReadByteAt(0)
		require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
		require.NoError(t, empty.Grow(1))
		require.Len(t, empty.Data(), wasmer.PageSize)
	})
}

func TestGrowthStopsAtTheMaximum(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "grow.wasm"), nil) // at most 10 pages
		for _, pages := range []uint64{10, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, 1 << 48, math.MaxUint64} {
			_, err := instance.Memory.GrowBy(pages)
			require.ErrorIs(t, err, wasmer.ErrResource, pages)
			require.EqualValues(t, 1, instance.Memory.Pages())
			require.EqualValues(t, wasmer.PageSize, instance.Memory.Size())
		}
		require.ErrorIs(t, instance.Memory.Grow(math.MaxUint32), wasmer.ErrResource)
		require.NoError(t, instance.Memory.Grow(0))
		require.NoError(t, instance.Memory.Grow(9))
		previous, err := instance.Memory.GrowBy(0)
		require.NoError(t, err)
		require.EqualValues(t, 10, previous)
		require.ErrorIs(t, instance.Memory.Grow(1), wasmer.ErrResource)
		require.EqualValues(t, -1, call(t, instance, "grow", 1).ToI32())
		require.EqualValues(t, 10, call(t, instance, "size").ToI32())
	})
}

// A slice that is used after Close, against the rules, shows zeros, and never what another instance writes.
func TestDataAfterCloseNeverShowsAnotherInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, wasmtest.Fixture(t, "grow.wasm"))
		shared := compile(t, engine, wasmtest.Fixture(t, "atomics.wasm"))
		var kept [][]byte
		for range 20 {
			for _, module := range []*wasmer.Module{module, module, shared} {
				instance, err := module.Instantiate()
				require.NoError(t, err)
				old := instance.Memory.Data()
				_ = instance.Memory.Grow(2) // shared memories may not grow
				data := instance.Memory.Data()
				for i := range data {
					data[i] = 0xaa
				}
				require.NoError(t, instance.Close())
				if module != shared {
					require.True(t, bytes.Equal(make([]byte, len(data)), data))
				}
				kept = append(kept, old, data)
			}
		}
		for round := range 200 {
			instance, err := module.Instantiate()
			require.NoError(t, err)
			_, err = function(t, instance, "fill").Call(background, 0, 0xbb, wasmer.PageSize)
			require.NoError(t, err)
			if round%2 == 0 {
				require.EqualValues(t, 0xbb, instance.Memory.Data()[round])
				defer instance.Close()
			} else {
				require.NoError(t, instance.Close())
			}
		}
		for i, data := range kept {
			require.NotContains(t, data[:64], byte(0xbb), i)
			require.Equal(t, -1, bytes.IndexByte(data, 0xbb), "slice %d shows another instance", i)
			data[0] = 0xcc // lost, but harmless
		}
	})
}

func TestMemoriesAreUsedByManyGoroutines(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "grow.wasm"), nil)
		var wg sync.WaitGroup
		for id := range uint64(8) {
			wg.Go(func() {
				for i := range uint64(500) {
					offset := 8 * (id*500 + i)
					if err := instance.Memory.WriteUint64Le(offset, offset); err != nil {
						t.Error(err)
					}
					if got, err := instance.Memory.ReadUint64Le(offset); err != nil || got != offset {
						t.Errorf("%d at %d: %v", got, offset, err)
					}
					if i == 100 {
						_ = instance.Memory.Grow(1)
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 9, instance.Memory.Pages())
	})
}

func TestCloseOfAMemoryEndsItsUseByTheHost(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "grow.wasm"), nil)
		require.NoError(t, instance.Memory.Close())
		require.NoError(t, instance.Memory.Close())
		_, err := instance.Memory.Read(0, 1)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.EqualValues(t, 1, call(t, instance, "size").ToI32(), "the guest goes on")
	})
}
