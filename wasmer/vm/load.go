package vm

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// LoadFile reads a module: in binary or text format, or an artifact unless Config.WebAssemblyOnly is set. The VM is Loaded then; if
// that fails, it stays as it was. A file that cannot be read is an *fs.PathError, a malformed module a *wasmer.CompileError.
func (v *VM) LoadFile(ctx context.Context, path string) error {
	data, err := readSource(path)
	if err != nil {
		return err
	}
	return v.load(ctx, data)
}

// LoadBytes is LoadFile for the contents of a file, which are copied.
func (v *VM) LoadBytes(ctx context.Context, data []byte) error {
	return v.load(ctx, bytes.Clone(data))
}

// LoadModule loads a module that is compiled already, by this VM's engine or another one. The caller closes it, when the VM
// needs it no more.
func (v *VM) LoadModule(module *wasmer.Module) error {
	if err := v.ready("Load"); err != nil {
		return err
	}
	source, err := v.openModule(module)
	if err != nil {
		return err
	}
	return v.take(source)
}

func (v *VM) load(ctx context.Context, data []byte) error {
	if err := v.ready("Load"); err != nil {
		return err
	}
	source, err := v.open(ctx, data)
	if err != nil {
		return err
	}
	return v.take(source)
}

// take puts a source in the place of the former one.
func (v *VM) take(source *source) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.check("Load", Initiated); err != nil {
		source.drop()
		return err
	}
	v.source.drop()
	v.source, v.state = source, Loaded
	return nil
}

// Validate checks what was loaded: *wasmer.CompileError. The VM is Validated then, from whatever later state.
func (v *VM) Validate() error {
	v.mu.Lock()
	source, err := v.source, v.check("Validate", Loaded)
	v.mu.Unlock()
	if err != nil {
		return err
	}
	if err := source.validate(v.engine); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.unchanged("Validate", source, Loaded); err != nil {
		return err
	}
	v.state = Validated
	return nil
}

// unchanged reports what has come between the beginning and the end of a method, with the lock held.
func (v *VM) unchanged(op string, source *source, want State) error {
	if err := v.check(op, want); err != nil {
		return err
	}
	if v.source != source {
		return fmt.Errorf("vm: %s: %w: another module was loaded", op, ErrChanged)
	}
	return nil
}

// Instantiate compiles the module, unless that was done, and makes an instance of it, which can import from what is registered. The
// VM is Instantiated then, and the former instance closed: what it has done to its memory is forgotten. It fails as
// wasmer.Instantiate does, and leaves the VM as it was.
func (v *VM) Instantiate(ctx context.Context) error {
	v.mu.Lock()
	source, err := v.source, v.check("Instantiate", Validated)
	v.mu.Unlock()
	if err != nil {
		return err
	}
	module, err := source.compile(ctx, v.engine)
	if err != nil {
		return err
	}
	place, err := v.place()
	if err != nil {
		return err
	}
	instance, err := place.store.Instantiate(ctx, "", module, place.imports)
	if err != nil {
		place.leave()
		return err
	}
	return v.activate(place, source, instance)
}

// place is where an instance is made, and what it can import. fresh says that the store takes that of the VM's place.
type place struct {
	store   *wasmer.Store
	imports *wasmer.Imports
	fresh   bool
}

func (p *place) leave() {
	if p.fresh {
		_ = p.store.Close()
	}
}

// place finds where the next instance is made: in a new store if there was one, and the old store holds nothing else.
func (v *VM) place() (place, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.check("Instantiate", Validated); err != nil {
		return place{}, err
	}
	p := place{store: v.store, imports: v.hosts.imports(v.wasi), fresh: v.used && !v.pinned}
	v.used = true
	if !p.fresh {
		return p, nil
	}
	var err error
	if p.store, err = wasmer.NewStore(v.engine); err != nil {
		return p, err
	}
	if limit := v.store.Meter().Limit(); limit != math.MaxUint64 {
		err = p.store.Meter().SetLimit(v.store.Meter().Remaining())
	}
	return p, err
}

// activate puts an instance in the place of the former one.
func (v *VM) activate(p place, source *source, instance *wasmer.Instance) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.unchanged("Instantiate", source, Validated)
	if err == nil && (p.fresh && v.pinned || !p.fresh && v.store != p.store) {
		err = fmt.Errorf("vm: Instantiate: %w: the store is in use", ErrChanged)
	}
	if err != nil {
		_ = instance.Close()
		p.leave()
		return err
	}
	v.retire(v.active)
	if p.fresh {
		v.retireStore()
		v.store, v.since = p.store, metered{}
	}
	v.active, v.state = instance, Instantiated
	return nil
}
