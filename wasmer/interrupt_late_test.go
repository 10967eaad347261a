package wasmer

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Goroutines get their turn late where there is much to do. One that is to wait for a call which has ended meanwhile does not
// send away the one that waits for the call that runs now.
func TestWhoWaitsForAnEarlierCallLeavesTheLaterOneAlone(t *testing.T) {
	for _, compiler := range Compilers() {
		t.Run(compiler.String(), func(t *testing.T) {
			engine, err := NewEngine(EngineConfig{Compiler: compiler})
			require.NoError(t, err)
			defer engine.Close()
			module, err := engine.Compile(t.Context(), []byte(`(module (func (export "forever") (loop (br 0))) (func (export "ok")))`))
			require.NoError(t, err)
			instance, err := Instantiate(t.Context(), module, nil)
			require.NoError(t, err)
			defer instance.Close()
			ok, err := instance.Function("ok")
			require.NoError(t, err)
			forever, err := instance.Function("forever")
			require.NoError(t, err)
			store := instance.store

			awaited := false
			for range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				_, err := ok.Call(ctx) // lists the store, so that the watchdog sees to the next call
				require.NoError(t, err)
				ended := make(chan error, 1)
				go func() {
					_, err := forever.Call(ctx)
					ended <- err
				}()
				for range 50 {
					time.Sleep(time.Millisecond)
					if a := store.watch.awaiter.Load(); a != nil {
						awaited = true
						store.await(a.number-1, doneOf(ctx))
						break
					}
				}
				cancel()
				select {
				case err := <-ended:
					require.ErrorIs(t, err, ErrInterrupted)
				case <-time.After(20 * time.Second):
					_ = instance.CloseWithExitCode(1)
					t.Fatal("the call goes on: nobody waits for the end of its context")
				}
				if awaited {
					break
				}
			}
			require.True(t, awaited, "the watchdog has met no call twice")
		})
	}
}
