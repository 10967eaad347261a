package benchmarks

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkGoroutines has goroutines share the work, on all cores, and reports the time in all by operation: half of it with
// two goroutines on two cores. Each has an instance of its own, of the same module. Arithmetic shows what the machine has to give.
func BenchmarkGoroutines(b *testing.B) {
	for _, goroutines := range goroutineCounts() {
		b.Run(fmt.Sprintf("native/arithmetic_%d", goroutines), func(b *testing.B) {
			shareWork(b, slices.Repeat([]func() error{arithmetic}, goroutines))
		})
	}
	for _, row := range shared {
		wasm := binary(b, row.wat)
		for _, r := range compilers() {
			for _, goroutines := range goroutineCounts() { // in turn, for it is their ratio that counts
				b.Run(fmt.Sprintf("%s/%s_%d", r.name, row.name, goroutines), func(b *testing.B) {
					shareWork(b, workers(b, compile(b, open(b, r, nil), wasm), goroutines, row.prepare))
				})
			}
		}
	}
}

func shareWork(b *testing.B, work []func() error) {
	b.ReportAllocs()
	// Here, since each benchmark begins with what -cpu says.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU()))
	share := shareOf(b, work[0])
	for b.Loop() {
		if err := together(work, share); err != nil {
			b.Fatal(err)
		}
	}
	perOp := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(perOp/float64(share*len(work)), "ns/call")
}

// arithmetic shares nothing: with it cores do what they can.
func arithmetic() error {
	n := uint32(1)
	for range 50 {
		n = n*1664525 + 1013904223
	}
	if n == 0 {
		return errors.New("the generator has period 2^32 and never gets to 0 in 50 steps")
	}
	return nil
}

func goroutineCounts() []int {
	counts := []int{1, 2, runtime.NumCPU(), 4 * runtime.NumCPU()}
	slices.Sort(counts)
	return slices.Compact(counts)
}

// shared is the work that goroutines share: an operation, once it is prepared.
var shared = []struct {
	name, wat string
	prepare   func(testing.TB, module) func() error
}{
	{"calls", parametersGuest(2), func(tb testing.TB, m module) func() error {
		add, args := export(tb, instantiate(tb, m), "add"), []int32{5, 37}
		return func() error {
			_, err := add(args...)
			return err
		}
	}},
	{"instantiate", memoryGuest, func(_ testing.TB, m module) func() error {
		return func() error { return makeAndClose(m) }
	}},
}

func workers(tb testing.TB, m module, n int, prepare func(testing.TB, module) func() error) (work []func() error) {
	for range n {
		work = append(work, prepare(tb, m))
	}
	return work
}

// shareOf is how much a goroutine does between two looks at the clock: so much that its start, on a core that slept, does not count.
func shareOf(tb testing.TB, operation func() error) int {
	tb.Helper()
	const sample, least = 200, 40 * time.Millisecond
	start := time.Now()
	for range sample {
		if err := operation(); err != nil {
			tb.Fatal(err)
		}
	}
	return max(int(sample*least/max(time.Since(start), 1)), sample)
}

// together does the share in each goroutine, and waits for all of them.
func together(work []func() error, share int) error {
	failed := make([]error, len(work))
	var all sync.WaitGroup
	for i, operation := range work {
		all.Go(func() {
			var err error // no neighbour of what another core writes
			for range share {
				if err = operation(); err != nil {
					break
				}
			}
			failed[i] = err
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// TestGoroutinesShareWork proves that the rivals' modules serve several goroutines at once.
func TestGoroutinesShareWork(t *testing.T) {
	for _, row := range shared {
		wasm := binary(t, row.wat)
		eachRival(t, compilers(), row.name, func(t *testing.T, r rival) {
			if err := together(workers(t, compile(t, open(t, r, nil), wasm), 8, row.prepare), 50); err != nil {
				t.Error(err)
			}
		})
	}
}
