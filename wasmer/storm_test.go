package wasmer_test

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// soak is how long the tests that look for leaks and races go on: "" (in the ordinary tests), "short" or "long".
var soak = os.Getenv("WASMER_GO_SOAK")

// nilDereference faults in Go code, on the thread that has just run a guest, and recovers.
func nilDereference(t testing.TB) {
	defer func() {
		fault, ok := recover().(runtime.Error)
		if !ok {
			t.Errorf("a nil dereference is recovered as %v", fault)
		}
	}()
	var nowhere *[16]int
	nowhere[runtime.NumGoroutine()&7]++
}

// collectForced collects garbage over and over until it is stopped.
func collectForced(group *sync.WaitGroup, stop *atomic.Bool) {
	group.Go(func() {
		for !stop.Load() {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	})
}

const stormHosts = `(module (import "env" "fail" (func $fail)) (import "env" "panic" (func $panic))
	(func (export "fail") (call $fail) unreachable) (func (export "panic") (call $panic) unreachable))`

// Guests that end in all ways, on many goroutines, while Go collects, profiles and faults itself: wasmer's signal
// handlers and Go's live side by side.
func TestTrapStorm(t *testing.T) {
	duration := 2 * time.Second
	if soak != "" {
		duration = 30 * time.Second
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		errHost := errors.New("the host's error")
		traps := compile(t, engine, wasmtest.Fixture(t, "traps.wasm"))
		hosts := compile(t, engine, stormHosts)
		imports := wasmer.NewImports().
			Function("fail", func() error { return errHost }).
			Function("panic", func() { panic(errHost) })
		var profile bytes.Buffer
		profiling := pprof.StartCPUProfile(&profile) == nil // not if go test itself does
		var stop atomic.Bool
		var collector, group sync.WaitGroup
		collectForced(&collector, &stop)
		var ended [6]atomic.Int64
		until := time.Now().Add(duration)
		for g := range 8 {
			group.Go(func() {
				guest, err := traps.Instantiate()
				require.NoError(t, err)
				defer guest.Close()
				host, err := hosts.InstantiateWithImports(imports)
				require.NoError(t, err)
				defer host.Close()
				panicking := func() (err error) {
					defer func() { err = recover().(error) }()
					_, err = host.Exports["panic"]()
					return err
				}
				for n := g; time.Now().Before(until) && !t.Failed(); n++ {
					var err error
					var want error
					switch n % 6 {
					case 0:
						_, err = guest.Exports["out_of_bounds"]()
						want = wasmer.TrapOutOfBounds
					case 1:
						_, err = guest.Exports["div_by_zero"]()
						want = wasmer.TrapDivisionByZero
					case 2:
						_, err = guest.Exports["unreachable"]()
						want = wasmer.TrapUnreachable
					case 3:
						_, err = guest.Exports["stack_overflow"]()
						want = wasmer.TrapStackOverflow
					case 4:
						_, err = host.Exports["fail"]()
						want = errHost
					case 5:
						err, want = panicking(), errHost
					}
					if !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
					ended[n%6].Add(1)
					nilDereference(t)
					if result, err := guest.Exports["ok"](); err != nil || result.ToI32() != 42 {
						t.Errorf("after %v: got %v, %v", want, result, err)
					}
				}
			})
		}
		group.Wait()
		stop.Store(true)
		collector.Wait()
		if profiling {
			pprof.StopCPUProfile()
			require.NotZero(t, profile.Len())
		}
		total := int64(0)
		for kind := range ended {
			require.Positive(t, ended[kind].Load(), "kind %d", kind)
			total += ended[kind].Load()
		}
		t.Logf("%d guests ended in %v", total, duration)
	})
}
