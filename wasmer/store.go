package wasmer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// Store holds instances that share functions, memories, tables and globals. An instance makes a store of its own;
// make one to link instances with each other.
//
// Goroutines may share a store and all that belongs to it. Calls of guest code in one store run one at a time; others
// wait, as long as their context lets them. A host function may call back into its own store, on the goroutine that
// it was called on.
//
// See https://webassembly.github.io/spec/core/exec/runtime.html#store
type Store struct {
	ptr     *ffi.Store
	slot    *slot
	account *account
	cleanup runtime.Cleanup

	gate gate
	// pins counts accesses to memories from outside of the gate. Nothing is freed while there are any.
	pins atomic.Int64
	// hostThread is the thread on which a host function of this store runs right now; 0 if none does. cgo locks that
	// goroutine to the thread, so whoever calls on it is that host function. It is freed with the store.
	hostThread *atomic.Uint64
	// running is the number of the outermost call that runs; 0 if none does. It is freed with the store.
	running *atomic.Uint64
	watch   watch

	// The rest belongs to who holds the gate.

	// number is where the next call finds its number, of which calls counts.
	number *uint64
	calls  uint64

	// status is where a call leaves its outcome.
	status  *ffi.Status
	scratch []ffi.Slot
	// top is the first free slot of the scratch area.
	top int
	// depth counts the nested calls, up to maxDepth.
	depth, maxDepth int
	// ctx is the innermost call's.
	ctx context.Context
	// current is the instance whose function the innermost call is of.
	current *Instance
	// failure is what a host function left for the call that it ends.
	failure failure
	hosts   []*hostFunction
	// hostCalls counts the calls of host functions, and turnBegan is when others last had their turn.
	hostCalls uint64
	turnBegan time.Duration
	// externrefs are the Go values that guests hold.
	externrefs externrefs
	// meter has a lock of its own.
	meter Meter
	// instances counts those that were made.
	instances int
	// exits are the instances that have exited during the call that holds the store.
	exits atomic.Pointer[exitedInstance]
	// processes are the guests with WASI, whose files are closed with the store.
	processes []*wasip1.Process
	// trackers are those of memories whose dirty pages are tracked.
	trackers []*dirtyTracker

	// users counts the open instances and memories of a private store, which ends with the last.
	users   atomic.Int64
	private bool

	mu    sync.Mutex
	named map[string]*Instance
	// nested are the calls under way inside of the outermost, from outside in.
	nested []*nested
	// open is the first of a list of the instances that are not closed.
	open *Instance
	// functions are the Go side of functions that were looked up.
	functions map[*ffi.Extern]*Function
	// engine brings the limits, and compiles what host functions take; nil until the first instance. self is how it knows
	// the store.
	engine *Engine
	self   child
	// shell is that of a pool; nil for others.
	shell *shell
}

// failure is why a host function ended its guest: an error, or a panic with its value.
type failure struct {
	err      error
	panicked bool
	value    any
}

