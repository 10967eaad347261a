package wasmer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// CacheConfig are the options of OpenCache. The zero value is a good choice.
type CacheConfig struct {
	// MaxBytes bounds the sizes of all entries together: those that were not used for longest go first. 0 means 4 GiB, -1 no
	// bound. Several processes may each exceed it by a 16th for a while.
	MaxBytes int64
	// ReadOnly neither makes, removes nor touches a file: Put does nothing, and damaged entries stay.
	ReadOnly bool
	// Permissions are those of the folders that are made, before the umask; files have the same, but to be executed. 0 means
	// 0700.
	Permissions fs.FileMode
	// TrustWriters accepts folders and entries that belong to other users, or that these can write. They can have their code
	// executed by this process.
	TrustWriters bool
}

// ErrUntrusted: a cache's folder, or an entry in it, could have been written by another user than this one or root, who could
// have code executed by this process. CacheConfig.TrustWriters accepts that.
var ErrUntrusted = errors.New("wasmer: cache: other users can write it")

// FolderCache is a folder of compiled modules. Any number of goroutines and processes may use it at once, of other builds too:
// each build has a folder in it, and one bound is for all. It holds nothing open, and needs no Close.
//
// An entry is written under another name and renamed: whoever looks sees all of it, or nothing. It is not synced to the disk
// before: one that is torn by a power failure is found by its digest, and compiled anew. What crashed writers have left is
// removed after ten minutes. Files that are not its own are left alone. Entries may be removed and replaced at any time, but must
// not be written to: modules use the file that they were loaded from as long as they live, as Engine.DeserializeFile tells.
type FolderCache struct {
	dir    string
	config CacheConfig

	// unswept counts the bytes that were written since the folder was swept.
	unswept atomic.Int64
	sweeps  sync.Mutex
}

const (
	defaultCacheBytes = 4 << 30
	// cacheFolderPrefix begins the names of the folders of builds.
	cacheFolderPrefix = "wasmer-go-"
	cacheEntrySuffix  = ".wasmer"
	cacheTempSuffix   = ".tmp"
	// cacheTouch is how exactly it is known when an entry was used.
	cacheTouch = time.Minute
	// cacheLeftover is the age of the last write at which a file that was not finished has lost its writer.
	cacheLeftover = 10 * time.Minute
)

// OpenCache opens a folder as a cache, and makes it if it is not there. A symbolic link is resolved once, here. It fails with
// ErrUntrusted if another user than this one or root could have written the folder, for entries are code: that it is not
// theirs, and that neither group nor others may write it, is verified at each use.
func OpenCache(dir string, config CacheConfig) (*FolderCache, error) {
	if config.MaxBytes < -1 {
		return nil, fmt.Errorf("wasmer: cache: MaxBytes is %d, must be -1 or more", config.MaxBytes)
	}
	if config.Permissions&^fs.ModePerm != 0 {
		return nil, fmt.Errorf("wasmer: cache: Permissions are %v, must be permission bits only", config.Permissions)
	}
	if dir == "" {
		return nil, errors.New("wasmer: cache: the name of the folder is empty")
	}
	if config.MaxBytes == 0 {
		config.MaxBytes = defaultCacheBytes
	}
	if config.Permissions == 0 {
		config.Permissions = 0o700
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("wasmer: cache: %w", err)
	}
	c := &FolderCache{config: config, dir: dir}
	c.unswept.Store(c.slack()) // it is not known what is there
	if !config.ReadOnly {
		if err := os.MkdirAll(dir, config.Permissions); err != nil {
			return c, c.unavailable(err)
		}
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		c.dir = resolved
	}
	root, err := c.openFolder(c.dir)
	if err != nil {
		if config.ReadOnly && errors.Is(err, fs.ErrNotExist) {
			return c, nil
		}
		return c, c.unavailable(err)
	}
	return c, root.Close()
}

// Dir is the folder, with symbolic links resolved.
func (c *FolderCache) Dir() string { return c.dir }

func cacheBuildFolder() string {
	return fmt.Sprintf("%s%v-%s-%s", cacheFolderPrefix, Version(), Target(), BuildID())
}

