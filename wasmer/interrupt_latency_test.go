package wasmer_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// latencies are how long calls took to return after their contexts were cancelled.
type latencies []time.Duration

// at is the latency that this part of all do not exceed.
func (l latencies) at(part float64) time.Duration { return l[int(part*float64(len(l)-1))] }

// measure cancels calls of so many guests at once, each after some milliseconds, until there are so many latencies.
func measure(t *testing.T, guests []*wasmer.Instance, count int) latencies {
	t.Helper()
	var mu sync.Mutex
	var all latencies
	var group sync.WaitGroup
	for _, instance := range guests {
		run := function(t, instance, "run")
		group.Go(func() {
			for range count / len(guests) {
				ctx, cancel := context.WithCancel(background)
				var began time.Time
				cancelled := make(chan struct{})
				time.AfterFunc(time.Millisecond+rand.N(4*time.Millisecond), func() {
					began = time.Now()
					cancel()
					close(cancelled)
				})
				err := run.CallRaw(ctx, nil)
				returned := time.Now()
				<-cancelled
				if !errors.Is(err, wasmer.ErrInterrupted) || !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
					return
				}
				mu.Lock()
				all = append(all, returned.Sub(began))
				mu.Unlock()
			}
		})
	}
	group.Wait()
	slices.Sort(all)
	return all
}

// Eight guests at once on two processors. Those that compute wait for their turn on a processor, and then for one of Go's: so the
// bounds tell only that nothing was missed, and what was measured is logged.
func TestGuestsStopSoon(t *testing.T) {
	count, bound := 40, 2*time.Second
	switch soak {
	case "short":
		count, bound = 400, 200*time.Millisecond
	case "long":
		count, bound = 2000, 200*time.Millisecond
	}
	if raceDetector {
		bound *= 5
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, guest := range endlessGuests {
			if soak == "" && len(guest.name)%8 != 0 { // a part of them
				continue
			}
			if guest.needs != 0 && !engine.Features().Has(guest.needs) {
				continue
			}
			t.Run(guest.name, func(t *testing.T) {
				at := 8
				if guest.huge {
					if soak == "" {
						return
					}
					at = 2 // each takes gigabytes
				}
				module := compile(t, engine, guest.module())
				var guests []*wasmer.Instance
				for range at {
					guests = append(guests, guest.instantiate(t, engine, module))
				}
				all := measure(t, guests, count)
				require.Len(t, all, count)
				t.Logf("%d guests: median %v, 99th percentile %v, at most %v", at, all.at(0.5), all.at(0.99), all.at(1))
				require.Less(t, all.at(0.99), bound)
			})
		}
	})
}
