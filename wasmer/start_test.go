package wasmer_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestInstantiationRunsInOrder(t *testing.T) {
	const text = `(module (import "env" "log" (func $log (param i32)))
		(memory 1) (data (i32.const 0) "\07") (table 1 funcref) (elem (i32.const 0) func $from_table)
		(func $from_table (call $log (i32.const 2)))
		(func $start (call $log (i32.load8_u (i32.const 0))) (call_indirect (i32.const 0)))
		(start $start)
		(func (export "_initialize") (call $log (i32.const 3)))
		(func (export "_start") (call $log (i32.const 4))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var seen []int32
		imports := wasmer.NewImports().Function("log", func(ctx context.Context, n int32) {
			require.Equal(t, "given", ctx.Value(contextKey{}))
			seen = append(seen, n)
		})
		ctx := context.WithValue(background, contextKey{}, "given")
		instance, err := wasmer.Instantiate(ctx, compile(t, engine, text), imports)
		require.NoError(t, err)
		defer instance.Close()
		require.Equal(t, []int32{7, 2, 3}, seen, "data and elements are there, _initialize comes last, _start is the host's")
	})
}

func TestInitializeThatIsNoStartUpFunctionIsLeftAlone(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, export := range []string{
			`(func (export "_initialize") (param i32) unreachable)`,
			`(func (export "_initialize") (result i32) unreachable)`,
			`(global (export "_initialize") i32 (i32.const 1))`,
		} {
			instantiate(t, engine, "(module "+export+")", nil)
		}
	})
}

func TestInitializeThatFailsFailsTheInstantiation(t *testing.T) {
	errHost := errors.New("the host's error")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		imports := wasmer.NewImports().Function("fail", func() error { return errHost })
		for text, want := range map[string]error{
			`(module (func (export "_initialize") unreachable))`:                                         wasmer.TrapUnreachable,
			`(module (import "env" "fail" (func $fail)) (export "_initialize" (func $fail)) (memory 1))`: errHost,
		} {
			instance, err := store.Instantiate(background, "name", compile(t, engine, text), imports)
			require.ErrorIs(t, err, want)
			require.Nil(t, instance)
			require.Nil(t, store.Instance("name"), "the name is free again")
		}
		require.NotNil(t, wasmer.Must(store.Instantiate(background, "name", compile(t, engine, "(module)"), nil)))
	})
}
