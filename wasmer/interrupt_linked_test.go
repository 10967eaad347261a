package wasmer_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const (
	endlessLib  = `(module (func (export "run") (loop $l (br $l))) (func (export "ok") (result i32) (i32.const 42)))`
	endlessUser = `(module (import "lib" "run" (func $run)) (import "lib" "ok" (func $ok (result i32)))
		(func (export "run") (call $run)) (func (export "ok") (result i32) (call $ok)))`
)

// An instance that is closed leaves its code to those that import it: calls that they entered by end with them, or with
// their contexts. One that exits takes them with it.
func TestTheEndOfAnImportedInstanceAndCallsOfOthers(t *testing.T) {
	eachPairOfCompilers(t, func(t *testing.T, callee, caller *wasmer.Engine) {
		store := newStore(t, caller)
		lib := instantiateNamed(t, store, callee, "lib", endlessLib)
		user := instantiateIn(t, store, caller, endlessUser, nil)
		run := function(t, user, "run")
		err := stopped(t, 10*time.Millisecond, func(ctx context.Context) error {
			time.AfterFunc(3*time.Millisecond, func() { _ = lib.Close() })
			return run.CallRaw(ctx, nil)
		})
		requireInterrupted(t, err, context.Canceled)
		err = closedMeanwhile(t, 5*time.Millisecond, func() error { return run.CallRaw(background, nil) },
			func() { _ = user.CloseWithExitCode(4) })
		requireExit(t, err, 4)

		lib = instantiateNamed(t, store, callee, "lib", endlessLib)
		user = instantiateIn(t, store, caller, endlessUser, nil)
		other := instantiateIn(t, store, caller, endlessLib, nil)
		run = function(t, user, "run")
		err = closedMeanwhile(t, 5*time.Millisecond, func() error { return run.CallRaw(background, nil) },
			func() { _ = lib.CloseWithExitCode(3) })
		requireExit(t, err, 3)
		require.EqualValues(t, 42, call(t, other, "ok").ToI32(), "who has nothing to do with it goes on")
	})
}

// Instances are made, called and ended in one store at the same time.
func TestInstancesEndWhileOthersAreLinked(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		lib, user := compile(t, engine, endlessLib), compile(t, engine, endlessUser)
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				for range times(10_000) {
					imported, err := store.Instantiate(background, "", lib, nil)
					if err != nil {
						t.Error(err)
						return
					}
					imports := wasmer.NewImports().Instance("lib", imported)
					var ending sync.WaitGroup
					ending.Go(func() { spin(rand.N(50 * time.Microsecond)); _ = imported.CloseWithExitCode(3) })
					instance, err := store.Instantiate(background, "", user, imports)
					if err == nil {
						// It may have begun after the other one's end, which leaves it alone.
						ctx, cancel := context.WithTimeout(background, 5*time.Millisecond)
						err = runOf(ctx, instance)
						cancel()
						_ = instance.Close()
					}
					if !errors.Is(err, wasmer.ErrClosed) && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v", err)
					}
					ending.Wait()
				}
			})
		}
		group.Wait()
	})
}

func runOf(ctx context.Context, instance *wasmer.Instance) error {
	run, err := instance.Function("run")
	if err != nil {
		return err
	}
	return run.CallRaw(ctx, nil)
}

// Closing the instance of a call that waits inside of another one's host function ends both levels as it should.
func TestClosingTheOuterOrTheInnerInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, test := range []struct {
			name         string
			close        func(outer, inner *wasmer.Instance)
			outer, inner bool // which of the calls end with 5
		}{
			{"inner", func(_, inner *wasmer.Instance) { _ = inner.CloseWithExitCode(5) }, false, true},
			{"outer", func(outer, _ *wasmer.Instance) { _ = outer.CloseWithExitCode(5) }, true, true},
			{"both", func(outer, inner *wasmer.Instance) { _ = outer.CloseWithExitCode(5); _ = inner.CloseWithExitCode(6) }, true, true},
		} {
			t.Run(test.name, func(t *testing.T) {
				for range 10 {
					store := newStore(t, engine)
					inner := instantiateIn(t, store, engine, endlessLib, nil)
					run := function(t, inner, "run")
					var innerError error
					inside := make(chan struct{})
					outer := instantiateIn(t, store, engine, nestedForever, wasmer.NewImports().Function("between", func(ctx context.Context, n int32) int32 {
						close(inside)
						innerError = run.CallRaw(ctx, nil)
						return n
					}))
					entry := function(t, outer, "outer")
					err := closedMeanwhile(t, someTime(), func() error { _, err := entry.Call(background, 1); return err },
						func() { <-inside; test.close(outer, inner) })
					require.Equal(t, test.inner, innerError != nil)
					require.ErrorIs(t, innerError, wasmer.ErrClosed)
					if test.outer {
						requireExit(t, err, 5)
					} else {
						require.NoError(t, err)
					}
				}
			})
		}
	})
}

// Many goroutines close many things at once while guests run in all of them: everything ends and is freed.
func TestClosingFromEverywhere(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		lib, user := compile(t, engine, endlessLib), compile(t, engine, endlessUser)
		before := mappings()
		for range times(2_000) {
			store, err := wasmer.NewStore(engine)
			require.NoError(t, err)
			imported, err := store.Instantiate(background, "lib", lib, nil)
			require.NoError(t, err)
			instance, err := store.Instantiate(background, "user", user, nil)
			require.NoError(t, err)
			var calls, closers sync.WaitGroup
			for _, f := range []*wasmer.Function{function(t, imported, "run"), function(t, instance, "run"), function(t, instance, "ok")} {
				calls.Go(func() {
					for {
						if _, err := f.Call(background); err != nil {
							if !errors.Is(err, wasmer.ErrClosed) {
								t.Errorf("got %v", err)
							}
							return
						}
					}
				})
			}
			for _, end := range []func() error{store.Close, instance.Close, imported.Close, store.Close,
				func() error { return instance.CloseWithExitCode(2) }, func() error { return imported.CloseWithExitCode(2) }} {
				closers.Go(func() {
					if err := end(); err != nil {
						t.Errorf("got %v", err)
					}
				})
			}
			closers.Wait()
			ended := make(chan struct{})
			go func() { calls.Wait(); close(ended) }()
			select {
			case <-ended:
			case <-time.After(tooLate):
				t.Fatal("a call goes on in a closed store")
			}
		}
		require.Less(t, mappings(), before+200)
	})
}
