package wasmer_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// quitter exits in several ways, and tells when it goes on after that: by the host function "after", and by a byte in a
// memory of the host, where it is given one.
const quitter = `(module $quitter
	(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
	(import "env" "after" (func $after)) (import "env" "host" (func $host (param i32)))
	(memory (export "memory") 1)
	(func $done (i32.store8 (i32.const 0) (i32.const 1)) (call $after))
	(func $quit (export "quit") (param i32) (call $exit (local.get 0)) (call $done))
	(func (export "_start") (call $quit (i32.const 2)))
	(func (export "through") (param i32) (call $host (local.get 0)) (call $done))
	(func (export "waits") (call $host (i32.const 0)))
	(func (export "fine") (result i32) (i32.const 42)))`

// quitterImports count what runs after an exit.
func quitterImports(after *atomic.Int32, host any) *wasmer.Imports {
	if host == nil {
		host = func(int32) {}
	}
	return wasmer.NewImports().WASI(wasmer.NewWASI(wasmer.WASIConfig{})).
		Function("after", func() { after.Add(1) }).Function("host", host)
}

// requireExit finds the exit error, which is all that it should be.
func requireExit(t testing.TB, err error, code uint32) *wasmer.ExitError {
	t.Helper()
	var exit *wasmer.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, code, exit.Code)
	require.ErrorIs(t, err, wasmer.ErrClosed)
	require.ErrorIs(t, err, &wasmer.ExitError{Code: code})
	require.NotErrorIs(t, err, &wasmer.ExitError{Code: code + 1})
	require.NotErrorIs(t, err, wasmer.ErrInterrupted)
	require.Contains(t, exit.Error(), fmt.Sprint(code))
	return exit
}

// requireEnded sees that all uses of an instance get the error that ended it.
func requireEnded(t testing.TB, instance *wasmer.Instance, fine *wasmer.Function, want *wasmer.ExitError) {
	t.Helper()
	for _, use := range []func() error{
		func() error { _, err := fine.Call(background); return err },
		func() error { return fine.CallRaw(background, make([]uint64, 1)) },
		func() error { _, err := instance.Function("fine"); return err },
		func() error { _, err := instance.Extern("memory"); return err },
		func() error { return instance.Start(background) },
	} {
		var exit *wasmer.ExitError
		require.ErrorAs(t, use(), &exit)
		require.Same(t, want, exit)
	}
}

var exitCodes = []uint32{0, 2, 255, math.MaxUint32}

func TestExitFromAnyExport(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, quitter)
		for _, code := range exitCodes {
			var after atomic.Int32
			instance := instantiateFrom(t, module, quitterImports(&after, nil))
			fine := function(t, instance, "fine")
			_, err := function(t, instance, "quit").Call(background, code)
			exit := requireExit(t, err, code)
			require.Same(t, exit, err, "it is not wrapped")
			require.Equal(t, "quitter", exit.Module)
			require.Zero(t, after.Load())
			requireEnded(t, instance, fine, exit)
			_, err = instance.Memory.Read(0, 1)
			require.ErrorIs(t, err, wasmer.ErrClosed)
			require.NoError(t, instance.Close())
			requireEnded(t, instance, fine, exit)
		}
	})
}

func TestExitFromStart(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, code := range exitCodes {
			var after atomic.Int32
			text := strings.Replace(quitter, "(call $quit (i32.const 2))", fmt.Sprintf("(call $quit (i32.const %d))", int32(code)), 1)
			instance := instantiateFrom(t, compile(t, engine, text), quitterImports(&after, nil))
			err := instance.Start(background)
			if code == 0 {
				require.NoError(t, err)
			} else {
				requireExit(t, err, code)
			}
			require.Zero(t, after.Load())
			_, err = instance.Function("fine")
			requireExit(t, err, code)
		}
	})
}

func TestExitWhileInstantiated(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, code := range exitCodes {
			quit := fmt.Sprintf("(func $now (call $quit (i32.const %d)))", int32(code))
			for name, text := range map[string]string{
				"start section": strings.TrimSuffix(quitter, ")") + quit + "(start $now))",
				"_initialize":   strings.TrimSuffix(quitter, ")") + quit + `(export "_initialize" (func $now)))`,
			} {
				module := compile(t, engine, text)
				var after atomic.Int32
				instance, err := wasmer.Instantiate(background, module, quitterImports(&after, nil))
				require.Nil(t, instance, name)
				requireExit(t, err, code)
				store := newStore(t, engine)
				instance, err = store.Instantiate(background, "named", module, quitterImports(&after, nil))
				require.Nil(t, instance, name)
				require.Equal(t, "quitter", requireExit(t, err, code).Module)
				require.Nil(t, store.Instance("named"))
				require.Zero(t, after.Load())
				instantiateNamed(t, store, engine, "named", "(module)") // the name is free again
			}
		}
	})
}

func TestExitInsideAHostFunctionThatSwallowsIt(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, code := range exitCodes {
			var after, inner atomic.Int32
			instance := instantiateFrom(t, compile(t, engine, quitter), quitterImports(&after, func(c *wasmer.Caller, code int32) {
				quit, err := c.Function("quit")
				require.NoError(t, err)
				_, err = quit.Call(c.Context(), code)
				requireExit(t, err, uint32(code))
				inner.Add(1)
			}))
			_, err := function(t, instance, "through").Call(background, code)
			requireExit(t, err, code)
			require.EqualValues(t, 1, inner.Load())
			require.Zero(t, after.Load())
		}
	})
}

// blocked is an instance in the midst of a call that waits for the host.
type blocked struct {
	*wasmer.Instance
	fine           *wasmer.Function
	after          atomic.Int32
	release, ended chan struct{}
	err            error
}

