package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func openCache(t testing.TB, dir string, config wasmer.CacheConfig) *wasmer.FolderCache {
	t.Helper()
	cache, err := wasmer.OpenCache(dir, config)
	require.NoError(t, err)
	return cache
}

func cacheKeyOf(n byte) wasmer.CacheKey { return wasmer.CacheKey{n} }

func TestFolderCacheKeepsEntries(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	cache := openCache(t, dir, wasmer.CacheConfig{})
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	_, err = cache.Get(background, cacheKeyOf(1))
	require.ErrorIs(t, err, wasmer.ErrNotFound)
	require.NoError(t, cache.Put(background, cacheKeyOf(1), []byte("one")))
	require.NoError(t, cache.Put(background, cacheKeyOf(2), nil))
	require.NoError(t, cache.Put(background, cacheKeyOf(1), []byte("another")))
	for _, cache := range []*wasmer.FolderCache{cache, openCache(t, dir, wasmer.CacheConfig{})} {
		entry, err := cache.Get(background, cacheKeyOf(1))
		require.NoError(t, err)
		require.Equal(t, "another", string(entry))
		entry, err = cache.Get(background, cacheKeyOf(2))
		require.NoError(t, err)
		require.Empty(t, entry)
	}
	files := cacheFiles(t, dir)
	require.Len(t, files, 2)
	info, err = os.Stat(files[0])
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	shared := openCache(t, filepath.Join(dir, "shared"), wasmer.CacheConfig{Permissions: 0o755})
	require.NoError(t, shared.Put(background, cacheKeyOf(1), []byte("one")))
	info, err = os.Stat(cacheFiles(t, shared.Dir())[0])
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o644), info.Mode().Perm())
}

func TestFolderCacheRefusesNonsense(t *testing.T) {
	dir := t.TempDir()
	for _, wrong := range []struct {
		dir    string
		config wasmer.CacheConfig
	}{
		{"", wasmer.CacheConfig{}},
		{dir, wasmer.CacheConfig{MaxBytes: -2}},
		{dir, wasmer.CacheConfig{Permissions: fs.ModeDir | 0o700}},
	} {
		_, err := wasmer.OpenCache(wrong.dir, wrong.config)
		require.ErrorContains(t, err, "wasmer: cache: ")
	}
	_, err := wasmer.NewEngine(wasmer.EngineConfig{CacheDir: dir, Cache: &memoryCache{}})
	require.ErrorContains(t, err, "both")
	_, err = openCache(t, dir, wasmer.CacheConfig{}).Clean(wasmer.CleanConfig{MaxBytes: -1})
	require.Error(t, err)
}

// Entries are code: who can write them has it executed.
func TestFolderThatOthersCanWriteIsNotTrusted(t *testing.T) {
	dir := t.TempDir()
	cache := openCache(t, dir, wasmer.CacheConfig{})
	require.NoError(t, cache.Put(background, cacheKeyOf(1), []byte("one")))
	entry := cacheFiles(t, dir)[0]
	build := filepath.Dir(entry)
	for _, place := range []string{entry, build, dir} {
		before, err := os.Stat(place)
		require.NoError(t, err)
		for _, mode := range []fs.FileMode{0o770, 0o702} {
			require.NoError(t, os.Chmod(place, mode))
			if place == dir {
				_, err = wasmer.OpenCache(dir, wasmer.CacheConfig{})
				require.ErrorIs(t, err, wasmer.ErrUntrusted)
				require.ErrorContains(t, err, "chmod go-w")
				_, err = wasmer.NewEngine(wasmer.EngineConfig{CacheDir: dir})
				require.ErrorIs(t, err, wasmer.ErrUntrusted)
			} else {
				_, err = cache.Get(background, cacheKeyOf(1))
				require.ErrorIs(t, err, wasmer.ErrUntrusted)
			}
			if place == build {
				require.ErrorIs(t, cache.Put(background, cacheKeyOf(1), nil), wasmer.ErrUntrusted)
			}
			data, err := openCache(t, dir, wasmer.CacheConfig{TrustWriters: true}).Get(background, cacheKeyOf(1))
			require.NoError(t, err)
			require.Equal(t, "one", string(data))
		}
		require.NoError(t, os.Chmod(place, before.Mode().Perm()))
	}
	if os.Geteuid() == 0 {
		for _, place := range []string{entry, build} {
			require.NoError(t, os.Chown(place, 12345, -1))
			_, err := cache.Get(background, cacheKeyOf(1))
			require.ErrorIs(t, err, wasmer.ErrUntrusted)
			require.ErrorContains(t, err, "12345")
			require.NoError(t, os.Chown(place, 0, -1))
		}
	}
	data, err := cache.Get(background, cacheKeyOf(1))
	require.NoError(t, err)
	require.Equal(t, "one", string(data))
}

