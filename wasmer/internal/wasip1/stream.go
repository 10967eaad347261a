package wasip1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a reader, a writer, or both, which guests read and write in the order of their calls.
type stream struct {
	reader io.Reader
	writer io.Writer
	// file is what the stream was opened as, if it was.
	file File
	typ  FileType
	// readsAtOnce says that reading never waits, so that it needs no goroutine.
	readsAtOnce bool
	writesWait  bool

	// mu guards the state of reading.
	mu      sync.Mutex
	pending *pending[int]
	buffer  []byte
	rest    []byte

	// turn is held by who writes, on whatever goroutine.
	turn turn
	out  []byte
	// sending is a write that did not wait for its end.
	sending atomic.Pointer[pending[int]]
}

// streamBuffer is how much goes through a goroutine at once.
const streamBuffer = 64 << 10

// maxNothing is how often a reader may bring nothing, and no error either, before it counts as broken.
const maxNothing = 100

// AtOnce is implemented by readers that never wait.
type AtOnce interface{ AtOnce() }

func newStream(r io.Reader, w io.Writer) *stream {
	s := &stream{reader: r, writer: w, readsAtOnce: readsAtOnce(r), writesWait: writesWait(w)}
	if isTerminal(r) || isTerminal(w) {
		s.typ = TypeCharacterDevice
	}
	if _, ok := r.(net.Conn); ok {
		s.typ = TypeSocketStream
	}
	return s
}

func readsAtOnce(r io.Reader) bool {
	switch r := r.(type) {
	case nil, *bytes.Reader, *bytes.Buffer, *strings.Reader, AtOnce:
		return true
	case *io.LimitedReader:
		return readsAtOnce(r.R)
	case *os.File:
		return neverWaits(r)
	}
	return false
}

// Waiting marks a writer that may wait.
type Waiting struct{ io.Writer }

// writesWait is true of writers that are known to wait for somebody else. Others are written on the guest's own goroutine: one
// for each write would take fifty times as long.
func writesWait(w io.Writer) bool {
	switch w := w.(type) {
	case *os.File:
		return !neverWaits(w)
	case *io.PipeWriter, Waiting:
		return true
	case interface{ SetWriteDeadline(time.Time) error }: // connections
		return true
	case interface{ WriteHeader(status int) }: // answers of a server
		return true
	}
	return false
}

// neverWaits is true of files on a disk, and of the null device.
func neverWaits(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && (info.Mode().IsRegular() || isNull(info))
}

func isNull(info os.FileInfo) bool {
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(info, null)
}

func isTerminal(v any) bool {
	file, ok := v.(*os.File)
	if !ok || file == nil {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && !isNull(info)
}

// linger is how long a socket stays open after it was closed, to send what a write that did not wait has left.
const linger = 10 * time.Second

func (s *stream) close() error {
	if sending := s.sending.Load(); sending != nil && !sending.isDone() {
		go func() {
			sending.within(linger)
			_ = s.closeNow()
		}()
		return nil
	}
	return s.closeNow()
}

func (s *stream) closeNow() error {
	if s.file != nil {
		return s.file.Close()
	}
	if closer, ok := s.reader.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

func (s *stream) stat() (Stat, error) {
	if s.file != nil {
		return s.file.Stat()
	}
	return Stat{Type: s.typ}, nil
}

// checked keeps a reader or writer from claiming more than was asked for.
func checked(n int, err error, asked int) (int, error) {
	if n < 0 || n > asked {
		return 0, EIO
	}
	return n, err
}

// read fills p with what there is; 0 bytes are the end. With peek they stay to be read again. A stream that would wait is
// EAGAIN if the guest does not want to.
func (s *stream) read(c *Call, p []byte, peek, nonblock bool) (int, Errno) {
	if s.reader == nil || len(p) == 0 {
		return 0, Success
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for nothing := 0; nothing < maxNothing; {
		if peek && len(s.rest) > 0 && len(s.rest) < len(p) {
			s.more()
		}
		if n := copy(p, s.rest); n > 0 {
			if !peek {
				s.rest = s.rest[n:]
			}
			return n, Success
		}
		if !peek && (s.readsAtOnce || s.pending == nil && s.hasInput()) {
			n, err := s.reader.Read(p)
			if n, err := checked(n, err, len(p)); n > 0 || err != nil {
				return n, readErrno(n, err)
			}
			nothing++
			continue
		}
		wanted := len(p)
		if peek { // it may be for more the next time
			wanted = streamBuffer
		}
		pending := s.begin(wanted, !nonblock)
		if nonblock && !pending.isDone() {
			return 0, EAGAIN
		}
		s.mu.Unlock()
		ok := c.wait(pending.done)
		s.mu.Lock()
		if !ok {
			return 0, stopped
		}
		if s.pending == pending { // nobody else has taken it
			if err := s.take(); err != nil {
				return 0, readErrno(0, err)
			}
			nothing++
		}
	}
	return 0, EIO
}

// promptly is how long what is there may take to arrive, for a guest that does not want to wait.
const promptly = time.Millisecond

// begin starts to read, unless that goes on already.
func (s *stream) begin(n int, wait bool) *pending[int] {
	if s.pending == nil {
		if n = min(n, streamBuffer); cap(s.buffer) < n || len(s.rest) > 0 {
			s.buffer = make([]byte, n)
		}
		buffer := s.buffer[:n]
		clear(buffer) // for readers that claim more than they bring: it may hold what another guest has read
		s.pending = begin(func() (int, error) {
			n, err := s.reader.Read(buffer)
			return checked(n, err, len(buffer))
		})
		if !wait {
			s.pending.within(promptly)
		}
	}
	return s.pending
}

// take takes over what was read. An error that came with bytes comes again, without them.
func (s *stream) take() error {
	pending := s.pending
	s.pending = nil
	n, err := pending.result()
	if len(s.rest) == 0 {
		s.rest = s.buffer[:n]
	} else {
		s.rest = slices.Concat(s.rest, s.buffer[:n])
	}
	if n > 0 {
		return nil
	}
	return err
}

// hasInput asks the system whether a pipe or the like has something to read, or its end.
func (s *stream) hasInput() bool {
	file, ok := s.reader.(*os.File)
	return ok && isReady(file, unix.POLLIN)
}

// isReady asks the system whether a file can be read or written without waiting.
func isReady(file *os.File, event int16) bool {
	return withFD(file, func(fd int) error {
		events := []unix.PollFd{{Fd: int32(fd), Events: event}}
		if n, err := unix.Poll(events, 0); err != nil || n == 0 {
			return EAGAIN
		}
		return nil
	}) == nil
}

// more adds to what was read what has come since.
func (s *stream) more() {
	if room := streamBuffer - len(s.rest); room > 0 && s.begin(room, false).isDone() {
		_ = s.take() // an error comes again
	}
}

func readErrno(n int, err error) Errno {
	if n > 0 || errors.Is(err, io.EOF) {
		return Success
	}
	return errnoOf(err)
}

// readable reports how much can be read without waiting; otherwise the channel is closed when that changes.
func (s *stream) readable() (n int, wait <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rest) > 0 {
		return len(s.rest), nil
	}
	if sized, ok := s.reader.(interface{ Len() int }); ok && s.readsAtOnce {
		return sized.Len(), nil
	}
	if s.reader == nil || s.readsAtOnce {
		return 1, nil
	}
	pending := s.begin(4<<10, false)
	if !pending.isDone() {
		return 0, pending.done
	}
	if pending.err != nil || pending.panicked != nil {
		return 1, nil // the next read tells
	}
	return pending.value, nil
}
