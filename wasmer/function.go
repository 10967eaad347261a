package wasmer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Function is a function of an instance or of the host. One that an instance exports keeps it alive, but not open.
// Goroutines may share it; see Instance for how calls wait for each other.
//
// See https://webassembly.github.io/spec/core/exec/runtime.html#function-instances
type Function struct {
	instance *Instance
	store    *Store
	// closed is that of the instance.
	closed  *atomic.Bool
	item    *ffi.Extern
	address uintptr
	name    string
	typ     FunctionType
	// host is set for a function made by Store.NewFunction; item and address are made when they are first needed.
	host *hostDefinition
	// width is the larger of the numbers of parameters and results.
	width int
	// params and results are what they take in a raw stack.
	params, results int
	// wide says that there are v128 among them, so that a value is not always one slot of a raw stack.
	wide bool
	// special says that a call takes more than numbers, or that the function may have yet to be made.
	special bool
	// references says that there are references among the parameters and results.
	references bool
	// reference is the function as a reference, 0 until it is needed. It belongs to who holds the gate.
	reference uint64
}

func newFunction(s *Store, item *ffi.Extern, typ FunctionType) *Function {
	f := &Function{
		store: s, closed: &neverClosed, item: item, address: item.Address(), typ: typ,
		width:  max(len(typ.Params), len(typ.Results), 1),
		params: slots(typ.Params), results: slots(typ.Results),
	}
	f.wide = f.params != len(typ.Params) || f.results != len(typ.Results)
	f.references = slices.ContainsFunc(typ.Params, ValueType.IsReference) ||
		slices.ContainsFunc(typ.Results, ValueType.IsReference)
	f.special = f.references
	return f
}

// neverClosed stands in for the mark of an instance where there is none.
var neverClosed atomic.Bool

// NewFunction makes a function of the store that calls a Go function of a type that is known at run time only. It can be
// called, imported, and passed as a reference. cost is what a call adds to the cost of the guest that calls it.
//
// fn is given a value for each parameter, and must return one for each result, of its type: else the guest ends with an
// error. The slices belong to fn until it returns. An error or panic ends the guest as for Imports.AppendFunction. ctx is
// the context of the call that led here. The caller's instance is nil when the host calls, or a guest does through a
// reference. Types with exnref are ErrUnsupported; types that the compiler of the store's engine does not support are refused
// when the function is first used.
func (s *Store) NewFunction(typ FunctionType,
	fn func(ctx context.Context, caller *Caller, args []Value) ([]Value, error), cost uint64,
) (*Function, error) {
	if s == nil || s.gate.closed() {
		return nil, ErrClosed
	}
	if fn == nil {
		return nil, errors.New("wasmer: function: the Go function is nil")
	}
	for _, t := range slices.Concat(typ.Params, typ.Results) {
		if !t.valid() || t == ValueTypeExnRef {
			return nil, fmt.Errorf("%w: function: a host function cannot have the type %s: %s", ErrUnsupported, t, typ)
		}
	}
	typ = FunctionType{Params: slices.Clone(typ.Params), Results: slices.Clone(typ.Results)}
	f := newFunction(s, nil, typ)
	f.host = &hostDefinition{typ: typ, call: dynamic(typ, fn), cost: cost}
	f.special = true
	return f, nil
}

// Name is the name that the function is exported under; empty if it was come by in another way.
func (f *Function) Name() string { return f.name }

// Type is the function's type.
func (f *Function) Type() FunctionType { return f.typ }

// Instance is the instance that exports the function; nil if it was come by in another way.
func (f *Function) Instance() *Instance { return f.instance }

// Cost is what a call of a function made by NewFunction, or of an export that is one, adds to the cost of its guest.
func (f *Function) Cost() uint64 {
	if f.host != nil {
		return f.host.cost
	}
	if f.closed.Load() || f.store.enter(context.Background()) != nil {
		return 0
	}
	defer f.store.leave()
	if number, ok := f.item.HostFunction(); ok {
		return f.store.hosts[number].cost
	}
	return 0
}

