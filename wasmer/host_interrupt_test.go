package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A host function that heeds the context and returns its error interrupts the guest, as if it had not heeded it.
func TestHostFunctionThatReturnsTheContextsError(t *testing.T) {
	const wat = `(module
		(import "env" "fetch" (func $fetch))
		(func (export "run") (call $fetch)))`
	own := errors.New("not now")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, test := range []struct {
			returned    func(ctx context.Context) error
			interrupted bool
		}{
			{func(ctx context.Context) error { return ctx.Err() }, true},
			{func(ctx context.Context) error { return fmt.Errorf("fetch: %w", ctx.Err()) }, true},
			{func(context.Context) error { return own }, false},
		} {
			store := newStore(t, engine)
			instance := instantiateIn(t, store, engine, wat, wasmer.NewImports().Function("fetch", func(c *wasmer.Caller) error {
				<-c.Context().Done()
				return test.returned(c.Context())
			}))
			run, err := instance.Function("run")
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err = run.Call(ctx)
			cancel()
			require.Equal(t, test.interrupted, errors.Is(err, wasmer.ErrInterrupted), err)
			require.Equal(t, test.interrupted, errors.Is(err, context.DeadlineExceeded), err)
			require.Equal(t, !test.interrupted, errors.Is(err, own), err)
		}
	})
}

func TestTheCauseIsToldWhileWaitingForTheStore(t *testing.T) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(t, err)
	defer engine.Close()
	store := newStore(t, engine)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("nobody needs it any more")
	var waiting error
	instance := instantiateIn(t, store, engine, `(module
		(import "env" "hold" (func $hold))
		(func (export "run") (call $hold))
		(func (export "wait")))`,
		wasmer.NewImports().Function("hold", func(c *wasmer.Caller) {
			wait, _ := c.Function("wait")
			waits := wait.CallAsync(ctx)
			waits.WaitFor(5 * time.Millisecond)
			cancel(cause)
			_, waiting = waits.Result()
		}))
	_, err = wasmer.Must(instance.Function("run")).Call(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, waiting, wasmer.ErrInterrupted)
	require.ErrorIs(t, waiting, context.Canceled)
	require.ErrorIs(t, waiting, cause)
}
