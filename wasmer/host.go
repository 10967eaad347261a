package wasmer

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// hostFunction is a Go function in the place of an import of one instance.
type hostFunction struct {
	call   hostCall
	caller Caller
	// width is the larger of the numbers of parameters and results.
	width int
	cost  uint64
	// foreign is what a native function needs to live on.
	foreign *foreign
	// queued is called for calls that were queued.
	queued queuedCall
}

// hostCall is the one form that all Go functions are brought into when they are defined: arguments in, results out.
type hostCall func(caller *Caller, values []ffi.Slot) error

// hostDefinition is a Go function that can be imported, by any number of instances.
type hostDefinition struct {
	typ  FunctionType
	call hostCall
	// cost is what a call adds to the cost of the guest.
	cost uint64
	// native does the common cases.
	native ffi.Native
	// foreign is called instead.
	foreign *foreign
	// queued is called later. Of the parameters with a bit in queuedBytes each is an address, and the next a number of bytes there.
	queued      queuedCall
	queuedBytes uint64
}

// addHost gives a host function a number in the store, with the store entered.
func (s *Store) addHost(host *hostDefinition, caller Caller) (number uint32) {
	width := max(len(host.typ.Params), len(host.typ.Results))
	s.hosts = append(s.hosts, &hostFunction{call: host.call, caller: caller, width: width, cost: host.cost, foreign: host.foreign, queued: host.queued})
	return uint32(len(s.hosts) - 1)
}

// dropHosts takes back the host functions from this number on, which nobody can call.
func (s *Store) dropHosts(number int) {
	closePluginData(s.hosts[number:])
	clear(s.hosts[number:])
	s.hosts = s.hosts[:number]
}

// dynamic brings a function over values into the common form.
func dynamic(typ FunctionType, fn func(context.Context, *Caller, []Value) ([]Value, error)) hostCall {
	return func(caller *Caller, slots []ffi.Slot) error {
		args := make([]Value, len(typ.Params))
		for i, t := range typ.Params {
			args[i] = caller.store.lift(&slots[i], t)
		}
		results, err := fn(caller.Context(), caller, args)
		if err != nil {
			return err
		}
		if len(results) != len(typ.Results) {
			return fmt.Errorf("wasmer: host function: returned %d results, want %d: %s", len(results), len(typ.Results), typ)
		}
		for i, v := range results {
			if v.Type() != typ.Results[i] {
				return fmt.Errorf("wasmer: host function: result %d is %v of type %s, want %s", i, v, v.Type(), typ.Results[i])
			}
		}
		if position, err := caller.store.lowerAll(slots, results); err != nil {
			return fmt.Errorf("wasmer: host function: result %d: %w", position, err)
		}
		return nil
	}
}

func init() { ffi.SetHostCall(enterHost) }

// enterHost is where guests arrive in Go. It runs on the goroutine of the call, which is locked to its thread as long as
// the host function runs.
func enterHost(store uint64, function uint32, values unsafe.Pointer) uint32 {
	s := storeOf(store)
	if uint64(function) >= uint64(len(s.hosts)) { // ffi.Deliver
		return s.deliver((*ffi.Queue)(values))
	}
	h := s.hosts[function]
	return s.runHost(h, unsafe.Slice((*ffi.Slot)(values), h.width))
}

// hostCallsPerLook is after how many host calls a store looks whether it has had its turn, and lets other goroutines run: to
// the scheduler a guest that calls the host all the time looks like one that has just begun to, and keeps its processor for long.
const (
	hostCallsPerLook = 64
	turn             = time.Millisecond
)

// runHost calls a host function. Nothing unwinds over the frames of the guest: an error, a panic or the goroutine's
// end is kept, and the guest ended.
func (s *Store) runHost(h *hostFunction, values []ffi.Slot) uint32 {
	if s.hostCalls++; s.hostCalls%hostCallsPerLook == 0 {
		s.takeTurns()
	}
	ended := true // the goroutine's end is what neither returns nor panics
	defer func() {
		if ended {
			s.abandon()
		}
	}()
	panicked, value, err := s.callHost(h, values)
	ended = false
	if err == nil && !panicked {
		return 0
	}
	s.failure = failure{err: err, panicked: panicked, value: value}
	return 1
}

