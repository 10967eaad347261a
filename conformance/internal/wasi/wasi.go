// Package wasi runs programs of WASI preview 1 on any runtime.
package wasi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"
)

// An Engine is one runtime in one configuration, set up for WASI as its users do.
type Engine interface {
	Name() string
	// Start runs the program to its end. The error is for all ends but an exit.
	Start(ctx context.Context, program Program, stdout, stderr io.Writer) (exitCode uint32, err error)
}

// A Program is a command and its surroundings; its input is empty.
type Program struct {
	Wasm []byte
	// Args start with the program's name.
	Args   []string
	Env    map[string]string
	Mounts []Mount
	// StackSize is what the program needs, in bytes; 0 leaves it to the runtime.
	StackSize int
}

// A Mount is a folder of the host, with all rights.
type Mount struct{ Guest, Host string }

// A Result is how a program ended.
type Result struct {
	ExitCode       uint32
	Stdout, Stderr []byte
	// Err is set for all ends but an exit.
	Err error
}

// grace is how much later than the context an engine may end.
const grace = 2 * time.Second

// Run runs the program until the context ends at the latest. An engine that does not end then is left behind.
func Run(ctx context.Context, engine Engine, program Program) Result {
	var stdout, stderr output
	done := make(chan Result, 1)
	go func() {
		var r Result
		defer func() {
			if p := recover(); p != nil {
				r.Err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			done <- r
		}()
		r.ExitCode, r.Err = engine.Start(ctx, program, &stdout, &stderr)
	}()
	r := wait(ctx, done)
	r.Stdout, r.Stderr = stdout.take(), stderr.take()
	return r
}

func wait(ctx context.Context, done <-chan Result) Result {
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
	}
	select {
	case <-done:
		return Result{Err: ctx.Err()}
	case <-time.After(grace):
		return Result{Err: fmt.Errorf("still runs %v after its time: %w", grace, ctx.Err())}
	}
}

// output may be read while an engine that was left behind writes on.
type output struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.Write(p)
}

func (o *output) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.data.Bytes())
}
