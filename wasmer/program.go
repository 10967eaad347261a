package wasmer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Program is a list of steps that run one after the other in one crossing to the guest: calls of exports, and copies into
// and out of memories, of which later ones take what earlier ones gave. Instance.NewProgram makes it. It never changes:
// goroutines may share it. It keeps its instance alive, but not open.
type Program struct {
	instance *Instance
	// entry stands for all functions that it calls: the address is that of one.
	entry     Function
	functions []*Function
	memories  []*Memory
	code      []uint64
	// size is how many slots it takes, and what they hold at first.
	size  int
	first []register
	// numbers and bytes are where inputs go: a number to a slot, the length of bytes too.
	numbers []Operand
	bytes   []Operand
	outputs []Operand
	// steps are for errors.
	steps []programStep
}

// programStep is what errors tell of a step: what it does, and the name of the function that it calls.
type programStep struct{ operation, function string }

// calls notes a function that it calls.
func (p *Program) calls(f *Function) {
	i := p.instance
	p.entry.instance, p.entry.store, p.entry.closed, p.entry.address = i, i.store, &i.closed, f.address
	if !slices.Contains(p.functions, f) {
		p.functions = append(p.functions, f)
	}
}

// register is a slot that holds a constant.
type register struct {
	slot  uint32
	value ffi.Slot
}

// ProgramValues are what a program takes, and what it gives.
type ProgramValues struct {
	// Numbers are as in the stack of Function.CallRaw: i32 and f32 use the low 32 bits, v128 takes two, low and high.
	Numbers []uint64
	// Bytes are at most 4 GiB - 1 each.
	Bytes [][]byte
}

// ProgramError is why a program ended early. Err is what happened: the error of Function.Call if a guest failed, ErrOutOfBounds
// if a memory does not have what was to be copied, ErrResource if Require has found a zero. What earlier steps did is done.
type ProgramError struct {
	// Step is the number of the step, counted from 0 in the order in which they were added.
	Step int
	// Operation is what the step does.
	Operation string
	Err       error
}

func (e *ProgramError) Error() string {
	return fmt.Sprintf("wasmer: program: step %d, %s: %v", e.Step, e.Operation, e.Err)
}

// Unwrap gives what happened.
func (e *ProgramError) Unwrap() error { return e.Err }

// Run runs the program. in holds its inputs, numbers and bytes each in the order in which they were declared; nil stands for
// none. out gets its outputs in the same way; nil leaves them out. Slices that out holds are used again if they are large
// enough, so that a program can run without allocations, and hold nothing of use after an error.
//
// A step that fails ends it with a *ProgramError. Wrong inputs are a *CallError; then no step has run. The end of ctx or of the
// instance ends it as it ends a call. Each call is charged and counted like any other one. The inputs belong to the program
// until it returns.
func (p *Program) Run(ctx context.Context, in, out *ProgramValues) error {
	if p == nil {
		return ErrClosed
	}
	if in == nil {
		in = &ProgramValues{}
	}
	var inputs [ffi.ProgramInputs]*byte
	if len(in.Bytes) == len(p.bytes) {
		for i, data := range in.Bytes {
			inputs[i] = unsafe.SliceData(data)
		}
	}
	r := programRun{program: p}
	if err := r.begin(ctx, in.Numbers, len(in.Bytes)); err != nil {
		return err
	}
	for i, data := range in.Bytes {
		if len(data) > math.MaxUint32 {
			r.end()
			return p.misused("input of bytes %d has %d bytes, more than a memory holds", i, len(data))
		}
		r.values[p.bytes[i].slot].Lo = uint64(len(data))
	}
	if err := r.run(ctx, &inputs); err != nil {
		return err
	}
	if out != nil {
		r.copyTo(out)
	}
	r.end()
	return nil
}

func (p *Program) misused(format string, args ...any) error {
	return &CallError{Function: "program", Position: -1, Message: fmt.Sprintf(format, args...)}
}

