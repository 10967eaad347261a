package wasmer

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A call can end while the gate is held by what is no call yet: who awaits its end cannot tell, and is woken later.
func TestWhoAwaitsTheEndOfACallIsWoken(t *testing.T) {
	s, err := NewStore(nil)
	require.NoError(t, err)
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	require.NoError(t, s.enter(ctx))
	var group sync.WaitGroup
	var earlier *awaiter
	for number := range uint64(5) {
		group.Go(func() { s.await(number+1, doneOf(ctx)) })
		require.Eventually(t, func() bool {
			now := s.watch.awaiter.Load()
			if now == earlier {
				return false
			}
			earlier = now
			return true
		}, 10*time.Second, 10*time.Microsecond)
	}
	s.leave()
	woken := make(chan struct{})
	go func() {
		defer close(woken)
		group.Wait()
	}()
	select {
	case <-woken:
	case <-time.After(10 * time.Second):
		t.Fatal("somebody waits for the context's end")
	}
	require.Nil(t, s.watch.awaiter.Load())
}
