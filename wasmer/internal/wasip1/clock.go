package wasip1

import (
	"context"
	"runtime"
	"time"
)

// The clocks that a guest can read. Those of the CPU show the time since the process began.
const (
	clockRealtime uint32 = iota
	clockMonotonic
	clockProcess
	clockThread
)

// clock is the time as a process sees it.
type clock struct {
	config *Config
	start  time.Time
	// virtual is the time of a deterministic process, which sleeping and reading move on.
	virtual time.Duration
}

// virtualStart is the wall clock's start in a deterministic process: 2022-01-01.
const virtualStart = 1640995200 * time.Second

func newClock(config *Config) clock { return clock{config: config, start: time.Now()} }

// tick is how far a virtual clock goes on each time that it is read, so that waiting for it ends.
const tick = time.Microsecond

func (c *clock) realtime() int64 {
	switch {
	case c.config.Now != nil:
		return c.config.Now().UnixNano()
	case c.config.Deterministic:
		c.virtual += tick
		return int64(virtualStart + c.virtual)
	}
	return time.Now().UnixNano()
}

func (c *clock) monotonic() int64 {
	switch {
	case c.config.Monotonic != nil:
		return int64(c.config.Monotonic())
	case c.config.Deterministic:
		c.virtual += tick
		return int64(c.virtual)
	}
	return int64(time.Since(c.start)) + 1 // never 0, which some guests take for unknown
}

// SystemClock tells that the process has the system's clocks, and the value of the monotonic one that counts as 0.
func (p *Process) SystemClock() (start uint64, ok bool) {
	config := &p.system.config
	if config.Now != nil || config.Monotonic != nil || config.Deterministic {
		return 0, false
	}
	now, ok := systemMonotonic()
	return uint64(now - p.clock.monotonic()), ok
}

func (c *clock) read(id uint32) (int64, Errno) {
	switch id {
	case clockRealtime:
		return c.realtime(), Success
	case clockMonotonic, clockProcess, clockThread:
		return c.monotonic(), Success
	}
	return 0, EINVAL
}

// sleeps reports whether waiting means calling sleep rather than looking at a timer.
func (c *clock) sleeps() bool { return c.config.Sleep != nil || c.config.Deterministic }

// sleep waits in the way that was configured.
func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	if c.config.Sleep != nil {
		return c.config.Sleep(ctx, d)
	}
	c.virtual += d
	return nil
}

func (c *Call) ClockResGet(id, result uint32) Errno {
	if id > clockThread {
		return EINVAL
	}
	resolution := time.Nanosecond
	if c.system.config.Deterministic {
		resolution = tick
	}
	return c.put64(result, uint64(resolution))
}

func (c *Call) ClockTimeGet(id uint32, _ uint64, result uint32) Errno {
	now, errno := c.clock.read(id)
	if errno != Success {
		return errno
	}
	return c.put64(result, uint64(now))
}

func (c *Call) SchedYield() Errno {
	if yield := c.system.config.Yield; yield != nil {
		yield()
	} else {
		runtime.Gosched()
	}
	return Success
}