// takeTurns lets other goroutines run if the store has been at it for some time.
func (s *Store) takeTurns() {
	now := time.Since(started)
	if now-s.turnBegan < turn {
		return
	}
	runtime.Gosched()
	s.turnBegan = time.Since(started)
}

// started is a time to count from.
var started = time.Now()

func (s *Store) callHost(h *hostFunction, values []ffi.Slot) (panicked bool, value any, err error) {
	panicked = true
	defer func() {
		if panicked {
			value = recover()
		}
	}()
	if s.ctx.Err() != nil {
		err = interrupted(s.ctx)
	} else if err = s.current.ending(); err == nil {
		err = s.runOpen(h, values)
	}
	panicked = false
	return false, nil, err
}

// runOpen calls a host function for a guest that may go on. The way of one that fails nowhere is kept short.
func (s *Store) runOpen(h *hostFunction, values []ffi.Slot) error {
	open := h.caller.instance.ending() == nil
	if open {
		err := h.call(&h.caller, values)
		if err == nil && s.exits.Load() == nil && s.current.ending() == nil && h.caller.instance.ending() == nil {
			return nil
		}
		err = h.ended(err)
		if err = heeded(s.ctx, err); err != nil {
			return err
		}
	} else if err := heeded(s.ctx, h.runClosed(values)); err != nil {
		return err
	}
	return s.endingBetween(s.current, h.caller.instance)
}

// ended is what comes of a call. If it has closed the instance that imports the function, that is the guest's end.
func (h *hostFunction) ended(err error) error {
	instance := h.caller.instance
	if err == nil {
		return instance.ending()
	}
	if errors.Is(err, ErrClosed) && !errors.As(err, new(*ExitError)) && instance.ending() != nil {
		return instance.ending() // it was closed meanwhile, as the host function has found out
	}
	return h.caller.exited(err)
}

// runClosed calls a host function whose importer was closed before. It goes on: what it has given away to others of its store
// still works for them. What has exited does not.
func (h *hostFunction) runClosed(values []ffi.Slot) error {
	instance := h.caller.instance
	if !instance.exit.Load().plain {
		return instance.ending()
	}
	if err := h.call(&h.caller, values); err != nil {
		return h.caller.exited(err)
	}
	return nil
}

// abandon gives up the running call, because its goroutine ends (runtime.Goexit, t.FailNow): the goroutine goes on
// exiting through the caller, and Go drops the frames of the guest. The store is closed, since its guest stopped midway.
func (s *Store) abandon() {
	if err := s.ptr.Abandon(); err != nil {
		panic(translate("runtime.Goexit in a host function", err))
	}
	s.gate.close()
	if s.depth == 1 { // else a host function further out has yet to end
		s.hostThread.Store(0)
	} else {
		s.endNested()
	}
	s.leave()
}

var (
	contextType = reflect.TypeFor[context.Context]()
	callerType  = reflect.TypeFor[*Caller]()
	pointerType = reflect.TypeFor[unsafe.Pointer]()
	errorType   = reflect.TypeFor[error]()
)

// defineHost checks a Go function and brings it into the common form. The message of its error completes "function x".
func defineHost(fn any) (*hostDefinition, error) {
	switch fn := fn.(type) {
	case *HostFunction:
		if fn != nil && fn.definition.call != nil {
			definition := fn.definition
			return &definition, nil
		}
		return nil, errors.New("is made of a nil function")
	case NativeFunction:
		return fn.define()
	}
	t := reflect.TypeOf(fn)
	if t == nil || t.Kind() != reflect.Func {
		return nil, fmt.Errorf("must be a Go function, given %T", fn)
	}
	if reflect.ValueOf(fn).IsNil() {
		return nil, fmt.Errorf("is a nil function of type %v", t)
	}
	if t.IsVariadic() {
		return nil, fmt.Errorf("must not be variadic: %v", t)
	}
	lead, typ, fails, err := hostType(t)
	if err != nil {
		return nil, err
	}
	if call := direct(fn); call != nil {
		return &hostDefinition{typ: typ, call: call}, nil
	}
	return &hostDefinition{typ: typ, call: reflected(reflect.ValueOf(fn), lead, typ, fails)}, nil
}

