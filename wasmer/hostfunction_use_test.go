package wasmer_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestHostFunctionsCallBack(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		var f *wasmer.Function
		i32 := types(wasmer.ValueTypeI32)
		var countdown *wasmer.Function
		f = hostFunction(t, store, i32, i32, func(ctx context.Context, c *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
			n := args[0].ToI32()
			if n == 0 {
				return []wasmer.Value{wasmer.I32(0)}, nil
			}
			next := countdown
			if n%3 == 0 {
				next = f // without a guest between
			}
			results, err := next.Call(ctx, n-1)
			if err != nil {
				return nil, err
			}
			require.Equal(t, n, args[0].ToI32(), "arguments stay what they are")
			return []wasmer.Value{wasmer.I32(results[0].ToI32() + 1)}, nil
		})
		instance := instantiateIn(t, store, engine, forwarding(i32, i32), wasmer.NewImports().Extern("env", "f", f))
		countdown = function(t, instance, "run")
		for _, n := range []int{1, 5, 50, 100} {
			require.EqualValues(t, n, call(t, instance, "run", n).ToI32())
			results, err := f.Call(background, n)
			require.NoError(t, err)
			require.EqualValues(t, n, results[0].ToI32())
		}
		_, err := f.Call(background, 100_000)
		require.ErrorIs(t, err, wasmer.ErrDepth)
		require.EqualValues(t, 5, call(t, instance, "run", 5).ToI32())
	})
}

func TestHostFunctionsHeedContextsAndClose(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		f := hostConstant(t, store, 5)
		ended, cancel := context.WithCancel(background)
		cancel()
		_, err := f.Call(ended)
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		require.ErrorIs(t, err, context.Canceled)
		results, err := f.Call(noContext)
		require.NoError(t, err)
		require.EqualValues(t, 5, results[0].ToI32())

		lib, err := store.NewInstance("lib", map[string]wasmer.Extern{"f": f})
		require.NoError(t, err)
		get, err := wasmer.Func0[int32](lib, "f")
		require.NoError(t, err)
		n, err := get(background)
		require.NoError(t, err)
		require.EqualValues(t, 5, n)
		unused := hostConstant(t, store, 6)
		other, err := store.NewInstance("", map[string]wasmer.Extern{"f": unused})
		require.NoError(t, err)
		get, err = wasmer.Func0[int32](other, "f")
		require.NoError(t, err)
		n, err = get(background)
		require.NoError(t, err, "typed, and never called before")
		require.EqualValues(t, 6, n)

		require.NoError(t, store.Close())
		_, err = f.Call(background)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = store.NewFunction(wasmer.FunctionType{}, echo, 0)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = (*wasmer.Store)(nil).NewFunction(wasmer.FunctionType{}, echo, 0)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = store.NewInstance("x", map[string]wasmer.Extern{"f": f})
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = wasmer.Instantiate(background, compile(t, engine, forwarding(nil, types(wasmer.ValueTypeI32))), wasmer.NewImports().Extern("env", "f", f))
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestHostFunctionsAreSharedByGoroutines(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		i64 := types(wasmer.ValueTypeI64)
		total := int64(0) // calls in one store run one at a time
		f := hostFunction(t, store, i64, i64, func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
			total += args[0].ToI64()
			return args, nil
		})
		instance := instantiateIn(t, store, engine, forwarding(i64, i64), wasmer.NewImports().Extern("env", "f", f))
		var wg sync.WaitGroup
		for id := range int64(8) {
			wg.Go(func() {
				for n := range int64(100) {
					run, err := instance.Function("run")
					if err != nil {
						t.Error(err)
						return
					}
					own, err := store.NewFunction(f.Type(), echo, 0)
					if err != nil {
						t.Error(err)
						return
					}
					for _, f := range []*wasmer.Function{f, run, own} {
						results, err := f.Call(background, id+n)
						if err != nil || results[0].ToI64() != id+n {
							t.Errorf("got %v, %v", results, err)
						}
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 2*(8*4950+100*28), total)
	})
}

// A program that makes functions over and over in a store that lives on pays for those it uses.
func TestSoakHostFunctionsInAStore(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		flat(t, times(20_000), 200, func(int) {
			store, err := wasmer.NewStore(engine)
			require.NoError(t, err)
			f := hostConstant(t, store, 5)
			_, err = f.Call(background)
			require.NoError(t, err)
			table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 10}, f)
			require.NoError(t, table.Set(1, f))
			require.NoError(t, store.Close())
		})
	})
}
