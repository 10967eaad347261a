package wasmer

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Table is a vector of references, to functions or to Go values. Goroutines may share it: its methods wait for calls under
// way in its store, except in a host function of such a call. After Close of its instance or store they fail with
// ErrClosed.
//
// See https://webassembly.github.io/spec/core/exec/runtime.html#table-instances
type Table struct {
	store  *Store
	item   *ffi.Extern
	typ    TableType
	closed *atomic.Bool
}

// NewTable makes a table in the store, each of whose elements is init: nil for null, a *Function of the store, any Go
// value for externref, or a Value. A minimum beyond EngineConfig.MaxTableElements is ErrResource.
func (s *Store) NewTable(typ TableType, init any) (_ *Table, err error) {
	if s == nil {
		return nil, ErrClosed
	}
	err = typ.check()
	if typ.Element != ValueTypeFuncRef && typ.Element != ValueTypeExternRef {
		err = fmt.Errorf("%w: elements are funcref or externref", ErrUnsupported)
	}
	if typ.Min > math.MaxUint32 || typ.HasMax && typ.Max > math.MaxUint32 || typ.Shared {
		err = fmt.Errorf("%w: sizes are less than 2^32, and tables are not shared", ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("wasmer: table: %w: %s", err, typ)
	}
	value, err := toValue(init, typ.Element)
	if err != nil {
		return nil, fmt.Errorf("wasmer: table: the element %w", err)
	}
	defer func() { s.tellLimit(err) }() // with the store left
	if err := s.enter(context.Background()); err != nil {
		return nil, err
	}
	defer s.leave()
	slot, err := s.lower(value)
	if err != nil {
		return nil, fmt.Errorf("wasmer: table: %w", err)
	}
	maxSize := uint64(ffi.None)
	if typ.HasMax {
		maxSize = typ.Max
	}
	limit := uint32(s.config().MaxTableElements)
	item, err := s.ptr.NewTable(uint8(typ.Element), uint32(typ.Min), maxSize, limit, slot.Lo)
	if err != nil {
		return nil, translate("table", err)
	}
	return &Table{store: s, item: item, typ: typ, closed: &neverClosed}, nil
}

// Type is the table's type as declared.
func (t *Table) Type() TableType { return t.typ }

// Size is the number of elements; 0 after Close.
func (t *Table) Size() uint64 {
	if err := t.enter(); err != nil {
		return 0
	}
	defer t.store.leave()
	return t.item.Size()
}

// Get is the element at the index, or ErrOutOfBounds.
func (t *Table) Get(index uint64) (Value, error) {
	if err := t.enter(); err != nil {
		return Value{}, err
	}
	defer t.store.leave()
	if index <= math.MaxUint32 {
		if reference, ok := t.item.GetElement(uint32(index)); ok {
			return t.store.lift(&ffi.Slot{Lo: reference}, t.typ.Element), nil
		}
	}
	return Value{}, t.outOfBounds(index)
}

// Set sets the element at the index: nil for null, a *Function, any Go value for externref, or a Value. It fails with
// ErrOutOfBounds, with ErrStoreMismatch for a function of another store, and if the type is not the table's.
func (t *Table) Set(index uint64, v any) error {
	slot, err := t.enterWith(v)
	if err != nil {
		return err
	}
	defer t.store.leave()
	if index > math.MaxUint32 || !t.item.SetElement(uint32(index), slot.Lo) {
		return t.outOfBounds(index)
	}
	return nil
}

// Grow adds delta elements, each of which is init, and returns the size before. It fails with ErrResource if that exceeds
// the maximum or EngineConfig.MaxTableElements; then nothing changed.
//
// See https://webassembly.github.io/spec/core/exec/modules.html#growing-tables
func (t *Table) Grow(delta uint64, init any) (previous uint64, err error) {
	slot, err := t.enterWith(init)
	if err != nil {
		return 0, err
	}
	defer func() { t.store.tellLimit(err) }() // with the store left
	defer t.store.leave()
	previous = t.item.GrowTable(delta, slot.Lo)
	if previous == ffi.None {
		return 0, fmt.Errorf("%w: table: cannot grow by %d elements, has %d, limits %s",
			errTableGrowth, delta, t.item.Size(), t.typ.Limits)
	}
	return previous, nil
}

func (t *Table) enter() error {
	if t == nil || t.closed.Load() {
		return ErrClosed
	}
	return t.store.enterForReferences()
}

// enterWith enters the store and turns an element into what a slot holds.
func (t *Table) enterWith(v any) (ffi.Slot, error) {
	if t == nil {
		return ffi.Slot{}, ErrClosed
	}
	value, err := toValue(v, t.typ.Element)
	if err != nil {
		return ffi.Slot{}, &codedError{text: "wasmer: table: the element " + err.Error(), code: codeReferenceType, kind: err}
	}
	if err := t.enter(); err != nil {
		return ffi.Slot{}, err
	}
	slot, err := t.store.lower(value)
	if err != nil {
		t.store.leave()
		return ffi.Slot{}, fmt.Errorf("wasmer: table: %w", err)
	}
	return slot, nil
}

// Errors of access and growth with their codes; ErrOutOfBounds itself has that of memories.
var (
	errTableBounds  = &codedError{text: ErrOutOfBounds.Error(), code: codeTableBounds, kind: ErrOutOfBounds}
	errTableGrowth  = &codedError{text: ErrResource.Error(), code: codeTableBounds, kind: ErrResource}
	errMemoryGrowth = &codedError{text: ErrResource.Error(), code: codeMemoryBounds, kind: ErrResource}
)

func (t *Table) outOfBounds(index uint64) error {
	return fmt.Errorf("%w: index %d of a table of %d elements", errTableBounds, index, t.item.Size())
}
