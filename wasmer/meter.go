package wasmer

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// ErrCostLimit: a guest would have cost more than its limit. What ended it was not executed, and is not part of the cost. The
// error of the call is a *Trap with the place, and TrapCostLimit is this error.
var ErrCostLimit error = TrapCostLimit

// Meter tells what the guests of a store have executed, and bounds it. All instances of a store share one, and so do calls: it
// adds up until Reset. It needs an engine with EngineConfig.Metering; else all stays 0, and no limit holds.
//
// Any goroutine may read it at any time, also while a guest runs, and after the store was closed. What changes it waits until
// no guest of the store runs; a host function can do so at once for the guest that called it.
type Meter struct {
	store *Store
	*meterState
}

// meterState does not lead to the store, and outlives it.
type meterState struct {
	mu sync.RWMutex
	// cells is nil once the store is freed, used and instructions the last state then.
	cells              *ffi.Meter
	used, instructions uint64
	limit              uint64
	// granted is what has been used and what remains, together.
	granted uint64
	// metering is that of the store's code; nil as long as none is metered.
	metering *Metering
}

// Meter is the store's meter.
func (s *Store) Meter() *Meter { return &s.meter }

// Meter is that of the instance's store: it counts what other instances of the store execute too.
func (i *Instance) Meter() *Meter { return i.store.Meter() }

func (m *meterState) init(cells *ffi.Meter) {
	m.cells, m.limit, m.granted = cells, math.MaxUint64, math.MaxUint64
}

// admit prepares for the code of an engine.
func (m *Meter) admit(e *Engine) error {
	metering := &e.config.Metering
	if metering.Mode == MeteringOff {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.metering == nil {
		m.metering = metering
		if metering.Limit != 0 && m.limit == math.MaxUint64 {
			m.setLimit(metering.Limit)
		}
		return nil
	}
	if !m.metering.sameCosts(metering) {
		return fmt.Errorf("%w: modules in one store whose engines have different EngineConfig.Metering.Costs", ErrUnsupported)
	}
	return nil
}

// settle keeps the last state, before the store is freed.
func (m *meterState) settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used, m.instructions = m.readUsed(), m.readInstructions()
	m.cells = nil
}

func (m *meterState) readUsed() uint64 {
	if m.cells == nil {
		return m.used
	}
	// A charge that is too much is taken back at once, and may be seen as less than nothing that remains.
	return min(m.granted-m.cells.Remaining.Load(), m.granted)
}

func (m *meterState) readInstructions() uint64 {
	switch {
	case m.cells == nil:
		return m.instructions
	case m.metering == nil || m.metering.Costs != nil && !m.metering.CountInstructions:
		return 0
	case m.metering.separate():
		return m.cells.Instructions.Load()
	}
	return m.readUsed() - m.cells.Host.Load()
}

// takeBack takes back a charge that is too much, where the guest was interrupted before it could. How much it was is not known:
// nothing remains.
func (m *meterState) takeBack() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells.Remaining.Load() > m.granted {
		m.cells.Remaining.Store(0)
	}
}

// Used is the cost of what was executed: of instructions, of lengths, of host functions, and what was charged by Charge.
func (m *Meter) Used() uint64 {
	defer runtime.KeepAlive(m.store)
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.readUsed()
}

// Instructions is the number of instructions that were executed. It is 0 if there are Costs without CountInstructions.
func (m *Meter) Instructions() uint64 {
	defer runtime.KeepAlive(m.store)
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.readInstructions()
}

// Limit is what SetLimit has set; math.MaxUint64, if nobody has.
func (m *Meter) Limit() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.limit
}

// Remaining is what may yet be used, 0 if that is more than the limit already.
func (m *Meter) Remaining() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if used := m.readUsed(); used < m.limit {
		return m.limit - used
	}
	return 0
}

// SetLimit bounds what may be used in all, from the last Reset on. A guest that would go beyond it ends with ErrCostLimit; it
// can be called again after the limit was raised. ErrClosed, if the store is.
func (m *Meter) SetLimit(limit uint64) error {
	return m.change(func() error { m.setLimit(limit); return nil })
}

func (m *Meter) setLimit(limit uint64) {
	used := m.readUsed()
	remaining := limit - min(limit, used)
	m.limit, m.granted = limit, used+remaining
	m.cells.Remaining.Store(remaining)
}

// Grant raises the limit, up to math.MaxUint64. ErrClosed, if the store is closed.
func (m *Meter) Grant(cost uint64) error {
	return m.change(func() error {
		m.setLimit(m.limit + min(cost, math.MaxUint64-m.limit))
		return nil
	})
}

// Charge adds to what was used, as if a guest had, for instance in a host function whose work depends on its arguments. It is
// ErrCostLimit and adds nothing if less remains; a host function can return that to end its guest. ErrClosed, if the store is
// closed.
func (m *Meter) Charge(cost uint64) error {
	return m.change(func() error {
		remaining := m.cells.Remaining.Load()
		if remaining < cost {
			return fmt.Errorf("wasmer: meter: %w", ErrCostLimit)
		}
		m.cells.Remaining.Store(remaining - cost)
		m.cells.Host.Add(cost)
		return nil
	})
}

// Reset begins anew at 0, with the same limit. ErrClosed, if the store is closed.
func (m *Meter) Reset() error {
	return m.change(func() error {
		m.cells.Remaining.Store(m.limit)
		m.granted = m.limit
		m.cells.Instructions.Store(0)
		m.cells.Host.Store(0)
		return nil
	})
}

// change runs while no guest does.
func (m *Meter) change(change func() error) error {
	if err := m.store.enter(context.Background()); err != nil {
		return err
	}
	defer m.store.leave()
	m.mu.Lock()
	defer m.mu.Unlock()
	return change()
}
