package wasmer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func cliCacheCommand() *cliCommand {
	return &cliCommand{
		name: "cache", operand: "ACTION", second: "DIR", summary: "look after a folder of compiled modules",
		options: []cliOption{
			{name: "older", value: "DURATION", summary: "clean only what was not used for so long: 36h, 30m"},
			{name: "max-size", value: "SIZE", summary: "clean only so that no more is left than this, of what was used last:\n" +
				"bytes, or 500K, 64M, 2G"},
		},
		notes: `
ACTION is one of

  ls      list the entries: size, time since the last use, compiler, module, file
  clean   remove the entries, or those that the options tell, and what crashed
          processes have left; other files stay
  verify  read all entries and tell of those that are damaged, by exit status 1 too

DIR is that of run --cache. Entries of other versions of wasmer-go count as well, but
are not looked into. What is damaged does no harm: it is compiled anew.`,
		examples: `
  wasmer-go cache ls ~/.cache/wasm
  wasmer-go cache clean --older 720h ~/.cache/wasm
  wasmer-go cache verify ~/.cache/wasm && echo whole`,
		do: (*cli).cache,
	}
}

// withCache gives the engine the cache of --cache. One that cannot be used is a warning.
func (c *cli) withCache(config EngineConfig) EngineConfig {
	if c.value("cache") == "" {
		return config
	}
	cache, err := OpenCache(c.value("cache"), CacheConfig{})
	if err != nil {
		c.warnCache(err)
		return config
	}
	config.Cache = cache
	return config
}

// toldCache tells of the first failure of the engine's cache.
func (c *cli) toldCache(engine *Engine) {
	var once sync.Once
	if engine.cache != nil {
		engine.cache.told = func(err error) { once.Do(func() { c.warnCache(err) }) }
	}
}

func (c *cli) warnCache(err error) {
	c.warn(fmt.Errorf("%w; it is compiled anew each time", cliExplain("--cache "+c.value("cache"), err)))
}

// cliCacheActions are the actions of the command cache.
var cliCacheActions = map[string]func(*cli, context.Context, *FolderCache) error{
	"ls": (*cli).cacheList, "clean": (*cli).cacheClean, "verify": (*cli).cacheVerify,
}

func (c *cli) cache(ctx context.Context) error {
	action, ok := cliCacheActions[c.file]
	if !ok {
		return cliUsagef("there is no action %q; there are ls, clean and verify", c.file)
	}
	for _, option := range []string{"older", "max-size"} {
		if c.has(option) && c.file != "clean" {
			return cliUsagef("the option --%s is for clean", option)
		}
	}
	if _, err := os.Stat(c.second); err != nil {
		return cliExplain(c.second, err)
	}
	// Nothing of what others may have written is executed.
	cache, err := OpenCache(c.second, CacheConfig{ReadOnly: c.file != "clean", TrustWriters: true})
	if err == nil {
		err = action(c, ctx, cache)
	}
	var status *cliStatus
	var usage *cliUsageError
	if err != nil && !errors.As(err, &status) && !errors.As(err, &usage) {
		return cliExplain(c.second, err)
	}
	return err
}

func (c *cli) cacheList(_ context.Context, cache *FolderCache) error {
	entries, err := cache.Entries()
	if err != nil {
		return err
	}
	var rows [][]string
	for _, entry := range entries {
		unused := time.Since(entry.Used).Round(time.Minute)
		rows = append(rows, []string{
			cliBytes(entry.Size), strings.TrimSuffix(unused.String(), "0s"), cliOr(entry.Compiler), cliOr(cliPrintable(entry.Module)), entry.Name,
		})
	}
	if len(rows) > 0 {
		fmt.Fprintln(&c.out, cliTable(rows))
	}
	fmt.Fprintln(&c.out, cliSum(entries))
	return nil
}

func (c *cli) cacheClean(_ context.Context, cache *FolderCache) error {
	var config CleanConfig
	var err error
	if c.has("older") {
		if config.Unused, err = cliDuration(c.value("older")); err != nil {
			return err
		}
	}
	if c.has("max-size") {
		if config.MaxBytes, err = cliParseBytes(c.value("max-size")); err != nil {
			return err
		}
	}
	removed, err := cache.Clean(config)
	fmt.Fprintln(&c.out, "removed "+cliSum(removed))
	return err
}

func (c *cli) cacheVerify(ctx context.Context, cache *FolderCache) error {
	entries, err := cache.Verify(ctx)
	if err != nil {
		return err
	}
	damaged, others := 0, 0
	for _, entry := range entries {
		switch {
		case entry.Err != nil:
			damaged++
			fmt.Fprintln(c.stderr, "wasmer-go: "+cliPrintable(cliExplain(entry.Name, entry.Err).Error()))
		case !entry.Current:
			others++
		}
	}
	if damaged > 0 {
		return &cliStatus{cliFailure, fmt.Errorf("%s: %d of %s cannot be used, and will be compiled anew", c.second, damaged, cliSum(entries))}
	}
	fmt.Fprint(&c.out, cliSum(entries))
	if others > 0 {
		fmt.Fprintf(&c.out, ", %d of them of other versions, which were not verified", others)
	}
	fmt.Fprintln(&c.out)
	return nil
}

func cliSum(entries []CacheEntry) string {
	var bytes int64
	for _, entry := range entries {
		bytes += entry.Size
	}
	if len(entries) == 1 {
		return "1 entry, " + cliBytes(bytes)
	}
	return fmt.Sprintf("%d entries, %s", len(entries), cliBytes(bytes))
}

func cliOr(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// cliBytes is a size for people.
func cliBytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	value, unit := float64(n)/(1<<10), 0
	for ; value >= 1000 && unit < 3; unit++ {
		value /= 1 << 10
	}
	return fmt.Sprintf("%.3g %ciB", value, "KMGT"[unit])
}

// cliParseBytes reads a size: a number of bytes, or of K, M or G of them.
func cliParseBytes(word string) (int64, error) {
	digits, shift := word, 0
	if i := strings.IndexAny(word, "KMG"); i >= 0 && i == len(word)-1 {
		digits, shift = word[:i], 10*(1+strings.IndexByte("KMG", word[i]))
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n<<shift>>shift != n {
		return 0, cliUsagef("%q is no size; write bytes, or 500K, 64M, 2G", word)
	}
	return n << shift, nil
}
