package wasmer

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Queued defines a Go function without results as an import of the current module name, like Function, but calls of it are
// queued: the guest goes on at once, at a fraction of what a crossing costs, and the Go function is called later on, for many
// calls in one crossing. It suits logs, metrics and events.
//
// Queued calls are made in order, all of a store: before any other Go function of the store is called (a native one does not
// wait), before the call of the guest returns, also when it traps or is stopped, and whenever the queue, of 32 KiB, is full.
// They are made on the goroutine of the call, and may use what other host functions may. A panic in one, or
// runtime.Goexit, ends the call of the guest as in any host function, where it is delivered; queued calls after it are still made
// before a panic goes on.
//
// Parameters are numbers as for AppendFunction, led by nothing, context.Context or *Caller. Moreover []byte and string
// each stand for two i32, an address and a number of bytes in the guest's memory, see Caller.Memory: the bytes are copied when the
// guest calls. An address outside traps then (TrapOutOfBounds). A []byte is valid until the function returns, and is not to be
// changed. What a function reads of memory by itself, it reads at delivery.
func (i *Imports) Queued(name string, fn any) *Imports {
	host, err := defineQueued(fn)
	if err != nil {
		err = fmt.Errorf("wasmer: imports: queued function %q %w", name, err)
	}
	_, _ = i.add(name, importItem{host: host}, err)
	return i
}

// queuedCall is the one form that queued functions are brought into when they are defined.
type queuedCall func(caller *Caller, arguments queuedArguments)

// queuedArguments are where a queued call has its next argument: a word each, but for bytes their number and then they.
type queuedArguments struct{ next unsafe.Pointer }

func (a *queuedArguments) word() uint64 {
	word := *(*uint64)(a.next)
	a.next = unsafe.Add(a.next, 8)
	return word
}

func (a *queuedArguments) bytes() []byte {
	n := int(a.word())
	bytes := unsafe.Slice((*byte)(a.next), n)
	a.next = unsafe.Add(a.next, (n+7)&^7)
	return bytes
}

var (
	bytesType  = reflect.TypeFor[[]byte]()
	stringType = reflect.TypeFor[string]()
)

// defineQueued checks a Go function and brings it into the common form. The message of its error completes "function x".
func defineQueued(fn any) (*hostDefinition, error) {
	t := reflect.TypeOf(fn)
	switch {
	case t == nil || t.Kind() != reflect.Func:
		return nil, fmt.Errorf("must be a Go function, given %T", fn)
	case reflect.ValueOf(fn).IsNil():
		return nil, fmt.Errorf("is a nil function of type %v", t)
	case t.IsVariadic():
		return nil, fmt.Errorf("must not be variadic: %v", t)
	case t.NumOut() > 0:
		return nil, fmt.Errorf("must not have results: %v", t)
	}
	host := &hostDefinition{}
	parts := make([]ValueType, 0, t.NumIn()) // TypeVoid stands for bytes
	for position := range t.NumIn() {
		in := t.In(position)
		if position == 0 && (in == contextType || in == callerType) {
			continue
		}
		if v := valueTypeOf(in); v != 0 && !v.IsReference() && v != ValueTypeV128 {
			host.typ.Params = append(host.typ.Params, v)
			parts = append(parts, v)
			continue
		}
		at := len(host.typ.Params)
		if in != bytesType && in != stringType || at > 62 {
			return nil, fmt.Errorf("has parameter %d of kind %v (%v); want 32 or 64-bit integers, float32, float64, []byte or string "+
				"(among the first 63), led by nothing, context.Context or *wasmer.Caller", position, in.Kind(), in)
		}
		host.typ.Params = append(host.typ.Params, ValueTypeI32, ValueTypeI32)
		host.queuedBytes |= 1 << at
		parts = append(parts, TypeVoid)
	}
	if host.queued = directQueued(fn); host.queued == nil {
		host.queued = reflectedQueued(reflect.ValueOf(fn), parts)
	}
	host.call = notQueued(parts, host.queued)
	return host, nil
}

