package wasmer

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Imports is what a module is given when it is instantiated: a builder of a list by module and name. It keeps its
// first error, which whatever instantiates reports. It may be used for any number of instances, and by several
// goroutines once it is complete.
type Imports struct {
	mu        sync.Mutex
	namespace string
	items     map[importKey]importItem
	// wasi, and what more defines much at once, is behind what is defined one by one; before stubs.
	wasi   *WASI
	behind map[importKey]importItem
	// mocks stand in for whole modules, by their names; before stubs.
	mocks map[string]MockModule
	stub  bool
	// resettable has instances keep the state that they begin with.
	resettable bool
	err        error
	closed     bool
}

type importKey struct{ module, name string }

// importItem is either an extern of a store, a host function that each importing instance gets for itself, or an export
// of an instance, which is looked up when it is needed.
type importItem struct {
	extern   Extern
	host     *hostDefinition
	instance *Instance
	position int
	// wasi is what a host function of WASI takes of its importer.
	wasi *WASI
	// peer is the other memory that a native function works on.
	peer *Memory
}

// NewImports makes an empty list; the current module name is "env".
func NewImports() *Imports {
	return &Imports{namespace: "env", items: map[importKey]importItem{}}
}

// Namespace sets the module name that the following calls define imports of.
func (i *Imports) Namespace(module string) *Imports {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.namespace = module
	return i
}

// Append is AppendFunction.
func (i *Imports) Append(name string, fn any, cgoPointer unsafe.Pointer) (*Imports, error) {
	return i.AppendFunction(name, fn, cgoPointer)
}

// AppendFunction defines a Go function as an import of the current module name; a definition of the same name is
// replaced. Parameters and results are 32 and 64-bit integers (i32, i64), float32 (f32) and float64 (f64), named types of
// these, [2]uint64 (v128, low half first), *Function (funcref), and any (externref). The first parameter may be a
// context.Context, a *Caller, or an unsafe.Pointer for IntoInstanceContext, the last result an error: a non-nil one ends
// the guest and comes out of the call that led here. Any other type is an error. The C pointer of go-ext-wasm is accepted
// and not needed.
//
// The function runs on the goroutine of the call. It may call back into the instance and grow its memory.
func (i *Imports) AppendFunction(name string, fn any, _ unsafe.Pointer) (*Imports, error) {
	host, err := defineHost(fn)
	if err != nil {
		err = fmt.Errorf("wasmer: imports: function %q %w", name, err)
	}
	return i.add(name, importItem{host: host}, err)
}

// AppendMemory defines a memory as an import of the current module name. The instance is made in the memory's store.
func (i *Imports) AppendMemory(name string, memory *Memory) (*Imports, error) {
	var err error
	if memory == nil {
		err = fmt.Errorf("wasmer: imports: memory %q is nil", name)
	}
	return i.add(name, importItem{extern: memory}, err)
}

// Extern defines an extern as an import under the module name; it is a *Function, *Memory, *Table, *Global or *Tag. The
// instance is made in its store. The current module name stays as it is.
func (i *Imports) Extern(module, name string, extern Extern) *Imports {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := checkExtern(extern); err != nil {
		i.keep(fmt.Errorf("wasmer: imports: %q.%q %w", module, name, err))
	} else if i.closed {
		i.keep(ErrClosed)
	} else {
		i.items[importKey{module, name}] = importItem{extern: extern}
	}
	return i
}

// Global defines a global as an import under the module name, as Extern does.
func (i *Imports) Global(module, name string, global *Global) *Imports {
	return i.Extern(module, name, global)
}

// Table defines a table as an import under the module name, as Extern does.
func (i *Imports) Table(module, name string, table *Table) *Imports {
	return i.Extern(module, name, table)
}

// Function is AppendFunction for chains: its error is kept.
func (i *Imports) Function(name string, fn any) *Imports {
	_, _ = i.AppendFunction(name, fn, nil)
	return i
}

// Memory is AppendMemory for chains: its error is kept.
func (i *Imports) Memory(name string, memory *Memory) *Imports {
	_, _ = i.AppendMemory(name, memory)
	return i
}

// Instance defines all exports of an instance as imports under the module name. The new instance is made in the same
// store. The current module name stays as it is.
func (i *Imports) Instance(module string, instance *Instance) *Imports {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if instance == nil || i.closed {
		i.keep(fmt.Errorf("wasmer: imports: instance %q: %w", module, ErrClosed))
		return i
	}
	for position, export := range instance.exports {
		i.items[importKey{module, export.Name}] = importItem{instance: instance, position: position}
	}
	return i
}

func (i *Imports) add(name string, item importItem, err error) (*Imports, error) {
	if i == nil {
		return nil, ErrClosed
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		err = ErrClosed
	}
	if err != nil {
		i.keep(err)
		return i, err
	}
	i.items[importKey{i.namespace, name}] = item
	return i, nil
}

func (i *Imports) keep(err error) {
	if i.err == nil {
		i.err = err
	}
}

// Close lets go of what was defined; instances made with it go on. Closing twice, or nil, does nothing.
func (i *Imports) Close() {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	i.items, i.behind, i.mocks, i.wasi = map[importKey]importItem{}, nil, nil, nil
}

func (i *Imports) firstError() error {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err == nil && i.closed {
		return ErrClosed
	}
	return i.err
}