func TestFolderCacheFollowsNoLinkOutOfTheFolder(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	cache := openCache(t, dir, wasmer.CacheConfig{})
	require.NoError(t, cache.Put(background, cacheKeyOf(1), []byte("one")))
	entry := cacheFiles(t, dir)[0]
	require.NoError(t, os.Rename(entry, filepath.Join(outside, "entry")))
	require.NoError(t, os.Symlink(filepath.Join(outside, "entry"), entry))
	_, err := cache.Get(background, cacheKeyOf(1))
	require.Error(t, err)
	require.NotErrorIs(t, err, wasmer.ErrNotFound)
	require.NoError(t, cache.Put(background, cacheKeyOf(1), []byte("two")), "it is replaced, not followed")
	data, err := os.ReadFile(filepath.Join(outside, "entry"))
	require.NoError(t, err)
	require.Equal(t, "one", string(data))

	require.NoError(t, os.Remove(entry))
	require.NoError(t, syscall.Mkfifo(entry, 0o600))
	_, err = cache.Get(background, cacheKeyOf(1))
	require.ErrorContains(t, err, "is no file", "and it does not wait for a writer")

	// The folder itself may be a link, which is resolved once.
	link := filepath.Join(outside, "link")
	require.NoError(t, os.Symlink(dir, link))
	linked := openCache(t, link, wasmer.CacheConfig{})
	require.NoError(t, linked.Put(background, cacheKeyOf(3), []byte("three")))
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(outside, link))
	data, err = linked.Get(background, cacheKeyOf(3))
	require.NoError(t, err)
	require.Equal(t, "three", string(data))
}

func TestFolderCacheEvictsWhatWasNotUsedForLongest(t *testing.T) {
	dir := t.TempDir()
	const size = 1000
	cache := openCache(t, dir, wasmer.CacheConfig{MaxBytes: 16 * size})
	entry := bytes.Repeat([]byte("e"), size)
	age := func(n byte, ago time.Duration) {
		name := cacheKeyOf(n).String() + ".wasmer"
		require.NoError(t, os.Chtimes(filepath.Join(filepath.Dir(cacheFiles(t, dir)[0]), name), time.Time{}, time.Now().Add(-ago)))
	}
	for n := range byte(14) {
		require.NoError(t, cache.Put(background, cacheKeyOf(n), entry))
		age(n, time.Duration(100-n)*time.Minute)
	}
	require.Len(t, cacheFiles(t, dir), 14)
	_, err := cache.Get(background, cacheKeyOf(0)) // which makes it the one that was used last
	require.NoError(t, err)
	for n := range byte(3) {
		require.NoError(t, cache.Put(background, cacheKeyOf(100+n), entry))
	}
	require.Len(t, cacheFiles(t, dir), 15)
	for n, has := range map[byte]bool{0: true, 1: false, 2: false, 3: true, 100: true, 102: true} {
		_, err := cache.Get(background, cacheKeyOf(n))
		require.Equal(t, !has, errors.Is(err, wasmer.ErrNotFound), "%d: %v", n, err)
	}
	require.ErrorIs(t, cache.Put(background, cacheKeyOf(9), make([]byte, 17*size)), wasmer.ErrResource)
	require.Len(t, cacheFiles(t, dir), 15)
}

