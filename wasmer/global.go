package wasmer

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Global is a variable or constant. Goroutines may share it: its methods wait for calls under way in its store, except in a
// host function of such a call. After Close of its instance or store they fail with ErrClosed.
//
// See https://webassembly.github.io/spec/core/exec/runtime.html#global-instances
type Global struct {
	store  *Store
	item   *ffi.Extern
	slot   *ffi.Slot
	typ    GlobalType
	closed *atomic.Bool
	// err is why the global could not be made.
	err error
}

// NewGlobal makes a global in the store. The value is a Go number that the type can hold exactly, what Function.Call takes
// for other types, or a Value; nil stands for a null reference. If it cannot be made, the error comes out of each use.
func (s *Store) NewGlobal(typ GlobalType, v any) *Global {
	g := &Global{store: s, typ: typ, closed: &neverClosed}
	if err := g.make(v); err != nil {
		g.err = fmt.Errorf("wasmer: global: %w", err)
	}
	return g
}

func (g *Global) make(v any) error {
	if g.store == nil {
		return ErrClosed
	}
	if !g.typ.Value.valid() {
		return fmt.Errorf("%w: no type %s", ErrUnsupported, g.typ.Value)
	}
	value, err := toValue(v, g.typ.Value)
	if err != nil {
		return fmt.Errorf("the value %w", err)
	}
	if err := g.store.enter(context.Background()); err != nil {
		return err
	}
	defer g.store.leave()
	slot, err := g.store.lower(value)
	if err != nil {
		return err
	}
	if g.item, err = g.store.ptr.NewGlobal(uint8(g.typ.Value), g.typ.Mutable); err != nil {
		return translate("global", err)
	}
	g.slot = g.item.Global()
	*g.slot = slot
	return nil
}

// Type is the global's type.
func (g *Global) Type() GlobalType { return g.typ }

// Get is the value.
func (g *Global) Get() (Value, error) {
	if err := g.enter(); err != nil {
		return Value{}, err
	}
	defer g.store.leave()
	return g.store.lift(g.slot, g.typ.Value), nil
}

// Set sets the value, which is given as for Store.NewGlobal. A constant is ErrImmutable.
func (g *Global) Set(v any) error {
	if g == nil {
		return ErrClosed
	}
	if g.err != nil {
		return g.err
	}
	if !g.typ.Mutable {
		return fmt.Errorf("%w: global: it is constant: %s", ErrImmutable, g.typ)
	}
	value, err := toValue(v, g.typ.Value)
	if err != nil {
		return fmt.Errorf("wasmer: global: the value %w", err)
	}
	if err := g.enter(); err != nil {
		return err
	}
	defer g.store.leave()
	slot, err := g.store.lower(value)
	if err != nil {
		return fmt.Errorf("wasmer: global: %w", err)
	}
	*g.slot = slot
	return nil
}

func (g *Global) enter() error {
	switch {
	case g == nil || g.closed.Load():
		return ErrClosed
	case g.err != nil:
		return g.err
	}
	return g.store.enterForReferences()
}
