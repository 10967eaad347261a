package gojs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/gojs"
)

func TestClosingEndsGuests(t *testing.T) {
	for _, test := range []struct {
		name  string
		args  []string
		close func(*wasmer.Instance) error
		code  uint32
	}{
		{"that sleep", []string{"guest", "sleep", "1h"}, func(i *wasmer.Instance) error { return i.CloseWithExitCode(5) }, 5},
		{"that wait for input", []string{"guest", "length"}, func(i *wasmer.Instance) error { return i.CloseWithExitCode(6) }, 6},
		{"that wait for input and timers", []string{"guest", "waiting"}, (*wasmer.Instance).Close, 0},
		{"whose store is closed", []string{"guest", "sleep", "1h"}, func(i *wasmer.Instance) error { return i.Store().Close() }, 0},
		{"that call the host all the time", []string{"guest", "spin"}, (*wasmer.Instance).Close, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				host, err := gojs.New(wasmer.WASIConfig{Args: test.args, Stdin: silent{}})
				require.NoError(t, err)
				defer host.Close()
				instance, err := wasmer.Instantiate(ctx, module, gojs.Imports())
				require.NoError(t, err)
				time.AfterFunc(50*time.Millisecond, func() { _ = test.close(instance) })
				err = host.Start(ctx, instance)
				var exit *wasmer.ExitError
				require.ErrorAs(t, err, &exit)
				require.Equal(t, test.code, exit.Code)
				require.ErrorIs(t, err, wasmer.ErrClosed)
			})
		})
	}
}

func TestTheCauseOfAContextIsTold(t *testing.T) {
	cause := errors.New("nobody needs it any more")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	got := run(ctx, moduleOf(t, wasmer.Compilers()[0]), wasmer.WASIConfig{}, "sleep", "1h")
	require.ErrorIs(t, got.err, cause)
	require.ErrorIs(t, got.err, context.Canceled)
	require.ErrorIs(t, got.err, wasmer.ErrInterrupted)
}
