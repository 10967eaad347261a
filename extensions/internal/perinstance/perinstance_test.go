package perinstance_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const counting = `(module (import "env" "next" (func $next (result i32))) (func (export "next") (result i32) call $next))`

func TestEachInstanceHasAStateOfItsOwn(t *testing.T) {
	state := perinstance.State[int32]{New: func() *int32 { return new(int32) }}
	imports := wasmer.NewImports().Function("next", func(c *wasmer.Caller) int32 {
		n := state.Of(c.Instance())
		*n++
		return *n
	})
	module, err := wasmer.Compile([]byte(counting))
	require.NoError(t, err)
	defer module.Close()
	next := func(instance *wasmer.Instance) int32 {
		function, err := instance.Function("next")
		require.NoError(t, err)
		values, err := function.Call(t.Context())
		require.NoError(t, err)
		return values[0].ToI32()
	}
	for range 3 {
		instance, err := wasmer.Instantiate(t.Context(), module, imports)
		require.NoError(t, err)
		require.Equal(t, []int32{1, 2}, []int32{next(instance), next(instance)})
		require.NoError(t, instance.Close())
	}
}

func TestStateIsForgottenByAReset(t *testing.T) {
	state := perinstance.State[int32]{New: func() *int32 { return new(int32) }}
	imports := wasmer.NewImports().Function("next", func(c *wasmer.Caller) int32 {
		n := state.Of(c.Instance())
		*n++
		return *n
	})
	module, err := wasmer.Compile([]byte(counting))
	require.NoError(t, err)
	defer module.Close()
	instance, err := wasmer.Instantiate(t.Context(), module, imports)
	require.NoError(t, err)
	defer instance.Close()
	function, err := instance.Function("next")
	require.NoError(t, err)
	for resets := range uint64(3) {
		require.Equal(t, resets, instance.Resets())
		for want := range int32(2) {
			values, err := function.Call(t.Context())
			require.NoError(t, err)
			require.Equal(t, want+1, values[0].ToI32())
		}
		require.NoError(t, instance.Reset(t.Context()))
	}
}

func TestStateIsForgottenWithItsInstance(t *testing.T) {
	freed := make(chan struct{})
	state := perinstance.State[[]byte]{New: func() *[]byte {
		data := make([]byte, 1<<20)
		bytes := &data
		runtime.AddCleanup(bytes, func(struct{}) { close(freed) }, struct{}{})
		return bytes
	}}
	imports := wasmer.NewImports().Function("next", func(c *wasmer.Caller) int32 { return int32(len(*state.Of(c.Instance()))) })
	module, err := wasmer.Compile([]byte(counting))
	require.NoError(t, err)
	defer module.Close()
	func() {
		instance, err := wasmer.Instantiate(context.Background(), module, imports)
		require.NoError(t, err)
		defer func() { require.NoError(t, instance.Close()) }()
		function, err := instance.Function("next")
		require.NoError(t, err)
		_, err = function.Call(context.Background())
		require.NoError(t, err)
	}()
	for range 1000 {
		runtime.GC()
		select {
		case <-freed:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	require.Fail(t, "the state is still there")
}
