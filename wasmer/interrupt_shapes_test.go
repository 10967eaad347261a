package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// tooLate is when a test gives up waiting for a guest to stop: far beyond what it should take, so that a busy machine does
// not matter.
const tooLate = 20 * time.Second

// stopped begins a call, ends its context after a while, and gives the call's error.
func stopped(t testing.TB, after time.Duration, run func(ctx context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	time.Sleep(after)
	cancel()
	select {
	case err := <-done:
		return err
	case <-time.After(tooLate):
		t.Fatalf("the guest goes on %v after its context was cancelled", tooLate)
		return nil
	}
}

// requireInterrupted sees that a call was stopped because its context ended in this way.
func requireInterrupted(t testing.TB, err, why error) {
	t.Helper()
	require.ErrorIs(t, err, wasmer.ErrInterrupted)
	require.ErrorIs(t, err, why)
	require.ErrorContains(t, err, "execution interrupted")
	var trap *wasmer.Trap
	require.False(t, errors.As(err, &trap), "an interruption is not a trap: %v", err)
}

// someTime is mostly about the time that a call takes to begin, and sometimes long after.
func someTime() time.Duration {
	if rand.IntN(4) == 0 {
		return 8 * time.Millisecond
	}
	return rand.N(5 * time.Millisecond)
}

func TestEndlessGuestsStopWithTheirContext(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		eachEndless(t, engine, true, func(t *testing.T, instance *wasmer.Instance) {
			run := function(t, instance, "run")
			for range 2 {
				err := stopped(t, someTime(), func(ctx context.Context) error {
					_, err := run.Call(ctx)
					return err
				})
				requireInterrupted(t, err, context.Canceled)
				require.EqualValues(t, 42, call(t, instance, "ok").ToI32(), "the instance can be used again")
			}
			ctx, cancel := context.WithTimeout(background, someTime())
			defer cancel()
			requireInterrupted(t, run.CallRaw(ctx, nil), context.DeadlineExceeded)
			require.EqualValues(t, 42, call(t, instance, "ok").ToI32())
		})
	})
}

// Each way to call has its own way in.
func TestAllWaysToCallStop(t *testing.T) {
	const text = `(module %s (memory (export "memory") 1)
		(func (export "run") (loop $l (br $l)))
		(func (export "_start") (loop $l (br $l)))
		(func (export "run1") (param i32) (result f64) (loop $l (br $l)) (f64.const 0))
		(func (export "run2") (param i32 i64) (result i64) (loop $l (br $l)) (i64.const 0))
		(func (export "run3") (param i32 i64 f32) (result i32) (loop $l (br $l)) (i32.const 0))
		(func (export "run4") (param i32 i64 f32 f64) (loop $l (br $l)))
		(func (export "reference") (param externref) (result externref) (loop $l (br $l)) (local.get 0))
		(func (export "several") (param i64) (result i64 i64) (loop $l (br $l)) (local.get 0) (local.get 0))
		(func (export "ok") (result i32) (i32.const 42)))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for hosts, imports := range map[string]string{"no host functions": "", "host functions": `(import "env" "f" (func))`} {
			instance := instantiate(t, engine, fmt.Sprintf(text, imports), wasmer.NewImports().Function("f", func() {}))
			run0, err := wasmer.Func0[wasmer.Void](instance, "run")
			require.NoError(t, err)
			run1, err := wasmer.Func1[int32, float64](instance, "run1")
			require.NoError(t, err)
			run2, err := wasmer.Func2[int32, int64, int64](instance, "run2")
			require.NoError(t, err)
			run3, err := wasmer.Func3[int32, int64, float32, int32](instance, "run3")
			require.NoError(t, err)
			run4, err := wasmer.Func4[int32, int64, float32, float64, wasmer.Void](instance, "run4")
			require.NoError(t, err)
			for name, way := range map[string]func(ctx context.Context) error{
				"CallRaw": func(ctx context.Context) error { return function(t, instance, "run").CallRaw(ctx, nil) },
				"raw wide": func(ctx context.Context) error {
					return function(t, instance, "several").CallRaw(ctx, make([]uint64, 2))
				},
				"reference": func(ctx context.Context) error {
					_, err := function(t, instance, "reference").Call(ctx, "x")
					return err
				},
				"several results": func(ctx context.Context) error {
					_, err := function(t, instance, "several").Call(ctx, 1)
					return err
				},
				"Func0":           func(ctx context.Context) error { _, err := run0(ctx); return err },
				"Func1":           func(ctx context.Context) error { _, err := run1(ctx, 1); return err },
				"Func2":           func(ctx context.Context) error { _, err := run2(ctx, 1, 2); return err },
				"Func3":           func(ctx context.Context) error { _, err := run3(ctx, 1, 2, 3); return err },
				"Func4":           func(ctx context.Context) error { _, err := run4(ctx, 1, 2, 3, 4); return err },
				"Start":           func(ctx context.Context) error { return instance.Start(ctx) },
				"Start with name": func(ctx context.Context) error { return instance.Start(ctx, "run", "ok") },
				"a reference": func(ctx context.Context) error {
					table := tableOf(t, instance.Store(), wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 1}, function(t, instance, "run"))
					_, err := element(t, table, 0).ToFuncRef().Call(ctx)
					return err
				},
			} {
				t.Run(hosts+"/"+name, func(t *testing.T) {
					err := stopped(t, someTime(), way)
					requireInterrupted(t, err, context.Canceled)
					ctx, cancel := context.WithTimeoutCause(background, time.Millisecond, errors.New("the cause"))
					defer cancel()
					err = way(ctx)
					requireInterrupted(t, err, context.DeadlineExceeded)
					require.ErrorContains(t, err, "the cause")
					require.EqualValues(t, 42, call(t, instance, "ok").ToI32())
				})
			}
		}
	})
}