// openFolder opens a folder that can be trusted.
func (c *FolderCache) openFolder(name string) (*os.Root, error) {
	root, err := os.OpenRoot(name + string(filepath.Separator)) // of a folder only: to open a pipe can take for ever
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil {
		err = c.trust(name, info)
	}
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return root, nil
}

// open opens this build's folder.
func (c *FolderCache) open() (*os.Root, error) {
	return c.openFolder(filepath.Join(c.dir, cacheBuildFolder()))
}

// trust checks who can have written a file or folder.
func (c *FolderCache) trust(name string, info fs.FileInfo) error {
	if c.config.TrustWriters {
		return nil
	}
	if owner, foreign := foreignOwner(info); foreign {
		return fmt.Errorf("%w: %s belongs to the user %d", ErrUntrusted, name, owner)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%w: %s has the permissions %v; chmod go-w would mend it", ErrUntrusted, name, info.Mode().Perm())
	}
	return nil
}

// Get reads the entry of a key; see Cache. It is verified when it is used, not here.
func (c *FolderCache) Get(_ context.Context, key CacheKey) ([]byte, error) {
	file, size, err := c.find(key)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	entry := make([]byte, size)
	n, err := io.ReadFull(file, entry)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // it is damaged then, which is found
	}
	return entry[:n], err
}

// Put writes an entry; see Cache. It fails with ErrResource if the entry is larger than the whole cache may be.
func (c *FolderCache) Put(_ context.Context, key CacheKey, entry []byte) error {
	_, _, err := c.put(key, func(file *os.File) error {
		_, err := file.Write(entry)
		return err
	})
	return err
}

// find opens the file of a key, and marks it as used.
func (c *FolderCache) find(key CacheKey) (*os.File, int64, error) {
	missing := func(err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: cache entry %v", ErrNotFound, key)
		}
		return err
	}
	root, err := c.open()
	if err != nil {
		return nil, 0, missing(err)
	}
	defer root.Close()
	name := key.String() + cacheEntrySuffix
	file, err := root.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, 0, missing(err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err == nil {
		err = c.trust(name, info)
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	if now := time.Now(); !c.config.ReadOnly && now.Sub(info.ModTime()) > cacheTouch {
		_ = root.Chtimes(name, time.Time{}, now) // what cannot be touched goes sooner
	}
	return file, info.Size(), nil
}

func (c *FolderCache) damaged(key CacheKey) error {
	if c.config.ReadOnly {
		return nil
	}
	root, err := c.open()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Remove(key.String() + cacheEntrySuffix); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// put gives the entry's size, and how many entries had to go for it.
func (c *FolderCache) put(key CacheKey, write func(*os.File) error) (size int64, evicted int, err error) {
	if c.config.ReadOnly {
		return 0, 0, nil
	}
	// The folder may go away in between: that of another build goes with its last entry.
	for range 2 {
		if err = os.MkdirAll(filepath.Join(c.dir, cacheBuildFolder()), c.config.Permissions); err != nil {
			return 0, 0, err
		}
		if size, err = c.write(key, write); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return 0, 0, err
	}
	if c.unswept.Add(size) >= c.slack() {
		evicted, err = c.sweep()
	}
	return size, evicted, err
}

func (c *FolderCache) write(key CacheKey, write func(*os.File) error) (size int64, err error) {
	root, err := c.open()
	if err != nil {
		return 0, err
	}
	defer root.Close()
	name := key.String()
	temp := name + "." + strings.ToLower(rand.Text()[:12]) + cacheTempSuffix
	file, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, c.config.Permissions&^0o111)
	if err != nil {
		return 0, err
	}
	err = write(file)
	if err == nil {
		size, err = file.Seek(0, io.SeekEnd)
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if limit := c.config.MaxBytes; err == nil && limit > 0 && size > limit {
		err = fmt.Errorf("%w: an entry of %d bytes, the limit of the whole cache is %d", ErrResource, size, limit)
	}
	if err == nil {
		err = root.Rename(temp, name+cacheEntrySuffix)
	}
	if err != nil {
		_ = root.Remove(temp)
	}
	return size, err
}
