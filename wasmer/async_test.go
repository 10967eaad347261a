package wasmer_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const asyncWat = `(module
	(import "env" "host" (func $host (param i32) (result i32)))
	(func $fib (export "fib") (param i32) (result i32)
		(if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
			(then (i32.const 1))
			(else (i32.add
				(call $fib (i32.sub (local.get 0) (i32.const 2)))
				(call $fib (i32.sub (local.get 0) (i32.const 1)))))))
	(func (export "trap") unreachable)
	(func (export "host") (param i32) (result i32) (call $host (local.get 0)))
	(func (export "endless") (drop (call $host (i32.const 0))) (loop (br 0))))`

func asyncInstance(t testing.TB, engine *wasmer.Engine, host func(int32) (int32, error)) *wasmer.Instance {
	return instantiate(t, engine, asyncWat, wasmer.NewImports().Namespace("env").Function("host", host))
}

func TestAsyncCallGivesWhatCallReturns(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		failure := errors.New("no")
		instance := asyncInstance(t, engine, func(x int32) (int32, error) {
			if x < 0 {
				return 0, failure
			}
			return x * 2, nil
		})
		for _, test := range []struct {
			function string
			args     []any
			want     int32
			err      error
		}{
			{function: "fib", args: []any{20}, want: 10946},
			{function: "host", args: []any{21}, want: 42},
			{function: "host", args: []any{-1}, err: failure},
			{function: "trap", err: wasmer.TrapUnreachable},
		} {
			async := function(t, instance, test.function).CallAsync(noContext, test.args...)
			<-async.Done()
			require.True(t, async.WaitFor(0))
			for range 2 {
				results, err := async.Result()
				require.ErrorIs(t, err, test.err)
				if test.err == nil {
					require.Equal(t, test.want, results[0].ToI32())
				}
			}
			async.Cancel()
			_, err := async.Result()
			require.ErrorIs(t, err, test.err, "too late")
		}
		_, err := function(t, instance, "fib").CallAsync(background).Result()
		var refused *wasmer.CallError
		require.ErrorAs(t, err, &refused, "the argument is missing")
	})
}

func TestAsyncCallIsCancelled(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		running := make(chan struct{}, 2)
		instance := asyncInstance(t, engine, func(x int32) (int32, error) {
			running <- struct{}{}
			return x, nil
		})
		endless := function(t, instance, "endless")
		async := endless.CallAsync(background)
		<-running
		waiting := function(t, instance, "fib").CallAsync(background, 1)
		require.False(t, async.WaitFor(20*time.Millisecond))
		require.False(t, waiting.WaitFor(-1), "it waits for the store")
		async.Cancel()
		async.Cancel()
		require.True(t, async.WaitFor(10*time.Second))
		_, err := async.Result()
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "execution interrupted")
		results, err := waiting.Result()
		require.NoError(t, err)
		require.EqualValues(t, 1, results[0].ToI32())

		ctx, cancel := context.WithTimeout(background, 10*time.Millisecond)
		defer cancel()
		_, err = endless.CallAsync(ctx).Result()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestAsyncPanicGoesOnInResult(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := asyncInstance(t, engine, func(x int32) (int32, error) {
			if x == 1 {
				runtime.Goexit()
			}
			panic("from the host")
		})
		host := function(t, instance, "host")
		async := host.CallAsync(background, 0)
		<-async.Done()
		for range 2 {
			require.PanicsWithValue(t, "from the host", func() { _, _ = async.Result() })
		}
		_, err := host.CallAsync(background, 1).Result()
		require.ErrorContains(t, err, "ended its goroutine")
	})
}

// A Go function with several calls can be waited for, cancelled and panic like one call.
func TestAsyncOfAGoFunction(t *testing.T) {
	module := wasmer.Must(wasmer.Compile([]byte(asyncWat)))
	defer module.Close()
	instance := asyncInstance(t, module.Engine(), func(n int32) (int32, error) { return n, nil })
	fib := function(t, instance, "fib")
	sum := wasmer.NewAsync(background, func(ctx context.Context) ([]wasmer.Value, error) {
		one, err := fib.Call(ctx, 10)
		if err != nil {
			return nil, err
		}
		two, err := fib.Call(ctx, 11)
		return append(one, two...), err
	})
	require.Equal(t, []wasmer.Value{wasmer.I32(89), wasmer.I32(144)}, wasmer.Must(sum.Result()))

	waiting := wasmer.NewAsync(background, func(ctx context.Context) ([]wasmer.Value, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	require.False(t, waiting.WaitFor(time.Millisecond))
	waiting.Cancel()
	_, err := waiting.Result()
	require.ErrorIs(t, err, context.Canceled)
	panicking := wasmer.NewAsync(background, func(context.Context) ([]wasmer.Value, error) { panic("oops") })
	require.PanicsWithValue(t, "oops", func() { _, _ = panicking.Result() })
}
