package wasip1

import (
	"context"
	"encoding/binary"
	"math"
	"time"
)

// The kinds of events.
const (
	eventClock uint8 = iota
	eventRead
	eventWrite
)

const (
	subscriptionSize  = 48
	subscription0Size = 56 // of wasi_unstable, which has a number for each clock event besides
	eventSize         = 32
	// maxSubscriptions bounds what the host keeps of them, to 40 MiB.
	maxSubscriptions = 1 << 20
	// clockAbsolute says that the time is one of the clock's, not from now on.
	clockAbsolute = 1
	// hangup says that nothing comes any more.
	hangup = 1
)

// subscription is what a guest waits for.
type subscription struct {
	userdata uint64
	kind     uint8
	fd       uint32
	// left is the time that a clock event has left.
	left  time.Duration
	errno Errno
}

// PollOneoff waits until something of what the guest names has happened, and tells all that has.
func (c *Call) PollOneoff(in, out, count, result uint32) Errno {
	if count == 0 {
		return EINVAL
	}
	size := uint32(subscriptionSize)
	if c.Snapshot0 {
		size = subscription0Size
	}
	list, errno := c.array(in, count, size)
	if errno != Success {
		return errno
	}
	events, errno := c.array(out, count, eventSize)
	if errno != Success {
		return errno
	}
	if _, errno := c.bytes(result, 4); errno != Success {
		return errno
	}
	if count > maxSubscriptions {
		return ENOMEM
	}
	// The events may lie where the subscriptions do.
	subscriptions := make([]subscription, 0, min(count, 64))
	for ; len(list) > 0; list = list[size:] {
		s, errno := c.subscription(list[:size])
		if errno != Success {
			return errno
		}
		subscriptions = append(subscriptions, s)
	}
	n, errno := c.poll(subscriptions, events)
	if errno != Success {
		return errno
	}
	return c.put32(result, n)
}

func (c *Call) subscription(data []byte) (s subscription, errno Errno) {
	s = subscription{userdata: binary.LittleEndian.Uint64(data), kind: data[8]}
	rest := data[16:]
	switch s.kind {
	case eventRead, eventWrite:
		s.fd = binary.LittleEndian.Uint32(rest)
		return s, Success
	case eventClock:
	default:
		return s, EINVAL
	}
	if c.Snapshot0 {
		rest = rest[8:]
	}
	id, timeout := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint64(rest[8:])
	flags := binary.LittleEndian.Uint16(rest[24:])
	if flags&^clockAbsolute != 0 {
		s.errno = EINVAL
		return s, Success
	}
	now, errno := c.clock.read(id)
	if errno != Success {
		s.errno = errno
		return s, Success
	}
	s.left = time.Duration(min(timeout, math.MaxInt64))
	if flags&clockAbsolute != 0 {
		s.left = 0
		if timeout > uint64(now) {
			s.left = time.Duration(min(timeout-uint64(now), math.MaxInt64))
		}
	}
	return s, Success
}

// poll waits until at least one event can be told.
func (c *Call) poll(subscriptions []subscription, events []byte) (uint32, Errno) {
	elapsed := time.Duration(0)
	for {
		n, waits := c.gather(subscriptions, events, elapsed)
		if n > 0 {
			return n, Success
		}
		timeout := time.Duration(-1)
		for _, s := range subscriptions {
			if left := s.left - elapsed; s.kind == eventClock && (timeout < 0 || left < timeout) {
				timeout = left
			}
		}
		slept, errno := c.pause(waits, timeout)
		if errno != Success {
			return 0, errno
		}
		elapsed += slept
	}
}

// waits are the channels to wait for: as many as descriptors, however many subscriptions there are.
type waits map[<-chan struct{}]bool

// gather writes the events that have happened, and lists what changes for others.
func (c *Call) gather(subscriptions []subscription, events []byte, elapsed time.Duration) (n uint32, waits waits) {
	waits = map[<-chan struct{}]bool{}
	for _, s := range subscriptions {
		bytes, flags, errno := uint64(0), uint16(0), s.errno
		switch {
		case errno != Success:
		case s.kind == eventClock:
			if s.left > elapsed {
				continue
			}
		default:
			var wait <-chan struct{}
			if bytes, flags, wait, errno = c.ready(s); wait != nil {
				waits[wait] = true
				continue
			}
		}
		event := events[n*eventSize:][:eventSize]
		n++
		clear(event)
		binary.LittleEndian.PutUint64(event, s.userdata)
		binary.LittleEndian.PutUint16(event[8:], uint16(errno))
		event[10] = s.kind
		binary.LittleEndian.PutUint64(event[16:], bytes)
		binary.LittleEndian.PutUint16(event[24:], flags)
	}
	return n, waits
}

// ready reports whether a descriptor can be read or written without waiting, and if not, what to wait for.
func (c *Call) ready(s subscription) (bytes uint64, flags uint16, wait <-chan struct{}, errno Errno) {
	d, errno := c.lookup(s.fd, RightPoll)
	if errno != Success {
		return 0, 0, nil, errno
	}
	right := RightRead
	if s.kind == eventWrite {
		right = RightWrite
	}
	switch {
	case d.dir == nil && d.rights&right == 0:
		return 0, 0, nil, EBADF
	case d.listener != nil:
		if pending := d.listener.begin(); !pending.isDone() {
			return 0, 0, pending.done, Success
		}
		return 1, 0, nil, Success
	case s.kind == eventWrite && d.stream != nil:
		return streamBuffer, 0, d.stream.writable(), Success
	case s.kind == eventWrite:
		return streamBuffer, 0, nil, Success
	case d.stream != nil:
		n, wait := d.stream.readable()
		if wait == nil && n == 0 {
			flags = hangup
		}
		return uint64(n), flags, wait, Success
	case d.file != nil:
		if stat, err := d.file.Stat(); err == nil && int64(stat.Size) > d.offset {
			bytes = stat.Size - uint64(d.offset)
		}
	}
	return bytes, 0, nil, Success
}

// pause waits until one of the channels is closed or the time is over, and tells how much of it has passed. A negative
// timeout is none.
func (c *Call) pause(waits waits, timeout time.Duration) (time.Duration, Errno) {
	if timeout >= 0 && c.clock.sleeps() && len(waits) == 0 {
		return timeout, c.sleep(timeout)
	}
	var ring <-chan time.Time
	if timeout >= 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		ring = timer.C
	}
	start := time.Now()
	rang, ok := c.waitAny(waits, ring)
	switch {
	case !ok:
		return 0, stopped
	case !c.clock.sleeps():
		return time.Since(start), Success
	case rang:
		c.clock.virtual += timeout
		return timeout, Success
	}
	return 0, Success // what the guest waited for took no time that it knows of
}

// sleep waits in the configured way, at most as long as the guest may go on.
func (c *Call) sleep(d time.Duration) Errno {
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	asleep := make(chan struct{})
	defer close(asleep)
	if c.clock.config.Sleep != nil {
		ended, outer := c.ended, c.Outer
		go func() {
			select {
			case <-ended:
				cancel()
			case <-outer:
				cancel()
			case <-asleep:
			}
		}()
	}
	err := c.clock.sleep(ctx, d)
	if c.isEnding() {
		return stopped
	}
	return errnoOf(err)
}
