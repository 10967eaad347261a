package wasmer

import (
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// What a program has at most: steps, numbers in all, and inputs of bytes.
const (
	maxProgramSteps   = 256
	maxProgramNumbers = 1024
	maxProgramBytes   = ffi.ProgramInputs
)

// ProgramBuilder makes a Program of an instance. Its methods add inputs, steps and outputs; what they give stands for numbers
// and bytes that will be known when the program runs. The first error is kept, and Build gives it. A builder is used by one
// goroutine.
type ProgramBuilder struct {
	program Program
	err     error
}

// Operand is a number, or bytes, of a program that runs: an input, or what a step gives. It goes to later steps of the same
// program.
type Operand struct {
	builder *ProgramBuilder
	kind    operandKind
	// typ is that of a number.
	typ ValueType
	// slot holds a number, or the length of an input of bytes; for bytes that were read where they are, and the next one their
	// length.
	slot uint32
	// input is the number of an input of bytes.
	input int
}

type operandKind uint8

const (
	operandNumber operandKind = iota + 1
	operandInput
	operandRead
)

// words is how many words of a raw stack a number takes.
func (o Operand) words() int {
	if o.typ == ValueTypeV128 {
		return 2
	}
	return 1
}

// code is the operand as code has it: a slot and a width.
func (o Operand) code() uint64 {
	width := uint64(8)
	switch o.typ {
	case ValueTypeI32, ValueTypeF32:
		width = 4
	case ValueTypeV128:
		width = 16
	}
	return uint64(o.slot) | width<<32
}

// NewProgram begins a program of this instance, which calls exports of it, or of others of its store, and uses memories of its
// store.
func (i *Instance) NewProgram() *ProgramBuilder {
	b := &ProgramBuilder{program: Program{instance: i, size: ffi.ProgramSlots}}
	if i == nil {
		b.err = ErrClosed
	}
	return b
}

func (b *ProgramBuilder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf("wasmer: program: "+format, args...)
	}
}

// take takes slots.
func (b *ProgramBuilder) take(n int) uint32 {
	slot := b.program.size
	b.program.size += n
	if b.program.size > ffi.ProgramSlots+maxProgramNumbers {
		b.fail("it has more than %d numbers", maxProgramNumbers)
		b.program.size = slot
		return 0
	}
	return uint32(slot)
}

func (b *ProgramBuilder) number(t ValueType) Operand {
	return Operand{builder: b, kind: operandNumber, typ: t, slot: b.take(1)}
}

// Number declares an input that is a number of this type, or a v128.
func (b *ProgramBuilder) Number(t ValueType) Operand {
	if !t.valid() || t.IsReference() {
		b.fail("an input cannot be of type %s", t)
	}
	o := b.number(t)
	b.program.numbers = append(b.program.numbers, o)
	return o
}

// Bytes declares an input of bytes. A program has at most four.
func (b *ProgramBuilder) Bytes() Operand {
	n := len(b.program.bytes)
	if n == maxProgramBytes {
		b.fail("it has more than %d inputs of bytes", maxProgramBytes)
		return Operand{}
	}
	o := Operand{builder: b, kind: operandInput, typ: ValueTypeI32, slot: b.take(1), input: n}
	b.program.bytes = append(b.program.bytes, o)
	return o
}

// Constant is a number, or a v128, that is the same each time.
func (b *ProgramBuilder) Constant(v Value) Operand {
	if !v.typ.valid() || v.typ.IsReference() {
		b.fail("a constant cannot be of type %s", v.typ)
	}
	o := b.number(v.typ)
	b.program.first = append(b.program.first, register{o.slot, ffi.Slot{Lo: v.lo, Hi: v.hi}})
	return o
}

// Length is the number of bytes, of an input or of what was read, as an i32.
func (b *ProgramBuilder) Length(bytes Operand) Operand {
	if !b.owns(bytes) || bytes.kind == operandNumber {
		b.fail("Length is given no bytes of this program")
		return Operand{}
	}
	slot := bytes.slot
	if bytes.kind == operandRead {
		slot++
	}
	return Operand{builder: b, kind: operandNumber, typ: ValueTypeI32, slot: slot}
}

func (b *ProgramBuilder) owns(o Operand) bool { return o.builder == b }

// isNumber reports whether an operand is a number of one of the types.
func (b *ProgramBuilder) isNumber(what string, o Operand, types ...ValueType) bool {
	if !b.owns(o) {
		b.fail("%s is not of this program", what)
		return false
	}
	if o.kind == operandNumber {
		for _, t := range types {
			if o.typ == t {
				return true
			}
		}
		b.fail("%s is %s, want %s", what, o.typ, types[0])
		return false
	}
	b.fail("%s is bytes, want %s", what, types[0])
	return false
}

// step adds a step: its kind, its name, and the words of its code.
func (b *ProgramBuilder) step(kind uint8, operation string, code ...uint64) {
	b.stepOf(kind, programStep{operation: operation}, code...)
}

func (b *ProgramBuilder) stepOf(kind uint8, step programStep, code ...uint64) {
	p := &b.program
	if len(p.steps) == maxProgramSteps {
		b.fail("it has more than %d steps", maxProgramSteps)
		return
	}
	p.code = append(p.code, uint64(kind)|uint64(len(p.steps))<<8|uint64(1+len(code))<<32)
	p.code = append(p.code, code...)
	p.steps = append(p.steps, step)
}

