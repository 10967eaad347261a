//go:build linux

package wasmer_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// The system bounds how many signals wait for a user's processes, and somebody else may have used that up.
func TestGuestsStopWhereNoSignalCanBeQueued(t *testing.T) {
	inChild(t, func(t *testing.T) {
		const pendingSignals = 11 // RLIMIT_SIGPENDING
		require.NoError(t, syscall.Setrlimit(pendingSignals, &syscall.Rlimit{}))
		eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
			endless := function(t, instantiate(t, engine, endlessWat, nil), "endless")
			for range 20 {
				ctx, cancel := context.WithTimeout(background, 5*time.Millisecond)
				_, err := endless.Call(ctx)
				cancel()
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			// Go's own use of the signal that stands in goes on: a goroutine that never lets go does not keep the collector waiting.
			var collected atomic.Bool
			go func() { runtime.GC(); collected.Store(true) }()
			for !collected.Load() { // no call in here
			}
		})
	})
}
