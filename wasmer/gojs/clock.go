package gojs

import (
	"context"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// clock is the time of a guest.
type clock struct {
	now       func() time.Time
	monotonic func() time.Duration
	sleep     func(ctx context.Context, d time.Duration) error
}

// started is where the monotonic clock starts. Go does not run where that gives 0.
var started = time.Now().Add(-time.Second)

func newClock(config *wasmer.WASIConfig) clock {
	c := clock{
		// What lets the guest know where it runs is not for it unless it is given.
		now:       func() time.Time { return time.Now().UTC() },
		monotonic: func() time.Duration { return time.Since(started) },
		sleep:     sleep,
	}
	if config.Deterministic {
		c = steppingClock()
	}
	if config.Now != nil {
		c.now = config.Now
	}
	if given := config.Monotonic; given != nil {
		c.monotonic = func() time.Duration { return given() + 1 }
	}
	if config.Sleep != nil {
		c.sleep = config.Sleep
	}
	return c
}

// epoch is when each deterministic run takes place.
var epoch = time.Date(2022, time.January, 1, 0, 0, 0, 0, time.UTC)

// steppingClock goes forward by sleeping, and by a microsecond each time that it is read.
func steppingClock() clock {
	var elapsed time.Duration
	read := func() time.Duration {
		elapsed += time.Microsecond
		return elapsed
	}
	return clock{
		now:       func() time.Time { return epoch.Add(read()) },
		monotonic: read,
		sleep: func(ctx context.Context, d time.Duration) error {
			elapsed += d
			return ctx.Err()
		},
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// milliseconds converts a delay, as far as timers go.
func milliseconds(ms float64) time.Duration {
	const longest = 1 << 31 // in milliseconds, as for JavaScript's timers
	if !(ms > 0) {
		return 0
	}
	return time.Duration(min(ms, longest) * float64(time.Millisecond))
}
