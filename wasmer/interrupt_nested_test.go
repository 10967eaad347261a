package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestStartFunctionsStop(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, text := range map[string]string{
			"start function":           `(module (func $f (loop $l (br $l))) (start $f))`,
			"_initialize":              `(module (func (export "_initialize") (loop $l (br $l))))`,
			"_initialize after start":  `(module (memory 1) (func $f (memory.fill (i32.const 0) (i32.const 1) (i32.const 9))) (start $f) (func (export "_initialize") (loop $l (br $l))))`,
			"start with host function": `(module (import "env" "f" (func $f)) (func $s (loop $l (call $f) (br $l))) (start $s))`,
		} {
			t.Run(name, func(t *testing.T) {
				module := compile(t, engine, text)
				imports := wasmer.NewImports().Function("f", func() {})
				store := newStore(t, engine)
				for range 5 {
					err := stopped(t, someTime(), func(ctx context.Context) error {
						_, err := wasmer.Instantiate(ctx, module, imports)
						return err
					})
					requireInterrupted(t, err, context.Canceled)
					err = stopped(t, someTime(), func(ctx context.Context) error {
						_, err := store.Instantiate(ctx, "name", module, imports)
						return err
					})
					requireInterrupted(t, err, context.Canceled)
					require.Nil(t, store.Instance("name"))
				}
				ok := instantiateIn(t, store, engine, `(module (func (export "ok") (result i32) (i32.const 42)))`, nil)
				require.EqualValues(t, 42, call(t, ok, "ok").ToI32(), "the store can be used again")
			})
		}
	})
}

// Code of other instances, made by other compilers, is code of the call too.
func TestLoopsOfLinkedInstancesStop(t *testing.T) {
	const lib = `(module (global $n (mut i32) (i32.const 0)) (table (export "t") 1 funcref) (elem (i32.const 0) $run)
		(func $run (export "run") (param f64) (result f64) (loop $l (br $l)) (local.get 0))
		(func (export "ok") (param f64) (result f64) (global.set $n (i32.add (global.get $n) (i32.const 1))) (local.get 0)))`
	const user = `(module (import "lib" "run" (func $run (param f64) (result f64))) (import "lib" "ok" (func $ok (param f64) (result f64)))
		(type $t (func (param f64) (result f64))) (import "lib" "t" (table 1 funcref)) (export "again" (func $run))
		(func (export "call") (drop (call $run (f64.const 1))))
		(func (export "indirect") (drop (call_indirect (type $t) (f64.const 1) (i32.const 0))))
		(func (export "many") (loop $l (drop (call $ok (f64.const 1))) (br $l)))
		(func (export "ok") (result f64) (call $ok (f64.const 42))))`
	eachPairOfCompilers(t, func(t *testing.T, callee, caller *wasmer.Engine) {
		store := newStore(t, caller)
		imported := instantiateNamed(t, store, callee, "lib", lib)
		text := user
		if callee.Compiler() != caller.Compiler() { // then tables of functions with floats cannot be shared
			text = strings.Replace(user, `(import "lib" "t" (table 1 funcref))`, `(table 1 funcref) (elem (i32.const 0) $run)`, 1)
		}
		instance, err := store.Instantiate(background, "user", compile(t, caller, text), nil)
		require.NoError(t, err)
		for name, run := range map[string]func(ctx context.Context) error{
			"call":     func(ctx context.Context) error { _, err := function(t, instance, "call").Call(ctx); return err },
			"indirect": func(ctx context.Context) error { _, err := function(t, instance, "indirect").Call(ctx); return err },
			"many":     func(ctx context.Context) error { _, err := function(t, instance, "many").Call(ctx); return err },
			"again":    func(ctx context.Context) error { _, err := function(t, instance, "again").Call(ctx, 1.0); return err },
			"run":      func(ctx context.Context) error { _, err := function(t, imported, "run").Call(ctx, 1.0); return err },
			"table": func(ctx context.Context) error {
				_, err := element(t, exportedTable(t, imported, "t"), 0).ToFuncRef().Call(ctx, 1.0)
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				for range 3 {
					err := stopped(t, someTime(), run)
					requireInterrupted(t, err, context.Canceled)
					require.EqualValues(t, 42, call(t, instance, "ok").ToF64())
				}
			})
		}
	})
}

