package wasmer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// slack is how much may be written before the folder is looked through, which takes longer the more is in it.
func (c *FolderCache) slack() int64 {
	if c.config.MaxBytes < 0 {
		return defaultCacheBytes / 16
	}
	return c.config.MaxBytes / 16
}

// CacheEntry is a file of a FolderCache. It is data: the file may have gone.
type CacheEntry struct {
	// Name is the file's, seen from the cache's folder.
	Name string
	Key  CacheKey
	// Size is in bytes.
	Size int64
	// Used is when the entry was put or used last, by a minute.
	Used time.Time
	// Current says that it is one of this build. Those of others are not looked into.
	Current bool
	// Compiler and Module say whose code it is, the latter by the module's own name; empty if it is not known.
	Compiler, Module string
	// Err says what is wrong with it; nil if nothing is, or if nobody has looked.
	Err error
}

// list gives the entries of all builds, those used longest ago first, and what may be left of writers. It looks into no file.
func (c *FolderCache) list() (entries, unfinished []CacheEntry, err error) {
	root, err := c.openFolder(c.dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, nil, err
	}
	defer root.Close()
	builds, err := fs.Glob(root.FS(), cacheFolderPrefix+"*")
	if err != nil {
		return nil, nil, err
	}
	for _, build := range builds {
		files, err := fs.ReadDir(root.FS(), build)
		if err != nil {
			continue // no folder, or one that has gone
		}
		for _, file := range files {
			digits, rest, _ := strings.Cut(file.Name(), ".")
			key, ok := parseCacheKey(digits)
			if !ok {
				continue
			}
			info, err := file.Info()
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			entry := CacheEntry{
				Name: filepath.Join(build, file.Name()), Key: key, Size: info.Size(), Used: info.ModTime(),
				Current: build == cacheBuildFolder(),
			}
			switch {
			case "."+rest == cacheEntrySuffix:
				entries = append(entries, entry)
			case strings.HasSuffix(rest, cacheTempSuffix):
				unfinished = append(unfinished, entry)
			}
		}
	}
	slices.SortFunc(entries, func(a, b CacheEntry) int { return a.Used.Compare(b.Used) })
	return entries, unfinished, nil
}

// Entries lists the entries, those used longest ago first. What it tells of their modules is not verified.
func (c *FolderCache) Entries() ([]CacheEntry, error) { return c.inspect(context.Background(), false) }

// Verify is Entries with all digests verified: CacheEntry.Err says what is wrong with an entry, ErrIncompatible or that it
// cannot be read. It fails if the folder cannot be read, or if ctx ends.
func (c *FolderCache) Verify(ctx context.Context) ([]CacheEntry, error) { return c.inspect(ctx, true) }

func (c *FolderCache) inspect(ctx context.Context, verify bool) ([]CacheEntry, error) {
	entries, _, err := c.list()
	if err != nil {
		return nil, c.unavailable(err)
	}
	for i := range entries {
		if err := interrupted(ctx); err != nil {
			return nil, err
		}
		if entries[i].Current {
			entries[i].inspect(c, verify)
		}
	}
	return slices.DeleteFunc(entries, func(e CacheEntry) bool { return errors.Is(e.Err, fs.ErrNotExist) }), nil
}

func (e *CacheEntry) inspect(c *FolderCache, verify bool) {
	root, err := c.open()
	if err != nil {
		e.Err = err
		return
	}
	defer root.Close()
	file, err := root.OpenFile(filepath.Base(e.Name), os.O_RDONLY|openNonblock, 0)
	if err != nil {
		e.Err = err
		return
	}
	defer file.Close()
	d, err := ffi.InspectEntry(file, verify)
	if err != nil {
		e.Err = translate("cache", err)
		return
	}
	e.Compiler = d.String()
	key := d.String()
	e.Module = d.String()
	if key != e.Key.String() {
		e.Err = fmt.Errorf("%w: cache: an entry of the key %s", ErrIncompatible, key)
	}
}

// CleanConfig says what FolderCache.Clean removes. The zero value removes all.
type CleanConfig struct {
	// Unused is how long an entry was not used to be removed; 0 is any time.
	Unused time.Duration
	// MaxBytes is how much may stay, of what was used last; 0 is nothing. With both, what one of them tells to go goes.
	MaxBytes int64
}

// Clean removes entries, those of other builds too, and what crashed writers have left. It gives those that it has removed.
// Other files stay.
func (c *FolderCache) Clean(config CleanConfig) ([]CacheEntry, error) {
	if config.Unused < 0 || config.MaxBytes < 0 {
		return nil, fmt.Errorf("wasmer: cache: Unused is %v, MaxBytes %d; they must not be negative", config.Unused, config.MaxBytes)
	}
	if c.config.ReadOnly {
		return nil, fmt.Errorf("wasmer: cache: %s is opened read-only: %w", c.dir, fs.ErrPermission)
	}
	removed, err := c.remove(func(entry CacheEntry, bytes int64) bool {
		switch {
		case config.Unused > 0 && time.Since(entry.Used) >= config.Unused:
			return true
		case config.Unused > 0 && config.MaxBytes == 0:
			return false
		}
		return bytes > config.MaxBytes || config.MaxBytes == 0 // those of no bytes too
	})
	if err != nil {
		return removed, c.unavailable(err)
	}
	return removed, nil
}

// sweep evicts what there is too much, and gives how many entries these were. One goroutine does it at a time.
func (c *FolderCache) sweep() (int, error) {
	if !c.sweeps.TryLock() {
		return 0, nil
	}
	defer c.sweeps.Unlock()
	c.unswept.Store(0)
	limit := c.config.MaxBytes - c.slack()
	removed, err := c.remove(func(entry CacheEntry, bytes int64) bool {
		only := bytes == entry.Size && bytes <= c.config.MaxBytes // which would be compiled anew each time
		return c.config.MaxBytes > 0 && bytes > limit && !only
	})
	return len(removed), err
}

// remove removes the entries for which that is so, by the entry and the bytes of all that are left. Other processes may do the
// same: they would remove the same ones.
func (c *FolderCache) remove(which func(entry CacheEntry, bytes int64) bool) (removed []CacheEntry, _ error) {
	entries, unfinished, err := c.list()
	if err != nil {
		return nil, err
	}
	root, err := c.openFolder(c.dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	defer root.Close()
	for _, file := range unfinished {
		if time.Since(file.Used) > cacheLeftover {
			_ = root.Remove(file.Name)
		}
	}
	var bytes int64
	for _, entry := range entries {
		bytes += entry.Size
	}
	var failed error
	for _, entry := range entries {
		if !which(entry, bytes) {
			continue
		}
		bytes -= entry.Size
		switch err := root.Remove(entry.Name); {
		case err == nil:
			removed = append(removed, entry)
		case !errors.Is(err, fs.ErrNotExist):
			failed = err
		}
		if !entry.Current {
			_ = root.Remove(filepath.Dir(entry.Name)) // which fails unless it was the last one
		}
	}
	return removed, failed
}

// unavailable says of which cache an error is.
func (c *FolderCache) unavailable(err error) error {
	var path *os.PathError
	if errors.Is(err, ErrUntrusted) || errors.As(err, &path) {
		return fmt.Errorf("wasmer: cache: %w", err)
	}
	return fmt.Errorf("wasmer: cache: %s: %w", c.dir, err)
}
