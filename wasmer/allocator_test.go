package wasmer_test

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

const hamster = "Wasmer \U0001f439"

// The greet example of go-ext-wasm, step by step as there.
func TestGreetProgramOfTheReadme(t *testing.T) {
	instance, err := wasmer.NewInstance(wasmtest.Fixture(t, "greet.wasm"))
	require.NoError(t, err)
	defer instance.Close()
	length := len(hamster)
	allocated, err := instance.Exports["allocate"](length + 1)
	require.NoError(t, err)
	input := allocated.ToI32()
	memory := instance.Memory.Data()[input:]
	copy(memory, hamster)
	memory[length] = 0
	greeted, err := instance.Exports["greet"](input)
	require.NoError(t, err)
	output := greeted.ToI32()
	memory = instance.Memory.Data()[output:]
	text := string(memory[:bytes.IndexByte(memory, 0)])
	require.Equal(t, "Hello, "+hamster+"!", text)
	_, err = instance.Exports["deallocate"](input, length+1)
	require.NoError(t, err)
	_, err = instance.Exports["deallocate"](output, len(text)+1)
	require.NoError(t, err)
}

func TestCallStringPassesTextInAndOut(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "greet.wasm"), nil)
		for _, subject := range []string{hamster, "", "x", strings.Repeat("long ", 100_000)} {
			text, err := instance.CallString(background, "greet", subject, true)
			require.NoError(t, err)
			require.Equal(t, "Hello, "+subject+"!", text)
		}
		size := instance.Memory.Size()
		for range 500 {
			_, err := instance.CallString(background, "greet", strings.Repeat("x", 10_000), true)
			require.NoError(t, err)
		}
		require.Equal(t, size, instance.Memory.Size(), "both strings are freed")
		ptr, err := instance.AllocString(hamster)
		require.NoError(t, err)
		text, err := instance.Memory.ReadCString(ptr)
		require.NoError(t, err)
		require.Equal(t, hamster, text)
		require.NoError(t, instance.Free(background, ptr, uint64(len(hamster)+1)))
	})
}

func TestEveryKindOfAllocatorIsFound(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for file, transform := range map[string]func([]byte) []byte{
			"malloc.wasm": bytes.ToUpper,
			"realloc.wasm": func(b []byte) []byte {
				b = bytes.Clone(b)
				for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
					b[i], b[j] = b[j], b[i]
				}
				return b
			},
			"alloc.wasm": nil,
		} {
			instance := instantiate(t, engine, wasmtest.Fixture(t, file), nil)
			live := func() int32 { return call(t, instance, "live").ToI32() }
			name := map[string]string{"malloc.wasm": "upper", "realloc.wasm": "reverse"}[file]
			for _, data := range [][]byte{[]byte("banana"), nil, {}, {0}, bytes.Repeat([]byte("abc"), 100_000)} {
				ptr, err := instance.AllocBytes(background, data)
				require.NoError(t, err, file)
				if len(data) > 0 {
					require.EqualValues(t, 1, live(), file)
				}
				got, err := instance.Memory.Read(ptr, uint64(len(data)))
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, got))
				if transform == nil {
					require.EqualValues(t, bytes.Count(data, []byte("a")), call(t, instance, "count", ptr, len(data)).ToI32())
				}
				require.NoError(t, instance.Free(background, ptr, uint64(len(data))), file)
				require.Zero(t, live(), file)
				if transform == nil {
					continue
				}
				for range 20 {
					got, err := instance.CallBytes(background, name, data)
					require.NoError(t, err, file)
					require.True(t, bytes.Equal(transform(data), got), file)
					require.Zero(t, live(), "%s: both buffers are freed", file)
				}
			}
			ptr, err := instance.Alloc(background, 100)
			require.NoError(t, err)
			require.NotZero(t, ptr)
			require.EqualValues(t, 1, live())
			require.NoError(t, instance.Free(background, ptr, 100))
			require.Error(t, instance.Free(background, ptr, 100), "the fixture traps at a second free")
			_, err = instance.Alloc(background, math.MaxUint32+1)
			require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
			_, err = instance.Alloc(background, 1<<31)
			if file == "realloc.wasm" {
				require.ErrorIs(t, err, wasmer.TrapUnreachable)
			} else {
				require.ErrorIs(t, err, wasmer.ErrResource)
			}
		}
	})
}

// counting is an allocator that never reuses, so that its number of live blocks is all there is to see. Its names are
// filled in, and what it takes to free.
const counting = `(module (memory (export "memory") 1) (global $live (mut i32) (i32.const 0)) (global $next (mut i32) (i32.const 1024))
	(func (export "live") (result i32) (global.get $live))
	(func $alloc (export "ALLOC") (param i32) (result i32)
		(global.set $live (i32.add (global.get $live) (i32.const 1)))
		(global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))
	(func (export "FREE") (param SIZE) (global.set $live (i32.sub (global.get $live) (i32.const 1))))
	(func (export "same") (param i32) (result i32) (local.get 0))
	(func (export "wild") (param i32) (result i32) (i32.const -16))
	(func (export "same_bytes") (param i32 i32) (result i64)
		(i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
	(func (export "wild_bytes") (param i32 i32) (result i64) (i64.const -1))
	(func (export "trap") (param i32) (result i32) unreachable)
	(func (export "trap_bytes") (param i32 i32) (result i64) unreachable))`