// nestedForever is a guest that calls the host, which calls back: "outer" calls "between" of the host and then goes on.
const nestedForever = `(module (import "env" "between" (func $between (param i32) (result i32)))
	(func (export "outer") (param i32) (result i32) (call $between (local.get 0)))
	(func (export "outer forever") (param i32) (drop (call $between (local.get 0))) (loop $l (br $l)))
	(func (export "forever") (loop $l (br $l)))
	(func (export "ok") (result i32) (i32.const 42)))`

func TestAnInnerCallStopsAlone(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var instance *wasmer.Instance
		var inner error
		instance = instantiate(t, engine, nestedForever, wasmer.NewImports().Function("between", func(ctx context.Context, n int32) int32 {
			inner = stoppedHere(ctx, someTime(), func(ctx context.Context) error {
				_, err := function(t, instance, "forever").Call(ctx)
				return err
			})
			return n + call(t, instance, "ok").ToI32()
		}))
		for range 10 {
			ctx, cancel := context.WithCancel(background)
			for _, outer := range []context.Context{background, ctx} {
				values, err := function(t, instance, "outer").Call(outer, 1)
				require.NoError(t, err)
				require.EqualValues(t, 43, values[0].ToI32(), "the outer call goes on")
				requireInterrupted(t, inner, context.Canceled)
			}
			cancel()
		}
	})
}

// stoppedHere is stopped for a call that has to be made on this goroutine.
func stoppedHere(parent context.Context, after time.Duration, run func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	defer time.AfterFunc(after, cancel).Stop()
	return run(ctx)
}

// Whatever the contexts of the calls inside, the end of an outer one's stops them all.
func TestAnOuterCallStopsWithWhatItCalled(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		own, cancel := context.WithTimeout(background, time.Hour)
		defer cancel()
		for _, depth := range []int32{1, 2, 3, 8} {
			for name, within := range map[string]func(ctx context.Context) context.Context{
				"the same context": func(ctx context.Context) context.Context { return ctx },
				"background":       func(context.Context) context.Context { return background },
				"none":             func(context.Context) context.Context { return noContext },
				"one of its own":   func(context.Context) context.Context { return own },
				"a derived one":    func(ctx context.Context) context.Context { return context.WithValue(ctx, &depth, 1) },
			} {
				for goesOn, host := range map[string]func(err error) (int32, error){
					"the host passes the error on": func(err error) (int32, error) { return 0, err },
					"the host keeps the error":     func(error) (int32, error) { return 0, nil },
				} {
					t.Run(fmt.Sprint(depth, " deep with ", name, ", ", goesOn), func(t *testing.T) {
						var instance *wasmer.Instance
						var inner error
						instance = instantiate(t, engine, nestedForever, wasmer.NewImports().Function("between", func(ctx context.Context, n int32) (int32, error) {
							var err error
							if n > 1 {
								_, err = function(t, instance, "outer").Call(within(ctx), n-1)
							} else {
								_, err = function(t, instance, "forever").Call(within(ctx))
								inner = err
							}
							return host(err)
						}))
						for range 3 {
							err := stopped(t, someTime(), func(ctx context.Context) error {
								_, err := function(t, instance, "outer forever").Call(ctx, depth)
								return err
							})
							require.ErrorIs(t, err, wasmer.ErrInterrupted)
							require.ErrorIs(t, err, context.Canceled)
							if inner != nil { // else it had not begun
								require.ErrorIs(t, inner, wasmer.ErrInterrupted, "the innermost")
							}
							inner = nil
							require.EqualValues(t, 42, call(t, instance, "ok").ToI32())
						}
					})
				}
			}
		}
	})
}