func newBlocked(t *testing.T, store *wasmer.Store, module *wasmer.Module) *blocked {
	t.Helper()
	b := &blocked{release: make(chan struct{}), ended: make(chan struct{})}
	entered := make(chan struct{})
	imports := quitterImports(&b.after, func(int32) { close(entered); <-b.release })
	var err error
	if store == nil {
		b.Instance, err = wasmer.Instantiate(background, module, imports)
	} else {
		b.Instance, err = store.Instantiate(background, "", module, imports)
	}
	require.NoError(t, err)
	b.fine = function(t, b.Instance, "fine")
	through := function(t, b.Instance, "through")
	go func() {
		defer close(b.ended)
		_, b.err = through.Call(background, 0)
	}()
	<-entered
	return b
}

// inStores runs a test with instances in stores of their own, and in one that they share with others.
func inStores(t *testing.T, test func(t *testing.T, module *wasmer.Module, store *wasmer.Store)) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, quitter)
		t.Run("own store", func(t *testing.T) { test(t, module, nil) })
		t.Run("shared store", func(t *testing.T) { test(t, module, newStore(t, engine)) })
	})
}

func TestExitReachesThoseWhoWaitForTheStore(t *testing.T) {
	inStores(t, func(t *testing.T, module *wasmer.Module, store *wasmer.Store) {
		b := newBlocked(t, store, module)
		const waiting = 8
		errs := make(chan error, waiting)
		for range waiting {
			go func() { _, err := b.fine.Call(background); errs <- err }()
		}
		time.Sleep(waitsFor)
		require.NoError(t, b.CloseWithExitCode(7))
		close(b.release)
		<-b.ended
		exit := requireExit(t, b.err, 7)
		require.Zero(t, b.after.Load())
		for range waiting {
			require.Same(t, exit, <-errs)
		}
		requireEnded(t, b.Instance, b.fine, exit)
	})
}

func TestCloseDuringACallIsAnExit(t *testing.T) {
	inStores(t, func(t *testing.T, module *wasmer.Module, store *wasmer.Store) {
		b := newBlocked(t, store, module)
		require.NoError(t, b.Close())
		require.NoError(t, b.CloseWithExitCode(4))
		close(b.release)
		<-b.ended
		require.Same(t, requireExit(t, b.err, 0), b.err)
		require.Zero(t, b.after.Load())
		_, err := b.fine.Call(background)
		require.Equal(t, wasmer.ErrClosed, err, "it is just closed")
		require.Equal(t, wasmer.ErrClosed, b.Start(background))
	})
}

func TestTheFirstExitCodeStays(t *testing.T) {
	inStores(t, func(t *testing.T, module *wasmer.Module, store *wasmer.Store) {
		for range 50 {
			b := newBlocked(t, store, module)
			var closing sync.WaitGroup
			for code := range uint32(6) {
				closing.Go(func() { _ = b.CloseWithExitCode(100 + code) })
			}
			close(b.release)
			closing.Wait()
			<-b.ended
			var exit *wasmer.ExitError
			_, err := b.fine.Call(background)
			require.ErrorAs(t, err, &exit)
			require.GreaterOrEqual(t, exit.Code, uint32(100))
			if b.err != nil { // else it was through before
				require.Same(t, exit, b.err)
			}
			_ = b.CloseWithExitCode(1)
			require.NoError(t, b.Close())
			requireEnded(t, b.Instance, b.fine, exit)
		}
	})
}

func TestExitErrorIs(t *testing.T) {
	plain := &wasmer.ExitError{Code: 3, Module: "m"}
	var none *wasmer.ExitError
	for _, err := range []error{plain, fmt.Errorf("a: %w", plain), errors.Join(errors.New("b"), plain)} {
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.ErrorIs(t, err, plain)
		require.ErrorIs(t, err, &wasmer.ExitError{Code: 3, Module: "another"})
		require.NotErrorIs(t, err, &wasmer.ExitError{Code: 4, Module: "m"})
		require.NotErrorIs(t, err, none)
		require.NotErrorIs(t, err, wasmer.ErrNotFound)
	}
	require.NotErrorIs(t, wasmer.ErrClosed, plain)
	require.Contains(t, plain.Error(), `"m"`)
	require.NotContains(t, (&wasmer.ExitError{}).Error(), `""`)
	var nowhere *wasmer.Instance
	require.NoError(t, nowhere.CloseWithExitCode(3))
	require.ErrorIs(t, nowhere.Start(background), wasmer.ErrClosed)
}

// A signal that a guest raises ends it with the code that a shell would show, or does nothing.
func TestRaise(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))
			(func (export "raise") (param i32) (result i32) (call $raise (local.get 0))))`)
		imports := wasmer.NewImports().WASI(newWASI(t, wasmer.WASIConfig{}))
		for signal, want := range map[uint32]int{0: 0, 16: 0, 17: 0, 22: 0, 27: 0, 31: errnoInval, math.MaxUint32: errnoInval} {
			require.EqualValues(t, want, call(t, instantiateFrom(t, module, imports), "raise", signal).ToI32())
		}
		for _, signal := range []uint32{1, 6, 9, 15, 30} {
			requireExit(t, failing(t, instantiateFrom(t, module, imports), "raise", signal), 128+signal)
		}
	})
}

func TestExitThroughTheExportsMap(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var after atomic.Int32
		instance := instantiate(t, engine, quitter, quitterImports(&after, nil))
		_, err := instance.Exports["quit"](uint32(9))
		exit := requireExit(t, err, 9)
		_, err = instance.Exports["fine"]()
		require.Same(t, exit, err)
	})
}
