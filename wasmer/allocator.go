package wasmer

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"unsafe"
)

// allocator is a pair of exports by which a guest lends memory to its host.
type allocator struct {
	alloc, free *Function
	// shape says how both are called.
	shape allocatorShape
}

type allocatorShape struct {
	alloc, free string
	// sized says that free also takes the size.
	sized bool
	// realloc says that alloc is cabi_realloc(old pointer, old size, alignment, new size), which frees with size 0.
	realloc bool
}

// allocatorShapes are tried in this order.
var allocatorShapes = []allocatorShape{
	{alloc: "allocate", free: "deallocate", sized: true},
	{alloc: "malloc", free: "free"},
	{alloc: "alloc", free: "dealloc", sized: true},
	{alloc: "cabi_realloc", realloc: true},
	{alloc: "canonical_abi_realloc", realloc: true},
}

func i32s(n int) []ValueType {
	types := make([]ValueType, n)
	for i := range types {
		types[i] = ValueTypeI32
	}
	return types
}

// findAllocator looks for the exports of a known allocator, by name and type.
func (i *Instance) findAllocator() (*allocator, error) {
	for _, shape := range allocatorShapes {
		params := 1
		if shape.realloc {
			params = 4
		}
		alloc, err := i.Function(shape.alloc)
		if err != nil || !alloc.typ.Equal(FunctionType{i32s(params), i32s(1)}) {
			continue
		}
		if shape.realloc {
			return &allocator{alloc: alloc, shape: shape}, nil
		}
		free, err := i.Function(shape.free)
		if err != nil {
			continue
		}
		// Some guests' free takes the size, whatever its name.
		switch {
		case free.typ.Equal(FunctionType{Params: i32s(2)}):
			shape.sized = true
		case free.typ.Equal(FunctionType{Params: i32s(1)}):
			shape.sized = false
		default:
			continue
		}
		return &allocator{alloc, free, shape}, nil
	}
	if i == nil || i.closed.Load() {
		return nil, ErrClosed
	}
	return nil, fmt.Errorf("%w: no allocator: the guest exports none of allocate/deallocate, malloc/free, alloc/dealloc, "+
		"cabi_realloc", ErrNotFound)
}

// Alloc lets the guest's allocator reserve size bytes of its memory, to be given back by Free with the same size.
// Allocators are recognised by their exports: allocate/deallocate, malloc/free, alloc/dealloc, cabi_realloc.
func (i *Instance) Alloc(ctx context.Context, size uint64) (uint64, error) {
	a, err := i.findAllocator()
	if err != nil {
		return 0, err
	}
	if size > math.MaxUint32 {
		return 0, fmt.Errorf("%w: alloc: %d bytes in a memory of at most 4 GiB", ErrOutOfBounds, size)
	}
	stack := [4]uint64{size}
	if a.shape.realloc {
		stack = [4]uint64{0, 0, 8, size}
	}
	if err := a.alloc.CallRaw(ctx, stack[:]); err != nil {
		return 0, err
	}
	if stack[0] == 0 && size > 0 {
		return 0, fmt.Errorf("%w: the guest's %s cannot give %d bytes", ErrResource, a.shape.alloc, size)
	}
	return stack[0], nil
}

// Free gives size bytes at ptr back to the guest's allocator.
func (i *Instance) Free(ctx context.Context, ptr, size uint64) error {
	a, err := i.findAllocator()
	if err != nil {
		return err
	}
	if a.shape.realloc {
		stack := [4]uint64{ptr, size, 8, 0}
		return a.alloc.CallRaw(ctx, stack[:])
	}
	stack := [2]uint64{ptr, size}
	return a.free.CallRaw(ctx, stack[:])
}

// AllocBytes copies data into memory of the guest's allocator and returns its address; Free gives len(data) bytes back.
func (i *Instance) AllocBytes(ctx context.Context, data []byte) (uint64, error) {
	return i.allocCopy(ctx, data)
}

// AllocString copies s, followed by a NUL, into memory of the guest's allocator and returns its address; Free gives
// len(s)+1 bytes back. It refuses a NUL inside, where the guest's string would end: see AllocBytes.
func (i *Instance) AllocString(s string) (uint64, error) {
	return i.allocString(context.Background(), s)
}

func (i *Instance) allocString(ctx context.Context, s string) (uint64, error) {
	if at := strings.IndexByte(s, 0); at >= 0 {
		return 0, fmt.Errorf("wasmer: a string for the guest has a NUL at %d, where it would end: use AllocBytes", at)
	}
	return i.allocCopy(ctx, append([]byte(s), 0))
}

func (i *Instance) allocCopy(ctx context.Context, data []byte) (uint64, error) {
	if i == nil {
		return 0, ErrClosed
	}
	if i.Memory == nil {
		return 0, fmt.Errorf("%w: the instance exports no memory", ErrNotFound)
	}
	ptr, err := i.Alloc(ctx, uint64(len(data)))
	if err != nil {
		return 0, err
	}
	if err := i.Memory.Write(ptr, data); err != nil {
		return 0, fmt.Errorf("wasmer: the guest's allocator returned %d: %w", ptr, err)
	}
	return ptr, nil
}

// CallString passes s to an exported function of type (param i32) (result i32) whose parameter and result are addresses
// of NUL-terminated strings, and returns the result. The argument is freed; so is the result, if it is another string
// and free is set.
func (i *Instance) CallString(ctx context.Context, name, s string, free bool) (string, error) {
	if at := strings.IndexByte(s, 0); at >= 0 {
		return "", fmt.Errorf("wasmer: a string for the guest has a NUL at %d, where it would end: use CallBytes", at)
	}
	var out string
	form := passString
	if free {
		form = passStringAndFree
	}
	err := i.pass(ctx, name, form, unsafe.StringData(s), len(s), func(data []byte) { out = string(data) })
	return out, err
}

// CallBytes passes data to an exported function of type (param i32 i32), address and length, whose result is a buffer
// as address and length packed into one i64 (address in the high half), and returns a copy of that. Both buffers are
// freed.
func (i *Instance) CallBytes(ctx context.Context, name string, data []byte) ([]byte, error) {
	var out []byte
	err := i.pass(ctx, name, passBytes, unsafe.SliceData(data), len(data), func(data []byte) { out = bytes.Clone(data) })
	return out, err
}