// Call calls the function with Go values: numbers of any type, or Value. An argument that the parameter's type cannot
// hold exactly is a *CallError, as is a wrong number of arguments; then no guest code has run.
//
// The guest's end by a trap is a *Trap. An error returned by a host function comes out as the same error, a panic of
// one goes on in this goroutine with its value. ctx is handed to host functions. If it ends, before the call, while it waits for
// the store, or while the guest runs, the error is ErrInterrupted and the context's; the instance can be called again. If the
// instance is closed meanwhile it is *ExitError. A call that a host function ends with ErrTerminate has succeeded, and gives
// zeros. nil stands for context.Background().
//
// See https://webassembly.github.io/spec/core/exec/modules.html#invocation
func (f *Function) Call(ctx context.Context, args ...any) ([]Value, error) {
	return f.call(ctx, args, nil)
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
	if f.references {
		return f.callWithReferences(ctx, args, out)
	}
	var space [8]ffi.Slot
	slots := space[:0]
	for position, arg := range args {
		slot, err := toSlot(arg, f.typ.Params[position])
		if err != nil {
			return nil, &CallError{Function: f.name, Position: position, Message: err.Error()}
		}
		slots = append(slots, slot)
	}
	var frame frame
	if err := f.begin(ctx, &frame); err != nil {
		return nil, err
	}
	copy(frame.values, slots)
	if status := f.invoke(&frame.values[0]); status != ffi.OK {
		return f.ended(f.store.fail(ctx, f.instance, &frame, f.name, status), out)
	}
	if n := len(f.typ.Results); n > cap(out) {
		out = make([]Value, 0, n)
	}
	for i, t := range f.typ.Results {
		out = append(out, fromSlot(&frame.values[i], t))
	}
	f.store.end(&frame)
	return out, nil
}

// ended gives what a call returns that came to no end of its own.
func (f *Function) ended(err error, out []Value) ([]Value, error) {
	if err = unlessTerminated(err); err != nil {
		return nil, err
	}
	for _, t := range f.typ.Results {
		out = append(out, Value{typ: t})
	}
	return out, nil
}

// callWithReferences is call for a function with references among its types.
func (f *Function) callWithReferences(ctx context.Context, args []any, out []Value) ([]Value, error) {
	values := make([]Value, len(args))
	for position, arg := range args {
		v, err := toValue(arg, f.typ.Params[position])
		if err != nil {
			return nil, &CallError{Function: f.name, Position: position, Message: err.Error()}
		}
		values[position] = v
	}
	var frame frame
	if err := f.begin(ctx, &frame); err != nil {
		return nil, err
	}
	if position, err := f.store.lowerAll(frame.values, values); err != nil {
		f.store.end(&frame)
		return nil, fmt.Errorf("wasmer: call %q: argument %d: %w", f.name, position, err)
	}
	if status := f.invoke(&frame.values[0]); status != ffi.OK {
		return f.ended(f.store.fail(ctx, f.instance, &frame, f.name, status), out)
	}
	for i, t := range f.typ.Results {
		out = append(out, f.store.lift(&frame.values[i], t))
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
	if f.references {
		return fmt.Errorf("%w: call %q: references cannot be passed raw, use Call: %s", ErrUnsupported, f.name, f.typ)
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
		err := unlessTerminated(f.store.fail(ctx, f.instance, &frame, f.name, status))
		if err == nil {
			clear(stack[:f.results])
		}
		return err
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
	return f.beginWith(ctx, f.width, frame)
}

// beginWith is begin with room for n values.
func (f *Function) beginWith(ctx context.Context, n int, frame *frame) error {
	if f.special || f.closed.Load() {
		return f.beginSpecial(ctx, n, frame)
	}
	if err := f.store.begin(ctx, n, f.instance, frame); err != nil {
		return f.refused(err)
	}
	if f.closed.Load() { // since: who closed it may not have seen this call
		f.store.end(frame)
		return f.instance.ending()
	}
	return nil
}

// refused tells of the instance's end where the store only says that it is closed.
func (f *Function) refused(err error) error {
	if err == ErrClosed && f.instance != nil {
		if ending := f.instance.ending(); ending != nil {
			return ending
		}
	}
	return err
}

func (f *Function) beginSpecial(ctx context.Context, n int, frame *frame) error {
	if f.closed.Load() {
		if f.instance != nil {
			return f.instance.closedError()
		}
		return ErrClosed
	}
	if err := f.store.beginHosted(ctx, n, f.instance, frame); err != nil {
		return f.refused(err)
	}
	if f.store.depth == 1 && f.store.externrefs.due() {
		f.store.sweep()
	}
	if err := f.make(); err != nil {
		f.store.end(frame)
		return err
	}
	return nil
}

// make makes a host function that was not needed before, with the store entered.
func (f *Function) make() error {
	if f.item != nil {
		return nil
	}
	types := make([]uint8, 0, len(f.typ.Params)+len(f.typ.Results))
	for _, t := range slices.Concat(f.typ.Params, f.typ.Results) {
		types = append(types, uint8(t))
	}
	engine, release, err := f.store.useEngine()
	if err != nil {
		return err
	}
	defer release()
	number := f.store.addHost(f.host, Caller{store: f.store})
	item, err := f.store.ptr.NewFunction(engine, types, len(f.typ.Params), number, f.host.cost)
	if err != nil {
		f.store.hosts = f.store.hosts[:number]
		return translate("function", err)
	}
	f.item, f.address = item, item.Address()
	f.store.register(f)
	return nil
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
