package gojs

import (
	"encoding/binary"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// frame is the stack frame of a Go function that the host implements: arguments and results lie in the guest's memory,
// from 8 bytes above its stack pointer on. Access outside of the memory sets err, reads zero and writes nothing.
type frame struct {
	g      *guest
	memory []byte
	sp     uint64
	// resumes is how often the guest had been resumed.
	resumes uint64
	err     error
}

func (g *guest) newFrame(sp int32) frame {
	return frame{g: g, memory: g.memory.Data(), sp: uint64(uint32(sp)), resumes: g.resumes}
}

// reload finds the frame again if the guest has run meanwhile: its memory may have grown, and its stack have moved.
func (f *frame) reload() error {
	if f.resumes == f.g.resumes {
		return nil
	}
	f.resumes = f.g.resumes
	var stack [1]uint64
	if err := f.g.getsp.CallRaw(f.g.ctx, stack[:]); err != nil {
		return err
	}
	f.memory, f.sp = f.g.memory.Data(), uint64(uint32(stack[0]))
	return nil
}

// at gives n bytes of the memory, nil if there are none.
func (f *frame) at(address, n uint64) []byte {
	if size := uint64(len(f.memory)); address > size || n > size-address {
		if f.err == nil {
			f.err = fmt.Errorf("%w: %d bytes at %#x of a memory of %d bytes", wasmer.ErrOutOfBounds, n, address, size)
			if size == 0 && f.g.isClosed() {
				f.err = wasmer.ErrClosed
			}
		}
		return nil
	}
	return f.memory[address : address+n : address+n]
}

func (f *frame) uint64(offset uint64) uint64 {
	if b := f.at(f.sp+offset, 8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (f *frame) int64(offset uint64) int64 { return int64(f.uint64(offset)) }

func (f *frame) int32(offset uint64) int32 {
	if b := f.at(f.sp+offset, 4); b != nil {
		return int32(binary.LittleEndian.Uint32(b))
	}
	return 0
}

// bytes is the slice whose pointer and length are at the offset.
func (f *frame) bytes(offset uint64) []byte {
	return f.at(f.uint64(offset), f.uint64(offset+8))
}

// string copies a string.
func (f *frame) string(offset uint64) string {
	return wellFormed(string(f.bytes(offset)))
}

// value is that of the reference at the offset.
func (f *frame) value(offset uint64) value {
	return f.load(f.uint64(offset))
}

func (f *frame) load(ref uint64) value {
	v, err := f.g.references.load(ref)
	if err != nil && f.err == nil {
		f.err = err
	}
	return v
}

// object is the object at the offset.
func (f *frame) object(offset uint64) *object {
	v := f.value(offset)
	o, ok := v.(*object)
	if !ok && f.err == nil {
		f.err = fmt.Errorf("the guest takes a value of type %s for an object", typeOf(v))
	}
	return o
}

// maxArguments bounds how many arguments a call has.
const maxArguments = 1 << 16

// values are those of the slice of references at the offset.
func (f *frame) values(offset uint64) []value {
	address, n := f.uint64(offset), f.uint64(offset+8)
	if n > maxArguments {
		f.err = fmt.Errorf("%w: a call with %d arguments", wasmer.ErrResource, n)
		return nil
	}
	refs := f.at(address, 8*n)
	if f.err != nil {
		return nil
	}
	values := make([]value, n)
	for i := range values {
		values[i] = f.load(binary.LittleEndian.Uint64(refs[8*i:]))
	}
	return values
}

func (f *frame) putUint64(offset, v uint64) {
	if b := f.at(f.sp+offset, 8); b != nil {
		binary.LittleEndian.PutUint64(b, v)
	}
}

func (f *frame) putInt64(offset uint64, v int64) { f.putUint64(offset, uint64(v)) }

func (f *frame) putInt32(offset uint64, v int32) {
	if b := f.at(f.sp+offset, 4); b != nil {
		binary.LittleEndian.PutUint32(b, uint32(v))
	}
}

func (f *frame) putBool(offset uint64, v bool) {
	if b := f.at(f.sp+offset, 1); b != nil {
		b[0] = 0
		if v {
			b[0] = 1
		}
	}
}

// putValue gives the guest a reference.
func (f *frame) putValue(offset uint64, v value) {
	ref, err := f.g.references.store(v)
	if err != nil && f.err == nil {
		f.err = err
	}
	f.putUint64(offset, ref)
}
