package wasmer_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestOptimizedCodeIsCached(t *testing.T) {
	dir := t.TempDir()
	first := tieredEngine(t, wasmer.EngineConfig{CacheDir: dir})
	release := occupied(t, first)
	module := compile(t, first, numbered(1, 5))
	require.Equal(t, wasmer.TierBaseline, module.Tier())
	release()
	waitTier(t, module)

	second := tieredEngine(t, wasmer.EngineConfig{CacheDir: dir})
	again := compile(t, second, numbered(1, 5))
	require.Equal(t, wasmer.TierOptimized, again.Tier(), "at once")
	instance, err := again.Instantiate()
	require.NoError(t, err)
	defer instance.Close()
	require.EqualValues(t, 5, call(t, instance, "number").ToI32())
	stats := second.Stats()
	require.EqualValues(t, 1, stats.CacheHits)
	require.Zero(t, stats.Compilations+stats.TierUps)
	require.Zero(t, stats.PendingTierUps)

	// It is what the optimizer alone has made, too.
	alone, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: module.Compiler(), CacheDir: dir})
	require.NoError(t, err)
	defer alone.Close()
	compile(t, alone, numbered(1, 5))
	require.EqualValues(t, 1, alone.Stats().CacheHits)
}

// oddCache is a cache whose functions do what those of a user may do.
type oddCache struct{ get, put func() error }

func (c oddCache) Get(context.Context, wasmer.CacheKey) ([]byte, error) { return nil, c.get() }
func (c oddCache) Put(context.Context, wasmer.CacheKey, []byte) error   { return c.put() }

func TestACacheThatFailsInTheBackground(t *testing.T) {
	errCache := errors.New("no space")
	for name, failure := range map[string]struct {
		put      func() error
		required bool
		message  string
	}{
		"error":           {func() error { return errCache }, false, ""},
		"error, required": {func() error { return errCache }, true, "no space"},
		"panic":           {func() error { panic(errCache) }, false, "no space"},
		"goexit":          {func() error { runtime.Goexit(); return nil }, false, "has ended its goroutine"},
	} {
		engine := tieredEngine(t, wasmer.EngineConfig{RequireCache: failure.required, Cache: oddCache{
			get: func() error { return wasmer.ErrNotFound }, put: failure.put,
		}})
		for n := range 2 { // the next one is not held up
			module := compile(t, engine, numbered(1, n))
			err := module.WaitTier(background)
			if failure.message == "" {
				require.NoError(t, err, name)
				continue
			}
			require.ErrorContains(t, err, failure.message, name)
			require.Equal(t, wasmer.TierBaseline, module.Tier(), name)
			instance, err := module.Instantiate()
			require.NoError(t, err, name)
			require.EqualValues(t, n, call(t, instance, "number").ToI32(), name)
			require.NoError(t, instance.Close())
		}
	}
}

// Many modules at once take one goroutine, a bounded number of threads, and nothing in the end.
func TestManyModulesAtOnce(t *testing.T) {
	engine := tieredEngine(t, wasmer.EngineConfig{CompileThreads: 1, Tiering: wasmer.Tiering{Threads: 1}})
	count := max(100, times(1000))
	modules := make([]*wasmer.Module, count)
	before := runtime.NumGoroutine()
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for n := worker; n < count; n += 4 {
				module, err := engine.Compile(background, numbered(1, n))
				if err != nil {
					t.Error(err)
					return
				}
				modules[n] = module
			}
		})
	}
	group.Wait()
	require.Eventually(t, func() bool { // what has ended may be counted for a moment
		return runtime.NumGoroutine() <= before+2
	}, 10*time.Second, time.Millisecond, "one optimizes")
	for n, module := range modules {
		switch n % 4 {
		case 0:
			require.NoError(t, module.Close())
			require.ErrorIs(t, module.WaitTier(background), wasmer.ErrClosed)
		case 1:
			modules[n] = nil // forgotten
		default:
			waitTier(t, module)
			instance, err := module.Instantiate()
			require.NoError(t, err)
			require.EqualValues(t, n, call(t, instance, "number").ToI32())
			require.NoError(t, instance.Close())
			require.NoError(t, module.Close())
		}
	}
	require.LessOrEqual(t, engine.Stats().TierUps, uint64(count))
	require.Zero(t, engine.Stats().FailedTierUps)
}
