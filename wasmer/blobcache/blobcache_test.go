package blobcache_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/blobcache"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
)

// eachBucket runs a test with every driver and compiler.
func eachBucket(t *testing.T, test func(t *testing.T, bucket *blob.Bucket, engine func() *wasmer.Engine)) {
	drivers := map[string]func(t *testing.T) *blob.Bucket{
		"memory": func(*testing.T) *blob.Bucket { return memblob.OpenBucket(nil) },
		"file": func(t *testing.T) *blob.Bucket {
			bucket, err := fileblob.OpenBucket(t.TempDir(), nil)
			require.NoError(t, err)
			return bucket
		},
		"prefix": func(*testing.T) *blob.Bucket { return blob.PrefixedBucket(memblob.OpenBucket(nil), "modules/") },
	}
	for name, open := range drivers {
		for _, compiler := range wasmer.Compilers() {
			t.Run(name+"/"+compiler.String(), func(t *testing.T) {
				bucket := open(t)
				defer bucket.Close()
				test(t, bucket, func() *wasmer.Engine {
					engine, err := wasmer.NewEngine(wasmer.EngineConfig{
						Compiler: compiler, Cache: blobcache.New(bucket), RequireCache: true,
					})
					require.NoError(t, err)
					t.Cleanup(func() { _ = engine.Close() })
					return engine
				})
			})
		}
	}
}

// requireConstant compiles a module and calls it.
func requireConstant(t *testing.T, engine *wasmer.Engine, n int) {
	t.Helper()
	text := `(module (func (export "f") (result i32) (i32.const ` + strconv.Itoa(n) + `)))`
	module, err := engine.Compile(context.Background(), []byte(text))
	require.NoError(t, err)
	defer module.Close()
	instance, err := module.Instantiate()
	require.NoError(t, err)
	defer instance.Close()
	result, err := instance.Exports["f"]()
	require.NoError(t, err)
	require.EqualValues(t, n, result.ToI32())
}

func names(t *testing.T, bucket *blob.Bucket) (names []string) {
	t.Helper()
	all, result := bucket.List(nil).All(context.Background())
	for object := range all {
		names = append(names, object.Key)
	}
	require.NoError(t, result())
	return names
}

func TestMachinesShareWhatOneHasCompiled(t *testing.T) {
	eachBucket(t, func(t *testing.T, bucket *blob.Bucket, engine func() *wasmer.Engine) {
		first, second := engine(), engine()
		requireConstant(t, first, 1)
		requireConstant(t, second, 1)
		requireConstant(t, second, 2)
		require.EqualValues(t, 1, first.Stats().Compilations)
		require.EqualValues(t, 1, second.Stats().Compilations)
		require.EqualValues(t, 1, second.Stats().CacheHits)
		require.Len(t, names(t, bucket), 2)
	})
}

func TestDamagedEntriesAreCompiledAnew(t *testing.T) {
	eachBucket(t, func(t *testing.T, bucket *blob.Bucket, engine func() *wasmer.Engine) {
		requireConstant(t, engine(), 1)
		name := names(t, bucket)[0]
		ctx := context.Background()
		entry, err := bucket.ReadAll(ctx, name)
		require.NoError(t, err)
		for i := range 20 {
			damaged := append([]byte(nil), entry...)
			damaged[i*len(entry)/20] ^= 1
			require.NoError(t, bucket.WriteAll(ctx, name, damaged, nil))
			machine := engine()
			requireConstant(t, machine, 1)
			require.EqualValues(t, 1, machine.Stats().CacheCorrupt)
			replaced, err := bucket.ReadAll(ctx, name)
			require.NoError(t, err)
			require.Len(t, replaced, len(entry))
			require.NoError(t, machine.Close())
		}
		machine := engine()
		requireConstant(t, machine, 1)
		require.EqualValues(t, 1, machine.Stats().CacheHits)
	})
}

func TestMachinesMayCompileTheSameAtOnce(t *testing.T) {
	eachBucket(t, func(t *testing.T, bucket *blob.Bucket, engine func() *wasmer.Engine) {
		var all sync.WaitGroup
		for range 4 {
			machine := engine()
			for range 8 {
				all.Go(func() { requireConstant(t, machine, 3) })
			}
			defer func() { require.Zero(t, machine.Stats().CacheCorrupt) }()
		}
		all.Wait()
		require.Len(t, names(t, bucket), 1)
		late := engine()
		requireConstant(t, late, 3)
		require.Zero(t, late.Stats().Compilations)
	})
}

func TestEntriesHalfWrittenAreWrittenAnew(t *testing.T) {
	for _, attributes := range []string{"", `{"user.cache_control":"","user.cont`} {
		dir := t.TempDir()
		bucket, err := fileblob.OpenBucket(dir, nil)
		require.NoError(t, err)
		defer bucket.Close()
		machine := func() wasmer.EngineStats {
			engine, err := wasmer.NewEngine(wasmer.EngineConfig{Cache: blobcache.New(bucket), RequireCache: true})
			require.NoError(t, err)
			defer engine.Close()
			requireConstant(t, engine, 4)
			return engine.Stats()
		}
		require.EqualValues(t, 1, machine().Compilations)
		name := filepath.Join(dir, names(t, bucket)[0]+".attrs")
		require.NoError(t, os.WriteFile(name, []byte(attributes), 0o600))
		require.EqualValues(t, 1, machine().Compilations)
		require.EqualValues(t, 1, machine().CacheHits)
	}
}

func TestErrorsOfTheBucketAreTheCaches(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	cache := blobcache.New(bucket)
	_, err := cache.Get(context.Background(), wasmer.CacheKey{})
	require.ErrorIs(t, err, wasmer.ErrNotFound)
	require.NoError(t, bucket.Close())
	_, err = cache.Get(context.Background(), wasmer.CacheKey{})
	require.Error(t, err)
	require.NotErrorIs(t, err, wasmer.ErrNotFound)
	require.Error(t, cache.Put(context.Background(), wasmer.CacheKey{}, nil))
}

func Example() {
	dir, err := os.MkdirTemp("", "modules")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	// A fleet would share s3://modules or gs://modules, with the driver's package imported.
	bucket, err := blob.OpenBucket(ctx, "file://"+filepath.ToSlash(dir))
	if err != nil {
		panic(err)
	}
	defer bucket.Close()

	for range 2 { // two machines
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Cache: blobcache.New(bucket)})
		if err != nil {
			panic(err)
		}
		module, err := engine.Compile(ctx, []byte(`(module (func (export "answer") (result i32) (i32.const 42)))`))
		if err != nil {
			panic(err)
		}
		fmt.Println(module.Exports()[0].Name, "compiled:", engine.Stats().Compilations, "found:", engine.Stats().CacheHits)
		engine.Close()
	}
	// Output:
	// answer compiled: 1 found: 0
	// answer compiled: 0 found: 1
}
