package wasmer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// How a call comes to be stopped. A store notes for its outermost call what ends it: the channel of its context, and the
// instance that it entered by. That costs a call some loads, and nothing else: there is nothing to begin or end. One watchdog
// looks at the stores that are in use every other millisecond. A call that it meets twice is given a goroutine, which waits for
// the end of the context or of the call; so long calls cost no looks, and are stopped without delay. The first call of a store
// that was not in use has context.AfterFunc instead: it may well be a long one.
//
// Calls have numbers that are never used again in their store: a call that has ended cannot be mistaken for another one.

// watch is what a store has for it. Only the holder of the gate writes done and entry, and everybody may read them.
type watch struct {
	// done is the channel of the outermost call's context, as a pointer; nil if that cannot end.
	done unsafe.Pointer
	// entry is the instance whose function the outermost call is of, of the running one or the last one.
	entry atomic.Pointer[Instance]
	// listed says that the watchdog looks at the store.
	listed atomic.Bool
	// awaiter waits for the end of a long call.
	awaiter atomic.Pointer[awaiter]
	// armed is the number of the call that has context.AfterFunc; disarm, which is the holder's, ends that.
	armed  atomic.Uint64
	disarm func() bool

	// seen and idle are the watchdog's: the call of its last look, and how often it has found none.
	seen uint64
	idle int
}

// awaiter is a goroutine that waits for the end of a context, until the call of this number ends.
type awaiter struct {
	number uint64
	ended  chan struct{}
}

// nested is a call inside of another one of the same store, and what stops it.
type nested struct {
	instance *Instance
	number   uint64
	over     atomic.Bool
	// forget ends the watch over its context; nil if the call around it has the same one, or it cannot end.
	forget func() bool
	// around and aroundInstance are those of the call that it is inside of.
	around         context.Context
	aroundInstance *Instance
}

// doneOf is the channel of a context as a pointer, which can be stored at once.
func doneOf(ctx context.Context) unsafe.Pointer {
	if ctx == nil {
		return nil
	}
	done := ctx.Done()
	return *(*unsafe.Pointer)(unsafe.Pointer(&done)) // a channel is one pointer
}

func isClosed(done unsafe.Pointer) bool {
	select {
	case <-*(*<-chan struct{})(unsafe.Pointer(&done)):
		return true
	default:
		return false
	}
}

// watchOutermost numbers the call that begins, and notes what ends it.
func (s *Store) watchOutermost(ctx context.Context, instance *Instance) {
	s.calls++
	*s.number = s.calls
	if s.watch.entry.Load() != instance {
		s.watch.entry.Store(instance)
	}
	done := doneOf(ctx)
	if atomic.LoadPointer(&s.watch.done) != done {
		atomic.StorePointer(&s.watch.done, done)
	}
	// The gate was entered before: so either the watchdog, taking the store off its list, finds it held, or this finds that it
	// is off.
	if done != nil && !s.watch.listed.Load() {
		watchdog.add(s)
		s.arm(ctx)
	}
}

func (s *Store) arm(ctx context.Context) {
	number := s.calls
	s.watch.armed.Store(number)
	s.watch.disarm = context.AfterFunc(ctx, func() {
		s.stop(number, func() bool { return s.isOver(number) })
	})
}

// disarm ends the watch over the first call of a store that was not in use, before the gate is left.
func (s *Store) disarm() {
	s.watch.disarm()
	s.watch.disarm = nil
}

// watchNested does the same for a call inside of another one. The frame has the state of that one.
func (s *Store) watchNested(ctx context.Context, instance *Instance, f *frame) {
	s.calls++
	*s.number = s.calls
	call := &nested{instance: instance, number: s.calls, around: f.ctx, aroundInstance: f.current}
	s.mu.Lock()
	s.nested = append(s.nested, call)
	s.mu.Unlock()
	if done := doneOf(ctx); done != nil && done != doneOf(f.ctx) {
		call.forget = context.AfterFunc(ctx, func() { s.stop(call.number, call.over.Load) })
	}
}

