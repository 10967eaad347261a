package wasip1

import (
	"slices"
	"sync"
	"sync/atomic"
)

// turn is a lock that can be waited for in vain, and handed to another goroutine. Taking a free one, and giving one back
// that nobody waits for, is one atomic operation each.
type turn struct {
	state atomic.Uint32
	mu    sync.Mutex
	// queue holds those who wait; the turn is handed over by closing a channel.
	queue []chan struct{}
}

const (
	turnFree uint32 = iota
	turnTaken
	// turnWanted is taken, with somebody in the queue.
	turnWanted
)

func (t *turn) tryTake() bool { return t.state.CompareAndSwap(turnFree, turnTaken) }

// take waits for the turn; false if the guest is to end before.
func (t *turn) take(c *Call) bool { return t.tryTake() || t.wait(c) }

func (t *turn) wait(c *Call) bool {
	t.mu.Lock()
	for {
		if t.state.CompareAndSwap(turnFree, turnTaken) {
			t.mu.Unlock()
			return true
		}
		if t.state.CompareAndSwap(turnTaken, turnWanted) || t.state.Load() == turnWanted {
			break
		}
	}
	mine := make(chan struct{})
	t.queue = append(t.queue, mine)
	t.mu.Unlock()
	if c.wait(mine) {
		return true
	}
	t.mu.Lock()
	at := slices.Index(t.queue, mine)
	if at >= 0 {
		t.queue = slices.Delete(t.queue, at, at+1)
	}
	t.mu.Unlock()
	if at < 0 { // it came at the same moment
		t.give()
	}
	return false
}

// give gives the turn back, or to the next.
func (t *turn) give() {
	if t.state.CompareAndSwap(turnTaken, turnFree) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		t.state.Store(turnFree)
		return
	}
	close(t.queue[0])
	t.queue = slices.Delete(t.queue, 0, 1)
}
