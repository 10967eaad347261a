package wasmer_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// memoryAccess is an instruction that accesses so many bytes of memory.
type memoryAccess struct {
	name  string
	width uint64
	// operands follow the address (locals, since Singlepass compiles no narrow rmw of constants); results are dropped.
	operands string
	results  int
	aligned  bool
}

// memoryAccesses lists the instructions with an address that the engine has.
func memoryAccesses(engine *wasmer.Engine) (list []memoryAccess) {
	number := map[string]uint64{"i32": 4, "i64": 8, "f32": 4, "f64": 8}
	for typ, width := range number {
		list = append(list, memoryAccess{typ + ".load", width, "", 1, false},
			memoryAccess{typ + ".store", width, "(local.get $" + typ + ")", 0, false})
	}
	for typ, suffixes := range map[string]map[string]uint64{"i32": {"8": 1, "16": 2}, "i64": {"8": 1, "16": 2, "32": 4}} {
		operand := "(local.get $" + typ + ")"
		atomics := map[string]uint64{"": number[typ]}
		for suffix, width := range suffixes {
			list = append(list, memoryAccess{typ + ".load" + suffix + "_u", width, "", 1, false},
				memoryAccess{typ + ".load" + suffix + "_s", width, "", 1, false},
				memoryAccess{typ + ".store" + suffix, width, operand, 0, false})
			atomics[suffix] = width
		}
		for suffix, width := range atomics {
			u := ""
			if suffix != "" {
				u = "_u"
			}
			list = append(list, memoryAccess{typ + ".atomic.load" + suffix + u, width, "", 1, true},
				memoryAccess{typ + ".atomic.store" + suffix, width, operand, 0, true})
			for _, op := range []string{"add", "sub", "and", "or", "xor", "xchg"} {
				list = append(list, memoryAccess{typ + ".atomic.rmw" + suffix + "." + op + u, width, operand, 1, true})
			}
			list = append(list, memoryAccess{typ + ".atomic.rmw" + suffix + ".cmpxchg" + u, width, operand + operand, 1, true})
		}
	}
	list = append(list, memoryAccess{"memory.atomic.notify", 4, "(i32.const 0)", 1, true},
		// Another value is expected than is there: it does not wait.
		memoryAccess{"memory.atomic.wait32", 4, "(i32.const 1) (i64.const 0)", 1, true},
		memoryAccess{"memory.atomic.wait64", 8, "(i64.const 1) (i64.const 0)", 1, true})
	if !hasSIMD(engine) {
		return list
	}
	const zero = "(v128.const i64x2 0 0)"
	list = append(list, memoryAccess{"v128.load", 16, "", 1, false}, memoryAccess{"v128.store", 16, zero, 0, false})
	for _, name := range []string{"load8x8_s", "load8x8_u", "load16x4_s", "load16x4_u", "load32x2_s", "load32x2_u", "load64_splat", "load64_zero"} {
		list = append(list, memoryAccess{"v128." + name, 8, "", 1, false})
	}
	for name, width := range map[string]uint64{"load8_splat": 1, "load16_splat": 2, "load32_splat": 4, "load32_zero": 4} {
		list = append(list, memoryAccess{"v128." + name, width, "", 1, false})
	}
	for bits, width := range map[string]uint64{"8": 1, "16": 2, "32": 4, "64": 8} {
		list = append(list, memoryAccess{"v128.load" + bits + "_lane", width, zero, 1, false},
			memoryAccess{"v128.store" + bits + "_lane", width, zero, 0, false})
	}
	return list
}

// text is the instruction with an offset, its address the parameter.
func (a memoryAccess) text(offset uint64) string {
	name := a.name + fmt.Sprintf(" offset=%d", offset)
	if strings.HasSuffix(a.name, "_lane") {
		name += " 0"
	}
	return fmt.Sprintf("(%s (local.get 0) %s)%s", name, a.operands, strings.Repeat(" drop", a.results))
}