// A host function that waits for its context is in no guest's code; and one that does not is waited for.
func TestHostFunctionsEndBeforeTheirGuestStops(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		errHost := errors.New("the host's error")
		for name, host := range map[string]func(ctx context.Context) error{
			"waits":                     func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			"waits and keeps quiet":     func(ctx context.Context) error { <-ctx.Done(); return nil },
			"waits and fails otherwise": func(ctx context.Context) error { <-ctx.Done(); return errHost },
			"takes its time":            func(context.Context) error { time.Sleep(30 * time.Millisecond); return nil },
		} {
			t.Run(name, func(t *testing.T) {
				instance := instantiate(t, engine, `(module (import "env" "f" (func $f)) (func (export "run") (call $f) (loop $l (br $l)))
					(func (export "ok") (result i32) (i32.const 42)))`, wasmer.NewImports().Function("f", host))
				err := stopped(t, 10*time.Millisecond, func(ctx context.Context) error {
					_, err := function(t, instance, "run").Call(ctx)
					return err
				})
				switch name {
				case "waits":
					require.ErrorIs(t, err, context.Canceled, "the host's error is the call's")
				case "waits and fails otherwise":
					require.ErrorIs(t, err, errHost)
				default:
					requireInterrupted(t, err, context.Canceled)
				}
				require.EqualValues(t, 42, call(t, instance, "ok").ToI32())
			})
		}
	})
}

func TestGuestsThatWaitForTheSystemStop(t *testing.T) {
	const text = `(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
		(memory (export "memory") 4)
		(data (i32.const 24) "%s") ;; a clock's subscription: the time in nanoseconds
		(data (i32.const 16) "\01") (data (i32.const 512) "\00\10\00\00\00\00\02\00")
		(func (export "sleep") (loop $l (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 300))) (br $l)))
		(func (export "read") (loop $l (drop (call $read (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 520))) (br $l)))
		(func (export "write") (loop $l (drop (call $write (i32.const 1) (i32.const 512) (i32.const 1) (i32.const 520))) (br $l)))
		(func (export "ok") (result i32) (i32.const 42)))`
	const hour, moment = `\00\a0\b8\30\46\03\00\00`, `\10\27\00\00\00\00\00\00` // 3.6e12 ns, 10 us
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		pipeReader, pipeWriter := io.Pipe() // nobody writes
		defer pipeWriter.Close()
		fileReader, fileWriter, err := os.Pipe()
		require.NoError(t, err)
		defer fileReader.Close()
		defer fileWriter.Close()
		fullReader, fullWriter, err := os.Pipe() // nobody reads
		require.NoError(t, err)
		defer fullReader.Close()
		defer fullWriter.Close()
		for _, wait := range []struct {
			name, export, timeout string
			config                wasmer.WASIConfig
		}{
			{"sleep of an hour", "sleep", hour, wasmer.WASIConfig{}},
			{"sleeps of a moment", "sleep", moment, wasmer.WASIConfig{}},
			{"stdin from a reader", "read", hour, wasmer.WASIConfig{Stdin: pipeReader}},
			{"stdin from a pipe", "read", hour, wasmer.WASIConfig{Stdin: fileReader}},
			{"stdin that has ended", "read", hour, wasmer.WASIConfig{}},
			{"stdout to a full pipe", "write", hour, wasmer.WASIConfig{Stdout: fullWriter}},
			{"stdout", "write", hour, wasmer.WASIConfig{Stdout: io.Discard}},
		} {
			t.Run(wait.name, func(t *testing.T) {
				instance := instantiate(t, engine, fmt.Sprintf(text, wait.timeout), wasmer.NewImports().WASI(newWASI(t, wait.config)))
				for range 3 {
					err := stopped(t, someTime(), func(ctx context.Context) error {
						_, err := function(t, instance, wait.export).Call(ctx)
						return err
					})
					requireInterrupted(t, err, context.Canceled)
					require.EqualValues(t, 42, call(t, instance, "ok").ToI32())
				}
			})
		}
	})
}
