package wasmer

import (
	"sync"
	"weak"
)

// children are the modules and stores that an engine has made: what its Close closes. They are not kept alive by it.
type children struct {
	mu     sync.Mutex
	closed bool
	all    map[child]struct{}
	// sweep is the number of children at which those that were collected are looked for.
	sweep int
}

// child is a weak pointer to what can be closed.
type child interface {
	gone() bool
	close()
}

type weakModule struct{ weak.Pointer[Module] }

func (m weakModule) gone() bool { return m.Value() == nil }
func (m weakModule) close()     { _ = m.Value().Close() }

type weakStore struct{ weak.Pointer[Store] }

func (s weakStore) gone() bool { return s.Value() == nil }
func (s weakStore) close()     { _ = s.Value().Close() }

// add fails if the engine was closed.
func (c *children) add(one child) error {
	const leastSweep = 64
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.all == nil {
		c.all, c.sweep = map[child]struct{}{}, leastSweep
	}
	if len(c.all) >= c.sweep {
		for other := range c.all {
			if other.gone() {
				delete(c.all, other)
			}
		}
		c.sweep = max(leastSweep, 2*len(c.all))
	}
	c.all[one] = struct{}{}
	return nil
}

func (c *children) remove(one child) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, one)
}

// close closes them all, and lets no others in.
func (c *children) close() {
	c.mu.Lock()
	c.closed = true
	all := c.all
	c.all = nil
	c.mu.Unlock()
	for one := range all {
		one.close()
	}
}
