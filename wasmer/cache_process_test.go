package wasmer_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// cacheDirEnv is the folder that the processes of a test share.
const cacheDirEnv = "WASMER_GO_TEST_CACHE"

// cacheProcess starts the test again in a process of its own, which begins its work at the end of its stdin.
func cacheProcess(t *testing.T, dir string) (process *exec.Cmd, begin io.Closer, output *bufio.Reader) {
	t.Helper()
	process = exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=300s", "-test.v")
	process.Env = append(os.Environ(), childEnv+"="+t.Name(), cacheDirEnv+"="+dir)
	process.Stderr = os.Stderr
	begin, err := process.StdinPipe()
	require.NoError(t, err)
	stdout, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	t.Cleanup(func() { _ = process.Process.Kill() })
	output = bufio.NewReader(stdout)
	for {
		line, err := output.ReadString('\n')
		require.NoError(t, err)
		if line == "ready\n" {
			return process, begin, output
		}
	}
}

// inCacheProcess reports whether this is such a process, and gives the folder when it may begin.
func inCacheProcess(t *testing.T) (dir string, is bool) {
	if os.Getenv(childEnv) != t.Name() {
		return "", false
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return os.Getenv(cacheDirEnv), true
}

// Processes that begin on a cold cache at once compile a module once each at most, and read whole entries.
func TestCacheIsSafeAmongProcesses(t *testing.T) {
	const processes, goroutines, modules = 8, 64, 4
	if dir, is := inCacheProcess(t); is {
		for _, compiler := range wasmer.Compilers() {
			engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, CacheDir: dir, RequireCache: true})
			require.NoError(t, err)
			var all sync.WaitGroup
			for i := range goroutines {
				all.Go(func() {
					for n := range modules {
						constantOf(t, engine, strconv.Itoa((n+i)%modules))
					}
				})
			}
			all.Wait()
			counts := cacheCountsOf(engine.Stats())
			require.NoError(t, engine.Close())
			fmt.Println("compiled", compiler, counts.compilations)
			require.LessOrEqual(t, counts.compilations, uint64(modules))
			require.Equal(t, cacheCounts{
				hits: goroutines*modules - counts.misses, misses: counts.misses, compilations: counts.misses,
			}, counts, compiler)
		}
		return
	}
	dir := t.TempDir()
	var ends []func()
	var begins []io.Closer
	for range processes {
		process, begin, output := cacheProcess(t, dir)
		begins = append(begins, begin)
		ends = append(ends, func() {
			text, err := io.ReadAll(output)
			require.NoError(t, err)
			require.NoError(t, process.Wait(), "%s", text)
			for _, compiler := range wasmer.Compilers() {
				require.Contains(t, string(text), "compiled "+compiler.String()+" ")
			}
		})
	}
	for _, begin := range begins {
		require.NoError(t, begin.Close())
	}
	for _, end := range ends {
		end()
	}
	entries, err := openCache(t, dir, wasmer.CacheConfig{}).Verify(background)
	require.NoError(t, err)
	require.Len(t, entries, modules*len(wasmer.Compilers()))
	require.Len(t, cacheFiles(t, dir), len(entries), "nothing is left over")
	for _, entry := range entries {
		require.NoError(t, entry.Err, entry.Name)
	}
}

// sizeable is a module whose entry takes a while to be written.
func sizeable(n string) string {
	return `(module (func (export "f") (result i32) (i32.const ` + n + `)) (memory 64)
		(data (i32.const 0) "` + strings.Repeat("0123456789abcdef", 1<<16) + `"))`
}

// What is killed at any moment leaves a cache that is whole.
func TestSoakCacheOfProcessesThatAreKilled(t *testing.T) {
	if dir, is := inCacheProcess(t); is {
		compilers := wasmer.Compilers()
		var engines []*wasmer.Engine
		cache := openCache(t, dir, wasmer.CacheConfig{MaxBytes: 24 << 20})
		for _, compiler := range compilers {
			engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, Cache: cache, RequireCache: true})
			require.NoError(t, err)
			engines = append(engines, engine)
		}
		module, err := engines[len(engines)-1].Compile(background, []byte(sizeable("1000")))
		require.NoError(t, err)
		require.NoError(t, module.Close())
		fmt.Println("begun") // with an entry, however slow the machine is
		for {
			var all sync.WaitGroup
			for _, engine := range engines {
				all.Go(func() {
					module, err := engine.Compile(background, []byte(sizeable(strconv.Itoa(rand.IntN(1000)))))
					if corrupt := engine.Stats().CacheCorrupt; err != nil || corrupt != 0 {
						panic(fmt.Sprint(err, corrupt)) // the process ends by itself, which is seen
					}
					_ = module.Close()
				})
			}
			all.Wait()
		}
	}
	dir := t.TempDir()
	cache := openCache(t, dir, wasmer.CacheConfig{})
	unfinished, most := 0, 0
	rounds := max(times(500), 5)
	for range rounds {
		process, begin, output := cacheProcess(t, dir)
		require.NoError(t, begin.Close())
		line, err := output.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "begun\n", line)
		time.Sleep(time.Duration(rand.IntN(200_000)) * time.Microsecond)
		require.NoError(t, process.Process.Kill())
		require.ErrorContains(t, process.Wait(), "killed", "it ended by itself")

		entries, err := cache.Verify(background)
		require.NoError(t, err)
		for _, entry := range entries {
			require.NoError(t, entry.Err, entry.Name)
		}
		left := 0
		for _, file := range cacheFiles(t, dir) {
			if strings.HasSuffix(file, ".tmp") {
				left++
				require.NoError(t, os.Chtimes(file, time.Time{}, time.Now().Add(-time.Hour)))
			}
		}
		unfinished, most = unfinished+left, max(most, len(entries))
		_, err = cache.Clean(wasmer.CleanConfig{MaxBytes: 1 << 40}) // removes the leftovers only
		require.NoError(t, err)
		require.Len(t, cacheFiles(t, dir), len(entries))
	}
	t.Logf("%d processes killed, %d files unfinished, up to %d entries whole", rounds, unfinished, most)
	require.NotZero(t, most)
}