// Each instruction traps exactly where the memory ends, whatever its offset, and however large or small the memory is;
// beside bounded memories lie others, which must stay as they are.
func TestEveryAccessEndsWithTheMemory(t *testing.T) {
	const gib = 1 << 30
	offsets := []uint64{
		0, 1, 4096, wasmer.PageSize - 1, 3 * wasmer.PageSize, 2*gib - 16, 2*gib - 1, 2 * gib, 4*gib - wasmer.PageSize, 4*gib - 16, 4*gib - 1,
	}
	eachMemories(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, kind := range []string{"local", "imported"} {
			var text strings.Builder
			accesses := memoryAccesses(engine)
			memory := `(memory (export "memory") 0 4)`
			if kind == "imported" {
				memory = `(import "env" "memory" (memory 0 4)) (export "memory" (memory 0))`
			}
			fmt.Fprintf(&text, `(module %s (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))`, memory)
			for n, access := range accesses {
				for _, offset := range offsets {
					fmt.Fprintf(&text, `(func (export "%d at %d") (param i32) (local $i32 i32) (local $i64 i64) (local $f32 f32) (local $f64 f64) %s)`,
						n, offset, access.text(offset))
				}
			}
			text.WriteString(")")
			module := compile(t, engine, text.String())
			t.Run(kind, func(t *testing.T) {
				store := newStore(t, engine)
				var guards []*wasmer.Memory
				guard := func() {
					memory, err := store.NewMemory(1, 1)
					require.NoError(t, err)
					require.NoError(t, memory.Write(0, bytes.Repeat([]byte{0xa5}, wasmer.PageSize)))
					guards = append(guards, memory)
				}
				own, err := store.NewMemory(0, 4)
				require.NoError(t, err)
				guest, err := store.Instantiate(background, "", module, wasmer.NewImports().Memory("memory", own))
				require.NoError(t, err)
				for _, pages := range []uint64{0, 1, 4} {
					run(t, guest, "grow", uint32(pages-guest.Memory.Pages()))
					require.Equal(t, pages, guest.Memory.Pages())
					guard()
					size := pages * wasmer.PageSize
					for n, access := range accesses {
						for _, offset := range offsets {
							checkAccess(t, guest, fmt.Sprintf("%d at %d", n, offset), access, offset, size)
						}
					}
				}
				for _, memory := range guards {
					content, err := memory.Read(0, wasmer.PageSize)
					require.NoError(t, err)
					require.Equal(t, wasmer.PageSize, bytes.Count(content, []byte{0xa5}), "a neighbour was changed")
				}
			})
		}
	})
}

// checkAccess tries an access at addresses around the memory's end, and at the ends of the addresses.
func checkAccess(t *testing.T, guest *wasmer.Instance, function string, access memoryAccess, offset, size uint64) {
	t.Helper()
	f, err := guest.Function(function)
	require.NoError(t, err)
	last := int64(size) - int64(access.width) - int64(offset) // the last address that is in bounds
	for _, address := range []int64{last, last + 1, last + int64(access.width), int64(size), 0, 1<<31 - 1, 1 << 31, 1<<32 - 16, 1<<32 - 1} {
		if address < 0 || address >= 1<<32 {
			continue
		}
		inside := address <= last
		err := f.CallRaw(background, []uint64{uint64(address)})
		switch misaligned := access.aligned && (uint64(address)+offset)%access.width != 0; {
		case misaligned && inside:
			require.ErrorIs(t, err, wasmer.TrapUnalignedAtomic, "%s offset=%d at %d of %d", access.name, offset, address, size)
		case misaligned: // either is right
			require.Error(t, err)
		case inside:
			require.NoError(t, err, "%s offset=%d at %d of %d", access.name, offset, address, size)
		default:
			require.ErrorIs(t, err, wasmer.TrapOutOfBounds, "%s offset=%d at %d of %d", access.name, offset, address, size)
		}
	}
}

// An address that was 64 bits wide is its lower half, whatever lay in the upper one.
func TestWrappedAddressesForgetTheirHighBits(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (memory (export "memory") 1)
			(func (export "load") (param i64) (result i32) (i32.load (i32.wrap_i64 (local.get 0))))
			(func (export "store") (param i64 i32) (i32.store (i32.wrap_i64 (local.get 0)) (local.get 1)))
			(func (export "sum") (param i64 i64) (result i32) (i32.load offset=4 (i32.wrap_i64 (i64.add (local.get 0) (local.get 1))))))`, nil)
		for _, high := range []int64{0, 1 << 32, -1 << 32, 0x7ead_beef << 32, -1 << 63} {
			run(t, instance, "store", high|100, 42)
			require.EqualValues(t, 42, call(t, instance, "load", high|100).ToI32())
			require.EqualValues(t, 42, call(t, instance, "sum", high|90, 6).ToI32())
			require.ErrorIs(t, failing(t, instance, "load", high|65533), wasmer.TrapOutOfBounds)
			require.ErrorIs(t, failing(t, instance, "store", high|1<<31, 1), wasmer.TrapOutOfBounds)
		}
	})
}
