//go:build wasmer_cached

package wasmer

import (
	"bytes"
	"context"
	"sync"
)

// With this build tag the tests run with modules that are compiled, put into a cache, and loaded from there, where they do not
// have a cache of their own.
func defaultCache() Cache { return &onceCache{entries: map[CacheKey][]byte{}} }

func loadsTwice(cache Cache) bool {
	_, ok := cache.(*onceCache)
	return ok
}

// onceCache forgets an entry when it is read.
type onceCache struct {
	mu      sync.Mutex
	entries map[CacheKey][]byte
}

func (c *onceCache) Get(_ context.Context, key CacheKey) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.entries[key]
	if !ok {
		return nil, ErrNotFound
	}
	delete(c.entries, key)
	return entry, nil
}

func (c *onceCache) Put(_ context.Context, key CacheKey, entry []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[key] = bytes.Clone(entry)
	return nil
}
