package perinstance

import (
	"context"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Context is that of the call, which ends when the calling instance is closed too: its cause is wasmer.ErrClosed then. It is for
// host functions that wait; stop ends it with a cause of theirs, and must be called.
func Context(c *wasmer.Caller) (ctx context.Context, stop context.CancelCauseFunc) {
	ctx, stop = context.WithCancelCause(c.Context())
	closed := c.Instance().Done()
	go func() {
		select {
		case <-closed:
			stop(wasmer.ErrClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}
