package wasmer

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Cache keeps compiled modules between processes, or between machines: see EngineConfig.Cache. OpenCache makes one that is a
// folder; package blobcache is one on a shared store. Engines use it from several goroutines at once.
//
// An entry is machine code. Before it is used its digest is verified, that it was made for its key, and for this build,
// compiler and kind of CPU: what is damaged, cut off or another module's is compiled anew and put again, never executed. The
// digest finds damage, not forgery. Who can write a cache can execute code in the programs that read it.
type Cache interface {
	// Get gives the entry of a key as it was put, or an error that is ErrNotFound if there is none. The entry is the
	// caller's; it is not changed. Any other error counts and is logged: the module is compiled.
	Get(ctx context.Context, key CacheKey) ([]byte, error)
	// Put keeps an entry, in the place of one of the same key: a Get that runs meanwhile sees one of the two, or none,
	// never parts of both. The bytes are not the cache's after it has returned, and it does not change them. An error
	// counts and is logged: the module works without.
	Put(ctx context.Context, key CacheKey, entry []byte) error
}

// CacheKey is what a module is kept under: a BLAKE3 digest of the module and of all that its code depends on, which is this
// build, compiler, target, and each option that changes code.
type CacheKey [32]byte

// String is the key in hexadecimal digits.
func (k CacheKey) String() string { return hex.EncodeToString(k[:]) }

func parseCacheKey(digits string) (key CacheKey, ok bool) {
	n, err := hex.Decode(key[:], []byte(digits[:min(len(digits), 2*len(key))]))
	return key, err == nil && n == len(key) && key.String() == digits
}

// CacheKey is the key of a module in binary or text format: what Compile looks up. It takes a third of a millisecond for each
// MB.
func (e *Engine) CacheKey(wasm []byte) (CacheKey, error) {
	ptr, err := e.use()
	if err != nil {
		return CacheKey{}, err
	}
	defer e.handle.release()
	key, err := ptr.Key(wasm)
	return key, translate("cache", err)
}

// engineCache is an engine's view of its cache.
type engineCache struct {
	Cache
	// required has its errors returned.
	required bool
	account  *engineAccount
	// told, if there is one, is told of errors too.
	told    func(error)
	flights flights
}

// newEngineCache gives nil if there is none: what is wanted of a compilation in between is not found in one, and code for another
// machine cannot be loaded.
func newEngineCache(config EngineConfig, account *engineAccount) *engineCache {
	foreign := config.Target.Triple != "" && config.Target.Triple != Target()
	if config.Cache == nil || config.DumpIR != "" || foreign {
		return nil
	}
	return &engineCache{Cache: config.Cache, required: config.RequireCache, account: account}
}

// withCache opens the folder that is asked for.
func (c EngineConfig) withCache() (EngineConfig, error) {
	switch {
	case c.CacheDir == "" && c.Cache == nil:
		c.Cache = defaultCache()
		return c, nil
	case c.CacheDir == "":
		return c, nil
	case c.Cache != nil:
		return c, errors.New("wasmer: engine: EngineConfig has both a Cache and a CacheDir")
	}
	folder, err := OpenCache(c.CacheDir, CacheConfig{})
	if err != nil {
		return c, fmt.Errorf("%w (EngineConfig.CacheDir)", err)
	}
	c.Cache = folder
	return c, nil
}

// module takes a module from the cache, or compiles it and puts it there. Goroutines that want the same one at once wait
// for the first, and share its code. It reports whether this one has compiled it.
func (c *engineCache) module(ctx context.Context, engine *ffi.Engine, wasm []byte,
	compile func(ctx context.Context, wasm []byte) (*ffi.Module, error),
) (module *ffi.Module, compiled bool, err error) {
	digest, err := engine.Key(wasm)
	if err != nil {
		return nil, false, err
	}
	key, input := CacheKey(digest), lent{bytes: wasm}
	module, first, compiled, err := c.flights.join(ctx, key, func(ctx context.Context) (*ffi.Module, bool, error) {
		module, err := c.load(ctx, engine, key)
		if module != nil || err != nil {
			c.account.cached(err == nil)
			return module, false, err
		}
		c.account.cached(false)
		if module, err = compile(ctx, input.keep()); err != nil {
			return nil, true, err
		}
		if err := c.keep(ctx, module, key); err != nil {
			return nil, true, err
		}
		if loadsTwice(c.Cache) {
			module.Delete()
			if module, err = c.load(ctx, engine, key); module == nil && err == nil {
				err = errors.New("wasmer: cache: what was put is not there")
			}
		}
		return module, true, err
	})
	switch {
	case first && err != nil:
		input.keep()
	case !first && err == nil:
		c.account.cached(true)
	}
	return module, first && compiled, err
}

