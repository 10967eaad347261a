package wasmer_test

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// All that a host can make it can make in a host function, too.
func TestAHostFunctionMakesAllKinds(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		module := compile(t, engine, indirect)
		instance := instantiateIn(t, store, engine, answer, wasmer.NewImports().Function("f", func(c *wasmer.Caller) (int32, error) {
			f := hostConstant(t, c.Store(), 9)
			table := tableOf(t, c.Store(), wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 8}, f)
			inner, err := c.Store().Instantiate(c.Context(), "", module, wasmer.NewImports().Table("env", "t", table))
			if err != nil {
				return 0, err
			}
			g := c.Store().NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeFuncRef, Mutable: true}, run(t, inner, "get", 2)[0])
			memory, err := c.Store().NewMemory(1, 2)
			if err != nil {
				return 0, err
			}
			lib, err := c.Store().NewInstance("", map[string]wasmer.Extern{"f": value(t, g).ToFuncRef(), "m": memory, "g": g, "t": table})
			if err != nil {
				return 0, err
			}
			require.Same(t, f, function(t, lib, "f"))
			return call(t, inner, "call", 3).ToI32(), inner.Close()
		}))
		for range 50 {
			require.EqualValues(t, 9, call(t, instance, "run").ToI32())
		}
	})
}

// Everything of a store, used by several goroutines at a time while it is closed: errors, no fault.
func TestAllOfAStoreIsSharedByGoroutinesUntilItIsClosed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, keeper)
		functions := compile(t, engine, indirect)
		for round := range 20 {
			store, err := wasmer.NewStore(engine)
			require.NoError(t, err)
			values := tableOf(t, store, wasmer.ValueTypeExternRef, wasmer.Limits{Min: 4}, nil)
			calls := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 8}, nil)
			global := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeExternRef, Mutable: true}, nil)
			shared, err := store.Instantiate(background, "shared", module, wasmer.NewImports().Function("pass", func(v any) any { return v }))
			require.NoError(t, err)
			var wg sync.WaitGroup
			check := func(err error) {
				if err != nil && !errors.Is(err, wasmer.ErrClosed) && !errors.Is(err, wasmer.TrapNullIndirectCall) &&
					!errors.Is(err, wasmer.ErrNameTaken) && !errors.As(err, new(*wasmer.LinkError)) && !errors.Is(err, wasmer.ErrResource) {
					t.Error(err)
				}
			}
			for g := range 6 {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(uint64(round), uint64(g)))
					for n := range 200 {
						switch random.IntN(14) {
						case 0:
							check(values.Set(uint64(random.IntN(4)), []int{g, n}))
						case 1:
							_, err := values.Get(uint64(random.IntN(4)))
							check(err)
						case 2:
							check(global.Set(n))
						case 3:
							_, err := global.Get()
							check(err)
						case 4:
							f, err := store.NewFunction(wasmer.FunctionType{}, echo, 0)
							check(err)
							check(calls.Set(uint64(random.IntN(8)), f))
						case 5:
							v, err := calls.Get(uint64(random.IntN(8)))
							check(err)
							if f := v.ToFuncRef(); f != nil {
								_, err := f.Call(background)
								check(err)
							}
						case 6:
							f, err := shared.Function("host")
							check(err)
							if err == nil {
								_, err = f.Call(background, &point{g, n})
								check(err)
							}
						case 7:
							instance, err := store.Instantiate(background, "", functions, wasmer.NewImports().Table("env", "t", calls))
							check(err)
							check(instance.Close())
						case 8:
							table, err := shared.Table("t")
							check(err)
							_, err = table.Grow(1, n)
							check(err)
						case 9:
							if random.IntN(20) == 0 {
								runtime.GC()
							}
						case 10:
							_, err := store.NewInstance("host", map[string]wasmer.Extern{"t": values, "g": global})
							check(err)
						case 11:
							check(store.Instance("host").Close())
						case 12:
							if random.IntN(200) == 0 {
								check(store.Close())
							}
						default:
							if f, err := shared.Function("same"); err == nil {
								values, err := f.Call(background, []int{g, n})
								check(err)
								if err == nil && values[0].ToExternRef().([]int)[1] != n {
									t.Errorf("got %v", values)
								}
							}
						}
					}
				})
			}
			wg.Wait()
			check(store.Close())
		}
	})
}