// directQueued brings functions of common types into the common form without reflection; it is nil for others.
func directQueued(fn any) queuedCall {
	switch fn := fn.(type) {
	case func():
		return func(*Caller, queuedArguments) { fn() }
	case func(int32):
		return func(_ *Caller, a queuedArguments) { fn(int32(a.word())) }
	case func(uint32):
		return func(_ *Caller, a queuedArguments) { fn(uint32(a.word())) }
	case func(int64):
		return func(_ *Caller, a queuedArguments) { fn(int64(a.word())) }
	case func(uint64):
		return func(_ *Caller, a queuedArguments) { fn(a.word()) }
	case func(float64):
		return func(_ *Caller, a queuedArguments) { fn(math.Float64frombits(a.word())) }
	case func(int32, int32):
		return func(_ *Caller, a queuedArguments) { fn(int32(a.word()), int32(a.word())) }
	case func(int32, int64):
		return func(_ *Caller, a queuedArguments) { fn(int32(a.word()), int64(a.word())) }
	case func(int32, float64):
		return func(_ *Caller, a queuedArguments) { fn(int32(a.word()), math.Float64frombits(a.word())) }
	case func([]byte):
		return func(_ *Caller, a queuedArguments) { fn(a.bytes()) }
	case func(string):
		return func(_ *Caller, a queuedArguments) { fn(string(a.bytes())) }
	case func(int32, []byte):
		return func(_ *Caller, a queuedArguments) { fn(int32(a.word()), a.bytes()) }
	case func(int32, string):
		return func(_ *Caller, a queuedArguments) { fn(int32(a.word()), string(a.bytes())) }
	case func(string, int64):
		return func(_ *Caller, a queuedArguments) { fn(string(a.bytes()), int64(a.word())) }
	case func(string, float64):
		return func(_ *Caller, a queuedArguments) { fn(string(a.bytes()), math.Float64frombits(a.word())) }
	case func(*Caller, int32, int32):
		return func(c *Caller, a queuedArguments) { fn(c, int32(a.word()), int32(a.word())) }
	case func(*Caller, []byte):
		return func(c *Caller, a queuedArguments) { fn(c, a.bytes()) }
	case func(context.Context, []byte):
		return func(c *Caller, a queuedArguments) { fn(c.Context(), a.bytes()) }
	}
	return nil
}

func reflectedQueued(fn reflect.Value, parts []ValueType) queuedCall {
	t := fn.Type()
	first := t.NumIn() - len(parts)
	return func(caller *Caller, arguments queuedArguments) {
		args := make([]reflect.Value, t.NumIn())
		if first > 0 {
			args[0] = reflect.ValueOf(caller)
			if t.In(0) == contextType {
				args[0] = reflect.ValueOf(caller.Context())
			}
		}
		for i, v := range parts {
			in := t.In(first + i)
			switch {
			case v != TypeVoid:
				args[first+i] = reflect.New(in).Elem()
				setNumber(args[first+i], arguments.word(), v)
			case in == bytesType:
				args[first+i] = reflect.ValueOf(arguments.bytes())
			default:
				args[first+i] = reflect.ValueOf(string(arguments.bytes()))
			}
		}
		fn.Call(args)
	}
}

// notQueued is for calls that no queue has room for: they are made at once. Beside an address lies where its bytes are.
func notQueued(parts []ValueType, call queuedCall) hostCall {
	return func(caller *Caller, values []ffi.Slot) error {
		words := []uint64{}
		at := 0
		for _, v := range parts {
			words = append(words, values[at].Lo)
			if v == TypeVoid {
				bytes := unsafe.Slice(*(**byte)(unsafe.Pointer(&values[at].Hi)), uint32(values[at+1].Lo))
				words[len(words)-1] = uint64(len(bytes))
				copied := make([]uint64, (len(bytes)+7)/8)
				copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(copied))), len(bytes)), bytes)
				words = append(words, copied...)
				at++
			}
			at++
		}
		words = append(words, 0) // where the last argument ends there is memory still
		call(caller, queuedArguments{unsafe.Pointer(unsafe.SliceData(words))})
		return nil
	}
}

// deliver makes the queued calls. It returns as runHost does; after a panic the rest is still queued.
func (s *Store) deliver(queue *ffi.Queue) uint32 {
	ended := true // as in runHost
	defer func() {
		if ended {
			s.abandon()
		}
	}()
	panicked, value := s.deliverSome(queue)
	ended = false
	if !panicked {
		return 0
	}
	if !s.failure.panicked {
		s.failure = failure{panicked: true, value: value}
	}
	return 1
}

func (s *Store) deliverSome(queue *ffi.Queue) (panicked bool, value any) {
	panicked = true
	defer func() {
		if panicked {
			value = recover()
		}
	}()
	for queue.Head != queue.Tail {
		entry := unsafe.Pointer(&queue.Words[queue.Head])
		header := *(*uint64)(entry)
		queue.Head += header >> 32
		h := s.hosts[uint32(header)]
		h.queued(&h.caller, queuedArguments{unsafe.Add(entry, 8)})
	}
	return false, nil
}
