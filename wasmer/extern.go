package wasmer

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Extern is what instances share: a *Function, *Memory, *Table, *Global or *Tag.
//
// See https://webassembly.github.io/spec/core/exec/runtime.html#external-instances
type Extern interface {
	// ExternType is the type, as declared.
	ExternType() ExternType

	// owner is the store.
	owner() *Store
	// resolve gives the item to an instance that imports it, with the store entered.
	resolve(importer *Instance) (ffi.Import, error)
}

// checkExtern refuses nil, and what only embeds an extern.
func checkExtern(extern Extern) error {
	null := true
	switch extern := extern.(type) {
	case *Function:
		null = extern == nil
	case *Memory:
		null = extern == nil
	case *Table:
		null = extern == nil
	case *Tag:
		null = extern == nil
	case *Global:
		if null = extern == nil; !null && extern.err != nil {
			return extern.err
		}
	case nil:
	default:
		return fmt.Errorf("is a %T, want a *Function, *Memory, *Table, *Global or *Tag", extern)
	}
	if null || extern.owner() == nil {
		return errors.New("is nil")
	}
	return nil
}

// Tag identifies exceptions that guests throw and catch; it can be passed on from instance to instance.
//
// See https://webassembly.github.io/spec/core/exec/runtime.html#tag-instances
type Tag struct {
	store  *Store
	item   *ffi.Extern
	typ    FunctionType
	closed *atomic.Bool
}

// Type is the tag's type: its parameters are what the exceptions carry.
func (t *Tag) Type() FunctionType { return t.typ }

// ExternType is the function's type as that of an import or export.
func (f *Function) ExternType() ExternType {
	return ExternType{Kind: ExternFunction, Function: f.typ}
}

// ExternType is the memory's type as that of an import or export.
func (m *Memory) ExternType() ExternType { return ExternType{Kind: ExternMemory, Memory: m.typ} }

// ExternType is the table's type as that of an import or export.
func (t *Table) ExternType() ExternType { return ExternType{Kind: ExternTable, Table: t.typ} }

// ExternType is the global's type as that of an import or export.
func (g *Global) ExternType() ExternType { return ExternType{Kind: ExternGlobal, Global: g.typ} }

// ExternType is the tag's type as that of an import or export.
func (t *Tag) ExternType() ExternType { return ExternType{Kind: ExternTag, Function: t.typ} }

func (f *Function) owner() *Store { return f.store }
func (m *Memory) owner() *Store   { return m.store }
func (t *Table) owner() *Store    { return t.store }
func (g *Global) owner() *Store   { return g.store }
func (t *Tag) owner() *Store      { return t.store }

// resolve gives a function of the host directly, so that its caller is the importing instance.
func (f *Function) resolve(importer *Instance) (ffi.Import, error) {
	if f.closed.Load() {
		return ffi.Import{}, ErrClosed
	}
	if f.host != nil {
		return f.host.resolve(importer)
	}
	return ffi.Import{Item: f.item}, nil
}

func (m *Memory) resolve(*Instance) (ffi.Import, error) {
	if m.closed.Load() || m.instance != nil && m.instance.closed.Load() {
		return ffi.Import{}, ErrClosed
	}
	return ffi.Import{Item: m.item}, nil
}

func (t *Table) resolve(*Instance) (ffi.Import, error) {
	if t.closed.Load() {
		return ffi.Import{}, ErrClosed
	}
	return ffi.Import{Item: t.item}, nil
}

func (g *Global) resolve(*Instance) (ffi.Import, error) {
	if g.err != nil {
		return ffi.Import{}, g.err
	}
	if g.closed.Load() {
		return ffi.Import{}, ErrClosed
	}
	return ffi.Import{Item: g.item}, nil
}

func (t *Tag) resolve(*Instance) (ffi.Import, error) {
	if t.closed.Load() {
		return ffi.Import{}, ErrClosed
	}
	return ffi.Import{Item: t.item}, nil
}

func (h *hostDefinition) resolve(importer *Instance) (ffi.Import, error) {
	if h.foreign != nil && h.foreign.plugin != nil {
		var err error
		if h, err = h.withDataOf(importer); err != nil {
			return ffi.Import{}, err
		}
	}
	number := importer.store.addHost(h, Caller{instance: importer, store: importer.store})
	resolved := ffi.Import{Function: number, Cost: h.cost}
	if h.foreign != nil {
		resolved.Pointer, resolved.Data, resolved.Leaf = h.foreign.pointer, h.foreign.data, h.foreign.leaf
	}
	resolved.Queued, resolved.Bytes = h.queued != nil, h.queuedBytes
	return resolved, nil
}
