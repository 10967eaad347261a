package conformance

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
)

// TestSuiteDoesNotLeak runs the whole suite again and again in this process: what one pass leaves, the next must find
// room in. WASMER_GO_SOAK=long makes 20 passes.
func TestSuiteDoesNotLeak(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory and mappings are counted on Linux only")
	}
	passes := 2
	if os.Getenv("WASMER_GO_SOAK") == "long" {
		passes = 20
	}
	scripts := load(t)
	runSuite(scripts) // fills caches and the address space that is kept for reuse
	before := footprint(t)
	for pass := range passes {
		runSuite(scripts)
		now := footprint(t)
		t.Logf("pass %d: %d MiB, %d mappings", pass+1, now.resident>>20, now.mappings)
	}
	after := footprint(t)
	// Allocators keep some of what was freed, whatever the number of passes.
	require.Less(t, after.resident, before.resident+before.resident/4+32<<20, "resident memory grew from %d", before.resident)
	require.Less(t, after.mappings, before.mappings+before.mappings/4+64, "mappings grew from %d", before.mappings)
}

func runSuite(scripts []suite.Script) {
	var workers sync.WaitGroup
	next := make(chan suite.Script)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for script := range next {
				for _, engine := range WasmerEngines() {
					suite.Run(engine, script)
				}
			}
		})
	}
	for _, script := range scripts {
		next <- script
	}
	close(next)
	workers.Wait()
}

type usage struct{ resident, mappings int }

func footprint(t *testing.T) usage {
	t.Helper()
	runtime.GC() // what is not closed is freed when it is collected
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	require.NoError(t, err)
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	return usage{pages * os.Getpagesize(), bytes.Count(maps, []byte("\n"))}
}
