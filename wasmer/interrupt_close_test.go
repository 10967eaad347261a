package wasmer_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// closedMeanwhile begins a call and has it ended after a while by something else than its context.
func closedMeanwhile(t testing.TB, after time.Duration, run func() error, end func()) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- run() }()
	time.Sleep(after)
	end()
	select {
	case err := <-done:
		return err
	case <-time.After(tooLate):
		t.Fatalf("the guest goes on %v after it was closed", tooLate)
		return nil
	}
}

// requireClosed sees that a call was ended by closing, or did not begin because of it.
func requireClosed(t testing.TB, err error, code uint32) {
	t.Helper()
	if err == wasmer.ErrClosed && code == 0 { // it had not begun
		return
	}
	requireExit(t, err, code)
}

// Modules, stores and instances end with the engine that they were made from, and calls under way too.
func TestClosingAnEngineEndsAllThatItHasMade(t *testing.T) {
	eachCompiler(t, func(t *testing.T, shared *wasmer.Engine) {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: shared.Compiler()})
		require.NoError(t, err)
		module, err := engine.Compile(background, []byte(`(module (func (export "run") (loop (br 0))) (func (export "fine")))`))
		require.NoError(t, err)
		store, err := wasmer.NewStore(engine)
		require.NoError(t, err)
		named, err := store.Instantiate(background, "named", module, nil)
		require.NoError(t, err)
		alone, err := wasmer.Instantiate(background, module, nil)
		require.NoError(t, err)
		endless, fine := function(t, alone, "run"), function(t, named, "fine")
		err = closedMeanwhile(t, someTime(), func() error {
			_, err := endless.Call(background)
			return err
		}, func() { require.NoError(t, engine.Close()) })
		requireClosed(t, err, 0)
		for name, use := range map[string]func() error{
			"function": func() error { _, err := fine.Call(background); return err },
			"instance": func() error { _, err := named.Function("fine"); return err },
			"store":    func() error { _, err := store.NewMemory(1, 1); return err },
			"module":   func() error { _, err := module.Instantiate(); return err },
		} {
			require.ErrorIs(t, use(), wasmer.ErrClosed, name)
		}
		for _, again := range []interface{ Close() error }{engine, module, store, named, alone} {
			require.NoError(t, again.Close())
		}
	})
}

func TestEndlessGuestsEndWhenTheyAreClosed(t *testing.T) {
	for name, end := range map[string]struct {
		close func(*wasmer.Instance) error
		code  uint32
	}{
		"Close":             {(*wasmer.Instance).Close, 0},
		"CloseWithExitCode": {func(i *wasmer.Instance) error { return i.CloseWithExitCode(7) }, 7},
		"Store.Close":       {func(i *wasmer.Instance) error { return i.Store().Close() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
				eachEndless(t, engine, false, func(t *testing.T, instance *wasmer.Instance) {
					ctx, cancel := context.WithCancel(background)
					defer cancel()
					if rand.IntN(2) == 0 {
						ctx = background
					}
					run := function(t, instance, "run")
					err := closedMeanwhile(t, someTime(), func() error {
						_, err := run.Call(ctx)
						return err
					}, func() { require.NoError(t, end.close(instance)) })
					requireClosed(t, err, end.code)
					_, err = instance.Store().Instantiate(background, "", nil, nil)
					require.ErrorIs(t, err, wasmer.ErrClosed)
				})
			})
		})
	}
}

const closable = `(module (memory (export "memory") 4) (func (export "run") (loop $l (i32.store (i32.const 0) (i32.const 1)) (br $l)))
	(func (export "ok") (result i32) (i32.const 42)))`

