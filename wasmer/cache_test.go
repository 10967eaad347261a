package wasmer_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// cacheFiles are the files of a cache, those that are not finished too.
func cacheFiles(t testing.TB, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "wasmer-go-*", "*"))
	require.NoError(t, err)
	return files
}

// memoryCache is a cache in a map.
type memoryCache struct {
	mu       sync.Mutex
	entries  map[wasmer.CacheKey][]byte
	get, put func(context.Context) error
}

func (c *memoryCache) Get(ctx context.Context, key wasmer.CacheKey) ([]byte, error) {
	if c.get != nil {
		if err := c.get(ctx); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.entries[key]
	if !ok {
		return nil, wasmer.ErrNotFound
	}
	return entry, nil
}

func (c *memoryCache) Put(ctx context.Context, key wasmer.CacheKey, entry []byte) error {
	if c.put != nil {
		if err := c.put(ctx); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[wasmer.CacheKey][]byte{}
	}
	c.entries[key] = bytes.Clone(entry)
	return nil
}

// constantOf compiles a library whose function f gives a number, and demands that it does.
func constantOf(t testing.TB, engine *wasmer.Engine, n string) {
	t.Helper()
	module, err := engine.Compile(background, []byte(cliConstant(n)))
	require.NoError(t, err)
	defer module.Close()
	instance, err := module.Instantiate()
	require.NoError(t, err)
	defer instance.Close()
	require.Equal(t, n, call(t, instance, "f").String())
}

type cacheCounts struct{ hits, misses, corrupt, errors, evictions, compilations uint64 }

func cacheCountsOf(stats wasmer.EngineStats) cacheCounts {
	return cacheCounts{stats.CacheHits, stats.CacheMisses, stats.CacheCorrupt, stats.CacheErrors, stats.CacheEvictions, stats.Compilations}
}

// eachCache runs a test with every compiler and both kinds of cache.
func eachCache(t *testing.T, test func(t *testing.T, open func(wasmer.EngineConfig) *wasmer.Engine, replace func(func([]byte) []byte))) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		t.Run("folder", func(t *testing.T) {
			folder := t.TempDir()
			test(t, func(config wasmer.EngineConfig) *wasmer.Engine {
				config.CacheDir = folder
				return engineOf(t, engine, config)
			}, func(change func([]byte) []byte) {
				for _, file := range cacheFiles(t, folder) {
					data, err := os.ReadFile(file)
					require.NoError(t, err)
					require.NoError(t, os.WriteFile(file, change(data), 0o600))
				}
			})
		})
		t.Run("own", func(t *testing.T) {
			cache := &memoryCache{}
			test(t, func(config wasmer.EngineConfig) *wasmer.Engine {
				config.Cache = cache
				return engineOf(t, engine, config)
			}, func(change func([]byte) []byte) {
				for key, entry := range cache.entries {
					cache.entries[key] = change(entry)
				}
			})
		})
	})
}

func TestCacheKeepsModulesForOtherEngines(t *testing.T) {
	eachCache(t, func(t *testing.T, open func(wasmer.EngineConfig) *wasmer.Engine, _ func(func([]byte) []byte)) {
		first := open(wasmer.EngineConfig{})
		constantOf(t, first, "7")
		require.Equal(t, cacheCounts{misses: 1, compilations: 1}, cacheCountsOf(first.Stats()))
		constantOf(t, first, "7")
		require.Equal(t, cacheCounts{hits: 1, misses: 1, compilations: 1}, cacheCountsOf(first.Stats()))
		require.Equal(t, first.Stats().CacheBytesRead, first.Stats().CacheBytesWritten)
		require.Greater(t, first.Stats().CacheBytesRead, uint64(100))

		other := open(wasmer.EngineConfig{})
		constantOf(t, other, "7")
		require.Equal(t, cacheCounts{hits: 1}, cacheCountsOf(other.Stats()))
		constantOf(t, other, "8")
		metered := open(wasmer.EngineConfig{Metering: wasmer.Metering{Mode: finestMode(first.Compiler())}})
		constantOf(t, metered, "7")
		require.Equal(t, cacheCounts{misses: 1, compilations: 1}, cacheCountsOf(metered.Stats()))
	})
}

func TestCacheEntriesThatAreDamagedAreCompiledAnew(t *testing.T) {
	eachCache(t, func(t *testing.T, open func(wasmer.EngineConfig) *wasmer.Engine, replace func(func([]byte) []byte)) {
		engine := open(wasmer.EngineConfig{RequireCache: true})
		constantOf(t, engine, "7")
		var whole, others []byte
		replace(func(entry []byte) []byte { whole = slices.Clone(entry); return nil })
		constantOf(t, engine, "8")
		replace(func(entry []byte) []byte {
			if len(entry) > 0 {
				others = slices.Clone(entry)
			}
			return entry
		})
		for name, damaged := range map[string][]byte{
			"empty": {}, "cut off": whole[:len(whole)-1], "half": whole[:len(whole)/2], "appended": append(slices.Clone(whole), 0),
			"another module's": others, "zeros": make([]byte, len(whole)), "no entry": []byte("nothing of ours"),
		} {
			before := cacheCountsOf(engine.Stats())
			replace(func([]byte) []byte { return damaged })
			constantOf(t, engine, "7")
			after := cacheCountsOf(engine.Stats())
			require.Equal(t, before.corrupt+1, after.corrupt, name)
			require.Equal(t, before.compilations+1, after.compilations, name)
			constantOf(t, engine, "7")
			require.Equal(t, after.hits+1, cacheCountsOf(engine.Stats()).hits, "%s: it was replaced", name)
			require.Zero(t, after.errors, name)
		}
	})
}