func (i *Imports) find(module, name string) (importItem, bool) {
	if i == nil {
		return importItem{}, false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	key := importKey{module, name}
	if item, ok := i.items[key]; ok {
		return item, true
	}
	if i.wasi != nil {
		if host := wasiDefinitions()[key]; host != nil {
			return importItem{host: host, wasi: i.wasi}, true
		}
	}
	item, ok := i.behind[key]
	return item, ok
}

var errStores = fmt.Errorf("%w: the imports belong to different stores: make them in one store, see NewStore", ErrStoreMismatch)

// store is that of the externs and instances among the imports; nil if there are none.
func (i *Imports) store() (*Store, error) {
	if i == nil {
		return nil, nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var found *Store
	for _, item := range i.items {
		s := item.store()
		if s != nil && found != nil && s != found {
			return nil, errStores
		}
		if s != nil {
			found = s
		}
	}
	return found, nil
}

func (item importItem) store() *Store {
	switch {
	case item.extern != nil:
		return item.extern.owner()
	case item.peer != nil:
		return item.peer.store
	case item.instance != nil:
		return item.instance.store
	}
	return nil
}

// exporter is the instance whose function it is; nil for those of the host.
func (item importItem) exporter() *Instance {
	if f, ok := item.extern.(*Function); ok {
		return f.instance
	}
	return item.instance
}

func (item importItem) typ() ExternType {
	switch {
	case item.extern != nil:
		return item.extern.ExternType()
	case item.instance != nil:
		return item.instance.exports[item.position].Type
	}
	return ExternType{Kind: ExternFunction, Function: item.host.typ}
}

const boundedHint = "it is a bounded memory, and the module was compiled for reserved ones: compile it with an engine " +
	"whose EngineConfig.Memories is BoundedMemories, or make the memory in a store of an engine with ReservedMemories"

// resolve finds all imports of the instance's module, with the store entered, and checks their types.
func (i *Imports) resolve(instance *Instance) ([]ffi.Import, error) {
	s := instance.store
	list := make([]ffi.Import, 0, len(instance.module.imports))
	var refused []ImportError
	for _, want := range instance.module.imports {
		item, ok := i.find(want.Module, want.Name)
		if !ok {
			item, ok = s.find(want.Module, want.Name)
		}
		if !ok {
			item, ok = i.mockOf(want)
		}
		if !ok {
			item, ok = i.stubOf(want)
		}
		if !ok {
			refused = append(refused, ImportError{
				Module: want.Module, Name: want.Name, Want: want.Type, Hint: i.hint(want),
			})
			continue
		}
		if other := item.store(); other != nil && other != s {
			return nil, errStores
		}
		given := item.typ()
		if given.Kind != want.Type.Kind {
			refused = append(refused, ImportError{Module: want.Module, Name: want.Name, Want: want.Type, Given: &given})
			continue
		}
		resolved, err := item.resolve(instance)
		if err != nil {
			return nil, err
		}
		if given.Kind == ExternFunction {
			instance.link(item.exporter())
		}
		switch given.Kind { // what counts is the present size
		case ExternMemory:
			given.Memory.Min = resolved.Item.Size()
			definition, latch := resolved.Item.Memory()
			if latch != nil && instance.module.engine.config.Memories != BoundedMemories {
				refused = append(refused, ImportError{
					Module: want.Module, Name: want.Name, Want: want.Type, Given: &given, Hint: boundedHint,
				})
				continue
			}
			if instance.imported == nil {
				instance.imported = definition
			}
		case ExternTable:
			given.Table.Min = resolved.Item.Size()
		}
		if !want.Type.accepts(given) {
			refused = append(refused, ImportError{Module: want.Module, Name: want.Name, Want: want.Type, Given: &given})
			continue
		}
		list = append(list, resolved)
	}
	if refused != nil {
		return nil, &LinkError{Imports: refused}
	}
	return list, nil
}

// resolve gives the item to an instance that imports it.
func (item importItem) resolve(importer *Instance) (ffi.Import, error) {
	switch {
	case item.extern != nil:
		return item.extern.resolve(importer)
	case item.wasi != nil:
		if err := item.wasi.startProcess(importer); err != nil {
			return ffi.Import{}, err
		}
		resolved, err := item.host.resolve(importer)
		if item.host.native == ffi.NativeClockTimeGet {
			if start, ok := importer.process.SystemClock(); ok {
				resolved.Native, resolved.Start = item.host.native, start
			}
		}
		return resolved, err
	case item.host != nil:
		resolved, err := item.host.resolve(importer)
		if err == nil && item.peer != nil {
			err = item.bindPeer(importer, &resolved)
		}
		return resolved, err
	case item.instance.closed.Load():
		return ffi.Import{}, ErrClosed
	case item.instance.ptr == nil:
		return item.instance.items[item.instance.exports[item.position].Name].resolve(importer)
	}
	return ffi.Import{Item: item.instance.ptr.Export(item.position)}, nil
}

// find looks an import up among the named instances.
func (s *Store) find(module, name string) (importItem, bool) {
	instance := s.Instance(module)
	if instance == nil || module == "" {
		return importItem{}, false
	}
	position, ok := instance.position(name)
	return importItem{instance: instance, position: position}, ok
}
