package suite

import (
	"errors"
	"fmt"
)

// An Engine is one runtime in one configuration.
type Engine interface {
	Name() string
	// Open makes a store for one script, which has the host module "spectest". The script is known by its file in the suite;
	// it is empty for what is none of it.
	Open(script string) (Store, error)
}

// A Store holds the modules and instances of one script. Errors are those below, where one of them applies; any other
// error of Compile means that the module is refused.
type Store interface {
	Compile(source Source) (Module, error)
	// Instantiate takes the imports from what was registered.
	Instantiate(module Module) (Instance, error)
	Register(name string, instance Instance) error
	Close() error
}

// A Module is whatever Compile of the same store made.
type Module any

// An Instance offers its exports.
type Instance interface {
	Invoke(field string, args []Value) ([]Value, error)
	Get(field string) (Value, error)
}

// Unsupported says that the runtime does not have a feature.
type Unsupported struct {
	// Feature is its name in the specification, where the runtime tells.
	Feature string
	// API is set for what only the runtime's Go API lacks. It says nothing about the module.
	API bool
	Err error
}

func (e *Unsupported) Error() string { return fmt.Sprintf("unsupported: %s: %v", e.Feature, e.Err) }
func (e *Unsupported) Unwrap() error { return e.Err }

// API is the Unsupported for what only the runtime's Go API lacks.
func API(what string) error {
	return &Unsupported{Feature: "API: " + what, API: true, Err: errors.New("the runtime can, but not through Go")}
}

// Unlinkable says that imports are missing or of a wrong type.
type Unlinkable struct {
	// Modules are the names of modules whose exports are missing.
	Modules []string
	Err     error
}

func (e *Unlinkable) Error() string { return e.Err.Error() }
func (e *Unlinkable) Unwrap() error { return e.Err }

// Exception says that the guest threw what nobody caught.
type Exception struct{ Err error }

func (e *Exception) Error() string { return e.Err.Error() }
func (e *Exception) Unwrap() error { return e.Err }

// Broken says that the runtime failed in a way that no script may expect.
type Broken struct{ Err error }

func (e *Broken) Error() string { return e.Err.Error() }
func (e *Broken) Unwrap() error { return e.Err }
