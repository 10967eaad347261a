package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// RegisterFile reads a module as LoadFile does, makes an instance of it, and registers that under a name for others to import from. A
// VM that is Instantiated is Validated then. A name that is taken is wasmer.ErrNameTaken; other errors are those of
// LoadFile and Instantiate. The VM closes what it has made.
func (v *VM) RegisterFile(ctx context.Context, name, path string) error {
	data, err := readSource(path)
	if err != nil {
		return err
	}
	return v.registerBytes(ctx, name, data)
}

// RegisterBytes is RegisterFile for the contents of a file.
func (v *VM) RegisterBytes(ctx context.Context, name string, data []byte) error {
	return v.registerBytes(ctx, name, bytes.Clone(data))
}

// RegisterModule is RegisterFile for a module that is compiled already, which the caller may close then.
func (v *VM) RegisterModule(ctx context.Context, name string, module *wasmer.Module) error {
	source, err := v.openModule(module)
	if err != nil {
		return err
	}
	return v.register(ctx, name, source)
}

// RegisterInstance registers an instance under a name, which must be of the VM's store. The VM does not close it.
func (v *VM) RegisterInstance(name string, instance *wasmer.Instance) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.nameFree("RegisterInstance", name); err != nil {
		return err
	}
	if instance == nil {
		return fmt.Errorf("vm: RegisterInstance %q: the instance is nil: %w", name, wasmer.ErrClosed)
	}
	if err := v.store.Register(name, instance); err != nil {
		return fmt.Errorf("vm: RegisterInstance %q: %w", name, err)
	}
	v.changed()
	return nil
}

// RegisterHost registers host modules under the names that they have themselves: extensions, modules of plug-ins, and lists of
// imports (*wasmer.Imports). All are registered, or none: a name that is taken is wasmer.ErrNameTaken. What stands in for a missing
// plug-in gives way.
func (v *VM) RegisterHost(modules ...wasmer.HostModule) error {
	lists, err := listHosts(modules)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.check("RegisterHost", Initiated); err != nil {
		return err
	}
	if err := v.hosts.add(lists, v.taken); err != nil {
		return err
	}
	for name := range lists {
		if mock := v.hosts.instances[name]; mock != nil {
			v.retire(mock)
			delete(v.hosts.instances, name)
		}
	}
	v.changed()
	return nil
}

func (v *VM) registerBytes(ctx context.Context, name string, data []byte) error {
	if err := v.ready("Register"); err != nil {
		return err
	}
	source, err := v.open(ctx, data)
	if err != nil {
		return err
	}
	return v.register(ctx, name, source)
}

func (v *VM) register(ctx context.Context, name string, source *source) error {
	defer source.drop()
	v.mu.Lock()
	err := v.nameFree("Register", name)
	v.pinned = v.pinned || err == nil
	store, imports := v.store, v.hosts.imports(v.wasi)
	v.mu.Unlock()
	if err != nil {
		return err
	}
	module, err := source.compile(ctx, v.engine)
	if err != nil {
		return err
	}
	instance, err := store.Instantiate(ctx, name, module, imports)
	if errors.Is(err, wasmer.ErrNameTaken) {
		return fmt.Errorf("vm: Register %q: %w", name, err)
	}
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	err = v.check("Register", Initiated)
	if err == nil && v.store != store {
		err = fmt.Errorf("vm: Register %q: %w: cleaned up", name, ErrChanged)
	}
	if err == nil && v.hosts.lists[name] != nil {
		err = fmt.Errorf("vm: Register %q: %w", name, wasmer.ErrNameTaken)
	}
	if err != nil {
		_ = instance.Close()
		return err
	}
	v.made[name] = instance
	v.changed()
	return nil
}

// nameFree says whether something may be registered, with the lock held.
func (v *VM) nameFree(op, name string) error {
	if err := v.check(op, Initiated); err != nil {
		return err
	}
	if name == "" {
		return fmt.Errorf("vm: %s: the name is empty", op)
	}
	if v.taken(name) {
		return fmt.Errorf("vm: %s %q: %w", op, name, wasmer.ErrNameTaken)
	}
	return nil
}

// changed is what comes of a registration.
func (v *VM) changed() {
	v.pinned = true
	if v.state == Instantiated {
		v.state = Validated
	}
}

// Registered lists the names that modules can import from, in order: of instances, host modules, WASI, and of what stands in for
// missing plug-ins.
func (v *VM) Registered() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.check("Registered", Initiated) != nil {
		return nil
	}
	names := slices.AppendSeq(v.hosts.names(v.wasi), maps.Keys(v.store.Instances()))
	slices.Sort(names)
	return slices.Compact(names)
}

// RegisteredInstance is what is registered under a name, or wasmer.ErrNotFound. Of a host module it is an instance with its
// functions: they have no guest when they are called there, and so no memory. Of what stands in for a plug-in it is empty.
func (v *VM) RegisteredInstance(name string) (*wasmer.Instance, error) {
	return v.registered("RegisteredInstance", name, true)
}

// registered finds what is registered. Its user may keep it, if pin is set.
func (v *VM) registered(op, name string, pin bool) (*wasmer.Instance, error) {
	v.mu.Lock()
	if err := v.check(op, Initiated); err != nil {
		v.mu.Unlock()
		return nil, err
	}
	v.pinned = v.pinned || pin
	store := v.store
	v.mu.Unlock()
	if instance := store.Instance(name); instance != nil {
		return instance, nil
	}
	return v.hostInstance(name)
}

// FunctionTypeRegistered is the type of a function of what is registered under a name, or wasmer.ErrNotFound.
func (v *VM) FunctionTypeRegistered(module, name string) (wasmer.FunctionType, error) {
	instance, err := v.RegisteredInstance(module)
	if err != nil {
		return wasmer.FunctionType{}, err
	}
	return functionType(instance, name)
}
