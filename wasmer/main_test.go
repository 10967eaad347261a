package wasmer_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// childEnv names the scenario of a process made by inChild.
const childEnv = "WASMER_GO_TEST_CHILD"

func TestMain(m *testing.M) {
	ffi.CheckStack(true)
	goroutines := runtime.NumGoroutine()
	code := m.Run()
	_ = os.RemoveAll(builtPlugins.folder)
	if code == 0 && os.Getenv(childEnv) == "" {
		if leak := leaks(goroutines); leak != "" {
			fmt.Fprintln(os.Stderr, "FAIL: after all tests:", leak)
			code = 1
		}
	}
	os.Exit(code)
}

// leaks says what of the tests is still there: goroutines, mappings or memory.
func leaks(goroutines int) string {
	deadline := time.Now().Add(5 * time.Second)
	for {
		for range 3 {
			runtime.GC() // one for the objects, one for what their cleanups held
			time.Sleep(10 * time.Millisecond)
		}
		// Go itself starts workers for cleanups and the collector, which are not counted.
		n, maps, resident := runtime.NumGoroutine(), mappings(), memoryStatus("VmRSS")
		switch {
		case n <= goroutines+2 && maps < 20_000 && resident < residentLimit:
			return ""
		case time.Now().After(deadline):
			return fmt.Sprintf("%d goroutines (%d before), %d mappings, %d MiB resident", n, goroutines, maps, resident>>20)
		}
	}
}

// mappings counts the lines of /proc/self/maps; 0 where there is none.
func mappings() int {
	data, _ := os.ReadFile("/proc/self/maps")
	return strings.Count(string(data), "\n")
}

// memoryStatus is a field of /proc/self/status in bytes; 0 where there is none.
func memoryStatus(field string) uint64 {
	data, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// inChild runs the body in a process of its own, which a fault may end without ending the other tests. It reports
// whether this is that process.
func inChild(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		body(t)
		return
	}
	var pattern []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		pattern = append(pattern, "^"+part+"$")
	}
	child := exec.Command(os.Args[0], "-test.run="+strings.Join(pattern, "/"), "-test.timeout=60s", "-test.v")
	child.Env = append(os.Environ(), childEnv+"="+t.Name())
	output, err := child.CombinedOutput()
	if err != nil {
		t.Errorf("the process ended with %v:\n%.3000s", err, output)
	}
}
