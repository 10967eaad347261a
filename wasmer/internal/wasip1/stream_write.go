package wasip1

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// write writes the list of buffers, or what a stream takes of it at once. A guest that does not want to wait is told EAGAIN
// as long as an earlier write goes on.
func (s *stream) write(c *Call, nonblock bool) (total int, errno Errno) {
	if s.writer == nil {
		return int(c.listSize()), Success
	}
	nonblock = nonblock && s.writesWait
	for {
		n, errno := s.writePart(c, nonblock)
		total += n
		if errno == stopped || errno != Success && total == 0 {
			return 0, errno
		}
		if errno != Success || nonblock || !s.writesWait || n < streamBuffer || c.listSize() == 0 {
			return total, Success
		}
	}
}

// writePart writes all, or what goes through a goroutine at once.
func (s *stream) writePart(c *Call, nonblock bool) (int, Errno) {
	switch {
	case s.turn.tryTake():
	case nonblock:
		return 0, EAGAIN
	case !s.turn.wait(c):
		return 0, stopped
	}
	if errno := s.sent(); errno != Success {
		s.turn.give()
		return 0, errno
	}
	if !s.writesWait || !nonblock && s.hasRoom(c.listSize()) {
		return s.writeHere(c)
	}
	return s.writeElsewhere(c, nonblock)
}

// sent is what became of a write that nobody waited for, with the turn taken.
func (s *stream) sent() Errno {
	earlier := s.sending.Swap(nil)
	if earlier == nil {
		return Success
	}
	<-earlier.done // at once: it has given its turn
	if earlier.panicked != nil {
		s.turn.give()
	}
	if _, err := earlier.result(); err != nil {
		return errnoOf(err)
	}
	return Success
}

// writable is nil if a write need not wait for an earlier one; else it is closed when that has ended.
func (s *stream) writable() <-chan struct{} {
	if earlier := s.sending.Load(); earlier != nil && !earlier.isDone() {
		return earlier.done
	}
	return nil
}

// hasRoom asks the system whether a pipe or the like would take so many bytes at once. It tells for few only.
func (s *stream) hasRoom(n uint64) bool {
	file, ok := s.writer.(*os.File)
	return ok && n <= pipeBuffer && isReady(file, unix.POLLOUT)
}

func (s *stream) writeHere(c *Call) (n int, errno Errno) {
	defer s.turn.give()
	for p := c.next(); p != nil; p = c.next() {
		written, err := s.writer.Write(p)
		written, err = checked(written, err, len(p))
		n += written
		if err != nil || written < len(p) {
			return n, writeErrno(n, err)
		}
	}
	return n, Success
}

// grace is how long a write goes on after its guest is to end before it is left alone.
const grace = 100 * time.Millisecond

// writeElsewhere writes a copy on a goroutine, since the guest, with its memory, may be ended meanwhile.
func (s *stream) writeElsewhere(c *Call, nonblock bool) (int, Errno) {
	s.out = s.out[:0]
	for p := c.next(); p != nil; p = c.next() {
		n := min(len(p), streamBuffer-len(s.out))
		s.out = append(s.out, p[:n]...)
		if n < len(p) {
			c.rest = p[n:]
			break
		}
	}
	if len(s.out) == 0 {
		s.turn.give()
		return 0, Success
	}
	data := s.out
	pending := begin(func() (int, error) {
		defer s.turn.give()
		n, err := s.writer.Write(data)
		if n, err = checked(n, err, len(data)); err == nil && n < len(data) {
			err = io.ErrShortWrite
		}
		return n, err
	})
	if nonblock && !pending.within(promptly) {
		// It holds the buffer until it is done, as the system does with what was given to a socket.
		s.out = nil
		s.sending.Store(pending)
		return len(data), Success
	}
	if !c.wait(pending.done) {
		pending.within(grace)
		return 0, stopped
	}
	n, err := pending.result()
	if err == nil {
		return n, Success
	}
	return n, writeErrno(n, err)
}

func writeErrno(n int, err error) Errno {
	if n > 0 {
		return Success
	}
	if err == nil {
		err = io.ErrShortWrite
	}
	return errnoOf(err)
}
