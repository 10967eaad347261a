package wasmer

import (
	"context"
	"errors"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// frame is what a call keeps of the state it found.
type frame struct {
	values []ffi.Slot
	ctx    context.Context
	// current is the instance whose function was called.
	current *Instance
	number  uint64
	top     int
	// starting says that it is an instantiation, whose end is told of elsewhere.
	starting bool
	// bare says that the store has no host functions. Then nothing but the gate need be kept: nobody sees the rest.
	bare bool
	// nested says that it is inside of another call of the store.
	nested bool
}

// begin enters the store for a call and takes slots for n values. end, or fail, leaves. The frame is filled in place:
// returned by value, its copies cost more than the rest of begin.
func (s *Store) begin(ctx context.Context, n int, instance *Instance, f *frame) error {
	if ctx != nil && ctx.Err() != nil {
		return interrupted(ctx)
	}
	if !s.gate.tryEnter() {
		return s.beginHosted(ctx, n, instance, f)
	}
	if s.hosts == nil && n <= len(s.scratch) {
		f.values = s.scratch[:n]
		f.bare = true
		s.watchOutermost(ctx, instance)
		return nil
	}
	s.entered()
	return s.take(ctx, n, instance, f)
}

// beginHosted is begin for a call that may run host functions, or has to wait.
func (s *Store) beginHosted(ctx context.Context, n int, instance *Instance, f *frame) error {
	if err := interrupted(ctx); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	if err := instance.ending(); err != nil { // while it waited
		s.leave()
		return err
	}
	return s.take(ctx, n, instance, f)
}

func (s *Store) take(ctx context.Context, n int, instance *Instance, f *frame) error {
	if ctx == nil {
		ctx = context.Background()
	}
	top := s.top
	if top+n > len(s.scratch) {
		s.leave()
		return fmt.Errorf("%w: no room for %d more values", ErrDepth, n)
	}
	f.values = s.scratch[top : top+n]
	f.top = top
	f.ctx, f.current, f.number = s.ctx, s.current, *s.number
	s.top = top + n
	if s.depth == 1 {
		s.watchOutermost(ctx, instance)
	} else {
		f.nested = true
		s.watchNested(ctx, instance, f)
	}
	s.ctx, s.current = ctx, instance
	return nil
}

// end leaves the store after a call that succeeded, its results read.
func (s *Store) end(f *frame) {
	if f.bare {
		s.leaveGate()
		return
	}
	s.ctx, s.current, s.top = f.ctx, f.current, f.top
	if f.nested {
		*s.number = f.number
		s.endNested()
	}
	s.leave()
}

// fail leaves the store after a call that failed, with its error. A panic of a host function goes on here.
func (s *Store) fail(ctx context.Context, instance *Instance, f *frame, op string, status ffi.Status) error {
	var err error
	failed := s.failure
	s.failure = failure{}
	if status == ffi.Interrupted {
		s.meter.takeBack()
		err = s.causeOfStop(ctx, instance)
	} else if status == ffi.HostFailed && (failed.err != nil || failed.panicked) {
		err = failed.err
	} else if e := s.ptr.Error(); e != nil {
		err = translate(op, e)
	} else {
		err = fmt.Errorf("wasmer: internal error: %s: failed without an error", op)
	}
	ended := !f.starting && errors.Is(err, ErrTerminate)
	if !ended {
		s.failed(instance, err)
	}
	s.end(f)
	if !f.starting && !ended {
		s.tellCall(ctx, instance, op, err, failed.value)
	}
	if failed.panicked {
		panic(failed.value)
	}
	return err
}

// unlessTerminated is the error of a call: none, if a host function has terminated the guest.
func unlessTerminated(err error) error {
	if errors.Is(err, ErrTerminate) {
		return nil
	}
	return err
}