func (s *Store) endNested() {
	s.mu.Lock()
	last := len(s.nested) - 1
	call := s.nested[last]
	s.nested[last] = nil
	s.nested = s.nested[:last]
	s.mu.Unlock()
	call.over.Store(true)
	if call.forget != nil {
		call.forget()
	}
}

// stop ends the guest of a call, and does not rest before it has ended.
func (s *Store) stop(number uint64, over func() bool) {
	// No guest goes on after a host function, however long that runs; only its system calls would be disturbed by more signals.
	const first, last, lastInHost = 100 * time.Microsecond, 10 * time.Millisecond, 200 * time.Millisecond
	for wait := first; s.keep(); wait *= 2 {
		ended, longest := over(), last
		if !ended && s.ptr.Interrupt(number) == ffi.InHost {
			longest = lastInHost
		}
		s.unpin()
		if ended {
			return
		}
		wait = min(wait, longest)
		time.Sleep(wait)
	}
}

// isOver reports whether the outermost call of this number has ended, with the store kept. Instantiation runs functions one
// after the other under one number.
func (s *Store) isOver(number uint64) bool {
	running := s.running.Load()
	return running != number && (running != 0 || !s.gate.held())
}

// latestCall is the number of the innermost call under way; 0 if none is.
func (s *Store) latestCall() uint64 {
	if !s.keep() {
		return 0
	}
	defer s.unpin()
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.nested) - 1; last >= 0 {
		return s.nested[last].number
	}
	return s.running.Load()
}

// stopCalls ends the call under way of which this is true: of the instance that it entered by, and its number.
func (s *Store) stopCalls(ended func(entry *Instance, number uint64) bool) {
	for s.keep() {
		number, found := s.callOf(ended)
		held := s.gate.held()
		s.unpin()
		switch {
		case found:
			s.stop(number, func() bool {
				now, found := s.callOf(ended)
				return now != number && (found || !s.gate.held() || s.running.Load() != 0)
			})
			return
		case number != 0 || !held:
			return
		}
		time.Sleep(100 * time.Microsecond) // one begins or ends
	}
}

// callOf finds the outermost call that is such a one, with the store kept. The number is that of another call if there is none,
// and 0 if none runs.
func (s *Store) callOf(ended func(*Instance, uint64) bool) (number uint64, found bool) {
	number = s.running.Load()
	if number == 0 {
		return 0, false
	}
	if ended(s.watch.entry.Load(), number) && s.running.Load() == number {
		return number, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.nested {
		if ended(call.instance, call.number) {
			return call.number, true
		}
	}
	return number, false
}

// await waits for the end of a call's context, as long as the call runs.
func (s *Store) await(number uint64, done unsafe.Pointer) {
	a := &awaiter{number: number, ended: make(chan struct{})}
	for {
		earlier := s.watch.awaiter.Load()
		if earlier != nil && earlier.number > number { // its turn came before this one's, which comes too late
			return
		}
		if s.watch.awaiter.CompareAndSwap(earlier, a) {
			if earlier != nil { // of a call that has ended while others held the gate
				close(earlier.ended)
			}
			break
		}
	}
	defer s.watch.awaiter.CompareAndSwap(a, nil)
	if !s.keep() {
		return
	}
	over := s.isOver(number)
	s.unpin()
	if over { // who ended it has not seen the awaiter
		return
	}
	select {
	case <-*(*<-chan struct{})(unsafe.Pointer(&done)):
		s.stop(number, func() bool { return s.isOver(number) })
	case <-a.ended:
	}
}

// endAwait frees the goroutine that waits for the end of a call, if that has ended. Called after the gate was left.
func (s *Store) endAwait() {
	a := s.watch.awaiter.Load()
	if a == nil {
		return
	}
	if s.keep() {
		over := s.isOver(a.number)
		s.unpin()
		if !over {
			return
		}
	}
	if s.watch.awaiter.CompareAndSwap(a, nil) {
		close(a.ended)
	}
}

// watchdog looks at the stores in use. It is a goroutine as long as there are some.
var watchdog watchdogList

type watchdogList struct {
	mu      sync.Mutex
	stores  []*Store
	running bool
}

const (
	watchdogTick = 2 * time.Millisecond
	// watchdogIdle is how many looks a store stays listed without a call: most are called again soon.
	watchdogIdle = 8
)

func (w *watchdogList) add(s *Store) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.watch.listed.Load() {
		return
	}
	s.watch.seen, s.watch.idle = 0, 0
	s.watch.listed.Store(true)
	w.stores = append(w.stores, s)
	if !w.running {
		w.running = true
		go w.run()
	}
}

