package wasmer

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Snapshot is the state of an instance at one moment: the contents and sizes of its memories, all its globals, its tables, and
// which data and element segments were dropped. It changes no more, and goroutines may share it. Any number of instances can be
// made from it; Close frees it, and they go on.
//
// Not part of it are what the host holds (files, clocks and random numbers of WASI, context data, what was used of a Meter), and
// what belongs to others; see Instance.Snapshot.
type Snapshot struct {
	module *Module
	handle handle[ffi.Snapshot]
}

var _ encoding.BinaryMarshaler = (*Snapshot)(nil)
var _ io.WriterTo = (*Snapshot)(nil)

// StateError says why the state of an instance cannot be captured, or put back.
type StateError struct {
	// Op is what was to be done.
	Op string
	// Reasons are what is in the way, each by its index in the module. Of many, the first ones.
	Reasons []string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("wasmer: %s: %s", e.Op, strings.Join(e.Reasons, "; "))
}

// Snapshot captures the state of the instance. It waits for calls under way, as long as the context lets it; ErrRunning in a host
// function of such a call, ErrClosed after Close. What is copied are the pages of memory that are not zero.
//
// *StateError lists what has no meaning outside of the store: references to values of the host (externref) and exceptions, table
// elements and globals with functions other than the module's own and its imports, memories, tables and mutable globals that are
// imported, and files that a guest of WASI has opened. Instances that import from this one do not matter.
func (i *Instance) Snapshot(ctx context.Context) (*Snapshot, error) {
	if err := i.enterResting(ctx, "snapshot"); err != nil {
		return nil, err
	}
	defer i.store.leave()
	if i.process != nil {
		if opened := i.process.Opened(); opened != nil {
			return nil, &StateError{Op: "snapshot", Reasons: opened}
		}
	}
	ptr, err := i.ptr.Snapshot(&i.module.digest)
	if err != nil {
		return nil, translate("snapshot", err)
	}
	return newSnapshot(i.module, ptr), nil
}

func newSnapshot(module *Module, ptr *ffi.Snapshot) *Snapshot {
	s := &Snapshot{module: module}
	free := (*ffi.Snapshot).Delete
	s.handle.init(s, ptr, free, free)
	return s
}

// InstantiateFrom makes an instance of the snapshot's module with the state of the snapshot. The start function does not run,
// nor does the export _initialize: they have. Imports are given anew; functions in tables that were imports are the new ones.
//
// Errors are those of Instantiate, and ErrSnapshot if an imported constant has another value than the instance had that was
// captured. The snapshot's module must be open; see Snapshot.For. Reset puts the instance back to the snapshot.
func InstantiateFrom(ctx context.Context, snapshot *Snapshot, imports *Imports) (*Instance, error) {
	if snapshot == nil {
		return nil, ErrClosed
	}
	return instantiateAlone(ctx, snapshot.module, imports, snapshot)
}

// InstantiateFrom is the function of that name for an instance in the store, with a name as Instantiate has it.
func (s *Store) InstantiateFrom(ctx context.Context, name string, snapshot *Snapshot, imports *Imports) (instance *Instance, err error) {
	if s == nil || snapshot == nil {
		return nil, ErrClosed
	}
	if name != "" {
		if err := s.reserve(name); err != nil {
			return nil, err
		}
	}
	defer func() { s.settle(name, instance) }()
	return instantiate(ctx, s, snapshot.module, imports, snapshot)
}

// restore gives a new instance the state of the snapshot.
func (s *Snapshot) restore(i *Instance) ffi.Status {
	ptr, err := s.handle.use()
	if err != nil {
		i.store.failure = failure{err: err}
		return ffi.HostFailed
	}
	defer s.handle.release()
	return i.ptr.Restore(ptr)
}

// Module is what instances of the snapshot are made of.
func (s *Snapshot) Module() *Module { return s.module }

// For is the snapshot for instances of another Module that was made from the same binary, by whatever compiler and engine, with the
// same contents in memory. ErrSnapshot if the binary is another one. Both are closed on their own.
func (s *Snapshot) For(module *Module) (*Snapshot, error) {
	if s == nil || module == nil {
		return nil, ErrClosed
	}
	if module.digest != s.module.digest {
		return nil, fmt.Errorf("%w: for: it is of another module", ErrSnapshot)
	}
	ptr, err := s.handle.use()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	return newSnapshot(module, ptr.Share()), nil
}

// MarshalBinary gives the snapshot in bytes, for Module.UnmarshalSnapshot in this process or any other. They do not depend on
// compilers, options or machines, hold no zero pages, and are the same for the same state.
func (s *Snapshot) MarshalBinary() ([]byte, error) {
	if s == nil {
		return nil, ErrClosed
	}
	ptr, err := s.handle.use()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	data, err := ptr.Encode()
	return data, translate("snapshot", err)
}

// WriteTo writes what MarshalBinary gives.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	data, err := s.MarshalBinary()
	if err != nil {
		return 0, err
	}
	n, err := w.Write(data)
	return int64(n), err
}

// UnmarshalSnapshot makes a snapshot from the bytes of one of an instance of the same binary. They may come from anybody: what is cut
// off, damaged, of another module or version, or refers to what the module does not have, is ErrSnapshot. Their digest finds
// damage, not forgery: whoever makes the bytes chooses what is in memories, globals and tables, as far as the module's types let
// a guest. The bytes are copied.
func (m *Module) UnmarshalSnapshot(data []byte) (*Snapshot, error) {
	ptr, err := m.use()
	if err != nil {
		return nil, err
	}
	defer m.handle.release()
	snapshot, err := ptr.DecodeSnapshot(data)
	if err != nil {
		return nil, translate("snapshot", err)
	}
	return newSnapshot(m, snapshot), nil
}

