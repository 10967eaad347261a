package wasmer

import (
	"context"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

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
// In this order: element segments, data segments, the start function, and the export _initialize if there is one without
// parameters and results. What fails leaves the earlier steps done in what the instance imports, as the specification
// has it, and nothing else.
//
// See https://webassembly.github.io/spec/core/exec/modules.html#instantiation
func Instantiate(ctx context.Context, module *Module, imports *Imports) (i *Instance, err error) {
	return instantiateAlone(ctx, module, imports, nil)
}

// instantiateAlone makes an instance, of a snapshot if there is one, in a store of its own or that of its imports.
func instantiateAlone(ctx context.Context, module *Module, imports *Imports, from *Snapshot) (i *Instance, err error) {
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
		return instantiate(ctx, shared, module, imports, from)
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
	return instantiate(ctx, store, module, imports, from)
}

func instantiate(ctx context.Context, s *Store, module *Module, imports *Imports, from *Snapshot) (*Instance, error) {
	if module == nil {
		return nil, ErrClosed
	}
	var i *Instance
	var err error
	defer func() { module.engine.account.tellInstance(ctx, module, i, err) }() // also if a host function panics
	i, err = newInstance(ctx, s, module, imports, from)
	return i, err
}

func newInstance(ctx context.Context, s *Store, module *Module, imports *Imports, from *Snapshot) (_ *Instance, err error) {
	if err := imports.firstError(); err != nil {
		return nil, err
	}
	if module.tier != nil {
		if err := module.readyToLink(ctx, s, imports); err != nil {
			return nil, err
		}
	}
	ptr, err := module.use()
	if err != nil {
		return nil, err
	}
	defer module.handle.release()
	i := &Instance{
		store: s, module: module, tier: module.tierOf(ptr), exports: module.exports,
	}
	frame := frame{starting: true}
	if err := s.beginHosted(ctx, 1, i, &frame); err != nil {
		return nil, err
	}
	hosts := len(s.hosts)
	if err := s.link(i, ptr, imports); err != nil {
		s.dropHosts(hosts)
		i.abandonProcess()
		s.end(&frame)
		return nil, err
	}
	i.addMemories()
	s.holdFor(i) // before the start function, in which the instance can be closed
	status := i.start(&frame, from)
	if status != ffi.OK {
		if !i.known.Load() && i.tally.discard() {
			s.dropHosts(hosts)
			s.instances--
		}
		i.abandonProcess()
		defer i.Close() // a host function may have kept it
		return nil, s.fail(ctx, i, &frame, "instantiate", status)
	}
	err = imports.keepState(i)
	s.end(&frame)
	if err != nil {
		_ = i.Close()
		return nil, err
	}
	if err := i.ending(); err != nil {
		return nil, err
	}
	return i, nil
}

// start gives the instance the state that it begins with, or that of a snapshot.
func (i *Instance) start(frame *frame, from *Snapshot) ffi.Status {
	if from != nil {
		i.kept = true
		return from.restore(i)
	}
	status := i.ptr.Start()
	if status == ffi.OK {
		status = i.initialize(frame)
	}
	return status
}

// link makes the instance, with the store entered.
func (s *Store) link(i *Instance, module *ffi.Module, imports *Imports) error {
	if err := s.adopt(i.module.engine); err != nil {
		return err
	}
	if limit := s.config().MaxInstances; limit > 0 && s.instances >= limit {
		return fmt.Errorf("%w: instantiate: the store has %d instances, the limit of EngineConfig.MaxInstances",
			ErrResource, s.instances)
	}
	if err := s.meter.admit(i.module.engine); err != nil {
		return err
	}
	list, err := imports.resolve(i)
	if err != nil {
		return err
	}
	if i.ptr, err = s.ptr.Link(module, list); err != nil {
		return translate("instantiate", err)
	}
	s.instances++
	i.tally = s.account.add(i.ptr, i.module.name)
	if i.module.engine.config.MeasureTime {
		i.ptr.Measure()
	}
	return nil
}

// initialize calls the export _initialize, which modules without a main program have for their languages' own start-up.
func (i *Instance) initialize(frame *frame) ffi.Status {
	position, ok := i.initializer()
	if !ok {
		return ffi.OK
	}
	ffi.Call(i.ptr.Export(position).Address(), &frame.values[0])
	return *i.store.status
}

func (i *Instance) initializer() (position int, ok bool) {
	position, ok = i.position("_initialize")
	return position, ok && i.exports[position].Type.Equal(ExternType{Kind: ExternFunction})
}

// addMemories makes the Go side of all exported memories, with the store entered. Others are made when asked for.
func (i *Instance) addMemories() {
	memories := i.module.memories
	for _, position := range memories {
		export := &i.exports[position]
		memory := newMemory(i.store, i.ptr.Export(position), export.Type.Memory)
		memory.instance = i
		if len(memories) == 1 {
			i.memory = memory
		} else {
			i.put(export.Name, memory)
		}
		if i.Memory == nil || export.Name == "memory" {
			i.Memory = memory
		}
	}
}
