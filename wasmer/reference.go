package wasmer

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync/atomic"
	"weak"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// enterForReferences enters the store to read or write references, and gives up Go values that no guest holds if that is
// due and none runs.
func (s *Store) enterForReferences() error {
	if err := s.enter(context.Background()); err != nil {
		return err
	}
	if s.depth == 1 && s.externrefs.due() {
		s.sweep()
	}
	return nil
}

// lowerAll turns values into slots, with the store entered, and tells which one cannot be.
func (s *Store) lowerAll(slots []ffi.Slot, values []Value) (position int, err error) {
	for i, v := range values {
		if slots[i], err = s.lower(v); err != nil {
			return i, err
		}
	}
	return 0, nil
}

// lower turns a value into what a slot of the store holds, with the store entered.
func (s *Store) lower(v Value) (ffi.Slot, error) {
	switch {
	case !v.typ.IsReference() || v.IsNull():
		return ffi.Slot{Lo: v.lo, Hi: v.hi}, nil
	case v.typ == ValueTypeExternRef:
		return ffi.Slot{Lo: s.externrefs.number(s, v.ref)}, nil
	case v.typ == ValueTypeFuncRef:
		f := v.ref.(*Function)
		if f.store != s {
			return ffi.Slot{}, fmt.Errorf("%w: the function %q", ErrStoreMismatch, f.name)
		}
		if err := f.make(); err != nil {
			return ffi.Slot{}, err
		}
		if f.reference == 0 {
			reference, err := f.item.Reference()
			if err != nil {
				return ffi.Slot{}, translate("reference", err)
			}
			f.reference = reference
		}
		return ffi.Slot{Lo: f.reference}, nil
	}
	return ffi.Slot{}, errors.New("an exception reference cannot be passed by the host, only null can")
}

// lift reads a reference from a slot, with the store entered.
func (s *Store) lift(slot *ffi.Slot, t ValueType) Value {
	v := Value{typ: t}
	switch t {
	case ValueTypeFuncRef:
		if slot.Lo != 0 {
			v.ref = s.function(s.ptr.Function(slot.Lo))
		}
	case ValueTypeExternRef:
		v.ref = s.externrefs.value(slot.Lo)
	case ValueTypeExnRef:
		if uint32(slot.Lo) != 0 {
			v.ref = exception{}
		}
	default:
		return fromSlot(slot, t)
	}
	return v
}

// exception is all that a host gets of an exception reference.
type exception struct{}

// function is the Go side of an extern that is a function: the same one each time.
func (s *Store) function(item *ffi.Extern) *Function {
	s.mu.Lock()
	f := s.functions[item]
	s.mu.Unlock()
	if f == nil {
		f = newFunction(s, item, decodeFunctionType(item.FunctionType()))
		s.register(f)
	}
	return f
}

// unregister makes references to the instance's functions lead to functions of their own, which are not closed with it.
func (s *Store) unregister(i *Instance) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range i.items {
		if f, ok := item.(*Function); ok && s.functions[f.item] == f {
			delete(s.functions, f.item)
		}
	}
}

// register makes a function the one that references to it are lifted to, unless there is one.
func (s *Store) register(f *Function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.functions == nil {
		s.functions = map[*ffi.Extern]*Function{}
	}
	if s.functions[f.item] == nil {
		s.functions[f.item] = f
	}
}

// externrefs are the Go values that guests of a store hold, by number. It belongs to who holds the gate.
//
// A number is given up when no table, global or exception of the store holds it any more, which is looked up while none of
// its guests runs: at the beginning of a call if there are many numbers, and after each collection of garbage by Go.
type externrefs struct {
	values []any
	free   []uint64
	// numbers finds values again that are cheap to compare, so that a guest that is given the same one over and over
	// holds one number.
	numbers map[any]uint64
	// limit is the count of values in use at which they are looked through, made that of numbers given since.
	limit, made int
	// held is the space for that.
	held []uint64
	// watched says that a sentinel waits for the garbage collector; wanted that it has run while the store was in use.
	watched bool
	wanted  atomic.Bool
}

// unused takes the place of values that were given up.
type unused struct{}

const externrefsKept = 4096

func (r *externrefs) inUse() int { return len(r.values) - len(r.free) }

// due keeps the work in proportion: looking through many values must pay for itself.
func (r *externrefs) due() bool {
	n := r.inUse()
	return n >= max(r.limit, externrefsKept) || r.wanted.Load() && r.made >= (n-externrefsKept)/4
}

// number gives the value a number, from 1.
func (r *externrefs) number(s *Store, v any) uint64 {
	same := cheap(v)
	if same {
		if n, ok := r.numbers[v]; ok {
			return n
		}
	}
	if !r.watched {
		r.watched = true
		s.watchExternrefs()
	}
	r.made++
	var n uint64
	if last := len(r.free) - 1; last >= 0 {
		n, r.free = r.free[last], r.free[:last]
		r.values[n-1] = v
	} else {
		r.values = append(r.values, v)
		n = uint64(len(r.values))
	}
	if same {
		if r.numbers == nil {
			r.numbers = map[any]uint64{}
		}
		r.numbers[v] = n
	}
	return n
}

// cheap reports whether values of this type can be keys of a map at little cost.
func cheap(v any) bool {
	switch k := reflect.TypeOf(v).Kind(); k {
	case reflect.Pointer, reflect.Chan, reflect.UnsafePointer, reflect.Bool:
		return true
	default:
		return k >= reflect.Int && k <= reflect.Uintptr
	}
}

func (r *externrefs) value(n uint64) any {
	if n == 0 || n > uint64(len(r.values)) {
		return nil
	}
	return r.values[n-1]
}

// sweep gives up the values that no guest holds, with the store entered and none of its guests running.
func (s *Store) sweep() {
	r := &s.externrefs
	r.wanted.Store(false)
	if len(r.values) == 0 {
		return
	}
	words := (len(r.values) + 63) / 64
	if words > cap(r.held) {
		r.held = make([]uint64, words, 2*words)
	}
	r.held = r.held[:words]
	clear(r.held)
	s.ptr.Externrefs(r.held)
	held := func(n int) bool { return r.held[(n-1)/64]>>((n-1)%64)&1 == 1 }
	for n := len(r.values); n > 0 && !held(n); n-- {
		r.drop(n)
		r.values = r.values[:n-1]
	}
	r.free = r.free[:0]
	for n := 1; n <= len(r.values); n++ {
		if !held(n) {
			r.drop(n)
			r.free = append(r.free, uint64(n))
		}
	}
	r.limit, r.made = 2*r.inUse(), 0
}

func (r *externrefs) drop(n int) {
	if v := r.values[n-1]; v != (unused{}) && cheap(v) {
		delete(r.numbers, v)
	}
	r.values[n-1] = unused{}
}

// watchExternrefs has the values looked through after the next collection of garbage. The store is not kept alive.
func (s *Store) watchExternrefs() {
	type sentinel struct{ _ *int } // a pointer, so that it has a place of its own in memory
	runtime.AddCleanup(&sentinel{}, func(store weak.Pointer[Store]) {
		if s := store.Value(); s != nil {
			s.collected()
		}
	}, weak.Make(s))
}

// collected runs after a collection of garbage.
func (s *Store) collected() {
	if !s.gate.tryEnter() {
		s.externrefs.wanted.Store(true) // a call of a function with references will do it
		if !s.gate.closed() {
			s.watchExternrefs()
		}
		return
	}
	s.entered()
	s.sweep()
	s.externrefs.watched = s.externrefs.inUse() > 0
	if s.externrefs.watched {
		s.watchExternrefs()
	}
	s.leave()
}