// NewStore makes a store for modules of the engine; nil stands for the default engine. Modules of other engines can be
// instantiated in it too.
func NewStore(engine *Engine) (*Store, error) {
	if engine == nil {
		var err error
		if engine, err = defaultEngine(); err != nil {
			return nil, err
		}
	}
	s, err := newStore(engine.config.StackSize)
	if err != nil {
		return nil, err
	}
	if err = s.adopt(engine); err == nil {
		err = s.meter.admit(engine)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func newStore(stackSize int) (*Store, error) {
	slot := takeSlot()
	ptr, scratch, err := ffi.NewStore(slot.id, uint64(stackSize))
	if err != nil {
		slot.give()
		return nil, translate("store", err)
	}
	s := &Store{
		ptr: ptr, slot: slot, account: openAccount(ptr, scratch.Meter), status: scratch.Status, hostThread: scratch.HostThread,
		running: scratch.Running, number: scratch.Number, scratch: scratch.Slots,
	}
	s.meter = Meter{s, &s.account.meter}
	s.cleanup = runtime.AddCleanup(s, collectStore, storeParts{ptr, slot, s.account})
	return s, nil
}

// newPrivateStore makes a store that ends with the last user: hold begins a use, drop ends it. The first instance
// brings the limits of its engine.
func newPrivateStore() (*Store, error) {
	s, err := newStore(0)
	if err == nil {
		s.private = true
	}
	return s, err
}

// adopt takes over the limits of an engine, which closes the store when it is closed, unless the store has one already.
func (s *Store) adopt(engine *Engine) error {
	if s.maxDepth != 0 {
		return nil
	}
	if !engine.shared {
		s.self = weakStore{weak.Make(s)}
		if err := engine.children.add(s.self); err != nil {
			return err
		}
	}
	s.maxDepth = engine.config.MaxCallDepth
	s.account.engine.Store(engine.account)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engine = engine
	return nil
}

// config is that of the store's engine.
func (s *Store) config() EngineConfig {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return EngineConfig{}.withDefaults()
	}
	return s.engine.config
}

// useEngine gives an engine that is open: the store's, else the default one.
func (s *Store) useEngine() (engine *ffi.Engine, release func(), err error) {
	if engine, release := s.ownEngine(); engine != nil {
		return engine, release, nil
	}
	shared, err := defaultEngine()
	if err != nil {
		return nil, nil, err
	}
	engine, err = shared.use()
	return engine, shared.handle.release, err
}

// ownEngine gives the store's engine, or nil if it has none or that was closed.
func (s *Store) ownEngine() (engine *ffi.Engine, release func()) {
	s.mu.Lock()
	own := s.engine
	s.mu.Unlock()
	if own != nil {
		if engine, err := own.use(); err == nil {
			return engine, own.handle.release
		}
	}
	return nil, func() {}
}

func (s *Store) hold() { s.users.Add(1) }

func (s *Store) drop() {
	if s.users.Add(-1) == 0 && s.private && s.gate.close() {
		s.freeIfUnused()
	}
}

// storeParts is what must be freed with a store, without a way back to it.
type storeParts struct {
	ptr     *ffi.Store
	slot    *slot
	account *account
}

func freeStore(parts storeParts) {
	parts.account.close()
	parts.ptr.Delete()
	parts.slot.give()
}

// collectStore is freeStore for one that was forgotten.
func collectStore(parts storeParts) {
	title := parts.account.title()
	freeStore(parts)
	parts.account.engine.Load().tellCollected("store", title)
}

// Close ends the store with all that was made in it: instances are closed, and calls under way end with *ExitError and code 0.
// It does not wait for them; new ones get ErrClosed, and memory is freed when the last has left. Closing twice, or a nil store,
// does nothing.
func (s *Store) Close() error {
	if s == nil || !s.gate.close() {
		return nil
	}
	s.closeInstances()
	if s.gate.held() {
		go s.stopCalls(func(*Instance, uint64) bool { return true })
	}
	s.freeIfUnused()
	return nil
}

// freeIfUnused frees a closed store that nobody is in. Whoever leaves a closed store calls it.
func (s *Store) freeIfUnused() {
	for s.pins.Load() == 0 && s.gate.tryEnterClosed() {
		if s.pins.CompareAndSwap(0, pinsFreed) {
			s.cleanup.Stop()
			hosts := s.hosts
			s.hosts, s.scratch, s.failure = nil, nil, failure{}
			s.externrefs.values, s.externrefs.numbers = nil, nil
			for _, process := range s.processes {
				process.Close()
			}
			for _, tracker := range s.trackers {
				tracker.watch.close()
			}
			s.processes, s.trackers = nil, nil
			freeStore(storeParts{s.ptr, s.slot, s.account})
			closePluginData(hosts)
			if s.engine != nil && !s.engine.shared {
				s.engine.children.remove(s.self)
			}
			if s.shell != nil {
				s.shell.freed()
			}
		}
		// Else somebody pins; whoever it is saw the gate held and did not free. Look again after leaving.
		s.gate.leave()
	}
}

// pinsFreed is far below zero: no pin holds any more.
const pinsFreed = -1 << 62

// keep keeps the store, also a closed one, from being freed until unpin. It fails if it was freed.
func (s *Store) keep() bool {
	for s.pins.Add(1) <= 0 {
		if s.pins.Add(-1) < (pinsFreed+pinsAlone)/2 {
			return false
		}
		runtime.Gosched() // somebody is alone in it, for a moment
	}
	return true
}

// pin is keep for a store that is open.
func (s *Store) pin() error {
	if !s.keep() {
		return ErrClosed
	}
	if s.gate.closed() {
		s.unpin()
		return ErrClosed
	}
	return nil
}

func (s *Store) unpin() {
	if s.pins.Add(-1) == 0 && s.gate.closed() {
		s.freeIfUnused()
	}
}

// enter takes the store, from outside or from a host function of the call that holds it. leave gives it back.
func (s *Store) enter(ctx context.Context) error {
	if !s.gate.tryEnter() {
		if s.onHostThread() {
			return s.enterAgain()
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
	s.entered()
	return nil
}

func (s *Store) entered() {
	s.depth = 1
	s.slot.store = s
}

// onHostThread reports whether this goroutine runs a host function of the call that holds the store.
func (s *Store) onHostThread() bool {
	if s.pin() != nil { // closed: nobody enters any more
		return false
	}
	defer s.unpin()
	if s.hostThread.Load() == 0 {
		return false
	}
	// Locked, this goroutine cannot move between the two looks, and no other one can run a host function here.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return uintptr(s.hostThread.Load()) == ffi.ThreadID()
}

func (s *Store) enterAgain() error {
	if s.gate.closed() {
		return ErrClosed
	}
	if s.depth >= s.maxDepth {
		return fmt.Errorf("%w: %d calls, the limit of EngineConfig.MaxCallDepth", ErrDepth, s.depth)
	}
	s.depth++
	return nil
}

// wait queues for the gate.
func (s *Store) wait(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	err := s.gate.wait(ctx)
	if err == nil {
		return nil
	}
	s.freeIfUnused() // it may have been our turn to leave a closed gate
	if errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("%w while waiting for the store: %w", ErrInterrupted, endOf(ctx))
}

func (s *Store) leave() {
	s.depth--
	if s.depth > 0 {
		return
	}
	s.slot.store = nil
	if s.exits.Load() != nil {
		s.exits.Store(nil)
	}
	s.leaveGate()
}

func (s *Store) leaveGate() {
	if s.watch.disarm != nil {
		s.disarm()
	}
	if !s.gate.state.CompareAndSwap(gateHeld, gateFree) {
		s.gate.handOver()
		s.freeIfUnused()
	}
	if s.watch.awaiter.Load() != nil {
		s.endAwait()
	}
}

// Instantiate makes an instance in the store. With a name, other modules of the store can import from it; names are
// unique, and free again after Close. Imports that are not in the list are looked up among the named instances.
func (s *Store) Instantiate(ctx context.Context, name string, module *Module, imports *Imports,
) (instance *Instance, err error) {
	if s == nil {
		return nil, ErrClosed
	}
	if name != "" {
		if err := s.reserve(name); err != nil {
			return nil, err
		}
	}
	defer func() { s.settle(name, instance) }() // also if a host function panics
	instance, err = instantiate(ctx, s, module, imports, nil)
	return instance, err
}
