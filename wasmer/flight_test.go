package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// gateCache is a cache whose first Get waits, so that others can join its caller.
type gateCache struct {
	memoryCache
	entered, open chan struct{}
	once          sync.Once
}

func newGateCache() *gateCache {
	c := &gateCache{entered: make(chan struct{}), open: make(chan struct{})}
	c.get = func(ctx context.Context) error {
		var err error
		c.once.Do(func() {
			close(c.entered)
			select {
			case <-c.open:
			case <-ctx.Done():
				err = ctx.Err()
			}
		})
		return err
	}
	return c
}

// join starts goroutines that compile, and waits until they wait for the first.
func (c *gateCache) join(t *testing.T, n int, compile func(n int)) (wait func()) {
	t.Helper()
	var all sync.WaitGroup
	all.Go(func() { compile(0) })
	<-c.entered
	var started atomic.Int64
	for i := range n - 1 {
		all.Go(func() {
			started.Add(1)
			compile(i + 1)
		})
	}
	for started.Load() < int64(n-1) {
		runtime.Gosched()
	}
	time.Sleep(10 * time.Millisecond) // not needed for the outcome, but for the case
	return all.Wait
}

func TestCompilationsOfOneModuleAtOnceAreOne(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		const goroutines = 64
		for _, folder := range []bool{true, false} {
			config := wasmer.EngineConfig{Cache: &memoryCache{}}
			if folder {
				config = wasmer.EngineConfig{CacheDir: t.TempDir()}
			}
			cached := engineOf(t, engine, config)
			var all sync.WaitGroup
			modules := make([]*wasmer.Module, goroutines)
			for i := range goroutines {
				all.Go(func() {
					module, err := cached.Compile(background, []byte(cliConstant("7")))
					if err != nil {
						t.Error(err)
					}
					modules[i] = module
				})
			}
			all.Wait()
			stats := cached.Stats()
			require.Equal(t, cacheCounts{hits: goroutines - 1, misses: 1, compilations: 1}, cacheCountsOf(stats))
			require.EqualValues(t, goroutines, stats.Modules)
			require.Equal(t, modules[0].Exports(), modules[goroutines-1].Exports())
			for i, module := range modules { // each works when those before were closed
				instance, err := module.Instantiate()
				require.NoError(t, err)
				require.Equal(t, "7", call(t, instance, "f").String())
				require.NoError(t, instance.Close())
				require.NoError(t, module.Close())
				require.EqualValues(t, goroutines-1-i, cached.Stats().Modules)
			}
			require.Zero(t, cached.Stats().CodeModules)
		}
	})
}

func TestCompilationGoesOnForThoseWhoStillWait(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		cache := newGateCache()
		cached := engineOf(t, engine, wasmer.EngineConfig{Cache: cache})
		cause := errors.New("the first one's cause")
		first, cancel := context.WithCancelCause(background)
		failures := make(chan error, 1)
		wait := cache.join(t, 4, func(n int) {
			ctx := first
			if n > 0 {
				ctx = background
			}
			module, err := cached.Compile(ctx, []byte(cliConstant("7")))
			if n == 0 {
				failures <- err
				return
			}
			if err != nil {
				t.Error(err)
			}
			_ = module.Close()
		})
		cancel(cause)
		err := <-failures // while the others wait
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
		require.ErrorIs(t, err, cause)
		close(cache.open)
		wait()
		require.Equal(t, cacheCounts{hits: 3, misses: 1, compilations: 1}, cacheCountsOf(cached.Stats()))
	})
}