// ReadSnapshot is UnmarshalSnapshot for all that a reader has.
func (m *Module) ReadSnapshot(r io.Reader) (*Snapshot, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("wasmer: snapshot: %w", err)
	}
	return m.UnmarshalSnapshot(data)
}

// Close frees the snapshot. Instances made from it go on, and can be Reset. Closing twice, or a nil snapshot, does nothing.
func (s *Snapshot) Close() error {
	if s != nil {
		s.handle.close()
	}
	return nil
}

// Resettable has instances keep the state that they begin with, for Instance.Reset, also if their module has a start function or an
// export _initialize. It costs a copy of the pages of memory that are not zero. Such instances cannot be made if that state
// cannot be put back: *StateError.
func (i *Imports) Resettable() *Imports {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.resettable = true
	return i
}

// keepState keeps what the instance begins with, if that is wanted, with the store entered.
func (i *Imports) keepState(instance *Instance) error {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	wanted := i.resettable
	i.mu.Unlock()
	if !wanted {
		return nil
	}
	return instance.keepState()
}

func (i *Instance) keepState() error {
	if i.kept { // a snapshot
		return nil
	}
	_, initialized := i.initializer()
	if err := i.ptr.Keep(!initialized); err != nil {
		return translate("instantiate", err)
	}
	i.kept = true
	return nil
}

// Reset puts the instance back to the state right after its instantiation, without running code of the guest: memories with their
// sizes, globals, tables and dropped segments; a guest of WASI has its first file descriptors again, others are closed. One that
// was made by InstantiateFrom gets the state of the snapshot. What extensions keep for it is forgotten, see Resets. Externs,
// context data, the Meter, and the data that native plug-ins have made for the instance stay as they are. What it costs depends on
// what was changed.
//
// It waits for calls under way, as long as the context lets it; ErrRunning in a host function of such a call. *StateError, with
// nothing changed, if the module has a start function or an export _initialize and the instance was made without
// Imports.Resettable, or if it imports memories, tables or mutable globals, whose state is not its own. An instance that has
// exited is closed, and stays so. If the system has no memory the error is ErrResource, and the instance is closed.
func (i *Instance) Reset(ctx context.Context) error {
	if err := i.enterResting(ctx, "reset"); err != nil {
		return err
	}
	err := i.reset(ctx)
	i.store.leave()
	if err != nil && !isKept(err) {
		_ = i.Close()
	}
	return err
}

// Resets counts how often the instance was reset: host modules that keep something of their guests begin anew when it changes.
func (i *Instance) Resets() uint64 { return i.resets.Load() }

// isKept reports whether the state is as it was before a reset that failed.
func isKept(err error) bool {
	switch err.(type) {
	case *StateError, *busyError:
		return true
	}
	return errors.Is(err, ErrInterrupted) // while it waited for the host
}

// reset is Reset with the store entered.
func (i *Instance) reset(ctx context.Context) error {
	if _, has := i.initializer(); has && !i.kept {
		return &StateError{Op: "reset", Reasons: []string{"what _initialize did was not kept: see Imports.Resettable"}}
	}
	s := i.store
	if err := s.excludePins(ctx, time.Second); err != nil {
		return err
	}
	err := i.ptr.Reset()
	s.admitPins()
	if err != nil {
		return translate("reset", err)
	}
	i.resets.Add(1)
	for _, tracker := range s.trackers {
		tracker.forget()
	}
	if i.process != nil {
		i.process.Restart(i.Done())
	}
	return nil
}

// enterResting enters the store while none of its guests runs.
func (i *Instance) enterResting(ctx context.Context, op string) error {
	if i == nil {
		return ErrClosed
	}
	if i.closed.Load() {
		return i.closedError()
	}
	if i.ptr == nil {
		return &StateError{Op: op, Reasons: []string{"the instance was made by Store.NewInstance and has no state of its own"}}
	}
	if err := interrupted(ctx); err != nil {
		return err
	}
	s := i.store
	if err := s.enter(ctx); err != nil {
		return err
	}
	switch err := i.ending(); {
	case err != nil:
		s.leave()
		return i.closedError()
	case s.depth > 1:
		s.leave()
		return fmt.Errorf("%w: %s: a host function cannot ask for it", ErrRunning, op)
	}
	return nil
}

// pinsAlone is added to a store's pins by who is to be alone with its memories, for a moment: far below zero, and far above
// pinsFreed.
const pinsAlone = pinsFreed / 2

// busyError is ErrRunning.
type busyError struct{}

func (*busyError) Error() string { return ErrRunning.Error() + ": its memory is in use by the host" }
func (*busyError) Unwrap() error { return ErrRunning }

// excludePins waits until nobody uses memories of the store from outside of the gate, and keeps others waiting. Accesses are short:
// it gives up on who holds one for longer than most.
func (s *Store) excludePins(ctx context.Context, most time.Duration) error {
	const spins, nap = 100, 50 * time.Microsecond
	var began time.Time
	s.pins.Add(pinsAlone)
	for turn := 0; s.pins.Load() != pinsAlone; turn++ {
		if turn < spins {
			runtime.Gosched()
			continue
		}
		if turn == spins {
			began = time.Now()
		}
		err := interrupted(ctx)
		if err == nil && time.Since(began) > most {
			err = &busyError{}
		}
		if err != nil {
			s.admitPins()
			return err
		}
		time.Sleep(nap)
	}
	return nil
}

func (s *Store) admitPins() { s.pins.Add(-pinsAlone) }
