package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// exitChain is three instances of one store, each of which imports the next one's function: first, middle, last. The last
// calls a host function.
type exitChain struct {
	first, middle, last *wasmer.Instance
	after               map[string]int
	memory              *wasmer.Memory
}

func newExitChain(t *testing.T, engine *wasmer.Engine, host func(*exitChain) error) *exitChain {
	t.Helper()
	store := newStore(t, engine)
	memory, err := store.NewMemory(1, 1)
	require.NoError(t, err)
	chain := &exitChain{after: map[string]int{}, memory: memory}
	link := func(name string, address int, imports *wasmer.Imports) *wasmer.Instance {
		imports.WASI(wasmer.NewWASI(wasmer.WASIConfig{})).Memory("memory", memory).Function("after", func() { chain.after[name]++ })
		instance, err := store.Instantiate(background, name, compile(t, engine, fmt.Sprintf(`(module
			(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
			(import "env" "next" (func $next)) (import "env" "after" (func $after)) (import "env" "memory" (memory 1))
			(func (export "run") (call $next) (i32.store8 (i32.const %d) (i32.const 1)) (call $after))
			(func (export "quit") (param i32) (call $exit (local.get 0)) unreachable)
			(func (export "fine") (result i32) (i32.const 42)))`, address)), imports)
		require.NoError(t, err)
		return instance
	}
	chain.last = link("last", 3, wasmer.NewImports().Function("next", func() error { return host(chain) }))
	chain.middle = link("middle", 2, wasmer.NewImports().Extern("env", "next", function(t, chain.last, "run")))
	chain.first = link("first", 1, wasmer.NewImports().Extern("env", "next", function(t, chain.middle, "run")))
	return chain
}

// No instruction of a guest that has exited runs, even if a host function swallows the error and the guest is somewhere
// between others on the stack.
func TestExitOfAGuestOnTheStack(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for number, name := range []string{"first", "middle", "last"} {
			t.Run(name, func(t *testing.T) {
				chain := newExitChain(t, engine, func(chain *exitChain) error {
					quitting := []*wasmer.Instance{chain.first, chain.middle, chain.last}[number]
					quit, err := quitting.Function("quit")
					require.NoError(t, err)
					_, err = quit.Call(background, 5)
					requireExit(t, err, 5)
					return nil // swallowed
				})
				_, err := function(t, chain.first, "run").Call(background)
				require.Zero(t, chain.after[name], "it went on after its exit")
				data, readErr := chain.memory.Read(uint64(number+1), 1)
				require.NoError(t, readErr)
				require.Equal(t, []byte{0}, data)
				require.Equal(t, name, requireExit(t, err, 5).Module)
			})
		}
	})
}

// A guest that has exited, in a call of its own, is no reason to end others, even if it could have stood between them.
func TestExitOfAPluginLeavesTheRest(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		calls := 0
		library, err := store.Instantiate(background, "library", compile(t, engine, `(module
			(import "env" "log" (func $log)) (func (export "log") (call $log)))`),
			wasmer.NewImports().Function("log", func() { calls++ }))
		require.NoError(t, err)
		plugin, err := store.Instantiate(background, "plugin", compile(t, engine, `(module
			(import "library" "log" (func $log)) (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
			(func (export "run") (call $log) (call $exit (i32.const 5))))`), wasmer.NewImports().WASI(newWASI(t, wasmer.WASIConfig{})))
		require.NoError(t, err)
		program := instantiateNamed(t, store, engine, "program", `(module
			(import "library" "log" (func $log)) (import "plugin" "run" (func $run))
			(func (export "log") (call $log))
			(func (export "run") (call $run)))`)
		run(t, program, "log")
		requireExit(t, failing(t, program, "run"), 5)
		require.Equal(t, 2, calls)
		run(t, program, "log")
		run(t, library, "log")
		require.Equal(t, 4, calls)
		_, err = plugin.Function("run")
		requireExit(t, err, 5)
		requireExit(t, failing(t, program, "run"), 5)
	})
}

func TestExitOfAnInstanceCalledThroughAnother(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, host := range map[string]func(*exitChain) error{
			"its error is handed on": func(chain *exitChain) error {
				quit, _ := chain.last.Function("quit")
				_, err := quit.Call(background, 6)
				return err
			},
			"a host function makes it":          func(*exitChain) error { return &wasmer.ExitError{Code: 6} },
			"a host function makes it, wrapped": func(*exitChain) error { return fmt.Errorf("wrapped: %w", &wasmer.ExitError{Code: 6}) },
			"it is closed":                      func(chain *exitChain) error { return chain.last.CloseWithExitCode(6) },
		} {
			t.Run(name, func(t *testing.T) {
				chain := newExitChain(t, engine, host)
				_, err := function(t, chain.first, "run").Call(background)
				requireExit(t, err, 6)
				require.Empty(t, chain.after)
				require.EqualValues(t, 42, call(t, chain.first, "fine").ToI32(), "others of the store live on")
				require.EqualValues(t, 42, call(t, chain.middle, "fine").ToI32())
				_, err = chain.last.Function("fine")
				require.Equal(t, "last", requireExit(t, err, 6).Module)
			})
		}
	})
}

