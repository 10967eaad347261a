package wasmer_test

import (
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const textGuest = `(module
	(func (export "count_words") (import "text" "count_words") (param i32 i32) (result i32))
	(func (export "capitals") (import "text" "capitals") (param i32 i32))
	(memory (export "memory") 1)
	(data (i32.const 100) "the quick  brown fox")
	(func (export "words") (param i32) (result i32) (local i32)
		(loop $again
			(local.set 1 (i32.add (local.get 1) (call 0 (i32.const 100) (i32.const 20))))
			(br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
		(local.get 1)))`

const sumGuest = `(module
	(func (export "add") (import "sum" "add") (param i64) (result i64))
	(func (export "add_as_leaf") (import "sum" "add_as_leaf") (param i64) (result i64))
	(func (export "sum_and_live") (import "sum" "sum_and_live") (result i64 i32)))`

func TestF127GuestsCallPluginsInC(t *testing.T) {
	plugin := loadOne(t, buildPlugin(t, "text.c"))
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, textGuest, pluginImports(t, plugin))
		require.EqualValues(t, 4, call(t, instance, "count_words", 100, 20).ToI32())
		require.EqualValues(t, 4000, call(t, instance, "words", 1000).ToI32())
		run(t, instance, "capitals", 104, 5)
		require.Equal(t, "the QUICK  brown fox", string(instance.Memory.Data()[100:120]))
		for _, name := range []string{"count_words", "capitals"} {
			var failed *wasmer.NativeError
			require.ErrorAs(t, failing(t, instance, name, wasmer.PageSize-1, 2), &failed)
			require.Equal(t, "out of bounds memory access", failed.Message)
		}
		require.EqualValues(t, 1, call(t, instance, "count_words", wasmer.PageSize-1, 1).ToI32(), "up to the last byte")
	})
}

