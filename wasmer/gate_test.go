package wasmer

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// enterGate enters as a call does.
func enterGate(g *gate, ctx context.Context) error {
	if g.tryEnter() {
		return nil
	}
	return g.wait(ctx)
}

func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queue)
}

func TestGateLetsOneInAtATime(t *testing.T) {
	var g gate
	var inside, entered, gaveUp atomic.Int64
	var group sync.WaitGroup
	plain := 0
	for n := range 32 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			for range 2000 {
				ctx, cancel := context.Background(), func() {}
				if random.IntN(2) == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(50))*time.Microsecond)
				}
				err := enterGate(&g, ctx)
				cancel()
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					gaveUp.Add(1)
					continue
				}
				if inside.Add(1) != 1 {
					t.Error("two inside")
				}
				plain++
				entered.Add(1)
				inside.Add(-1)
				g.leave()
			}
		})
	}
	group.Wait()
	require.EqualValues(t, entered.Load(), plain)
	require.EqualValues(t, 32*2000, entered.Load()+gaveUp.Load())
	require.Equal(t, gateFree, g.state.Load())
	require.Zero(t, g.waiting())
}

func TestGateIsFirstComeFirstServed(t *testing.T) {
	var g gate
	require.True(t, g.tryEnter())
	var order []int
	var group sync.WaitGroup
	for n := range 16 {
		group.Go(func() {
			require.NoError(t, g.wait(context.Background()))
			order = append(order, n)
			g.leave()
		})
		require.Eventually(t, func() bool { return g.waiting() == n+1 }, 10*time.Second, 10*time.Microsecond)
	}
	g.leave()
	group.Wait()
	for n, who := range order {
		require.Equal(t, n, who)
	}
	require.Equal(t, gateFree, g.state.Load())
}

func TestGateClosedWhileOthersWait(t *testing.T) {
	var g gate
	require.True(t, g.tryEnter())
	var group sync.WaitGroup
	for n := range 16 {
		group.Go(func() { require.ErrorIs(t, g.wait(context.Background()), ErrClosed) })
		require.Eventually(t, func() bool { return g.waiting() == n+1 }, 10*time.Second, 10*time.Microsecond)
	}
	require.True(t, g.close())
	require.False(t, g.close())
	require.False(t, g.tryEnterClosed(), "somebody is inside")
	require.ErrorIs(t, g.wait(context.Background()), ErrClosed)
	g.leave()
	group.Wait()
	require.False(t, g.tryEnter())
	require.True(t, g.tryEnterClosed())
	require.False(t, g.tryEnterClosed())
	g.leave()
	require.Equal(t, gateClosed, g.state.Load())
}

// A turn that comes at the moment its context ends is passed on.
func TestGateTurnAndCancelAtOnce(t *testing.T) {
	for range 2000 {
		var g gate
		require.True(t, g.tryEnter())
		ctx, cancel := context.WithCancel(context.Background())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- g.wait(ctx) }()
		go func() { second <- g.wait(context.Background()) }()
		for g.waiting() != 2 {
			time.Sleep(time.Microsecond)
		}
		go cancel()
		g.leave()
		if err := <-first; err == nil {
			g.leave()
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		require.NoError(t, <-second)
		g.leave()
		require.Equal(t, gateFree, g.state.Load())
		cancel()
	}
}

// Whatever the order of the last leave, unpin and Close, the store is freed exactly once, and never while in use.
func TestStoreIsFreedOnce(t *testing.T) {
	for n := range 3000 {
		s, err := newPrivateStore()
		require.NoError(t, err)
		s.hold()
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				if s.pin() == nil {
					if s.pins.Load() < 0 {
						t.Error("freed while pinned")
					}
					s.unpin()
				}
			})
			group.Go(func() {
				if s.enter(context.Background()) == nil {
					if s.pins.Load() < 0 {
						t.Error("freed while entered")
					}
					s.leave()
				}
			})
		}
		group.Go(func() { s.drop() })
		if n%3 == 0 {
			group.Go(func() { _ = s.Close() })
		}
		group.Wait()
		require.Equal(t, gateClosed, s.gate.state.Load())
		require.EqualValues(t, pinsFreed, s.pins.Load())
	}
}

func TestHandleIsFreedOnceAfterTheLastUse(t *testing.T) {
	for range 2000 {
		type thing struct{ freed atomic.Int64 }
		ptr := new(thing)
		owner := new(Engine)
		var h handle[thing]
		free := func(p *thing) { p.freed.Add(1) }
		h.init(owner, ptr, free, free)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if p, err := h.use(); err == nil {
					if p.freed.Load() != 0 {
						t.Error("freed while in use")
					}
					h.release()
				} else if !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
			group.Go(h.close)
		}
		group.Wait()
		require.EqualValues(t, 1, ptr.freed.Load())
	}
}
