package wasmer_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// watched makes a value that says when it was collected.
func watched() (v *[1 << 10]byte, collected *atomic.Bool) {
	v, collected = new([1 << 10]byte), new(atomic.Bool)
	runtime.AddCleanup(v, func(c *atomic.Bool) { c.Store(true) }, collected)
	return v, collected
}

func requireCollected(t *testing.T, collected *atomic.Bool, what string) {
	t.Helper()
	require.Eventually(t, func() bool { collect(); return collected.Load() }, 10*time.Second, time.Millisecond, what)
}

func TestAGoValueLivesAsLongAsAGuestHoldsIt(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, place := range []struct {
			name       string
			keep, drop func(*wasmer.Instance, any)
		}{
			{
				"in a table of the guest",
				func(i *wasmer.Instance, v any) { run(t, i, "set", 3, v) }, func(i *wasmer.Instance, v any) { run(t, i, "set", 3, v) },
			},
			{
				"in a table, set by the host",
				func(i *wasmer.Instance, v any) { require.NoError(t, exportedTable(t, i, "t").Set(0, v)) },
				func(i *wasmer.Instance, v any) { require.NoError(t, exportedTable(t, i, "t").Set(0, v)) },
			},
			{
				"in a global",
				func(i *wasmer.Instance, v any) { run(t, i, "keep", v) },
				func(i *wasmer.Instance, v any) { require.NoError(t, exportedGlobal(t, i, "g").Set(v)) },
			},
			{
				"in what a table grew by",
				func(i *wasmer.Instance, v any) { run(t, i, "grow", v, 50) }, func(i *wasmer.Instance, v any) { run(t, i, "fill", 4, v, 50) },
			},
		} {
			for _, instead := range []any{nil, "other", 5} {
				instance := keeperOf(t, engine)
				collected := func() *atomic.Bool {
					v, collected := watched()
					v[7] = 42
					place.keep(instance, v)
					return collected
				}()
				collect()
				collect()
				require.False(t, collected.Load(), place.name)
				place.drop(instance, instead)
				requireCollected(t, collected, place.name)
			}
		}
	})
}

func TestAGoValueThatOnlyPassesIsNotKept(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := keeperOf(t, engine)
		for _, name := range []string{"same", "host", "hold"} {
			collected := func() *atomic.Bool {
				v, collected := watched()
				sameGo(t, v, run(t, instance, name, v)[0].ToExternRef(), name)
				_ = function(t, instance, name) // the instance stays in use
				return collected
			}()
			requireCollected(t, collected, name)
		}
		runtime.KeepAlive(instance)
	})
}

// While guests run, nothing that their frames may hold is given up: not by collections, and not by nested calls.
func TestLiveFramesHoldGoValues(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var instance *wasmer.Instance
		depth := 0
		imports := wasmer.NewImports().Function("pass", func(c *wasmer.Caller, v any) (any, error) {
			collect()
			for n := range 6000 { // more than are kept without looking
				if _, err := function(t, instance, "same").Call(c.Context(), []int{n}); err != nil {
					return nil, err
				}
			}
			if depth++; depth < 3 {
				inner, innerCollected := watched()
				inner[0] = byte(depth)
				values, err := function(t, instance, "hold").Call(c.Context(), inner)
				if err != nil {
					return nil, err
				}
				sameGo(t, inner, values[0].ToExternRef(), "inner")
				require.False(t, innerCollected.Load())
			}
			collect()
			return v, nil
		})
		instance = instantiate(t, engine, keeper, imports)
		hold := function(t, instance, "hold")
		var collected *atomic.Bool
		values, err := func() ([]wasmer.Value, error) {
			var v *[1 << 10]byte
			v, collected = watched()
			v[9] = 99
			return hold.Call(background, v)
		}()
		require.NoError(t, err)
		require.Equal(t, 3, depth)
		require.EqualValues(t, 99, values[0].ToExternRef().(*[1 << 10]byte)[9])
		require.False(t, collected.Load())
		values = nil
		_ = values
		requireCollected(t, collected, "after the call")
	})
}

func TestGoValuesSurviveManyCollections(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := keeperOf(t, engine)
		for n := range 4 {
			run(t, instance, "set", n, []int{n})
		}
		run(t, instance, "keep", map[string]int{"kept": 1})
		for round := range 100 {
			runtime.GC()
			for n := range 50 {
				sameGo(t, "passing", run(t, instance, "host", "passing")[0].ToExternRef(), "")
				_ = run(t, instance, "same", []int{n, round})
			}
		}
		for n := range 4 {
			require.Equal(t, []int{n}, run(t, instance, "get", n)[0].ToExternRef())
		}
		require.Equal(t, map[string]int{"kept": 1}, run(t, instance, "kept")[0].ToExternRef())
	})
}