func TestF127GuestsCallPluginsInRust(t *testing.T) {
	plugin := loadOne(t, buildPlugin(t, "statistics.rs"))
	require.Equal(t, []string{"statistics"}, plugin.Modules())
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module
			(func (export "push") (import "statistics" "push") (param f64))
			(func (export "mean") (import "statistics" "mean") (result f64))
			(func (export "bounds") (import "statistics" "bounds") (result f64 f64)))`, pluginImports(t, plugin))
		for _, number := range []float64{2.5, -1, 6} {
			run(t, instance, "push", number)
		}
		require.Equal(t, []wasmer.Value{wasmer.F64(2.5)}, run(t, instance, "mean"))
		require.Equal(t, []wasmer.Value{wasmer.F64(-1), wasmer.F64(6)}, run(t, instance, "bounds"))
		var failed *wasmer.NativeError
		require.ErrorAs(t, failing(t, instance, "push", math.NaN()), &failed)
		require.Equal(t, "not a number", failed.Message)
	})
}

// liveSums is how many data of the module sum there are, itself not counted.
func liveSums(t *testing.T, plugin *wasmer.Plugin) int32 {
	instance, err := wasmer.NewInstanceWithImports([]byte(sumGuest), pluginImports(t, plugin))
	require.NoError(t, err)
	defer instance.Close()
	return run(t, instance, "sum_and_live")[1].ToI32() - 1
}

func TestDataOfPluginsBelongsToOneInstance(t *testing.T) {
	plugin := loadOne(t, buildPlugin(t, "text.c"))
	before := liveSums(t, plugin)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		imports := pluginImports(t, plugin)
		store := newStore(t, engine)
		module := compile(t, engine, sumGuest)
		one, two := instantiateFrom(t, module, imports), instantiateIn(t, store, engine, sumGuest, imports)
		three := instantiateIn(t, store, engine, sumGuest, imports)
		require.EqualValues(t, before+3, liveSums(t, plugin))
		for i, instance := range []*wasmer.Instance{one, two, three} {
			require.EqualValues(t, i+1, call(t, instance, "add", i+1).ToI64())
			require.EqualValues(t, i+11, call(t, instance, "add_as_leaf", 10).ToI64(), "functions of one module share it")
			require.EqualValues(t, i+11, run(t, instance, "sum_and_live")[0].ToI64())
		}

		// What another instance of the store imports of this one is still this one's.
		four := instantiateIn(t, store, engine, sumGuest, wasmer.NewImports().Instance("sum", two))
		require.EqualValues(t, 112, call(t, four, "add", 100).ToI64())
		require.NoError(t, two.Close())
		require.EqualValues(t, 1112, call(t, four, "add", 1000).ToI64())

		require.NoError(t, one.Close())
		require.EqualValues(t, before+2, liveSums(t, plugin), "closed with its store")
		require.NoError(t, store.Close())
		require.EqualValues(t, before, liveSums(t, plugin))
	})
}

func TestDataOfPluginsIsClosedWhereNoInstanceIsMade(t *testing.T) {
	plugin := loadOne(t, buildPlugin(t, "text.c"))
	before := liveSums(t, plugin)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		imports := pluginImports(t, plugin)
		for _, text := range []string{
			`(module (import "sum" "add" (func (param i64) (result i64))) (import "sum" "missing" (func)))`,
			`(module (import "sum" "add" (func (param i32))))`,
		} {
			_, err := store.Instantiate(background, "", compile(t, engine, text), imports)
			require.ErrorAs(t, err, new(*wasmer.LinkError))
			require.EqualValues(t, before, liveSums(t, plugin))
		}
		_, err := store.Instantiate(background, "", compile(t, engine, `(module (import "sum" "add" (func (param i64) (result i64))) (func $trap unreachable) (start $trap))`), imports)
		require.ErrorIs(t, err, wasmer.TrapUnreachable)
		require.NoError(t, store.Close())
		require.EqualValues(t, before, liveSums(t, plugin))
	})
}

// One user of a pool must not see what another has left in a plug-in.
func TestDataOfPluginsIsNotForTheNextUserOfAPool(t *testing.T) {
	plugin := loadOne(t, buildPlugin(t, "text.c"))
	before := liveSums(t, plugin)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		pool, err := wasmer.NewPool(background, compile(t, engine, sumGuest), pluginImports(t, plugin), wasmer.PoolConfig{MaxLive: 1})
		require.NoError(t, err)
		for range 3 {
			instance, err := pool.Get(background)
			require.NoError(t, err)
			require.EqualValues(t, 5, call(t, instance, "add", 5).ToI64())
			require.NoError(t, pool.Put(instance))
		}
		require.NoError(t, pool.Close())
		require.EqualValues(t, before, liveSums(t, plugin))

		// Those without data are reset as ever.
		pool, err = wasmer.NewPool(background, compile(t, engine, textGuest), pluginImports(t, plugin), wasmer.PoolConfig{MaxLive: 1})
		require.NoError(t, err)
		defer pool.Close()
		for range 3 {
			instance, err := pool.Get(background)
			require.NoError(t, err)
			run(t, instance, "capitals", 100, 3)
			require.Equal(t, "THE quick", string(instance.Memory.Data()[100:109]))
			require.NoError(t, pool.Put(instance))
		}
		require.EqualValues(t, 3, pool.Stats().Reset)
	})
}

// What was never closed is freed when it is collected, and no function before.
func TestDataOfPluginsOutlivesItsCallers(t *testing.T) {
	plugin := loadOne(t, buildPlugin(t, "text.c"))
	before := liveSums(t, plugin)
	func() {
		instance, err := wasmer.NewInstanceWithImports([]byte(sumGuest), pluginImports(t, plugin))
		require.NoError(t, err)
		add := function(t, instance, "add")
		for i := range int64(5) {
			runtime.GC()
			results, err := add.Call(background, 1)
			require.NoError(t, err)
			require.Equal(t, i+1, results[0].ToI64())
		}
		require.Equal(t, before+1, liveSums(t, plugin))
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return liveSums(t, plugin) == before
	}, 10*time.Second, 5*time.Millisecond)
}

func TestPluginsAreLoadedAndCalledByManyGoroutines(t *testing.T) {
	text := buildPlugin(t, "text.c")
	before := liveSums(t, loadOne(t, text))
	module, err := wasmer.Compile([]byte(sumGuest))
	require.NoError(t, err)
	defer module.Close()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 20 {
				found, err := wasmer.LoadPlugins(text)
				if !assert.NoError(t, err) {
					return
				}
				sum, err := found[0].NewModule("sum")
				assert.NoError(t, err)
				instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().Add(sum))
				if !assert.NoError(t, err) {
					return
				}
				add, err := instance.Function("add")
				assert.NoError(t, err)
				for i := range int64(10) {
					results, err := add.Call(background, 1)
					assert.NoError(t, err)
					assert.Equal(t, i+1, results[0].ToI64())
				}
				assert.NoError(t, instance.Close())
			}
		})
	}
	wait.Wait()
	require.Equal(t, before, liveSums(t, loadOne(t, text)))
}
