package wasmer

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
	"weak"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// shell is what lives on in a pool while users come and go: the Rust side of an instance with its store. Each user gets a *Store and an
// *Instance of its own, which lead there and die with its use, and all that belongs to them: that is what keeps users apart.
type shell struct {
	pool weak.Pointer[Pool]
	// parts end with the shell, by cleanup, or with the last store.
	parts   shellParts
	cleanup runtime.Cleanup
	self    weakShell
	// store is that of the present user. tenancy is nil for the first one.
	store   atomic.Pointer[Store]
	tenancy *tenancy
	// hosts is how many host functions the instance has.
	hosts int
	// once says that it cannot be reset.
	once bool
	// externs are the exports that were looked up, by position. They are the user's, under the lock of its instance.
	externs []*ffi.Extern
	// limit is that of the meter.
	limit uint64
}

type shellParts struct {
	storeParts
	pool weak.Pointer[Pool]
}

// tenancy is the Go side of a pooled instance for one user: all that is always needed in one piece.
type tenancy struct {
	store    Store
	instance Instance
	memory   Memory
	end      ExitError
}

type weakShell struct{ weak.Pointer[shell] }

func (s weakShell) gone() bool { return s.Value() == nil }

func (s weakShell) close() {
	if shell := s.Value(); shell != nil {
		_ = shell.store.Load().Close()
	}
}

// pool makes a new instance, in a store of its own, one of the pool.
func (i *Instance) pool(p *Pool) error {
	s := i.store
	if err := s.enter(context.Background()); err != nil {
		return err
	}
	defer s.leave()
	err := i.keepState()
	if err != nil && !isKept(err) {
		return err
	}
	once := err != nil || slices.ContainsFunc(s.hosts, (*hostFunction).hasPluginData)
	sh := &shell{pool: p.self, once: once, hosts: len(s.hosts), externs: make([]*ffi.Extern, len(i.exports)), limit: math.MaxUint64}
	sh.parts = shellParts{storeParts{s.ptr, s.slot, s.account}, p.self}
	if metering := s.meter.metering; metering != nil && metering.Limit != 0 {
		sh.limit = metering.Limit
	}
	sh.store.Store(s)
	if !s.engine.shared {
		sh.self = weakShell{weak.Make(sh)}
		if err := s.engine.children.add(sh.self); err != nil {
			return err
		}
		s.engine.children.remove(s.self)
		s.self = sh.self
	}
	s.cleanup.Stop()
	sh.cleanup = runtime.AddCleanup(sh, func(parts shellParts) {
		collectStore(parts.storeParts)
		if p := parts.pool.Value(); p != nil {
			p.freed()
		}
	}, sh.parts)
	i.shell, s.shell, s.cleanup = sh, sh, sh.cleanup
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, position := range i.module.memories {
		sh.externs[position] = i.item(i.exports[position].Name).(*Memory).item
	}
	return nil
}

// freed tells the pool that the shell is gone.
func (s *shell) freed() {
	if p := s.pool.Value(); p != nil {
		p.freed()
	}
}

// recycle ends the use of a pooled instance, and makes the instance of the next one. It is nil where another is to be made
// instead: this one is closed.
func (i *Instance) recycle() (*Instance, error) {
	s := i.store
	if i.closed.Load() {
		return nil, i.closedError()
	}
	if !s.gate.tryEnter() {
		if s.gate.closed() {
			return nil, i.closedError()
		}
		return nil, ErrRunning
	}
	s.entered()
	exit := i.shell.end(i)
	if !i.exit.CompareAndSwap(nil, exit) { // closed, at the same moment
		s.leave()
		return nil, i.closedError()
	}
	i.closed.Store(true)
	i.tellDone()
	fits := !i.shell.once && len(s.hosts) == i.shell.hosts && s.users.Load() == 1 && i.tier == i.module.Tier()
	if !s.gate.close() || !fits || !s.seclude() {
		s.closeInstances()
		s.leave() // which frees the store, if nobody else has to
		return nil, nil
	}
	// Nobody is in the store, and nobody comes in any more.
	if i.ptr.Recycle() != ffi.OK {
		s.pins.Add(-pinsFreed)
		s.leave()
		return nil, nil
	}
	for _, tracker := range s.trackers {
		tracker.watch.close()
	}
	next := s.successor(i)
	s.trackers, s.processes, s.open = nil, nil, nil
	s.leave()
	return next, nil
}