func (w *watchdogList) run() {
	for {
		time.Sleep(watchdogTick)
		if !w.look() {
			return
		}
	}
}

// look looks at all stores once, and reports whether there are any left.
func (w *watchdogList) look() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.stores[:0]
	for _, s := range w.stores {
		if s.look() {
			kept = append(kept, s)
		}
	}
	clear(w.stores[len(kept):])
	w.stores = kept
	w.running = len(kept) > 0
	return w.running
}

// look is the watchdog's look at a store. It reports whether the store stays listed.
func (s *Store) look() bool {
	if !s.keep() {
		return false
	}
	defer s.unpin()
	w := &s.watch
	number := s.running.Load()
	done := atomic.LoadPointer(&w.done)
	if number == 0 {
		w.seen = 0
		if s.gate.held() {
			return true
		}
		if w.idle++; w.idle < watchdogIdle {
			return true
		}
		w.listed.Store(false)
		return s.gate.held() && w.listed.CompareAndSwap(false, true)
	}
	w.idle = 0
	if s.running.Load() != number || done == nil {
		w.seen = 0
		return true
	}
	if w.seen != number && !isClosed(done) {
		w.seen = number
		return true
	}
	// From here on the looks are not needed for this call. A later one lists the store again, unless it has begun already.
	w.seen = 0
	w.listed.Store(false)
	if s.running.Load() != number {
		w.listed.Store(true)
		return true
	}
	if w.armed.Load() != number {
		go s.await(number, done)
	}
	return false
}

// causeOfStop is why a call was stopped: by what ends it, or ends a call around it.
func (s *Store) causeOfStop(ctx context.Context, instance *Instance) error {
	if err := interrupted(ctx); err != nil {
		return err
	}
	if err := instance.ending(); err != nil {
		return err
	}
	for _, call := range slices.Backward(s.nested) {
		if err := interrupted(call.around); err != nil {
			return err
		}
		if err := call.aroundInstance.ending(); err != nil {
			return err
		}
	}
	if exit := instance.exitReached(); exit != nil {
		return exit
	}
	for _, call := range slices.Backward(s.nested) {
		if exit := call.aroundInstance.exitReached(); exit != nil {
			return exit
		}
	}
	if s.gate.closed() {
		return &ExitError{plain: true, instance: instance}
	}
	return ErrInterrupted
}

// heeded makes an interruption of the error of a host function that has heeded the context, and tells of that.
func heeded(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ErrInterrupted) {
		return err
	}
	switch ended, cause := ctx.Err(), context.Cause(ctx); {
	case err == ended || err == cause:
		return interrupted(ctx)
	case errors.Is(err, ended) || errors.Is(err, cause):
		return fmt.Errorf("%w: %w", interrupted(ctx), err)
	}
	return err
}

// interrupted is nil as long as the context lasts.
func interrupted(ctx context.Context) error {
	if ctx == nil || ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInterrupted, endOf(ctx))
}

// endOf is the error of a context that has ended, with its cause if it has one of its own.
func endOf(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != nil && cause != err {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
