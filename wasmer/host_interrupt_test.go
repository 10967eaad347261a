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
