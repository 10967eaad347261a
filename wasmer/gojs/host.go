package gojs

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Host is what stands in for JavaScript, with a checked configuration. Any number of guests may run with it at once; each
// has values, file descriptors and a working directory of its own. They share the streams, of which each read and write is
// whole. Goroutines may share a Host.
type Host struct {
	config         wasmer.WASIConfig
	mounts         mounts
	stdin          input
	stdout, stderr output
	// randomness is held while the source of random bytes is read.
	randomness sync.Mutex
	closed     atomic.Bool
}

// New checks the configuration and opens its folders. It means the same as for WASI, with these differences: Listeners,
// Conns and Yield do not apply, and are refused; Args and Env together have room for about 8,000 bytes, which is checked
// when a guest starts. The guest's local time zone is that of the times which Now returns, UTC if Now is nil.
func New(config wasmer.WASIConfig) (*Host, error) {
	if err := check(&config); err != nil {
		return nil, err
	}
	mounts, err := openMounts(config.Mounts)
	if err != nil {
		return nil, err
	}
	return &Host{
		config: config, mounts: mounts,
		stdin:  input{reader: config.Stdin},
		stdout: output{writer: config.Stdout}, stderr: output{writer: config.Stderr},
	}, nil
}

func check(config *wasmer.WASIConfig) error {
	switch {
	case len(config.Listeners) > 0:
		return errors.New("gojs: Listeners do not apply: programs for JavaScript have no sockets")
	case len(config.Conns) > 0:
		return errors.New("gojs: Conns do not apply: programs for JavaScript have no sockets")
	case config.Yield != nil:
		return errors.New("gojs: Yield does not apply: programs for JavaScript do not yield")
	}
	for i, arg := range config.Args {
		if arg == "" || strings.Contains(arg, "\x00") {
			return fmt.Errorf("gojs: Args[%d] is %q, must not be empty nor hold a NUL", i, arg)
		}
	}
	for key, v := range config.Env {
		if key == "" || strings.ContainsAny(key, "=\x00") || strings.Contains(v, "\x00") {
			return fmt.Errorf("gojs: Env: %q: the key must not be empty nor hold %q, neither may hold a NUL", key+"="+v, "=")
		}
	}
	for name, stream := range map[string]any{
		"Stdin": config.Stdin, "Stdout": config.Stdout, "Stderr": config.Stderr, "Random": config.Random,
	} {
		if isNilPointer(stream) {
			return fmt.Errorf("gojs: %s is a nil %T", name, stream)
		}
	}
	return nil
}

// isNilPointer finds interfaces that are not nil, but hold a nil.
func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// Start runs a program that was instantiated with Imports, until it exits. A program that exits with 0 is no error, with
// another code it is *wasmer.ExitError; a panic is code 2, with its trace on Stderr. When ctx ends the error is
// wasmer.ErrInterrupted and the context's, also while the guest waits, for a timer or for input; a program whose instance is
// closed meanwhile ends with *wasmer.ExitError. Other errors are those of wasmer.Function.Call.
//
// A program can be started once. Its instance stays open. Until Start returns nobody else may call the instance; functions
// of the host that the program imports may, with the context that they were given.
func (h *Host) Start(ctx context.Context, instance *wasmer.Instance) error {
	if ctx == nil {
		ctx = context.Background()
	}
	g, err := newGuest(ctx, h, instance)
	if err != nil {
		return err
	}
	defer g.close()
	err = g.main()
	if g.exit == nil || !errors.Is(err, g.exit) {
		return err
	}
	if g.exit.Code == 0 {
		return nil
	}
	if g.exit.Code == codePanic && g.missing != "" {
		return fmt.Errorf("%w; the host has no JavaScript property %s", err, g.missing)
	}
	return err
}

// codePanic is the exit code of programs that panic.
const codePanic = 2

// Close gives back the folders. Guests that run keep the files that they have open, and can open no others. Closing twice
// does nothing.
func (h *Host) Close() error {
	if h.closed.Swap(true) {
		return nil
	}
	return h.mounts.close()
}

// Run instantiates a program for GOOS=js and runs it until it exits, as Host.Start does.
func Run(ctx context.Context, module *wasmer.Module, config wasmer.WASIConfig) (err error) {
	host, err := New(config)
	if err != nil {
		return err
	}
	defer func() {
		if closed := host.Close(); err == nil {
			err = closed
		}
	}()
	imports := Imports()
	defer imports.Close()
	instance, err := wasmer.Instantiate(ctx, module, imports)
	if err != nil {
		return err
	}
	defer instance.Close()
	return host.Start(ctx, instance)
}