// Call adds a call of an exported function, and gives its results. Functions of references are refused.
func (b *ProgramBuilder) Call(f *Function, args ...Operand) []Operand {
	switch {
	case f == nil || f.host != nil || b.program.instance == nil || f.store != b.program.instance.store:
		b.fail("it calls a function that no instance of its store exports")
		return nil
	case f.references:
		b.fail("%w: it calls %q: references cannot be passed raw: %s", ErrUnsupported, f.name, f.typ)
	case len(args) != len(f.typ.Params):
		b.fail("it calls %q with %d arguments, want %d: %s", f.name, len(args), len(f.typ.Params), f.typ)
	}
	first := b.take(f.width)
	results := make([]Operand, len(f.typ.Results))
	for i, t := range f.typ.Results {
		results[i] = Operand{builder: b, kind: operandNumber, typ: t, slot: first + uint32(i)}
	}
	if b.err != nil {
		return results
	}
	code := []uint64{uint64(f.address), uint64(first)}
	for i, arg := range args {
		if !b.isNumber(fmt.Sprintf("argument %d of %q", i, f.name), arg, f.typ.Params[i]) {
			return results
		}
		code = append(code, arg.code())
	}
	b.program.calls(f)
	b.stepOf(ffi.StepCall, programStep{fmt.Sprintf("call %q", f.name), f.name}, code...)
	return results
}

// memory checks the memory of a step, and an address and a length in it.
func (b *ProgramBuilder) memory(m *Memory, numbers ...Operand) bool {
	if m == nil || b.program.instance == nil || m.store != b.program.instance.store {
		b.fail("it uses a memory that is not of the instance's store")
		return false
	}
	for _, o := range numbers {
		if !b.isNumber("an address or length", o, ValueTypeI32) {
			return false
		}
	}
	b.program.memories = append(b.program.memories, m)
	return true
}

// Write adds a step that copies an input of bytes to an address of a memory.
func (b *ProgramBuilder) Write(m *Memory, at, bytes Operand) { b.write(m, at, bytes, 0, "write") }

// WriteCString adds a step that copies an input of bytes to an address of a memory, followed by a NUL.
func (b *ProgramBuilder) WriteCString(m *Memory, at, bytes Operand) {
	b.write(m, at, bytes, 1, "write string")
}

func (b *ProgramBuilder) write(m *Memory, at, bytes Operand, zeros uint64, name string) {
	if !b.memory(m, at) {
		return
	}
	if !b.owns(bytes) || bytes.kind != operandInput {
		b.fail("what is written is no input of bytes of this program")
		return
	}
	b.step(ffi.StepWrite, name, uint64(m.definition.Address()), at.code(), uint64(bytes.input), bytes.code(), zeros)
}

// Read adds a step that copies bytes out of a memory.
func (b *ProgramBuilder) Read(m *Memory, at, length Operand) Operand {
	o := Operand{builder: b, kind: operandRead, slot: b.take(2)}
	if b.memory(m, at, length) {
		b.step(ffi.StepRead, "read", uint64(m.definition.Address()), at.code(), length.code(), uint64(o.slot))
	}
	return o
}

// ReadCString adds a step that copies the bytes at an address up to the first NUL.
func (b *ProgramBuilder) ReadCString(m *Memory, at Operand) Operand {
	o := Operand{builder: b, kind: operandRead, slot: b.take(2)}
	if b.memory(m, at) {
		b.step(ffi.StepReadString, "read string", uint64(m.definition.Address()), at.code(), uint64(o.slot))
	}
	return o
}

// Add adds a step that adds a constant to an i32 or i64, which wraps around.
func (b *ProgramBuilder) Add(x Operand, n int64) Operand {
	sum := b.number(x.typ)
	if b.isNumber("what is added to", x, ValueTypeI32, ValueTypeI64) {
		b.step(ffi.StepAdd, "add", uint64(sum.slot), x.code(), uint64(n))
	}
	return sum
}

// Low is the low half of an i64, as an i32.
func (b *ProgramBuilder) Low(x Operand) Operand {
	if !b.isNumber("what is halved", x, ValueTypeI64) {
		return Operand{}
	}
	half := x
	half.typ = ValueTypeI32
	return half
}

// High adds a step that gives the high half of an i64, as an i32.
func (b *ProgramBuilder) High(x Operand) Operand {
	half := b.number(ValueTypeI32)
	if b.isNumber("what is halved", x, ValueTypeI64) {
		b.step(ffi.StepHigh, "high half", uint64(half.slot), x.code())
	}
	return half
}

// Require adds a step that ends the program with ErrResource if an i32 or i64 is zero, as what an allocator gives that has no
// more memory.
func (b *ProgramBuilder) Require(x Operand) {
	if b.isNumber("what is required", x, ValueTypeI32, ValueTypeI64) {
		b.step(ffi.StepRequire, "require", x.code())
	}
}

// unless adds steps that are left out if two numbers are equal.
func (b *ProgramBuilder) unless(x, y Operand, steps func()) {
	if !b.isNumber("what is compared", x, y.typ) {
		return
	}
	b.step(ffi.StepSkip, "compare", x.code(), y.code(), 0)
	at := len(b.program.code)
	steps()
	if b.err == nil {
		b.program.code[at-1] = uint64(len(b.program.code) - at)
	}
}

// Output adds outputs: numbers, and bytes that were read.
func (b *ProgramBuilder) Output(outputs ...Operand) {
	for _, o := range outputs {
		if !b.owns(o) || o.kind == operandInput {
			b.fail("an output is neither a number nor bytes that were read, of this program")
		}
	}
	b.program.outputs = append(b.program.outputs, outputs...)
}

// Build makes the program, of at least one call, or gives the first error. The program does not change if the builder goes on from there.
func (b *ProgramBuilder) Build() (*Program, error) {
	if b.err == nil && b.program.functions == nil {
		b.fail("it calls no function")
	}
	if b.err != nil {
		return nil, b.err
	}
	p := b.program
	return &p, nil
}