// Whoever has left may change what he wanted compiled: those who still wait get what they asked for.
func TestTheBytesOfOneWhoHasLeftAreHisAgain(t *testing.T) {
	seven, err := wasmer.Wat2Wasm(cliConstant("7"))
	require.NoError(t, err)
	eight, err := wasmer.Wat2Wasm(cliConstant("8"))
	require.NoError(t, err)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		cache := newGateCache()
		cached := engineOf(t, engine, wasmer.EngineConfig{Cache: cache})
		first, cancel := context.WithCancel(background)
		left, own := make(chan error, 1), bytes.Clone(seven)
		wait := cache.join(t, 3, func(n int) {
			if n == 0 {
				_, err := cached.Compile(first, own)
				left <- err
				return
			}
			module, err := cached.Compile(background, seven)
			if err != nil {
				t.Error(err)
				return
			}
			defer module.Close()
			instance, err := module.Instantiate()
			if err != nil {
				t.Error(err)
				return
			}
			defer instance.Close()
			if value, err := instance.Exports["f"](); err != nil || value.String() != "7" {
				t.Errorf("got %v, %v", value, err)
			}
		})
		cancel()
		require.ErrorIs(t, <-left, wasmer.ErrInterrupted)
		copy(own, eight)
		close(cache.open)
		wait()
	})
}

func TestCompilationEndsWhenNobodyWaits(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		cache := newGateCache()
		cached := engineOf(t, engine, wasmer.EngineConfig{Cache: cache})
		ctx, cancel := context.WithCancel(background)
		wait := cache.join(t, 3, func(int) {
			module, err := cached.Compile(ctx, []byte(cliConstant("7")))
			if !errors.Is(err, wasmer.ErrInterrupted) || !errors.Is(err, context.Canceled) || module != nil {
				t.Errorf("got %v, %v", module, err)
			}
		})
		cancel()
		wait() // the cache was not let go on, but for the context
		require.Zero(t, cached.Stats().Compilations)
		require.Zero(t, cached.Stats().CacheErrors)
		constantOf(t, cached, "7")
	})
}

func TestCompilationErrorsAreThoseOfAllWhoWait(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		cache := newGateCache()
		cached := engineOf(t, engine, wasmer.EngineConfig{Cache: cache})
		wait := cache.join(t, 4, func(int) {
			_, err := cached.Compile(background, []byte("(module (func (result i32)))"))
			if !errors.As(err, new(*wasmer.CompileError)) {
				t.Errorf("got %v", err)
			}
		})
		close(cache.open)
		wait()
		require.Equal(t, cacheCounts{misses: 1}, cacheCountsOf(cached.Stats()))
		require.EqualValues(t, 1, cached.Stats().FailedCompilations)
		require.Empty(t, cache.entries)
	})
}

func TestPanicOfACacheIsThatOfAllWhoWait(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, end := range map[string]func(){"panic": func() { panic("the cache's") }, "goexit": runtime.Goexit} {
			cache := newGateCache()
			wait := cache.get
			cache.get = func(ctx context.Context) error {
				_ = wait(ctx)
				end()
				return nil
			}
			cached := engineOf(t, engine, wasmer.EngineConfig{Cache: cache})
			ended := cache.join(t, 3, func(int) {
				defer func() {
					if value := recover(); name == "panic" && value != "the cache's" {
						t.Errorf("got %v", value)
					}
				}()
				_, err := cached.Compile(background, []byte(cliConstant("7")))
				if name == "panic" || err == nil {
					t.Errorf("%s: got %v", name, err)
				}
			})
			close(cache.open)
			ended()
			cache.get = nil
			constantOf(t, cached, "7")
		}
	})
}

func TestEngineThatIsClosedLetsCompilationsEnd(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		cache := newGateCache()
		cached := engineOf(t, engine, wasmer.EngineConfig{Cache: cache})
		wait := cache.join(t, 3, func(int) {
			_, err := cached.Compile(background, []byte(cliConstant("7")))
			if !errors.Is(err, wasmer.ErrClosed) {
				t.Errorf("got %v", err)
			}
		})
		require.NoError(t, cached.Close())
		close(cache.open)
		wait()
		require.Zero(t, cached.Stats().CodeModules)
		require.Zero(t, cached.Stats().Modules)
	})
}
