package benchmarks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A world is what a guest gets by WASI beside the real clocks. What is empty it does not have.
type world struct {
	args  []string
	stdin *os.File
	// stdout is an *os.File for rivals that are filesOnly.
	stdout io.Writer
	// folder is the guest's "/".
	folder string
}

// A sink is where a guest writes to.
type sink struct {
	io.Writer
	// arrived counts the bytes that have come since the sink was opened; nil if they leave no trace.
	arrived func() (int64, error)
}

// sinkKinds are what users give guests for a standard output.
var sinkKinds = []struct {
	name   string
	isFile bool
	// open may use a temporary folder.
	open func(folder string) (sink, error)
}{
	{"discard", false, func(string) (sink, error) { return sink{Writer: io.Discard}, nil }},
	{"counter", false, func(string) (sink, error) {
		c := &counter{}
		return sink{c, func() (int64, error) { return c.n, nil }}, nil
	}},
	{"buffer", false, openBuffer},
	{"null", true, func(string) (sink, error) {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		return sink{Writer: null}, err
	}},
	{"file", true, openFile},
}

// counter is a writer that the runtimes cannot know.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// openBuffer makes a buffer that is emptied each time that it is looked at.
func openBuffer(string) (sink, error) {
	var b bytes.Buffer
	total := int64(0)
	return sink{&b, func() (int64, error) {
		total += int64(b.Len())
		b.Reset()
		return total, nil
	}}, nil
}

func openFile(folder string) (sink, error) {
	file, err := os.Create(filepath.Join(folder, "written"))
	return sink{file, func() (int64, error) {
		info, err := file.Stat()
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	}}, err
}

func (s sink) close() error {
	if file, ok := s.Writer.(*os.File); ok {
		return file.Close()
	}
	return nil
}

// roundCalls are so many that calling the guest does not count, and so few that a buffer stays small.
const roundCalls = 10_000

// A scribe has a guest write to a sink.
type scribe struct {
	sink  sink
	write function
	total int64
}

// rounds makes the guest write, and compares what it thinks was taken with what has arrived.
func (s *scribe) rounds(n int) error {
	calls := []int32{roundCalls}
	for range n {
		taken, err := s.write(calls...)
		if err != nil {
			return err
		}
		if taken != 12*roundCalls {
			return fmt.Errorf("%d of %d bytes were taken", taken, 12*roundCalls)
		}
		s.total += int64(taken)
		if s.sink.arrived == nil {
			continue
		}
		if arrived, err := s.sink.arrived(); err != nil || arrived != s.total {
			return errors.Join(err, fmt.Errorf("%d of %d bytes arrived", arrived, s.total))
		}
	}
	return nil
}

// A wasiClock is a clock of WASI and its equal in Go.
type wasiClock struct {
	name string
	id   int32
	now  func() int64
}

var processStart = time.Now()

var wasiClocks = []wasiClock{
	{"realtime", 0, func() int64 { return time.Now().UnixNano() }},
	{"monotonic", 1, func() int64 { return int64(time.Since(processStart)) }},
}

// rounds reads the clock in the guest. What went by there must lie between what went by here inside and outside of it.
func (c wasiClock) rounds(n int, read function) error {
	once, often := []int32{1, c.id}, []int32{roundCalls, c.id}
	before := c.now()
	first, err := read(once...)
	if err != nil {
		return err
	}
	after := c.now()
	last := first
	for range n {
		time, err := read(often...)
		if err != nil {
			return err
		}
		if time <= last {
			return fmt.Errorf("the clock went from %d to %d", last, time)
		}
		last = time
	}
	inside := c.now() - after
	if last, err = read(once...); err != nil {
		return err
	}
	outside := c.now() - before
	if elapsed := int64(last - first); elapsed < inside || elapsed > outside {
		return fmt.Errorf("%d ns went by in the guest, %d to %d here", elapsed, inside, outside)
	}
	return nil
}