// hostType derives the WebAssembly type of a Go function: what leads its parameters (nil if nothing), and whether it
// ends in an error.
func hostType(t reflect.Type) (lead reflect.Type, typ FunctionType, fails bool, err error) {
	for i := range t.NumIn() {
		in := t.In(i)
		if i == 0 && (in == contextType || in == callerType || in == pointerType) {
			lead = in
			continue
		}
		v := valueTypeOf(in)
		if v == 0 {
			return nil, typ, false, fmt.Errorf("has parameter %d of kind %v (%v); want 32 or 64-bit integers, float32, float64, "+
				"[2]uint64, *wasmer.Function or any, led by nothing, context.Context, *wasmer.Caller or unsafe.Pointer", i, in.Kind(), in)
		}
		typ.Params = append(typ.Params, v)
	}
	for i := range t.NumOut() {
		out := t.Out(i)
		if i == t.NumOut()-1 && out == errorType {
			fails = true
			continue
		}
		v := valueTypeOf(out)
		if v == 0 {
			return nil, typ, false, fmt.Errorf("has result %d of kind %v (%v); want 32 or 64-bit integers, float32, float64, "+
				"[2]uint64, *wasmer.Function or any, ended by nothing or error", i, out.Kind(), out)
		}
		typ.Results = append(typ.Results, v)
	}
	return lead, typ, fails, nil
}

// reflected calls any function. All types are known, only the call itself goes through reflection.
func reflected(fn reflect.Value, lead reflect.Type, typ FunctionType, fails bool) hostCall {
	t := fn.Type()
	first := 0
	if lead != nil {
		first = 1
	}
	// Arguments are kept for the next call: a settable value costs an allocation. References are not, they would live on.
	kept := sync.Pool{New: func() any {
		args := make([]reflect.Value, t.NumIn())
		for i, v := range typ.Params {
			if !v.IsReference() && v != ValueTypeV128 {
				args[first+i] = reflect.New(t.In(first + i)).Elem()
			}
		}
		return &args
	}}
	return func(caller *Caller, values []ffi.Slot) error {
		pooled := kept.Get().(*[]reflect.Value)
		args := *pooled
		switch lead {
		case contextType:
			args[0] = reflect.ValueOf(caller.Context())
		case callerType:
			args[0] = reflect.ValueOf(caller)
		case pointerType:
			args[0] = reflect.ValueOf(unsafe.Pointer(caller))
		}
		for i, v := range typ.Params {
			if v.IsReference() || v == ValueTypeV128 {
				args[first+i] = reflect.New(t.In(first + i)).Elem()
				setReference(args[first+i], caller.store.lift(&values[i], v))
			} else {
				setNumber(args[first+i], values[i].Lo, v)
			}
		}
		results := fn.Call(args)
		for i, v := range typ.Params {
			if v.IsReference() || v == ValueTypeV128 {
				args[first+i] = reflect.Value{}
			}
		}
		if lead != nil {
			args[0] = reflect.Value{}
		}
		kept.Put(pooled)
		if fails {
			if err, _ := results[len(results)-1].Interface().(error); err != nil {
				return err
			}
		}
		for i, v := range typ.Results {
			if !v.IsReference() && v != ValueTypeV128 {
				values[i].Lo = getNumber(results[i], v)
				continue
			}
			value, err := ExternRef(results[i].Interface()), error(nil)
			if v != ValueTypeExternRef {
				value, err = toValue(results[i].Interface(), v)
			}
			if err == nil {
				values[i], err = caller.store.lower(value)
			}
			if err != nil {
				return fmt.Errorf("wasmer: host function: result %d: %w", i, err)
			}
		}
		return nil
	}
}