func TestHostFunctionEndsItsGuest(t *testing.T) {
	other := &wasmer.ExitError{Code: 3}
	for name, test := range map[string]struct {
		host func(*wasmer.Caller) error
		code uint32
		text string
	}{
		"ExitError":          {func(*wasmer.Caller) error { return &wasmer.ExitError{Code: 3} }, 3, "exited with code 3"},
		"the same one again": {func(*wasmer.Caller) error { return other }, 3, "exited with code 3"},
		"ExitError, wrapped": {func(*wasmer.Caller) error { return fmt.Errorf("why: %w", &wasmer.ExitError{Code: 3}) }, 3, "why: "},
		"ExitError, joined": {func(*wasmer.Caller) error {
			return errors.Join(errors.New("why"), &wasmer.ExitError{Code: 3})
		}, 3, "why"},
		"Exit":                      {func(c *wasmer.Caller) error { return c.Exit(3) }, 3, "exited with code 3"},
		"Exit, error swallowed":     {func(c *wasmer.Caller) error { _ = c.Exit(3); return nil }, 3, "exited with code 3"},
		"Exit twice":                {func(c *wasmer.Caller) error { _ = c.Exit(3); return c.Exit(4) }, 3, "exited with code 3"},
		"Exit, then another error":  {func(c *wasmer.Caller) error { _ = c.Exit(3); return &wasmer.ExitError{Code: 4} }, 3, "exited with code 3"},
		"CloseWithExitCode":         {func(c *wasmer.Caller) error { return c.Instance().CloseWithExitCode(3) }, 3, "exited with code 3"},
		"Close":                     {func(c *wasmer.Caller) error { return c.Instance().Close() }, 0, "exited with code 0"},
		"Close, then Exit":          {func(c *wasmer.Caller) error { _ = c.Instance().Close(); return c.Exit(3) }, 0, "exited with code 0"},
		"Exit of the largest code":  {func(c *wasmer.Caller) error { return c.Exit(math.MaxUint32) }, math.MaxUint32, "4294967295"},
		"Exit with 0":               {func(c *wasmer.Caller) error { return c.Exit(0) }, 0, "exited with code 0"},
		"ExitError with 0, wrapped": {func(*wasmer.Caller) error { return fmt.Errorf("why: %w", &wasmer.ExitError{}) }, 0, "why: "},
	} {
		t.Run(name, func(t *testing.T) {
			eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
				module := compile(t, engine, quitter)
				var after atomic.Int32
				imports := quitterImports(&after, func(c *wasmer.Caller, _ int32) error { return test.host(c) })
				instance := instantiateFrom(t, module, imports)
				_, err := function(t, instance, "through").Call(background, 0)
				requireExit(t, err, test.code)
				require.ErrorContains(t, err, test.text)
				require.Zero(t, after.Load())
				_, err = instance.Function("fine")
				require.ErrorIs(t, err, wasmer.ErrClosed, "the instance is closed")
				started := instantiateFrom(t, module, imports)
				err = started.Start(background, "waits")
				if test.code == 0 {
					require.NoError(t, err, "a guest that exits with 0 has succeeded")
				} else {
					requireExit(t, err, test.code)
				}
			})
		})
	}
	require.Equal(t, wasmer.ExitError{Code: 3}, *other, "what a host function returns is not written to")
}

func TestExitErrorOfAnotherInstanceClosesNothing(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, quitter)
		var after atomic.Int32
		quits := instantiateFrom(t, module, quitterImports(&after, nil))
		_, exit := function(t, quits, "quit").Call(background, 8)
		requireExit(t, exit, 8)
		for _, err := range []error{exit, fmt.Errorf("wrapped: %w", exit)} {
			instance := instantiateFrom(t, module, quitterImports(&after, func(int32) error { return err }))
			_, got := function(t, instance, "through").Call(background, 0)
			require.Same(t, err, got)
			require.Same(t, err, instance.Start(background, "waits"))
			require.EqualValues(t, 42, call(t, instance, "fine").ToI32())
			require.Zero(t, after.Load())
		}
	})
}

func TestExitWithoutAnInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		f := hostFunction(t, newStore(t, engine), nil, nil, exiting)
		_, err := f.Call(background)
		require.Empty(t, requireExit(t, err, 4).Module)
		_, err = f.Call(background)
		requireExit(t, err, 4)
	})
}

func exiting(_ context.Context, c *wasmer.Caller, _ []wasmer.Value) ([]wasmer.Value, error) {
	return nil, c.Exit(4)
}

// A program that is closed ends, also while a library that it has called waits.
func TestCloseWhileALibraryWaits(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		input, typed := io.Pipe()
		defer typed.Close()
		library, err := store.Instantiate(background, "library", compile(t, engine, probeText("wasi_snapshot_preview1")),
			wasmer.NewImports().WASI(newWASI(t, wasmer.WASIConfig{Stdin: input})))
		require.NoError(t, err)
		(&probe{library, t, background}).vectors(1)
		program := instantiateNamed(t, store, engine, "program", `(module
			(import "library" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
			(func (export "run") (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 2048)))))`)
		var ended time.Time
		time.AfterFunc(waitsFor, func() { ended = time.Now(); _ = program.CloseWithExitCode(3) })
		rescue := time.AfterFunc(2*time.Second, func() { _ = library.Close() })
		defer rescue.Stop()
		_, err = function(t, program, "run").Call(background)
		require.Less(t, time.Since(ended), soon)
		require.Equal(t, "program", requireExit(t, err, 3).Module)
		require.Zero(t, (&probe{library, t, background}).errno("sched_yield"))
	})
}
