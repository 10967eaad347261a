package wasmer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
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

	store  *Store
	module *Module
	ptr    *ffi.Instance
	name   string

	closed atomic.Bool

	mu    sync.Mutex
	items map[string]any // *Function or *Memory
	data  any
}

// NewInstance compiles with the default engine and instantiates, without imports, with Exports filled in.
func NewInstance(wasm []byte) (*Instance, error) { return NewInstanceWithImports(wasm, nil) }

// NewInstanceWithImports compiles with the default engine and instantiates, with Exports filled in. Imports may be
// used again.
func NewInstanceWithImports(wasm []byte, imports *Imports) (*Instance, error) {
	module, err := Compile(wasm)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	return module.InstantiateWithImports(imports)
}

// Instantiate makes an instance in a store of its own, or in that of the instances and memories among the imports. It
// fails with *LinkError if imports do not fit, with *Trap if the start function traps, with ErrSignatureCollision and
// ErrResource; an error of a host function is that error. The context is that of the start function.
//
// See https://webassembly.github.io/spec/core/exec/modules.html#instantiation
func Instantiate(ctx context.Context, module *Module, imports *Imports) (i *Instance, err error) {
	if module == nil {
		return nil, ErrClosed
	}
	if err := imports.firstError(); err != nil {
		return nil, err
	}
	shared, err := imports.store()
	if err != nil {
		return nil, err
	}
	if shared != nil {
		return instantiate(ctx, shared, module, imports)
	}
	store, err := newPrivateStore()
	if err != nil {
		return nil, err
	}
	defer func() {
		if i == nil { // failed, or a host function panicked
			_ = store.Close()
		}
	}()
	return instantiate(ctx, store, module, imports)
}

func instantiate(ctx context.Context, s *Store, module *Module, imports *Imports) (_ *Instance, err error) {
	if module == nil {
		return nil, ErrClosed
	}
	if err := imports.firstError(); err != nil {
		return nil, err
	}
	ptr, err := module.use()
	if err != nil {
		return nil, err
	}
	defer module.handle.release()
	i := &Instance{store: s, module: module, items: map[string]any{}}
	var frame frame
	if err := s.beginHosted(ctx, 0, &frame); err != nil {
		return nil, err
	}
	if s.maxDepth == 0 {
		s.maxDepth = module.engine.config.MaxCallDepth
	}
	hosts := len(s.hosts)
	list, err := imports.resolve(i)
	if err == nil {
		i.ptr, err = s.ptr.Link(ptr, list)
		err = translate("instantiate", err)
	}
	if err != nil {
		s.hosts = s.hosts[:hosts]
		s.end(&frame)
		return nil, err
	}
	i.addMemories()
	s.hold() // before the start function, in which the instance can be closed
	if status := i.ptr.Start(); status != ffi.OK {
		defer i.Close() // a host function may have kept it
		return nil, s.fail(&frame, "instantiate", status)
	}
	s.end(&frame)
	if i.closed.Load() {
		return nil, ErrClosed
	}
	return i, nil
}

// addMemories makes the Go side of all exported memories, with the store entered. Functions are made when asked for.
func (i *Instance) addMemories() {
	for position, export := range i.module.exports {
		if export.Type.Kind != ExternMemory {
			continue
		}
		memory := newMemory(i.store, i.ptr.Export(position), export.Type)
		memory.instance = i
		i.items[export.Name] = memory
		if i.Memory == nil || export.Name == "memory" {
			i.Memory = memory
		}
	}
}

// Module is what the instance was made from.
func (i *Instance) Module() *Module { return i.module }

// Store is what the instance lives in.
func (i *Instance) Store() *Store { return i.store }

// HasMemory reports whether the instance exports a memory.
func (i *Instance) HasMemory() bool { return i != nil && i.Memory != nil }

// Function is the exported function of this name, or ErrNotFound. It keeps the instance alive, but not open.
func (i *Instance) Function(name string) (*Function, error) {
	item, err := i.export(name, ExternFunction)
	if err != nil {
		return nil, err
	}
	return item.(*Function), nil
}

// ExportedMemory is the exported memory of this name, or ErrNotFound. It keeps the instance alive, but not open.
func (i *Instance) ExportedMemory(name string) (*Memory, error) {
	item, err := i.export(name, ExternMemory)
	if err != nil {
		return nil, err
	}
	return item.(*Memory), nil
}

// export finds an export. It does not wait for calls under way.
func (i *Instance) export(name string, kind ExternKind) (any, error) {
	if i == nil || i.closed.Load() {
		return nil, ErrClosed
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	position, ok := i.module.positions[name]
	if !ok || i.module.exports[position].Type.Kind != kind {
		return nil, i.notFound(name, kind)
	}
	if item, ok := i.items[name]; ok {
		return item, nil
	}
	if err := i.store.pin(); err != nil {
		return nil, err
	}
	defer i.store.unpin()
	f := newFunction(i, name, i.ptr.Export(position), i.module.exports[position].Type.Function)
	i.items[name] = f
	return f, nil
}

func (i *Instance) notFound(name string, kind ExternKind) error {
	var names []string
	for _, export := range i.module.exports {
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

// Close ends the instance: new calls get ErrClosed. If nothing else lives in its store, its memory is freed as soon as
// the last call has left; Close does not wait for that, and may be called by a host function of the instance. With
// others in the store, memory is freed with the last of them, since they may hold parts of each other; a store made by
// NewStore is freed by its own Close only. Closing twice, or a nil
// instance, does nothing.
func (i *Instance) Close() error {
	if i == nil || i.store == nil || i.closed.Swap(true) {
		return nil
	}
	i.store.forget(i)
	i.store.drop()
	return nil
}
