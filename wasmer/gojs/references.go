package gojs

import (
	"fmt"
	"math"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A reference is how a value looks in the guest's memory: a number as its bits, undefined as 0, and anything else as a NaN
// with an id in its low half and its kind above.
const nanHead = 0x7FF80000

// The ids that both sides know.
const (
	idNaN uint32 = iota
	idZero
	idNull
	idTrue
	idFalse
	idGlobal
	idGo
	firstID
)

// The kinds of values, as the reference tells them.
const (
	kindOther uint64 = iota
	kindObject
	kindString
	kindSymbol
	kindFunction
)

// references are the values that the guest has hold of. It counts how often it was given each, and takes that back when
// its garbage collector finds them unused.
type references struct {
	entries []entry
	ids     map[value]uint32
	free    []uint32
}

type entry struct {
	value value
	count uint64
}

// evicted takes the place of a value that the guest has had its use of, and has not collected yet.
type evicted struct{}

// maxReferences bounds the table.
const maxReferences = 8 << 20

func newReferences(global, goObject *object) *references {
	r := &references{ids: map[value]uint32{}}
	for _, v := range []value{math.NaN(), 0.0, null{}, true, false, global, goObject} {
		if f, ok := v.(float64); !ok || f == 0 {
			r.ids[v] = uint32(len(r.entries))
		}
		r.entries = append(r.entries, entry{value: v})
	}
	return r
}

// load is the value of a reference.
func (r *references) load(ref uint64) (value, error) {
	f := math.Float64frombits(ref)
	switch {
	case f == 0:
		return nil, nil
	case !math.IsNaN(f):
		return f, nil
	}
	id := uint32(ref)
	if id >= firstID && (uint64(id) >= uint64(len(r.entries)) || r.entries[id].count == 0) {
		return nil, fmt.Errorf("the guest has no reference %d", id)
	}
	if v := r.entries[id].value; v != (evicted{}) {
		return v, nil
	}
	return nil, fmt.Errorf("%w: the guest uses a JavaScript value again that was given up for want of memory: reference %d",
		wasmer.ErrResource, id)
}

// evict gives a value up, while the guest still holds the reference. Using it is an error from now on.
func (r *references) evict(v value) {
	if id, ok := r.ids[v]; ok && id >= firstID {
		delete(r.ids, v)
		r.entries[id].value = evicted{}
	}
}

// evictSpent gives up the arrays whose last use was a call of fs before the one of this number.
func (r *references) evictSpent(before uint64) {
	for i := range r.entries {
		v := r.entries[i].value
		if b, ok := slotOf[*byteArray](v); ok && b.spent != 0 && b.spent < before {
			r.evict(v)
		}
	}
}

// store makes a reference, which the guest has to finalize.
func (r *references) store(v value) (uint64, error) {
	if f, ok := v.(float64); ok && f != 0 {
		if math.IsNaN(f) {
			return nanHead << 32, nil
		}
		return math.Float64bits(f), nil
	}
	if v == nil {
		return 0, nil
	}
	id, ok := r.ids[v]
	if !ok {
		var err error
		if id, err = r.add(v); err != nil {
			return 0, err
		}
	}
	if id >= firstID {
		r.entries[id].count++
	}
	return (nanHead|kindOf(v))<<32 | uint64(id), nil
}

func (r *references) add(v value) (uint32, error) {
	if n := len(r.free); n > 0 {
		id := r.free[n-1]
		r.free = r.free[:n-1]
		r.entries[id].value, r.ids[v] = v, id
		return id, nil
	}
	if len(r.entries) >= maxReferences {
		return 0, fmt.Errorf("%w: the guest holds %d references to JavaScript values", wasmer.ErrResource, len(r.entries))
	}
	id := uint32(len(r.entries))
	r.entries = append(r.entries, entry{value: v})
	r.ids[v] = id
	return id, nil
}

// finalize takes a reference back.
func (r *references) finalize(ref uint64) error {
	id := uint32(ref)
	if id < firstID {
		return nil
	}
	if uint64(id) >= uint64(len(r.entries)) || r.entries[id].count == 0 {
		return fmt.Errorf("the guest has no reference %d", id)
	}
	e := &r.entries[id]
	if e.count--; e.count == 0 {
		if e.value != (evicted{}) {
			delete(r.ids, e.value)
		}
		e.value = nil
		r.free = append(r.free, id)
	}
	return nil
}

func kindOf(v value) uint64 {
	switch typeOf(v) {
	case "string":
		return kindString
	case "symbol":
		return kindSymbol
	case "function":
		return kindFunction
	case "object":
		if v != (null{}) {
			return kindObject
		}
	}
	return kindOther
}
