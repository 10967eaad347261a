package wasmer

import (
	"context"
	"fmt"
	"slices"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Function is an exported function of an instance. It keeps the instance alive, but not open. Goroutines may share it;
// see Instance for how calls wait for each other.
//
// See https://webassembly.github.io/spec/core/exec/runtime.html#function-instances
type Function struct {
	instance *Instance
	store    *Store
	address  uintptr
	name     string
	typ      FunctionType
	// width is the larger of the numbers of parameters and results.
	width int
	// params and results are what they take in a raw stack.
	params, results int
	// wide says that there are v128 among them, so that a value is not always one slot of a raw stack.
	wide bool
	// references says that there are references among them, whose bits are addresses: not for hosts to make up.
	references bool
}

func newFunction(i *Instance, name string, item *ffi.Extern, typ FunctionType) *Function {
	f := &Function{
		instance: i, store: i.store, address: item.Address(), name: name, typ: typ,
		width:  max(len(typ.Params), len(typ.Results), 1),
		params: slots(typ.Params), results: slots(typ.Results),
	}
	f.wide = f.params != len(typ.Params) || f.results != len(typ.Results)
	f.references = slices.ContainsFunc(typ.Params, isReference) || slices.ContainsFunc(typ.Results, isReference)
	return f
}

// Name is the name that the function is exported under.
func (f *Function) Name() string { return f.name }

// Type is the function's type.
func (f *Function) Type() FunctionType { return f.typ }

// Instance is the instance that exports the function.
func (f *Function) Instance() *Instance { return f.instance }

// Call calls the function with Go values: numbers of any type, or Value. An argument that the parameter's type cannot
// hold exactly is a *CallError, as is a wrong number of arguments; then no guest code has run.
//
// The guest's end by a trap is a *Trap. An error returned by a host function comes out as the same error, a panic of
// one goes on in this goroutine with its value. ctx is handed to host functions, and looked at before the call, while
// waiting for the store, and at each host call: if it has ended, the error is ErrInterrupted and the context's. nil
// stands for context.Background().
//
// See https://webassembly.github.io/spec/core/exec/modules.html#invocation
func (f *Function) Call(ctx context.Context, args ...any) ([]Value, error) {
	var space [4]Value
	results, err := f.call(ctx, args, space[:0])
	if err != nil || len(results) == 0 {
		return nil, err
	}
	return append([]Value(nil), results...), nil
}

// call appends the results to out.
func (f *Function) call(ctx context.Context, args []any, out []Value) ([]Value, error) {
	if f == nil {
		return nil, ErrClosed
	}
	if len(args) != len(f.typ.Params) {
		return nil, &CallError{
			Function: f.name, Position: -1,
			Message: fmt.Sprintf("given %d arguments, want %d: %s", len(args), len(f.typ.Params), f.typ),
		}
	}
	var space [8]Value
	values := space[:0]
	for position, arg := range args {
		v, err := toValue(arg, f.typ.Params[position])
		if err != nil {
			return nil, &CallError{Function: f.name, Position: position, Message: err.Error()}
		}
		values = append(values, v)
	}
	var frame frame
	if err := f.begin(ctx, &frame); err != nil {
		return nil, err
	}
	for i, v := range values {
		frame.values[i] = ffi.Slot{Lo: v.lo, Hi: v.hi}
	}
	if status := f.invoke(&frame.values[0]); status != ffi.OK {
		return nil, f.store.fail(&frame, f.name, status)
	}
	for i, t := range f.typ.Results {
		out = append(out, fromSlot(&frame.values[i], t))
	}
	f.store.end(&frame)
	return out, nil
}

// CallRaw calls the function without conversions or allocations. The stack holds the arguments, one slot a value, two
// (low, high) for v128, and gets the results in the same way; it must have room for the larger of both. i32 and f32 use
// the low 32 bits. Errors are those of Call.
func (f *Function) CallRaw(ctx context.Context, stack []uint64) error {
	if f == nil {
		return ErrClosed
	}
	if len(stack) < f.params || len(stack) < f.results {
		return &CallError{
			Function: f.name, Position: -1,
			Message: fmt.Sprintf("the stack has %d slots, want %d: %s", len(stack), max(f.params, f.results), f.typ),
		}
	}
	var frame frame
	if err := f.begin(ctx, &frame); err != nil {
		return err
	}
	if f.wide {
		readWide(frame.values, stack, f.typ.Params)
	} else {
		values := frame.values
		for i, arg := range stack[:f.params] {
			values[i].Lo = arg
		}
	}
	if status := f.invoke(&frame.values[0]); status != ffi.OK {
		return f.store.fail(&frame, f.name, status)
	}
	if f.wide {
		writeWide(stack, frame.values, f.typ.Results)
	} else {
		values := frame.values
		for i, t := range f.typ.Results {
			stack[i] = bits(&values[i], t)
		}
	}
	f.store.end(&frame)
	return nil
}

// invoke crosses the border, with the arguments in place.
func (f *Function) invoke(values *ffi.Slot) ffi.Status {
	ffi.Call(f.address, values)
	return *f.store.status
}

// begin enters the store with room for the arguments and results.
func (f *Function) begin(ctx context.Context, frame *frame) error {
	if f.references || f.instance.closed.Load() {
		return f.refuse()
	}
	return f.store.begin(ctx, f.width, frame)
}

func (f *Function) refuse() error {
	if f.instance.closed.Load() {
		return ErrClosed
	}
	return fmt.Errorf("%w: call %q: references cannot be passed yet: %s", ErrUnsupported, f.name, f.typ)
}

func readWide(values []ffi.Slot, stack []uint64, types []ValueType) {
	at := 0
	for i, t := range types {
		values[i].Lo = stack[at]
		at++
		if t == ValueTypeV128 {
			values[i].Hi = stack[at]
			at++
		}
	}
}

func writeWide(stack []uint64, values []ffi.Slot, types []ValueType) {
	at := 0
	for i, t := range types {
		stack[at] = bits(&values[i], t)
		at++
		if t == ValueTypeV128 {
			stack[at] = values[i].Hi
			at++
		}
	}
}

// bits reads a result. Of a 32-bit one compiled code has written only the low half: reading more would give what was
// there before, and stall the processor, which cannot forward half a store to a whole load.
func bits(s *ffi.Slot, t ValueType) uint64 {
	if t == ValueTypeI32 || t == ValueTypeF32 {
		return uint64(*(*uint32)(unsafe.Pointer(s)))
	}
	return s.Lo
}

func fromSlot(s *ffi.Slot, t ValueType) Value {
	v := Value{lo: bits(s, t), typ: t}
	if t == ValueTypeV128 {
		v.hi = s.Hi
	}
	return v
}

func isReference(t ValueType) bool {
	return t == ValueTypeFuncRef || t == ValueTypeExternRef || t == ValueTypeExnRef
}
