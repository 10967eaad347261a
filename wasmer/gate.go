package wasmer

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// gate lets one call chain at a time into a store. Entering a free gate and leaving one that nobody waits for is one
// atomic operation each; others wait in the order of their arrival, as long as their context lets them. A closed gate
// lets nobody in any more but the one who frees the store.
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
	// gateClosed is added to the others.
	gateClosed uint32 = 4
)

func (g *gate) tryEnter() bool { return g.state.CompareAndSwap(gateFree, gateHeld) }

// close reports whether the gate was open.
func (g *gate) close() bool { return g.state.Or(gateClosed)&gateClosed == 0 }

func (g *gate) closed() bool { return g.state.Load()&gateClosed != 0 }

// held reports whether somebody is in.
func (g *gate) held() bool { return g.state.Load()&^gateClosed != gateFree }

// tryEnterClosed enters a closed gate that nobody is in.
func (g *gate) tryEnterClosed() bool {
	return g.state.CompareAndSwap(gateClosed, gateClosed|gateHeld)
}

// wait enters as soon as the gate is free, or returns ErrClosed or the context's error.
func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	for {
		state := g.state.Load()
		if state&gateClosed != 0 {
			g.mu.Unlock()
			return ErrClosed
		}
		if state == gateFree && g.tryEnter() {
			g.mu.Unlock()
			return nil
		}
		if state == gateWanted || state == gateHeld && g.state.CompareAndSwap(gateHeld, gateWanted) {
			break
		}
	}
	turn := make(chan struct{})
	g.queue = append(g.queue, turn)
	g.mu.Unlock()

	select {
	case <-turn:
	case <-ctx.Done():
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
	if g.closed() { // while we waited
		g.leave()
		return ErrClosed
	}
	return nil
}

func (g *gate) leave() {
	if !g.state.CompareAndSwap(gateHeld, gateFree) {
		g.handOver()
	}
}

// handOver leaves a gate that is wanted or closed.
func (g *gate) handOver() {
	g.mu.Lock()
	defer g.mu.Unlock()
	next := gateFree
	if len(g.queue) > 0 {
		close(g.queue[0])
		g.queue = slices.Delete(g.queue, 0, 1)
		next = gateHeld
		if len(g.queue) > 0 {
			next = gateWanted
		}
	}
	for {
		state := g.state.Load()
		if g.state.CompareAndSwap(state, state&gateClosed|next) {
			return
		}
	}
}
