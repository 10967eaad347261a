package wasi

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type engine func(ctx context.Context, stdout, stderr io.Writer) (uint32, error)

func (engine) Name() string { return "fake" }

func (e engine) Start(ctx context.Context, _ Program, stdout, stderr io.Writer) (uint32, error) {
	return e(ctx, stdout, stderr)
}

func TestRun(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		engine engine
		check  func(t *testing.T, r Result)
	}{
		"an exit with its output": {
			engine: func(_ context.Context, stdout, stderr io.Writer) (uint32, error) {
				io.WriteString(stdout, "out")
				io.WriteString(stderr, "err")
				return 3, nil
			},
			check: func(t *testing.T, r Result) {
				require.Equal(t, Result{ExitCode: 3, Stdout: []byte("out"), Stderr: []byte("err")}, r)
			},
		},
		"an engine's error": {
			engine: func(context.Context, io.Writer, io.Writer) (uint32, error) { return 0, broken },
			check:  func(t *testing.T, r Result) { require.ErrorIs(t, r.Err, broken) },
		},
		"an engine that panics": {
			engine: func(context.Context, io.Writer, io.Writer) (uint32, error) { panic("broken") },
			check:  func(t *testing.T, r Result) { require.ErrorContains(t, r.Err, "panic: broken") },
		},
		"a program that is stopped has failed, however it ended": {
			engine: func(ctx context.Context, _, _ io.Writer) (uint32, error) {
				<-ctx.Done()
				return 0, nil
			},
			check: func(t *testing.T, r Result) { require.ErrorIs(t, r.Err, context.DeadlineExceeded) },
		},
		"an engine that does not stop is left behind": {
			engine: func(_ context.Context, stdout, _ io.Writer) (uint32, error) {
				io.WriteString(stdout, "out")
				select {}
			},
			check: func(t *testing.T, r Result) {
				require.ErrorContains(t, r.Err, "still runs")
				require.Equal(t, "out", string(r.Stdout))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			test.check(t, Run(ctx, test.engine, Program{}))
		})
	}
}
