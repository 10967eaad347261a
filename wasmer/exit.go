package wasmer

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ExitError is what calls return that were cut short because the guest exited, by WASI's proc_exit for one, or because
// its instance was closed. A host function that returns one ends its guest in the same way. It is ErrClosed too, and
// errors.Is compares codes.
type ExitError struct {
	// Code is the exit code; 0 stands for success, and for Close.
	Code uint32
	// Module is the name of the instance in its store, else that of its module, if it has one.
	Module string

	instance *Instance
	// plain says that it was Close, after which the instance is just closed.
	plain bool
}

func (e *ExitError) Error() string {
	if e.Module == "" {
		return fmt.Sprintf("wasmer: the guest exited with code %d", e.Code)
	}
	return fmt.Sprintf("wasmer: the guest %q exited with code %d", e.Module, e.Code)
}

// Closed reports whether it was Close that has ended the guest, of its instance, store or engine, and not the guest itself.
func (e *ExitError) Closed() bool { return e.plain }

// Is makes an ExitError ErrClosed, and equal to any with the same code.
func (e *ExitError) Is(target error) bool {
	other, ok := target.(*ExitError)
	return target == ErrClosed || ok && other != nil && other.Code == e.Code
}

// Start runs a command: the exported functions of these names in order, "_start" if none is named. Those that are absent are
// skipped, but without "_start" and names it is ErrNotFound. What they return is ignored. A guest that exits with 0, or is
// closed meanwhile by Close, has succeeded, and no other function is run; with another code it is *ExitError. Other errors
// are those of Function.Call.
//
// A command that has exited is closed, its memory gone; one that has returned is not. Commands are meant to be run once: make
// a new instance for each run.
//
// See https://github.com/WebAssembly/WASI/blob/main/legacy/application-abi.md
func (i *Instance) Start(ctx context.Context, functions ...string) error {
	required := len(functions) == 0
	if required {
		functions = []string{"_start"}
	}
	for _, name := range functions {
		f, err := i.Function(name)
		if errors.Is(err, ErrNotFound) && !required {
			continue
		}
		if err != nil {
			return i.explainStart(err)
		}
		if _, err = f.call(ctx, nil, nil); err != nil {
			if exit := i.exit.Load(); exit != nil && exit.Code == 0 && errors.Is(err, exit) {
				return nil
			}
			return err
		}
	}
	return nil
}

// explainStart tells what else can be done with a module that is not a command.
func (i *Instance) explainStart(err error) error {
	if i == nil || !errors.Is(err, ErrNotFound) {
		return err
	}
	if _, reactor := i.position("_initialize"); reactor {
		return fmt.Errorf("%w: the module is no command but a reactor, whose _initialize has run: call its exports", err)
	}
	return fmt.Errorf("%w: the module is no command: call its exports", err)
}

// CloseWithExitCode is Close, and gives the code to all calls that it cuts short, and to later ones, which return *ExitError.
// The first code stays. Calls under way of instances that import from this one end with it, too.
func (i *Instance) CloseWithExitCode(code uint32) error {
	if i != nil && i.store != nil {
		i.end(&ExitError{Code: code})
	}
	return nil
}

// Exit closes the instance that imports the host function with an exit code, and gives the error for the host function to
// return. No instruction of the guest runs after that, also if a host function in between swallows the error.
func (c *Caller) Exit(code uint32) error {
	if c.instance == nil {
		return &ExitError{Code: code}
	}
	_ = c.instance.CloseWithExitCode(code)
	return c.instance.exit.Load()
}

// exited makes an end of the guest of an ExitError that a host function has made itself.
func (c *Caller) exited(err error) error {
	var exit *ExitError
	if c.instance == nil || !errors.As(err, &exit) || exit == nil || exit.instance != nil {
		return err
	}
	_ = c.instance.CloseWithExitCode(exit.Code)
	if err == error(exit) {
		return c.instance.exit.Load()
	}
	return err
}

// endingBetween is what a call gets that goes through the outer and the inner instance, when one of them, or one that may lie
// between them on the stack, has ended.
func (s *Store) endingBetween(outer, inner *Instance) error {
	if err := outer.ending(); err != nil || s.exits.Load() == nil {
		return err
	}
	for exited := s.exits.Load(); exited != nil; exited = exited.next {
		if outer.reaches(exited.instance) && exited.instance.reaches(inner) {
			return exited.instance.exit.Load()
		}
	}
	return nil
}

// exitedInstance is one of a list of those that have exited and export to others.
type exitedInstance struct {
	instance *Instance
	next     *exitedInstance
}

// reaches reports whether functions of the instance can call those of the other one, or of several after each other.
func (i *Instance) reaches(other *Instance) bool {
	if i == nil || other == nil || i == other {
		return i == other
	}
	return slices.ContainsFunc(i.linked, func(linked *Instance) bool { return linked.reaches(other) })
}

// exitReached is the exit of the instance or of one whose functions it can call; nil if none has exited.
func (i *Instance) exitReached() *ExitError {
	if i == nil {
		return nil
	}
	if exit := i.exit.Load(); exit != nil && !exit.plain {
		return exit
	}
	for _, linked := range i.linked {
		if exit := linked.exitReached(); exit != nil {
			return exit
		}
	}
	return nil
}

// link notes that the instance imports from the other one.
func (i *Instance) link(other *Instance) {
	if other == nil || other.module == nil || slices.Contains(i.linked, other) {
		return
	}
	i.linked = append(i.linked, other)
	other.shared.Store(true)
}

// remember puts an instance that exits during a call where the call finds it, until it ends.
func (i *Instance) remember() {
	if !i.shared.Load() || !i.store.gate.held() {
		return
	}
	for entry := (&exitedInstance{instance: i}); ; {
		entry.next = i.store.exits.Load()
		if i.store.exits.CompareAndSwap(entry.next, entry) {
			return
		}
	}
}

// end closes the instance, if that is still to be done.
func (i *Instance) end(exit *ExitError) {
	exit.instance, exit.Module = i, i.title()
	if !i.exit.CompareAndSwap(nil, exit) {
		return
	}
	// A host function of the instance's own call ends that by returning.
	inside := i.store.onHostThread() && i.store.current == i
	if !exit.plain {
		i.remember()
	}
	i.closed.Store(true)
	i.tellDone()
	i.store.forget(i)
	if !inside && i.store.gate.held() {
		// What has exited takes those with it that may be in its code, but not those that begin later: they need not come to it.
		latest := i.store.latestCall()
		go i.store.stopCalls(func(entry *Instance, number uint64) bool {
			return entry == i || !exit.plain && number <= latest && entry.reaches(i)
		})
	}
	if !i.store.private && i.module != nil {
		i.store.unregister(i)
	}
	i.store.drop()
	i.endProcess()
	i.tellEnd(exit)
}

// title is the name for messages.
func (i *Instance) title() string {
	if name := i.Name(); name != "" || i.module == nil {
		return name
	}
	return i.module.Name()
}

// closedError is what a call gets that is made after the instance was closed.
func (i *Instance) closedError() error {
	if exit := i.exit.Load(); exit != nil && !exit.plain {
		return exit
	}
	return ErrClosed
}

// ending is what a call gets that the instance's end cuts short; nil if it goes on.
func (i *Instance) ending() error {
	if i == nil || !i.closed.Load() {
		return nil
	}
	return i.exit.Load()
}
