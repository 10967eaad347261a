package wasmer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// Instance is a module at work: its code with memories, tables and globals of its own.
//
// Goroutines may share an instance; calls run one at a time (see Store). For parallel work make an instance for each
// goroutine, which is cheap.
//
// See https://webassembly.github.io/spec/core/exec/runtime.html#module-instances
type Instance struct {
	// Exports holds the exported functions by name, with Go values as arguments. It is filled in by NewInstance,
	// NewInstanceWithImports, Module.Instantiate and Module.InstantiateWithImports only; elsewhere use Function.
	Exports map[string]func(...any) (Value, error)
	// Memory is the memory exported as "memory", else the first exported one; nil if there is none.
	Memory *Memory

	store *Store
	// module and ptr are nil for an instance made of the host's externs.
	module  *Module
	ptr     *ffi.Instance
	tier    Tier
	tally   *tally
	name    string
	exports []ExportType

	closed atomic.Bool
	// exit is why it is closed.
	exit atomic.Pointer[ExitError]
	// linked are those that it imports from; shared says that it is such a one of others.
	linked []*Instance
	shared atomic.Bool
	// previous and next are its neighbours in the store's list of open instances.
	previous, next *Instance
	// kept says that what the instance begins with is kept for Reset; resets counts those.
	kept   bool
	resets atomic.Uint64
	// shell is that of a pool; nil for others.
	shell *shell
	// known says that a host function has asked for the instance, before it had started.
	known atomic.Bool

	// process is the guest's side of WASI; nil without. imported is the memory that it works on if none is exported.
	process  *wasip1.Process
	call     wasip1.Call
	imported *ffi.MemoryDefinition

	// passes are the programs of CallString and CallBytes that were needed.
	passes passes

	// memory is its only exported memory; nil if it has none, or several.
	memory *Memory

	mu sync.Mutex
	// items are the exports that somebody has asked for, by name; nil as long as nobody has, save for several memories.
	items map[string]Extern
	// ended is closed when the instance is; nil until somebody waits for that, or it is.
	ended chan struct{}
	data  any
	// stackLent is full while something of a caller lies on the guest's stack; nil until that is needed.
	stackLent chan struct{}
}

// NewInstance makes an instance of externs that the host has: a host module, whose exports other modules of the store can
// import under its name. All must belong to the store. Without a name it can be given to Imports.Instance. Closing it does
// not close them.
func (s *Store) NewInstance(name string, externs map[string]Extern) (instance *Instance, err error) {
	if s == nil || s.gate.closed() {
		return nil, ErrClosed
	}
	i := &Instance{store: s, tier: TierOptimized, items: maps.Clone(externs)}
	for _, item := range slices.Sorted(maps.Keys(externs)) {
		extern := externs[item]
		if err := checkExtern(extern); err != nil {
			return nil, fmt.Errorf("wasmer: instance %q: %q %w", name, item, err)
		}
		if extern.owner() != s {
			return nil, fmt.Errorf("%w: instance %q: %q", ErrStoreMismatch, name, item)
		}
		i.exports = append(i.exports, ExportType{Name: item, Type: extern.ExternType()})
		if memory, ok := extern.(*Memory); ok && (i.Memory == nil || item == "memory") {
			i.Memory = memory
		}
	}
	if name != "" {
		if err := s.reserve(name); err != nil {
			return nil, err
		}
	}
	s.holdFor(i)
	s.settle(name, i)
	return i, nil
}

// Module is what the instance was made from; nil if the host made it of externs.
func (i *Instance) Module() *Module { return i.module }

// Done is closed when the instance is: by Close, with its store or engine, or because its guest has exited.
func (i *Instance) Done() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended == nil {
		i.ended = make(chan struct{})
	}
	return i.ended
}

// over is closed.
var over = func() chan struct{} {
	over := make(chan struct{})
	close(over)
	return over
}()

// tellDone tells those who wait that the instance has ended.
func (i *Instance) tellDone() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended != nil {
		close(i.ended)
	} else {
		i.ended = over
	}
}

// Store is what the instance lives in.
func (i *Instance) Store() *Store { return i.store }

// HasMemory reports whether the instance exports a memory.
func (i *Instance) HasMemory() bool { return i != nil && i.Memory != nil }

// Name is the first name that the instance was given in its store; empty if it has none.
func (i *Instance) Name() string {
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	return i.name
}

// List lists the exports of a kind, in the module's order.
func (i *Instance) List(kind ExternKind) []ExportType {
	var list []ExportType
	for _, export := range i.exports {
		if export.Type.Kind == kind {
			list = append(list, export)
		}
	}
	return list
}

// Function is the exported function of this name, or ErrNotFound. It keeps the instance alive, but not open.
func (i *Instance) Function(name string) (*Function, error) {
	return exported[*Function](i, name, ExternFunction)
}

// ExportedMemory is the exported memory of this name, or ErrNotFound. It keeps the instance alive, but not open.
func (i *Instance) ExportedMemory(name string) (*Memory, error) {
	return exported[*Memory](i, name, ExternMemory)
}

// Table is the exported table of this name, or ErrNotFound. It keeps the instance alive, but not open.
func (i *Instance) Table(name string) (*Table, error) {
	return exported[*Table](i, name, ExternTable)
}

// Global is the exported global of this name, or ErrNotFound. It keeps the instance alive, but not open.
func (i *Instance) Global(name string) (*Global, error) {
	return exported[*Global](i, name, ExternGlobal)
}

