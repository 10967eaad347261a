package wasmer

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// LogRing is where native functions of Imports.Log put what guests log, until a goroutine takes it. Guests of any store may write
// at any time. Close it when nobody reads any more; it is freed when nothing refers to it.
type LogRing struct {
	ptr *ffi.LogRing
	// woken is read to wait for entries; wake is its other end.
	woken, wake *os.File
	closing     sync.Once

	// The rest belongs to the reader.
	reading sync.Mutex
	entries *ffi.Decoder
	lost    uint64
	closed  bool
}

// LogEntry is what a guest logs.
type LogEntry struct {
	// Level is what the guest says; what it means is up to it.
	Level int32
	Text  string
	// Lost is how many entries were lost since the previous one that was taken, because the ring was full.
	Lost uint64
}

// NewLogRing makes a ring for entries of limit bytes together, 8 for each included.
func NewLogRing(limit int) (*LogRing, error) {
	woken, wake, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("%w: log ring: %w", ErrResource, err)
	}
	// Not by Fd, which would change how it waits. Rust writes one byte at a time, to an empty pipe.
	raw, err := wake.SyscallConn()
	ring := &LogRing{woken: woken, wake: wake}
	if err == nil {
		err = raw.Control(func(fd uintptr) { ring.ptr = ffi.NewLogRing(max(limit, 0), fd) })
	}
	if err != nil {
		_, _ = woken.Close(), wake.Close()
		return nil, fmt.Errorf("wasmer: log ring: %w", err)
	}
	runtime.AddCleanup(ring, (*ffi.LogRing).Delete, ring.ptr)
	return ring, nil
}

// Next takes the next entry, in the order in which guests wrote them, and waits for one. It is ErrClosed when the ring was closed
// and all was taken, and the context's error if that ends first. One goroutine at a time has its turn.
func (r *LogRing) Next(ctx context.Context) (LogEntry, error) {
	r.reading.Lock()
	defer r.reading.Unlock()
	for {
		if r.entries != nil && !r.entries.Empty() {
			entry := LogEntry{Level: int32(r.entries.Uint32()), Text: r.entries.String(), Lost: r.lost}
			r.lost = 0
			return entry, nil
		}
		var lost uint64
		r.entries, lost = r.ptr.Take()
		r.lost += lost
		if r.entries != nil {
			continue
		}
		if r.closed {
			return LogEntry{}, ErrClosed
		}
		if err := r.wait(ctx); err != nil {
			return LogEntry{}, err
		}
	}
}

// wait waits for entries, or for the end of the ring.
func (r *LogRing) wait(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = r.woken.SetReadDeadline(time.Unix(1, 0))
		close(ended)
	})
	var woken [16]byte
	_, err := r.woken.Read(woken[:])
	if !stop() {
		<-ended
		_ = r.woken.SetReadDeadline(time.Time{})
		return endOf(ctx)
	}
	r.closed = err != nil // its other end was closed
	return nil
}

// Close has what guests write from now on lost. What was written before can be taken. Closing twice, or nil, does nothing.
func (r *LogRing) Close() error {
	if r == nil {
		return nil
	}
	r.closing.Do(func() {
		r.ptr.Close()
		_ = r.wake.Close()
	})
	return nil
}