// programRun is one run of a program.
type programRun struct {
	program *Program
	frame   frame
	// values are the program's slots, until end or a failure.
	values []ffi.Slot
	// watched is a slot whose value is to be known also after a failure.
	watched      uint32
	watchedValue uint64
}

// begin enters the store, with all in place but the lengths of bytes.
func (r *programRun) begin(ctx context.Context, numbers []uint64, bytes int) error {
	p := r.program
	if bytes != len(p.bytes) {
		return p.misused("given %d inputs of bytes, want %d", bytes, len(p.bytes))
	}
	want := 0
	for _, n := range p.numbers {
		want += n.words()
	}
	if len(numbers) != want {
		return p.misused("given %d words of numbers, want %d", len(numbers), want)
	}
	if err := p.entry.beginWith(ctx, p.size, &r.frame); err != nil {
		return err
	}
	for _, f := range p.functions {
		if f.closed.Load() {
			r.end()
			return f.instance.closedError()
		}
	}
	for _, m := range p.memories {
		if m.closed.Load() {
			r.end()
			return ErrClosed
		}
	}
	r.values = r.frame.values
	for _, constant := range p.first {
		r.values[constant.slot] = constant.value
	}
	for _, n := range p.numbers {
		slot := &r.values[n.slot]
		slot.Lo = numbers[0]
		if n.typ == ValueTypeV128 {
			slot.Hi = numbers[1]
		}
		numbers = numbers[n.words():]
	}
	return nil
}

// run crosses the border. After a failure the store has been left.
func (r *programRun) run(ctx context.Context, inputs *[ffi.ProgramInputs]*byte) error {
	p := r.program
	ffi.RunProgram(p.entry.address, p.code, &r.values[0], inputs)
	step := int(r.values[0].Lo)
	r.watchedValue = uint64(uint32(r.values[r.watched].Lo))
	if status := *p.entry.store.status; status != ffi.OK {
		err := p.entry.store.fail(ctx, p.instance, &r.frame, p.steps[step].function, status)
		return p.failed(step, err)
	}
	if failure := r.values[0].Hi; failure != ffi.ProgramRan {
		address, size := r.values[1].Lo, r.values[1].Hi
		r.end()
		return p.failed(step, programFailure(failure, address, size))
	}
	return nil
}

func (p *Program) failed(step int, err error) error {
	return &ProgramError{Step: step, Operation: p.steps[step].operation, Err: err}
}

func programFailure(failure, address, size uint64) error {
	switch failure {
	case ffi.ProgramBounds:
		return fmt.Errorf("%w: %d bytes at %d", ErrOutOfBounds, size, address)
	case ffi.ProgramEndless:
		return fmt.Errorf("%w: no NUL after offset %d", ErrOutOfBounds, address)
	case ffi.ProgramRoom:
		return fmt.Errorf("%w: no memory for %d bytes", ErrResource, size)
	default:
		return fmt.Errorf("%w: it is zero", ErrResource)
	}
}

func (r *programRun) end() { r.program.entry.store.end(&r.frame) }

func (r *programRun) copyTo(out *ProgramValues) {
	out.Numbers = out.Numbers[:0]
	n := 0
	for _, o := range r.program.outputs {
		if o.kind == operandRead {
			if n == len(out.Bytes) {
				out.Bytes = append(out.Bytes, nil)
			}
			out.Bytes[n] = append(out.Bytes[n][:0], r.read(o)...)
			n++
			continue
		}
		out.Numbers = append(out.Numbers, bits(&r.values[o.slot], o.typ))
		if o.typ == ValueTypeV128 {
			out.Numbers = append(out.Numbers, r.values[o.slot].Hi)
		}
	}
	out.Bytes = out.Bytes[:n]
}

// read is what a step has read, until the run ends.
func (r *programRun) read(o Operand) []byte {
	return ffi.ProgramBytes(r.values, r.values[o.slot].Lo, r.values[o.slot+1].Lo)
}