func TestTheFirstExitCodeWins(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, closable)
		for range times(10_000) {
			instance := instantiateFrom(t, module, nil)
			var first atomic.Uint32
			run, ok := function(t, instance, "run"), function(t, instance, "ok")
			err := closedMeanwhile(t, rand.N(300*time.Microsecond), func() error {
				_, err := run.Call(background)
				return err
			}, func() {
				var group sync.WaitGroup
				for code := range uint32(8) {
					group.Go(func() {
						_ = instance.CloseWithExitCode(code + 1)
						var exit *wasmer.ExitError
						if _, err := ok.Call(background); errors.As(err, &exit) {
							first.CompareAndSwap(0, exit.Code)
							if exit.Code != first.Load() {
								t.Errorf("codes %d and %d", exit.Code, first.Load())
							}
						} else {
							t.Errorf("got %v", err)
						}
					})
				}
				group.Wait()
			})
			requireExit(t, err, first.Load())
		}
	})
}

// Wherever in a call's life it comes: a close is never missed, or the endless guest would go on.
func TestAClosingIsNeverMissed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, test := range map[string]struct {
			text    string
			imports *wasmer.Imports
			name    string
			run     func(run, ok *wasmer.Function) error
		}{
			"one call": {closable, nil, "run", func(run, _ *wasmer.Function) error { return run.CallRaw(background, nil) }},
			"after many short ones": {closable, nil, "run", func(run, ok *wasmer.Function) error {
				stack := make([]uint64, 1)
				for range rand.IntN(200) {
					if err := ok.CallRaw(background, stack); err != nil {
						return err
					}
				}
				return run.CallRaw(background, nil)
			}},
			"inside of another call": {nestedForever, wasmer.NewImports().Function("between", func(c *wasmer.Caller, n int32) (int32, error) {
				forever, err := c.Instance().Function("forever")
				if err == nil {
					_, err = forever.Call(background)
				}
				return n, err
			}), "outer", func(outer, _ *wasmer.Function) error { _, err := outer.Call(background, 1); return err }},
			"after a host call": {nestedForever, wasmer.NewImports().Function("between", func(n int32) int32 { return n }),
				"outer forever", func(outer, _ *wasmer.Function) error { _, err := outer.Call(background, 1); return err }},
		} {
			t.Run(name, func(t *testing.T) {
				module := compile(t, engine, test.text)
				for n := range times(20_000) {
					instance := instantiateFrom(t, module, test.imports)
					started := make(chan struct{})
					run, ok := function(t, instance, test.name), function(t, instance, "ok")
					err := closedMeanwhile(t, 0, func() error { close(started); return test.run(run, ok) }, func() {
						<-started
						wait := rand.N(60 * time.Microsecond)
						for began := time.Now(); time.Since(began) < wait; {
						}
						switch n % 3 {
						case 0:
							_ = instance.Close()
						case 1:
							_ = instance.CloseWithExitCode(0)
						case 2:
							_ = instance.Store().Close()
						}
					})
					require.ErrorIs(t, err, wasmer.ErrClosed)
				}
			})
		}
	})
}

// The same for contexts, on one instance.
func TestACancellationIsNeverMissed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, test := range map[string]struct {
			text    string
			imports *wasmer.Imports
			run     func(ctx context.Context, instance *wasmer.Instance) error
		}{
			"one call": {closable, nil, func(ctx context.Context, instance *wasmer.Instance) error {
				return function(t, instance, "run").CallRaw(ctx, nil)
			}},
			"inside of another call": {nestedForever, wasmer.NewImports().Function("between", func(c *wasmer.Caller, n int32) (int32, error) {
				_, err := function(t, c.Instance(), "forever").Call(c.Context())
				return n, err
			}), func(ctx context.Context, instance *wasmer.Instance) error {
				_, err := function(t, instance, "outer").Call(ctx, 1)
				return err
			}},
			"after a host call": {nestedForever, wasmer.NewImports().Function("between", func(n int32) int32 { return n }),
				func(ctx context.Context, instance *wasmer.Instance) error {
					_, err := function(t, instance, "outer forever").Call(ctx, 1)
					return err
				}},
		} {
			t.Run(name, func(t *testing.T) {
				instance := instantiate(t, engine, test.text, test.imports)
				for range times(5_000) {
					err := stopped(t, rand.N(60*time.Microsecond), func(ctx context.Context) error { return test.run(ctx, instance) })
					requireInterrupted(t, err, context.Canceled)
				}
			})
		}
	})
}
