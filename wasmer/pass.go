package wasmer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync/atomic"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// pass is a program that passes bytes to an exported function in memory of the guest's allocator, takes bytes from it, and frees
// what is to be freed.
type pass struct {
	program *Program
	alloc   string
	// argument is where the bytes lie, output what was read.
	argument, output Operand
	// required, written, called and read are its steps that look at the address, write there, call the function, and read.
	required, written, called, read int
	// more is what is allocated beside the bytes.
	more int
}

type passForm uint8

const (
	// passString is for an address of a NUL-terminated string in place of another one, the argument's.
	passString passForm = iota
	// passStringAndFree frees the result too.
	passStringAndFree
	// passBytes is for an address and a length, in place of another pair packed into an i64. Both are freed.
	passBytes
)

type passKey struct {
	name string
	form passForm
}

// passes holds those of an instance. It is replaced, never changed.
type passes struct {
	atomic.Pointer[map[passKey]*pass]
}

// pass finds a program, or makes it, and runs it. take is given what the function has returned, with the store entered.
func (i *Instance) pass(ctx context.Context, name string, form passForm, data *byte, size int, take func([]byte)) error {
	key := passKey{name, form}
	var p *pass
	if i != nil {
		if known := i.passes.Load(); known != nil {
			p = (*known)[key]
		}
	}
	if p == nil {
		var err error
		if p, err = i.newPass(key); err != nil {
			return err
		}
	}
	if uint64(size+p.more) > math.MaxUint32 {
		return fmt.Errorf("%w: alloc: %d bytes in a memory of at most 4 GiB", ErrOutOfBounds, size+p.more)
	}
	r := programRun{program: p.program, watched: p.argument.slot}
	if err := r.begin(ctx, nil, 1); err != nil {
		return err
	}
	r.values[p.program.bytes[0].slot].Lo = uint64(size)
	if err := r.run(ctx, &[ffi.ProgramInputs]*byte{data}); err != nil {
		return i.passFailed(ctx, p, err, r.watchedValue, uint64(size+p.more))
	}
	take(r.read(p.output))
	r.end()
	return nil
}

// passFailed is what the caller is told, who knows no program. What the guest has not failed to allocate is freed.
func (i *Instance) passFailed(ctx context.Context, p *pass, err error, ptr, size uint64) error {
	var failed *ProgramError
	if !errors.As(err, &failed) {
		return err
	}
	switch step := failed.Step; {
	case step == p.required:
		return fmt.Errorf("%w: the guest's %s cannot give %d bytes", ErrResource, p.alloc, size)
	case step == p.written:
		return fmt.Errorf("wasmer: the guest's allocator returned %d: %w", ptr, failed.Err)
	case step >= p.called && step <= p.read:
		_ = i.Free(ctx, ptr, size) // there is an error already
	}
	return failed.Err
}

func (i *Instance) newPass(key passKey) (*pass, error) {
	f, err := i.Function(key.name)
	if err != nil {
		return nil, err
	}
	want := FunctionType{i32s(1), i32s(1)}
	if key.form == passBytes {
		want = FunctionType{i32s(2), []ValueType{ValueTypeI64}}
	}
	if !f.typ.Equal(want) {
		return nil, &CallError{Function: key.name, Position: -1, Message: fmt.Sprintf("is %s, want %s", f.typ, want)}
	}
	if i.Memory == nil {
		return nil, fmt.Errorf("%w: the instance exports no memory", ErrNotFound)
	}
	a, err := i.findAllocator()
	if err != nil {
		return nil, err
	}
	b := i.NewProgram()
	p := &pass{alloc: a.shape.alloc}
	p.build(b, i.Memory, f, a, key.form)
	if p.program, err = b.Build(); err != nil {
		return nil, err
	}
	for {
		known := i.passes.Load()
		all := map[passKey]*pass{}
		if known != nil {
			all = maps.Clone(*known)
		}
		all[key] = p
		if i.passes.CompareAndSwap(known, &all) {
			return p, nil
		}
	}
}

func (p *pass) build(b *ProgramBuilder, memory *Memory, f *Function, a *allocator, form passForm) {
	zero, alignment := b.Constant(I32(0)), b.Constant(I32(8))
	allocate := func(size Operand) Operand {
		if a.shape.realloc {
			return b.Call(a.alloc, zero, zero, alignment, size)[0]
		}
		return b.Call(a.alloc, size)[0]
	}
	free := func(ptr, size Operand) {
		switch {
		case a.shape.realloc:
			b.Call(a.alloc, ptr, size, alignment, zero)
		case a.shape.sized:
			b.Call(a.free, ptr, size)
		default:
			b.Call(a.free, ptr)
		}
	}
	next := func() int { return len(b.program.steps) }

	data := b.Bytes()
	size := b.Length(data)
	if form != passBytes {
		p.more = 1 // the NUL
		size = b.Add(size, 1)
	}
	p.argument = allocate(size)
	b.unless(size, zero, func() {
		p.required = next()
		b.Require(p.argument)
	})
	p.written = next()
	if form == passBytes {
		b.Write(memory, p.argument, data)
		p.called = next()
		packed := b.Call(f, p.argument, size)[0]
		at, n := b.High(packed), b.Low(packed)
		p.read = next()
		p.output = b.Read(memory, at, n)
		free(p.argument, size)
		b.unless(at, p.argument, func() { free(at, n) })
		return
	}
	b.WriteCString(memory, p.argument, data)
	p.called = next()
	result := b.Call(f, p.argument)[0]
	p.read = next()
	p.output = b.ReadCString(memory, result)
	free(p.argument, size)
	if form == passStringAndFree {
		n := b.Add(b.Length(p.output), 1)
		b.unless(result, p.argument, func() { free(result, n) })
	}
}