// Tag is the exported tag of this name, or ErrNotFound. It keeps the instance alive, but not open.
func (i *Instance) Tag(name string) (*Tag, error) {
	return exported[*Tag](i, name, ExternTag)
}

// Extern is the export of this name, or ErrNotFound.
func (i *Instance) Extern(name string) (Extern, error) {
	if i == nil {
		return nil, ErrClosed
	}
	if i.closed.Load() {
		return nil, i.closedError()
	}
	if position, ok := i.position(name); ok {
		return i.export(position)
	}
	return nil, fmt.Errorf("%w: no export %q", ErrNotFound, name)
}

// exported finds an export of a kind.
func exported[T Extern](i *Instance, name string, kind ExternKind) (item T, err error) {
	if i == nil {
		return item, ErrClosed
	}
	if i.closed.Load() {
		return item, i.closedError()
	}
	position, ok := i.position(name)
	if !ok || i.exports[position].Type.Kind != kind {
		return item, i.notFound(name, kind)
	}
	extern, err := i.export(position)
	if err != nil {
		return item, err
	}
	return extern.(T), nil
}

func (i *Instance) position(name string) (position int, ok bool) {
	if i.module != nil {
		position, ok = i.module.positions[name]
		return position, ok
	}
	position = slices.IndexFunc(i.exports, func(export ExportType) bool { return export.Name == name })
	return position, position >= 0
}

// export makes the Go side of an export, the same one each time. For a function it does not wait for calls under way.
func (i *Instance) export(position int) (Extern, error) {
	export := i.exports[position]
	i.mu.Lock()
	defer i.mu.Unlock()
	if item := i.item(export.Name); item != nil {
		return item, nil
	}
	if export.Type.Kind == ExternFunction {
		if err := i.store.pin(); err != nil {
			return nil, err
		}
		defer i.store.unpin()
	} else {
		// Not while holding i.mu: the call that is waited for may want it.
		i.mu.Unlock()
		err := i.store.enter(context.Background())
		i.mu.Lock()
		if err != nil {
			return nil, err
		}
		defer i.store.leave()
		if item := i.item(export.Name); item != nil {
			return item, nil
		}
	}
	item := i.newExtern(i.lookUp(position), export)
	i.put(export.Name, item)
	return item, nil
}

// item is the Go side of an export, if there is one, with the lock held.
func (i *Instance) item(name string) Extern {
	if i.memory != nil && i.exports[i.module.memories[0]].Name == name {
		return i.memory
	}
	return i.items[name]
}

// put keeps the Go side of an export, with the lock held.
func (i *Instance) put(name string, item Extern) {
	if i.items == nil {
		i.items = map[string]Extern{}
	}
	i.items[name] = item
}

// lookUp finds an export, which earlier users of a pooled instance may have done.
func (i *Instance) lookUp(position int) *ffi.Extern {
	if i.shell == nil {
		return i.ptr.Export(position)
	}
	known := &i.shell.externs[position]
	if *known == nil {
		*known = i.ptr.Export(position)
	}
	return *known
}

func (i *Instance) newExtern(item *ffi.Extern, export ExportType) Extern {
	switch export.Type.Kind {
	case ExternTable:
		return &Table{store: i.store, item: item, typ: export.Type.Table, closed: &i.closed}
	case ExternGlobal:
		return &Global{store: i.store, item: item, slot: item.Global(), typ: export.Type.Global, closed: &i.closed}
	case ExternTag:
		return &Tag{store: i.store, item: item, typ: export.Type.Function, closed: &i.closed}
	}
	f := newFunction(i.store, item, export.Type.Function)
	f.instance, f.closed, f.name = i, &i.closed, export.Name
	i.store.register(f)
	return f
}

func (i *Instance) notFound(name string, kind ExternKind) error {
	var names []string
	for _, export := range i.exports {
		if export.Name == name {
			return fmt.Errorf("%w: the export %q is a %s, not a %s", ErrNotFound, name, export.Type.Kind, kind)
		}
		if export.Type.Kind == kind {
			names = append(names, export.Name)
		}
	}
	if near := nearest(name, names); near != "" {
		return fmt.Errorf("%w: no exported %s %q; is it %q?", ErrNotFound, kind, name, near)
	}
	return fmt.Errorf("%w: no exported %s %q", ErrNotFound, kind, name)
}

// SetContextData attaches data to the instance, which host functions get from Caller.Data or InstanceContext.Data.
func (i *Instance) SetContextData(data any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.data = data
}

func (i *Instance) contextData() any {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.data
}

// Close ends the instance: calls under way that entered by it end with *ExitError and code 0, host functions excepted, which
// are waited for by their calls; new ones get ErrClosed. If nothing else lives in its store, its memory is freed as soon as the last call has left;
// Close does not wait for that, and may be called by a host function of the instance. With others in the store,
// memory is freed with the last of them, since they may hold parts of each other; a store made by NewStore is freed by
// its own Close only. Closing twice, or a nil instance, does nothing.
//
// An instance that is not closed is freed when it is collected. What it holds is outside of Go's heap, which therefore
// grows little and is seldom looked through: whoever makes many instances should close each of them, named or not, or take them from a
// Pool, which makes a few and resets them. A command that has exited, see Start, is closed already.
func (i *Instance) Close() error {
	if i != nil && i.store != nil {
		i.end(&ExitError{plain: true})
	}
	return nil
}