// end is what a call gets of an instance that was put.
func (s *shell) end(i *Instance) *ExitError {
	exit := &ExitError{}
	if next := s.tenancy; next != nil {
		exit = &next.end
	}
	exit.plain, exit.instance, exit.Module = true, i, i.module.name
	return exit
}

// seclude shuts out whoever uses memories of a closed store from outside of the gate. It fails if somebody does so for long.
func (s *Store) seclude() bool {
	if s.excludePins(context.Background(), 100*time.Millisecond) != nil {
		return false
	}
	s.pins.Add(pinsFreed - pinsAlone)
	return true
}

// successor makes the Go side of the instance and its store for the next user.
func (s *Store) successor(i *Instance) *Instance {
	made := &tenancy{}
	n, next := &made.store, &made.instance
	n.ptr, n.slot, n.account, n.cleanup, n.shell = s.ptr, s.slot, s.account, s.cleanup, s.shell
	n.hostThread, n.running, n.number, n.calls, n.status, n.scratch = s.hostThread, s.running, s.number, s.calls, s.status, s.scratch
	n.maxDepth, n.instances, n.private, n.engine, n.self = s.maxDepth, s.instances, true, s.engine, s.self
	n.meter = Meter{store: n, meterState: s.meter.meterState}
	n.meter.begin(s.shell.limit)
	next.store, next.module, next.ptr, next.tier, next.tally, next.exports = n, i.module, i.ptr, i.tier, i.tally, i.exports
	next.kept, next.shell, next.imported = i.kept, i.shell, i.imported
	if i.memory != nil {
		i.memory.succeed(&made.memory, next)
		next.memory, next.Memory = &made.memory, &made.memory
	} else {
		next.inheritMemories(i)
	}
	if i.process != nil {
		i.process.Restart(next.Done())
		next.process = i.process
		next.call.Process = i.process
		if i.call.Moved != nil {
			next.call.Moved = next.wasiMemory
		}
		n.processes = []*wasip1.Process{i.process}
	}
	if len(s.hosts) > 0 {
		hosts := make([]hostFunction, len(s.hosts))
		n.hosts = make([]*hostFunction, len(s.hosts))
		for number, host := range s.hosts {
			hosts[number] = *host
			hosts[number].caller = Caller{instance: next, store: n}
			n.hosts[number] = &hosts[number]
		}
	}
	n.users.Store(1)
	n.open = next
	s.shell.store.Store(n)
	s.shell.tenancy = made
	return next
}

// succeed makes the Go side of the memory for the next user.
func (m *Memory) succeed(next *Memory, i *Instance) {
	next.store, next.instance, next.item, next.definition, next.latch, next.typ = i.store, i, m.item, m.definition, m.latch, m.typ
}

func (i *Instance) inheritMemories(from *Instance) {
	from.mu.Lock()
	defer from.mu.Unlock()
	for name, item := range from.items {
		if memory, ok := item.(*Memory); ok {
			next := &Memory{}
			memory.succeed(next, i)
			i.put(name, next)
			if memory == from.Memory {
				i.Memory = next
			}
		}
	}
}

// begin has the meter of a store that nobody is in count from 0.
func (m *Meter) begin(limit uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit, m.granted = limit, limit
	m.cells.Remaining.Store(limit)
	m.cells.Instructions.Store(0)
	m.cells.Host.Store(0)
}
