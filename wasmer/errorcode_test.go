package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// errorCodeOf gives the code of an error, which errors.As must find.
func errorCodeOf(t testing.TB, err error) wasmer.ErrorCode {
	t.Helper()
	var code wasmer.ErrorCode
	require.ErrorAs(t, err, &code)
	require.ErrorIs(t, err, code)
	require.Equal(t, code, wasmer.CodeOf(err))
	return code
}

// returning makes an instance whose export run calls a host function that returns the error, and gives 7 otherwise.
func returning(t testing.TB, engine *wasmer.Engine, err error) *wasmer.Instance {
	t.Helper()
	return instantiate(t, engine, `(module (import "env" "f" (func $f)) (global (export "after") (mut i32) (i32.const 0))
		(func (export "run") (result i32) (call $f) (global.set 0 (i32.const 1)) (i32.const 7)))`,
		wasmer.NewImports().Function("f", func() error { return err }))
}

func TestF019F107UserErrorsKeepTheirCode(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, number := range []uint32{0, 1, 2, 5566, 123456, wasmer.MaxUserCode} {
			err := failing(t, returning(t, engine, wasmer.UserError(number)), "run")
			code := errorCodeOf(t, err)
			require.Equal(t, wasmer.CategoryUser, code.Category())
			require.Equal(t, number, code.Code())
			require.EqualError(t, code, "user defined error code")
			require.ErrorIs(t, err, wasmer.UserError(number))
			require.NotErrorIs(t, err, wasmer.UserError(number^1))
			require.Equal(t, "user defined", code.Phase())
		}
		wrapped := failing(t, returning(t, engine, fmt.Errorf("the shop is closed: %w", wasmer.UserError(3))), "run")
		require.EqualError(t, wrapped, "the shop is closed: user defined error code")
		require.Equal(t, uint32(3), errorCodeOf(t, wrapped).Code())
	})
}

func TestF019LargeUserCodesAreErrorsAndNotCutOff(t *testing.T) {
	for _, number := range []uint32{wasmer.MaxUserCode + 1, 1<<32 - 1} {
		err := wasmer.UserError(number)
		require.EqualError(t, err, fmt.Sprintf("wasmer: user error: the code %#x has more than 24 bits", number))
		require.False(t, errors.As(err, new(wasmer.ErrorCode)))
		require.Equal(t, wasmer.ErrFail, error(wasmer.CodeOf(err)))
	}
}

func TestF020TerminateEndsTheGuestWithoutAnError(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, terminate := range []error{wasmer.ErrTerminate, fmt.Errorf("enough: %w", wasmer.ErrTerminate)} {
			instance := returning(t, engine, terminate)
			run := function(t, instance, "run")
			values, err := run.Call(background)
			require.NoError(t, err)
			require.Equal(t, []wasmer.Value{wasmer.I32(0)}, values)
			require.Equal(t, int32(0), value(t, exportedGlobal(t, instance, "after")).ToI32(), "nothing ran after it")

			stack := []uint64{99}
			require.NoError(t, run.CallRaw(background, stack))
			require.Equal(t, []uint64{0}, stack)
			typed, err := wasmer.Func0[int32](instance, "run")
			require.NoError(t, err)
			require.Equal(t, int32(0), wasmer.Must(typed(background)))
			async := run.CallAsync(background)
			require.Equal(t, values, wasmer.Must(async.Result()))
			require.NoError(t, instance.Start(background, "run"))

			done, err := run.CallBatch(background, nil, make([]uint64, 3))
			require.Equal(t, 0, done)
			require.ErrorIs(t, err, wasmer.ErrTerminate, "a batch is ended")
			require.Zero(t, instance.Stats().Failures)
		}
	})
}

func TestF020TerminateEndsAllGuestsOfTheCall(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		inner, err := store.Instantiate(background, "inner", compile(t, engine, `(module (import "env" "f" (func $f))
			(func (export "g") (call $f)))`), wasmer.NewImports().Function("f", func() error { return wasmer.ErrTerminate }))
		require.NoError(t, err)
		outer := instantiateIn(t, store, engine, `(module (import "inner" "g" (func $g))
			(func (export "run") (result i64) (call $g) (i64.const 5)))`, nil)
		require.Equal(t, []wasmer.Value{wasmer.I64(0)}, run(t, outer, "run"))

		// A host function in between that calls back sees a success, and goes on.
		host := instantiateIn(t, store, engine, `(module (import "env" "f" (func $f (result i32)))
			(func (export "run") (result i32) (call $f)))`,
			wasmer.NewImports().Function("f", func(ctx context.Context) (int32, error) {
				_, err := function(t, inner, "g").Call(ctx)
				return 6, err
			}))
		require.Equal(t, []wasmer.Value{wasmer.I32(6)}, run(t, host, "run"))
	})
}

func TestF020FailAndSuccess(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		err := failing(t, returning(t, engine, wasmer.ErrFail), "run")
		require.ErrorIs(t, err, wasmer.ErrFail)
		require.EqualError(t, err, "generic runtime error")
		require.Equal(t, wasmer.ErrorCode(2), errorCodeOf(t, err))
		require.Equal(t, []wasmer.Value{wasmer.I32(7)}, run(t, returning(t, engine, nil), "run"))
		require.Equal(t, wasmer.ErrorCode(0), wasmer.CodeOf(nil))
		require.EqualError(t, wasmer.ErrorCode(0), "success")
		require.EqualError(t, wasmer.ErrTerminate, "terminated")
	})
}

func TestF020InstantiationThatIsTerminatedGivesNoInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "f" (func $f)) (start $f))`)
		instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().Function("f", func() error { return wasmer.ErrTerminate }))
		require.ErrorIs(t, err, wasmer.ErrTerminate)
		require.Nil(t, instance)
	})
}

func TestF017CategoriesHaveNames(t *testing.T) {
	require.Equal(t, "wasm", wasmer.CategoryWASM.String())
	require.Equal(t, "user", wasmer.CategoryUser.String())
	require.Equal(t, "ErrorCategory(9)", wasmer.ErrorCategory(9).String())
	require.EqualError(t, wasmer.ErrorCode(0x7f), "error code 0x7f")
}