// An entry that needs nearly all of the room has it.
func TestFolderCacheKeepsAnEntryAsLargeAsItself(t *testing.T) {
	cache := openCache(t, t.TempDir(), wasmer.CacheConfig{MaxBytes: 160})
	for n := range byte(3) {
		require.NoError(t, cache.Put(background, cacheKeyOf(n), make([]byte, 160)))
		_, err := cache.Get(background, cacheKeyOf(n))
		require.NoError(t, err)
		require.Len(t, cacheFiles(t, cache.Dir()), 1)
		time.Sleep(10 * time.Millisecond) // for files to have different times
	}
}

func TestFolderCacheIsCleanedOfEntriesWithoutBytes(t *testing.T) {
	cache := openCache(t, t.TempDir(), wasmer.CacheConfig{})
	for n := range byte(3) {
		require.NoError(t, cache.Put(background, cacheKeyOf(n), nil))
	}
	removed, err := cache.Clean(wasmer.CleanConfig{})
	require.NoError(t, err)
	require.Len(t, removed, 3)
	require.Empty(t, cacheFiles(t, cache.Dir()))
}

// Nobody waits for a pipe in the place of a folder.
func TestFolderCacheDoesNotWaitForAPipe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, syscall.Mkfifo(dir, 0o700))
	for _, readOnly := range []bool{true, false} {
		_, err := wasmer.OpenCache(dir, wasmer.CacheConfig{ReadOnly: readOnly})
		require.Error(t, err)
	}
	cache := openCache(t, t.TempDir(), wasmer.CacheConfig{})
	require.NoError(t, cache.Put(background, cacheKeyOf(1), []byte("one")))
	build := filepath.Dir(cacheFiles(t, cache.Dir())[0])
	require.NoError(t, os.RemoveAll(build))
	require.NoError(t, syscall.Mkfifo(build, 0o700))
	_, err := cache.Get(background, cacheKeyOf(1))
	require.Error(t, err)
}

func TestFolderCacheEvictsTheEntriesOfOtherBuildsToo(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "wasmer-go-0.0.1-other")
	require.NoError(t, os.Mkdir(old, 0o700))
	other := filepath.Join(old, cacheKeyOf(1).String()+".wasmer")
	require.NoError(t, os.WriteFile(other, make([]byte, 900), 0o600))
	require.NoError(t, os.Chtimes(other, time.Time{}, time.Now().Add(-time.Hour)))
	cache := openCache(t, dir, wasmer.CacheConfig{MaxBytes: 1000})
	require.NoError(t, cache.Put(background, cacheKeyOf(1), make([]byte, 500)))
	require.NoDirExists(t, old)
	require.Len(t, cacheFiles(t, dir), 1)
}

func TestFolderCacheRemovesWhatCrashedWritersLeftAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	cache := openCache(t, dir, wasmer.CacheConfig{})
	require.NoError(t, cache.Put(background, cacheKeyOf(1), []byte("one")))
	build := filepath.Dir(cacheFiles(t, dir)[0])
	file := func(name string, ago time.Duration) string {
		path := filepath.Join(build, name)
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-ago)))
		return path
	}
	key := cacheKeyOf(2).String()
	left, writing := file(key+".abc.tmp", 11*time.Minute), file(key+".def.tmp", 9*time.Minute)
	foreign := []string{
		file("notes.txt", time.Hour), file("x.tmp", time.Hour), file(key, time.Hour), file(strings.ToUpper(cacheKeyOf(171).String())+".wasmer", time.Hour),
		filepath.Join(dir, key+".wasmer"), filepath.Join(dir, "elsewhere", key+".wasmer"),
	}
	require.NoError(t, os.WriteFile(foreign[4], nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Dir(foreign[5]), 0o700))
	require.NoError(t, os.WriteFile(foreign[5], nil, 0o600))

	again := openCache(t, dir, wasmer.CacheConfig{MaxBytes: -1})
	require.NoError(t, again.Put(background, cacheKeyOf(3), []byte("three")))
	require.NoFileExists(t, left)
	require.FileExists(t, writing)
	removed, err := again.Clean(wasmer.CleanConfig{})
	require.NoError(t, err)
	require.Len(t, removed, 2)
	for _, path := range append(foreign, writing) {
		require.FileExists(t, path)
	}
}

