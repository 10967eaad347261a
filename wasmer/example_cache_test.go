package wasmer_test

import (
	"context"
	"fmt"
	"os"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

var answerModule = []byte(`(module (func (export "answer") (result i32) (i32.const 42)))`)

// The second engine, as a second process would, finds what the first has compiled.
func ExampleEngineConfig_cacheDir() {
	dir, err := os.MkdirTemp("", "modules")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for range 2 {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{CacheDir: dir})
		if err != nil {
			panic(err)
		}
		if _, err := engine.Compile(context.Background(), answerModule); err != nil {
			panic(err)
		}
		stats := engine.Stats()
		fmt.Printf("compiled %d, found %d\n", stats.Compilations, stats.CacheHits)
		engine.Close()
	}
	// Output:
	// compiled 1, found 0
	// compiled 0, found 1
}

// A cache of at most 512 MiB, in which it is looked what there is.
func ExampleOpenCache() {
	dir, err := os.MkdirTemp("", "modules")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	cache, err := wasmer.OpenCache(dir, wasmer.CacheConfig{MaxBytes: 512 << 20})
	if err != nil {
		panic(err)
	}
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Compilers()[0], Cache: cache, RequireCache: true})
	if err != nil {
		panic(err)
	}
	defer engine.Close()
	if _, err := engine.Compile(context.Background(), []byte(`(module $billing (func (export "run")))`)); err != nil {
		panic(err)
	}
	entries, err := cache.Verify(context.Background())
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		fmt.Println(entry.Module, entry.Err)
	}
	removed, err := cache.Clean(wasmer.CleanConfig{})
	fmt.Println("removed", len(removed), err)
	// Output:
	// billing <nil>
	// removed 1 <nil>
}

// countingCache is a cache of the user's: here one that counts what is asked of another.
type countingCache struct {
	wasmer.Cache
	gets, puts int
}

func (c *countingCache) Get(ctx context.Context, key wasmer.CacheKey) ([]byte, error) {
	c.gets++
	return c.Cache.Get(ctx, key)
}

func (c *countingCache) Put(ctx context.Context, key wasmer.CacheKey, entry []byte) error {
	c.puts++
	return c.Cache.Put(ctx, key, entry)
}

func ExampleCache() {
	dir, err := os.MkdirTemp("", "modules")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	folder, err := wasmer.OpenCache(dir, wasmer.CacheConfig{})
	if err != nil {
		panic(err)
	}
	cache := &countingCache{Cache: folder}
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Cache: cache})
	if err != nil {
		panic(err)
	}
	defer engine.Close()
	for range 2 {
		if _, err := engine.Compile(context.Background(), answerModule); err != nil {
			panic(err)
		}
	}
	fmt.Println("gets:", cache.gets, "puts:", cache.puts)
	// Output: gets: 2 puts: 1
}