func TestNothingIsFreedTwiceOrForgotten(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, names := range [][3]string{
			{"allocate", "deallocate", "i32 i32"}, {"malloc", "free", "i32"}, {"malloc", "free", "i32 i32"},
			{"alloc", "dealloc", "i32 i32"}, {"alloc", "dealloc", "i32"},
		} {
			text := strings.NewReplacer("ALLOC", names[0], "FREE", names[1], "SIZE", names[2]).Replace(counting)
			instance := instantiate(t, engine, text, nil)
			live := func() int32 { return call(t, instance, "live").ToI32() }
			for _, free := range []bool{true, false} {
				text, err := instance.CallString(background, "same", "text", free)
				require.NoError(t, err)
				require.Equal(t, "text", text)
				require.Zero(t, live(), "a result that is the argument is freed once")
			}
			data, err := instance.CallBytes(background, "same_bytes", []byte("data"))
			require.NoError(t, err)
			require.Equal(t, "data", string(data))
			require.Zero(t, live())
			_, err = instance.CallString(background, "wild", "text", true)
			require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
			require.Zero(t, live(), "the argument is freed all the same")
			_, err = instance.CallBytes(background, "wild_bytes", []byte("data"))
			require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
			require.Zero(t, live())
			_, err = instance.CallString(background, "trap", "text", true)
			require.ErrorIs(t, err, wasmer.TrapUnreachable)
			_, err = instance.CallBytes(background, "trap_bytes", nil)
			require.ErrorIs(t, err, wasmer.TrapUnreachable)
		}
	})
}

func TestTheResultOfCallStringIsKeptIfAsked(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (memory (export "memory") 1) (data (i32.const 16) "static\00")
			(global $live (mut i32) (i32.const 0))
			(func (export "allocate") (param i32) (result i32) (global.set $live (i32.add (global.get $live) (i32.const 1))) (i32.const 1024))
			(func (export "deallocate") (param i32 i32)
				(if (i32.ne (local.get 0) (i32.const 1024)) (then unreachable))
				(global.set $live (i32.sub (global.get $live) (i32.const 1))))
			(func (export "live") (result i32) (global.get $live))
			(func (export "static") (param i32) (result i32) (i32.const 16)))`, nil)
		text, err := instance.CallString(background, "static", "x", false)
		require.NoError(t, err)
		require.Equal(t, "static", text)
		require.Zero(t, call(t, instance, "live").ToI32())
		_, err = instance.CallString(background, "static", "x", true)
		require.ErrorIs(t, err, wasmer.TrapUnreachable, "this guest does not let its constant be freed")
	})
}

func TestAllocatorsOfOtherTypesAreNotTaken(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		// What is called allocate is none; alloc and dealloc are.
		instance := instantiate(t, engine, `(module (memory (export "memory") 1)
			(func (export "allocate") (param i64) (result i32) unreachable) (func (export "deallocate") (param i32 i32) unreachable)
			(func (export "malloc") (param i32) (result i32) unreachable) (func (export "free") (param i64) unreachable)
			(func (export "alloc") (param i32) (result i32) (i32.const 65532)) (func (export "dealloc") (param i32 i32)))`, nil)
		ptr, err := instance.AllocBytes(background, []byte("abcd"))
		require.NoError(t, err)
		require.EqualValues(t, 65532, ptr)
		require.NoError(t, instance.Free(background, ptr, 4))
		_, err = instance.AllocBytes(background, []byte("abcde"))
		require.ErrorIs(t, err, wasmer.ErrOutOfBounds, "an allocator that lies")

		for _, guest := range []string{
			`(module (memory (export "memory") 1) (func (export "malloc") (param i32) (result i32) unreachable))`,
			`(module (memory (export "memory") 1) (func (export "cabi_realloc") (param i32) (result i32) unreachable))`,
		} {
			instance := instantiate(t, engine, guest, nil)
			_, err = instance.Alloc(background, 1)
			require.ErrorIs(t, err, wasmer.ErrNotFound)
			require.ErrorContains(t, err, "allocate/deallocate, malloc/free, alloc/dealloc, cabi_realloc")
			require.ErrorIs(t, instance.Free(background, 0, 1), wasmer.ErrNotFound)
			_, err = instance.AllocString("x")
			require.ErrorIs(t, err, wasmer.ErrNotFound)
		}
	})
}

func TestHelpersRefuseOtherFunctions(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "malloc.wasm"), nil)
		var refusal *wasmer.CallError
		_, err := instance.CallString(background, "upper", "x", true)
		require.ErrorAs(t, err, &refusal)
		require.ErrorContains(t, err, "want (func (param i32) (result i32))")
		_, err = instance.CallBytes(background, "malloc", nil)
		require.ErrorAs(t, err, &refusal)
		require.ErrorContains(t, err, "want (func (param i32 i32) (result i64))")
		_, err = instance.CallString(background, "missing", "x", true)
		require.ErrorIs(t, err, wasmer.ErrNotFound)
		done, cancel := context.WithCancel(background)
		cancel()
		_, err = instance.CallBytes(done, "upper", []byte("x"))
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, call(t, instance, "live").ToI32())

		bare := instantiate(t, engine, wasmtest.Fixture(t, "no_memory.wasm"), nil)
		_, err = bare.AllocString("x")
		require.ErrorIs(t, err, wasmer.ErrNotFound)
		for _, closed := range []*wasmer.Instance{nil, instance} {
			require.NoError(t, closed.Close())
			_, err = closed.Alloc(background, 1)
			require.ErrorIs(t, err, wasmer.ErrClosed)
			_, err = closed.AllocString("x")
			require.ErrorIs(t, err, wasmer.ErrClosed)
			_, err = closed.CallString(background, "upper", "x", true)
			require.ErrorIs(t, err, wasmer.ErrClosed)
			_, err = closed.CallBytes(background, "upper", nil)
			require.ErrorIs(t, err, wasmer.ErrClosed)
			require.ErrorIs(t, closed.Free(background, 0, 1), wasmer.ErrClosed)
		}
	})
}
