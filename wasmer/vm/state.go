package vm

import (
	"errors"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// State is how far a VM is.
type State uint8

const (
	// Initiated: nothing is loaded.
	Initiated State = iota
	// Loaded: a module was read, and is not validated.
	Loaded
	// Validated: the module can be instantiated.
	Validated
	// Instantiated: the module's functions can be called.
	Instantiated
)

func (s State) String() string {
	switch s {
	case Initiated:
		return "Initiated"
	case Loaded:
		return "Loaded"
	case Validated:
		return "Validated"
	case Instantiated:
		return "Instantiated"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// StateError is a call that does not suit the VM's state. Its wasmer.ErrorCode is that of a wrong workflow, or, where an instance
// is missing, of a wrong address.
type StateError struct {
	// Op is the method that was called.
	Op string
	// State is the VM's, Want the one that the method takes at least.
	State, Want State
}

func (e *StateError) Error() string {
	next := map[State]string{Initiated: "Load", Loaded: "Validate", Validated: "Instantiate"}[e.State]
	return fmt.Sprintf("vm: %s: %s: the VM is %s, and must be %s: call %s first", e.Op, e.code().Error(), e.State, e.Want, next)
}

// Unwrap gives the ErrorCode.
func (e *StateError) Unwrap() error { return e.code() }

func (e *StateError) code() wasmer.ErrorCode {
	if e.Want == Instantiated {
		return 0x80
	}
	return 0x04
}

// codedError is an error with another code than its own.
type codedError struct {
	error
	code wasmer.ErrorCode
}

func (e *codedError) Unwrap() []error { return []error{e.code, e.error} }

var (
	// ErrMachineCode: what was to be loaded is machine code, and Config.WebAssemblyOnly takes none.
	ErrMachineCode = errors.New("vm: an artifact is machine code, and Config.WebAssemblyOnly takes none")
	// ErrChanged: another goroutine, or a host function, has changed the VM meanwhile. What was begun is undone.
	ErrChanged = errors.New("vm: changed meanwhile")
)

// State is how far the VM is.
func (v *VM) State() State {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.state
}

// check says whether a method may go on, with the lock held.
func (v *VM) check(op string, want State) error {
	switch {
	case v.err != nil:
		return v.err
	case v.closed:
		return fmt.Errorf("vm: %s: %w", op, wasmer.ErrClosed)
	case v.state < want:
		return &StateError{Op: op, State: v.state, Want: want}
	}
	return nil
}

// ready is check for what may be done in any state.
func (v *VM) ready(op string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.check(op, Initiated)
}