// A value may lead back to the instance that holds it.
func TestAGoValueThatHoldsItsInstanceIsCollected(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, keeper)
		collected := func() *atomic.Bool {
			instance, err := module.InstantiateWithImports(wasmer.NewImports().Function("pass", func(v any) any { return v }))
			require.NoError(t, err)
			v, collected := watched()
			run(t, instance, "keep", func() (*wasmer.Instance, any) { return instance, v })
			return collected
		}()
		requireCollected(t, collected, "with its instance")
	})
}

func TestAClosedStoreHoldsNoGoValues(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		table := tableOf(t, store, wasmer.ValueTypeExternRef, wasmer.Limits{Min: 2}, nil)
		collected := func() *atomic.Bool {
			v, collected := watched()
			require.NoError(t, table.Set(0, v))
			require.NoError(t, table.Set(1, []any{v}))
			return collected
		}()
		collect()
		require.False(t, collected.Load())
		require.NoError(t, store.Close())
		requireCollected(t, collected, "the store is closed")
		runtime.KeepAlive(table)
		runtime.KeepAlive(store)
	})
}

func TestGoValuesOfManyGoroutinesAreNotMixedUp(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		shared := keeperOf(t, engine)
		var wg sync.WaitGroup
		for id := range 8 {
			wg.Go(func() {
				own, err := shared.Module().InstantiateWithImports(wasmer.NewImports().Function("pass", func(v any) any { return v }))
				if err != nil {
					t.Error(err)
					return
				}
				defer own.Close()
				for n := range 300 {
					if n%100 == 0 {
						runtime.GC()
					}
					for _, instance := range []*wasmer.Instance{shared, own} {
						f, err := instance.Function("host")
						if err != nil {
							t.Error(err)
							return
						}
						values, err := f.Call(background, []int{id, n})
						if err != nil || values[0].ToExternRef().([]int)[0] != id || values[0].ToExternRef().([]int)[1] != n {
							t.Errorf("%d %d: %v, %v", id, n, values, err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
	})
}

// Tables, globals and calls, by which values of all kinds pass. Ten million passes in the long form.
func TestSoakGoValues(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := keeperOf(t, engine)
		table, global := exportedTable(t, instance, "t"), exportedGlobal(t, instance, "g")
		same, host, set := function(t, instance, "same"), function(t, instance, "host"), function(t, instance, "set")
		var before runtime.MemStats
		rounds := max(200_000, times(10_000_000))
		step := func(n int) {
			var v any = n
			switch n % 3 {
			case 1:
				v = [1]int{n} // not cheap to compare: has a number of its own each time
			case 2:
				v = &point{n, n}
			}
			for _, f := range []*wasmer.Function{same, host} {
				values, err := f.Call(background, v)
				if err != nil || values[0].ToExternRef() != v {
					t.Fatalf("%d: %v, %v", n, values, err)
				}
			}
			if n%4 == 0 {
				_, err := set.Call(background, n%4, v)
				require.NoError(t, err)
				require.NoError(t, table.Set(1, v))
				require.NoError(t, global.Set(v))
			}
		}
		flat(t, rounds/2, rounds/2, func(n int) {
			if n == rounds/2 {
				runtime.GC()
				runtime.ReadMemStats(&before)
			}
			step(n)
		})
		collect()
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		require.Less(t, after.HeapAlloc, before.HeapAlloc+8<<20, "the heap stays as it is")
	})
}

// The same by the host alone, of which no call looks for values to give up.
func TestSoakGoValuesSetByTheHost(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		table := tableOf(t, store, wasmer.ValueTypeExternRef, wasmer.Limits{Min: 1}, nil)
		global := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeExternRef, Mutable: true}, nil)
		flat(t, max(200_000, times(10_000_000)), 100_000, func(n int) {
			v := [4]int{n}
			require.NoError(t, table.Set(0, v))
			require.NoError(t, global.Set(v))
			if got := element(t, table, 0).ToExternRef(); got != v {
				t.Fatalf("got %v", got)
			}
		})
	})
}

// What a guest holds is looked through now and then, not at each call: however much it is.
func TestALargeTableOfGoValuesDoesNotSlowCallsDown(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (table $t 0 externref)
			(func (export "grow") (param externref i32) (result i32) (table.grow $t (local.get 0) (local.get 1)))
			(func (export "f") (param externref)))`, nil)
		require.Zero(t, call(t, instance, "grow", "held", 10_000_000).ToI32())
		f := function(t, instance, "f")
		const calls = 20_000
		began := time.Now()
		for n := range calls {
			_, err := f.Call(background, []int{n})
			require.NoError(t, err)
			if n%20 == 0 && time.Since(began) > 5*time.Second {
				t.Fatalf("%d of %d calls took %v", n, calls, time.Since(began))
			}
			if n == 1000 {
				runtime.GC() // from here on each look at the table causes the next one
			}
		}
		t.Logf("%d calls: %v", calls, time.Since(began))
	})
}