func TestReadOnlyCacheChangesNothing(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		dir := filepath.Join(t.TempDir(), "none")
		cache := openCache(t, dir, wasmer.CacheConfig{ReadOnly: true})
		cached := engineOf(t, engine, wasmer.EngineConfig{Cache: cache, RequireCache: true})
		constantOf(t, cached, "7")
		require.NoDirExists(t, dir)
		constantOf(t, engineOf(t, engine, wasmer.EngineConfig{CacheDir: dir}), "7")
		entry := cacheFiles(t, dir)[0]
		long := time.Now().Add(-time.Hour).Truncate(time.Second)
		require.NoError(t, os.Chtimes(entry, time.Time{}, long))
		constantOf(t, cached, "7")
		require.Equal(t, cacheCounts{hits: 1, misses: 1, compilations: 1}, cacheCountsOf(cached.Stats()))
		info, err := os.Stat(entry)
		require.NoError(t, err)
		require.True(t, long.Equal(info.ModTime()))

		require.NoError(t, os.WriteFile(entry, []byte("damaged"), 0o600))
		constantOf(t, cached, "7")
		require.Equal(t, cacheCounts{hits: 1, misses: 2, corrupt: 1, compilations: 2}, cacheCountsOf(cached.Stats()))
		data, err := os.ReadFile(entry)
		require.NoError(t, err)
		require.Equal(t, "damaged", string(data))
		_, err = cache.Clean(wasmer.CleanConfig{})
		require.ErrorIs(t, err, fs.ErrPermission)
	})
}

// What fails is the cache, not the compilation.
func TestCompilationGoesOnWithoutItsCache(t *testing.T) {
	full := errors.New("no space left")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, failure := range map[string]struct {
			config func(t *testing.T) wasmer.EngineConfig
			errors uint64
		}{
			"get": {func(*testing.T) wasmer.EngineConfig {
				return wasmer.EngineConfig{Cache: &memoryCache{get: func(context.Context) error { return full }}}
			}, 1},
			"put": {func(*testing.T) wasmer.EngineConfig {
				return wasmer.EngineConfig{Cache: &memoryCache{put: func(context.Context) error { return full }}}
			}, 1},
			"file in the folder's place": {func(t *testing.T) wasmer.EngineConfig {
				cache := openCache(t, filepath.Join(t.TempDir(), "cache"), wasmer.CacheConfig{})
				require.NoError(t, os.Remove(cache.Dir()))
				require.NoError(t, os.WriteFile(cache.Dir(), nil, 0o600))
				return wasmer.EngineConfig{Cache: cache}
			}, 2},
			"full disk": {func(t *testing.T) wasmer.EngineConfig {
				return wasmer.EngineConfig{Cache: openCache(t, t.TempDir(), wasmer.CacheConfig{MaxBytes: 10})}
			}, 1},
		} {
			t.Run(name, func(t *testing.T) {
				var log bytes.Buffer
				config := failure.config(t)
				config.Logger = slog.New(slog.NewTextHandler(&log, nil))
				cached := engineOf(t, engine, config)
				constantOf(t, cached, "7")
				require.Equal(t, cacheCounts{misses: 1, errors: failure.errors, compilations: 1}, cacheCountsOf(cached.Stats()))
				require.Equal(t, int(failure.errors), strings.Count(log.String(), `msg="cache failed"`), log.String())

				config.RequireCache = true
				_, err := engineOf(t, engine, config).Compile(background, []byte(cliConstant("7")))
				require.ErrorContains(t, err, "wasmer: cache: ")
				if strings.HasSuffix(name, "t") {
					require.ErrorIs(t, err, full)
				}
			})
		}
	})
}

// A folder that was removed is made again.
func TestFolderCacheThatWasRemovedBegins(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		dir := filepath.Join(t.TempDir(), "cache")
		cached := engineOf(t, engine, wasmer.EngineConfig{CacheDir: dir, RequireCache: true})
		for n := range 3 {
			constantOf(t, cached, strconv.Itoa(n))
			require.Len(t, cacheFiles(t, dir), 1)
			require.NoError(t, os.RemoveAll(dir))
		}
	})
}
