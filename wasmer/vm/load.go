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
	_, err := v.loadFile(ctx, path)
	return err
}

func (v *VM) loadFile(ctx context.Context, path string) (*source, error) {
	data, err := readSource(path)
	if err != nil {
		return nil, err
	}
	return v.load(ctx, data)
}

// LoadBytes is LoadFile for the contents of a file, which are copied.
func (v *VM) LoadBytes(ctx context.Context, data []byte) error {
	_, err := v.load(ctx, bytes.Clone(data))
	return err
}

// LoadModule loads a module that is compiled already, by this VM's engine or another one. The caller closes it, when the VM
// needs it no more.
func (v *VM) LoadModule(module *wasmer.Module) error {
	_, err := v.loadModule(module)
	return err
}

func (v *VM) loadModule(module *wasmer.Module) (*source, error) {
	if err := v.ready("Load"); err != nil {
		return nil, err
	}
	source, err := v.openModule(module)
	if err != nil {
		return nil, err
	}
	return source, v.take(source)
}

func (v *VM) load(ctx context.Context, data []byte) (*source, error) {
	if err := v.ready("Load"); err != nil {
		return nil, err
	}
	source, err := v.open(ctx, data)
	if err != nil {
		return nil, err
	}
	return source, v.take(source)
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

// loaded is what a method is to work on: that which was loaded last, unless it must be a certain one.
func (v *VM) loaded(op string, source *source, want State) (*source, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if source == nil {
		return v.source, v.check(op, want)
	}
	return source, v.unchanged(op, source, want)
}

// Validate checks what was loaded: *wasmer.CompileError. The VM is Validated then, from whatever later state.
func (v *VM) Validate() error { return v.validate(nil) }

func (v *VM) validate(source *source) error {
	source, err := v.loaded("Validate", source, Loaded)
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
	if err := v.check(op, Initiated); err != nil {
		return err
	}
	if v.source != source {
		return fmt.Errorf("vm: %s: %w: another module was loaded", op, ErrChanged)
	}
	return v.check(op, want)
}

// Instantiate compiles the module, unless that was done, and makes an instance of it, which can import from what is registered. The
// VM is Instantiated then, and the former instance closed: what it has done to its memory is forgotten. It fails as
// wasmer.Instantiate does, and leaves the VM as it was.
func (v *VM) Instantiate(ctx context.Context) error {
	_, err := v.instantiate(ctx, nil)
	return err
}

func (v *VM) instantiate(ctx context.Context, source *source) (*wasmer.Instance, error) {
	source, err := v.loaded("Instantiate", source, Validated)
	if err != nil {
		return nil, err
	}
	module, err := source.compile(ctx, v.engine)
	if err != nil {
		return nil, err
	}
	place, err := v.place(source)
	if err != nil {
		return nil, err
	}
	instance, err := place.store.Instantiate(ctx, "", module, place.imports)
	if err != nil {
		place.leave()
		return nil, err
	}
	return instance, v.activate(place, source, instance)
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
func (v *VM) place(source *source) (place, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.unchanged("Instantiate", source, Validated); err != nil {
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
