package wasmer

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// gate lets one call chain at a time into a store. Entering a free gate and leaving one that nobody waits for is one
// atomic operation each; others wait in the order of their arrival, as long as their context lets them.
type gate struct {
	state atomic.Uint32
	mu    sync.Mutex
	// queue holds those who wait; the gate is handed over by closing a channel.
	queue []chan struct{}
}

const (
	gateFree uint32 = iota
	gateHeld
	// gateWanted is held, with somebody in the queue.
	gateWanted
)

func (g *gate) tryEnter() bool { return g.state.CompareAndSwap(gateFree, gateHeld) }

// wait enters as soon as the gate is free, or returns the context's error.
func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	for {
		if g.tryEnter() {
			g.mu.Unlock()
			return nil
		}
		if g.state.CompareAndSwap(gateHeld, gateWanted) || g.state.Load() == gateWanted {
			break
		}
	}
	turn := make(chan struct{})
	g.queue = append(g.queue, turn)
	g.mu.Unlock()

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	at := slices.Index(g.queue, turn)
	if at >= 0 {
		g.queue = slices.Delete(g.queue, at, at+1)
	}
	g.mu.Unlock()
	if at < 0 {
		g.leave() // it was our turn at the same moment
	}
	return ctx.Err()
}

func (g *gate) leave() {
	if g.state.CompareAndSwap(gateHeld, gateFree) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.state.Store(gateFree)
		return
	}
	next := g.queue[0]
	g.queue = slices.Delete(g.queue, 0, 1)
	if len(g.queue) == 0 {
		g.state.Store(gateHeld)
	}
	close(next)
}