// lent are bytes of a caller who may change them when he has gone, while a flight that he began goes on for others.
type lent struct {
	mu    sync.Mutex
	bytes []byte
	own   bool
}

// keep gives a copy. The caller makes it before he goes, unless the flight has one.
func (l *lent) keep() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.own {
		l.bytes, l.own = bytes.Clone(l.bytes), true
	}
	return l.bytes
}

// load gives nil for what is to be compiled.
func (c *engineCache) load(ctx context.Context, engine *ffi.Engine, key CacheKey) (module *ffi.Module, err error) {
	var entry []byte
	var file *os.File
	var size int64
	folder, _ := c.Cache.(*FolderCache)
	if folder != nil {
		file, size, err = folder.find(key)
	} else {
		entry, err = c.Get(ctx, key)
		size = int64(len(entry))
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, c.failed(ctx, "get", key, err)
	}
	if folder != nil {
		module, err = engine.FromCacheFile(key, file)
		_ = file.Close()
	} else {
		module, err = engine.FromCache(key, entry)
	}
	if err == nil {
		c.account.readCache(size)
		return module, nil
	}
	if failure := (*ffi.Error)(nil); errors.As(err, &failure) && failure.Kind == ffi.KindResource {
		return nil, c.failed(ctx, "load", key, translate("cache", err))
	}
	c.account.corrupt(ctx, key, translate("cache", err))
	if folder != nil {
		if err := folder.damaged(key); err != nil {
			return nil, c.failed(ctx, "remove", key, err)
		}
	}
	return nil, nil
}

// keep is store for a module that is of no use if it fails, or if a function of the cache panics or ends its goroutine.
func (c *engineCache) keep(ctx context.Context, module *ffi.Module, key CacheKey) (err error) {
	kept := false
	defer func() {
		if !kept {
			module.Delete()
		}
	}()
	err = c.store(ctx, module, key)
	kept = err == nil
	return err
}

func (c *engineCache) store(ctx context.Context, module *ffi.Module, key CacheKey) error {
	if folder, ok := c.Cache.(*FolderCache); ok {
		size, evicted, err := folder.put(key, func(file *os.File) error {
			return translate("cache", module.ToCacheFile(key, file))
		})
		c.account.evicted(evicted)
		if err != nil {
			return c.failed(ctx, "put", key, err)
		}
		c.account.wroteCache(size)
		return nil
	}
	entry, err := module.ToCache(key)
	if err != nil {
		return c.failed(ctx, "serialize", key, translate("cache", err))
	}
	if err := c.Put(ctx, key, entry); err != nil {
		return c.failed(ctx, "put", key, err)
	}
	c.account.wroteCache(int64(len(entry)))
	return nil
}

// failed counts and tells of an error, which it gives if it is to be returned, as is the end of the context.
func (c *engineCache) failed(ctx context.Context, op string, key CacheKey, err error) error {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	err = fmt.Errorf("wasmer: cache: %s: %w", op, err)
	c.account.cacheFailed(ctx, key, err)
	if c.told != nil {
		c.told(err)
	}
	if c.required {
		return err
	}
	return nil
}

// The sums of caches.

func (a *engineAccount) readCache(n int64) {
	a.cacheBytesRead.Add(uint64(n))
	process.cacheBytesRead.Add(uint64(n))
}

func (a *engineAccount) wroteCache(n int64) {
	a.cacheBytesWritten.Add(uint64(n))
	process.cacheBytesWritten.Add(uint64(n))
}

func (a *engineAccount) evicted(n int) {
	a.cacheEvictions.Add(uint64(n))
	process.cacheEvictions.Add(uint64(n))
}

func (a *engineAccount) corrupt(ctx context.Context, key CacheKey, err error) {
	a.cacheCorrupt.Add(1)
	process.cacheCorrupt.Add(1)
	a.tellCache(ctx, "cache entry rejected", key, err)
}

func (a *engineAccount) cacheFailed(ctx context.Context, key CacheKey, err error) {
	a.cacheErrors.Add(1)
	process.cacheErrors.Add(1)
	a.tellCache(ctx, "cache failed", key, err)
}

func (a *engineAccount) tellCache(ctx context.Context, message string, key CacheKey, err error) {
	if logger := a.listener(ctx, slog.LevelWarn); logger != nil {
		tell(ctx, logger, slog.LevelWarn, message, slog.String("key", key.String()), slog.Any("error", err))
	}
}
