package vm

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// VM is one module at a time, with others that are registered under names. Goroutines may share it: calls of guests in one VM
// wait for each other, as those of a wasmer.Store do, and host functions may use the VM that they are called by.
type VM struct {
	config Config
	engine *wasmer.Engine
	// options are those of the engine.
	options wasmer.EngineConfig
	wasi    *WASI
	// err is why the VM could not be made.
	err error

	mu     sync.Mutex
	closed bool
	state  State
	source *source
	active *wasmer.Instance
	// store is the VM's own, unless Config has one. pinned says that there is more in it than an instance that can be replaced,
	// or that somebody knows it; used, that there has been an instance.
	store        *wasmer.Store
	pinned, used bool
	hosts        hosts
	// others are engines for artifacts that were made with other options.
	others map[string]*wasmer.Engine
	// made are the instances of this VM that are registered, by name.
	made map[string]*wasmer.Instance
	// past counts what instances and stores that are gone have done, and since is what the store's meter told when the VM began.
	past  wasmer.InstanceStats
	since metered
}

// New makes a VM. If that fails, the error comes out of Err, and of whatever is done with the VM. Close frees it.
func New(config Config) *VM {
	config.HostModules = slices.Clone(config.HostModules)
	config.ForbiddenPlugins = slices.Clone(config.ForbiddenPlugins)
	v := &VM{config: config}
	if v.err = v.make(); v.err != nil {
		_ = v.Close()
	}
	return v
}

func (v *VM) make() (err error) {
	if v.engine, v.options, err = v.config.engine(); err != nil {
		return err
	}
	if v.config.WASI {
		v.wasi = newWASI()
	}
	hosts, err := v.newHosts()
	if err != nil {
		return err
	}
	return v.begin(hosts)
}

// begin brings the VM into its first state, with the lock held or not needed.
func (v *VM) begin(hosts hosts) (err error) {
	v.state, v.source, v.active, v.used = Initiated, nil, nil, false
	v.made, v.past = map[string]*wasmer.Instance{}, wasmer.InstanceStats{}
	if v.store = v.config.Store; v.store == nil {
		if v.store, err = wasmer.NewStore(v.engine); err != nil {
			return err
		}
	}
	v.pinned, v.since = v.config.Store != nil, readMeter(v.store)
	v.hosts = hosts
	for name := range hosts.lists {
		if v.store.Instance(name) != nil {
			return fmt.Errorf("vm: %w: Config.Store has an instance %q, as is a host module called", wasmer.ErrNameTaken, name)
		}
	}
	return nil
}

// Err is why the VM could not be made; nil if it could.
func (v *VM) Err() error { return v.err }

// Close frees the VM with all that it has made; calls under way end with *wasmer.ExitError. Closing twice, or nil, does nothing.
func (v *VM) Close() error {
	if v == nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	v.closed = true
	v.state = Initiated
	v.drop()
	err := errors.Join(v.wasi.close(), v.engine.Close())
	for _, engine := range v.others {
		err = errors.Join(err, engine.Close())
	}
	return err
}

// drop closes what the VM has made, but for its engine, with the lock held.
func (v *VM) drop() {
	for _, instance := range v.made {
		v.retire(instance)
	}
	v.retire(v.active)
	if v.store != nil {
		v.retireStore()
	}
	v.source.drop()
	v.made, v.active, v.source = nil, nil, nil
}

// Cleanup brings the VM back to what New has made: nothing is loaded, and nothing registered but what Config says; statistics
// begin anew, and WASI is as Config has it. Instances are closed; calls under way end with *wasmer.ExitError.
func (v *VM) Cleanup() error {
	if err := v.ready("Cleanup"); err != nil {
		return err
	}
	hosts, err := v.newHosts()
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.check("Cleanup", Initiated); err != nil {
		return err
	}
	v.drop()
	if v.wasi != nil {
		v.wasi.reset()
	}
	if err := v.begin(hosts); err != nil {
		v.err = fmt.Errorf("vm: Cleanup: %w", err)
	}
	return v.err
}

// Engine is the VM's engine, which compiles and validates. It is closed with the VM. It is nil if the VM could not be made.
func (v *VM) Engine() *wasmer.Engine { return v.engine }

// Store is where the VM makes its instances; Config.Store, if there is one, else one that is closed with the VM, and replaced by
// Cleanup. Whatever the VM is to import from other instances must be in it.
//
// As long as nobody has asked for it and no module is registered, an instance that is replaced is freed at once. Then on, instances
// stay in the store's memory until it is closed: what lies in one store may refer to each other.
func (v *VM) Store() *wasmer.Store {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pinned = true
	return v.store
}

// ActiveInstance is what Instantiate has made last; nil, if it has made nothing yet. It is closed by the next Instantiate.
func (v *VM) ActiveInstance() *wasmer.Instance {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.active
}

// Functions lists the functions that the active instance exports, with their types, in the module's order.
func (v *VM) Functions() []wasmer.ExportType {
	if active := v.ActiveInstance(); active != nil {
		return active.List(wasmer.ExternFunction)
	}
	return nil
}

// FunctionType is the type of a function that the active instance exports, or wasmer.ErrNotFound.
func (v *VM) FunctionType(name string) (wasmer.FunctionType, error) {
	return functionType(v.ActiveInstance(), name)
}

func functionType(instance *wasmer.Instance, name string) (wasmer.FunctionType, error) {
	if instance != nil {
		for _, export := range instance.List(wasmer.ExternFunction) {
			if export.Name == name {
				return export.Type.Function, nil
			}
		}
	}
	return wasmer.FunctionType{}, fmt.Errorf("vm: %w: no exported function %q", wasmer.ErrNotFound, name)
}

// WASI is what guests get of WASI, which can be changed; nil without Config.WASI.
func (v *VM) WASI() *WASI { return v.wasi }
