//go:build !wasmer_cached

package wasmer

// defaultCache is the cache of engines that have none.
func defaultCache() Cache { return nil }

// loadsTwice says of a cache that modules are used as they come out of it, also those that were just compiled.
func loadsTwice(Cache) bool { return false }
