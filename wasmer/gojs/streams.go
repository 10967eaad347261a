package gojs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// input is what guests read as it comes.
type input struct {
	mu     sync.Mutex
	reader io.Reader
	buffer []byte
	// rest was read for a guest that ended meanwhile.
	rest []byte
}

// streamBuffer is the most that is read from a stream at once.
const streamBuffer = 64 << 10

// read waits for up to n bytes and hands them over. What is not taken is there for the next one who reads.
func (in *input) read(n int, deliver func(p []byte, err error) (taken bool)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	var err error
	for tries := 0; len(in.rest) == 0 && err == nil && n > 0; tries++ {
		if err = in.fill(n); tries == 100 && err == nil {
			err = io.ErrNoProgress
		}
	}
	p := bytes.Clone(in.rest[:min(n, len(in.rest))])
	if deliver(p, err) {
		in.rest = in.rest[len(p):]
	}
}

func (in *input) fill(n int) error {
	if in.reader == nil {
		return io.EOF
	}
	if n = min(n, streamBuffer); cap(in.buffer) < n {
		in.buffer = make([]byte, n)
	}
	got, err := in.reader.Read(in.buffer[:n])
	if got < 0 || got > n {
		return fmt.Errorf("the reader claims to have read %d bytes of %d", got, n)
	}
	in.rest = in.buffer[:got]
	if got > 0 {
		return nil // an error comes again
	}
	return err
}

// output is what guests write to. Each write is whole.
type output struct {
	mu     sync.Mutex
	writer io.Writer
}

func (out *output) Write(p []byte) (int, error) {
	if out.writer == nil {
		return len(p), nil
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	n, err := out.writer.Write(p)
	switch {
	case n < 0 || n > len(p):
		return 0, fmt.Errorf("the writer claims to have written %d bytes of %d", n, len(p))
	case n < len(p) && err == nil:
		err = io.ErrShortWrite
	}
	return n, err
}

// completion is the end of a transfer: of a read or write that may take its time, while the guest does not stand still.
type completion struct {
	// finish tells the guest of the bytes that were read or written.
	finish func(n int, err error) error
	n      int
	err    error
	// panicked is what the reader or writer panicked with.
	panicked any
}

// maxTransfers bounds the transfers under way.
const maxTransfers = 1024

// errGone stays if a goroutine ends in the midst of a call of the user's code.
var errGone = errors.New("gojs: the goroutine has ended")

// result is the error, unless there was a panic, which goes on here.
func (c completion) result() error {
	if c.panicked != nil {
		panic(c.panicked)
	}
	return c.err
}

// begin starts a transfer. finish runs when the guest waits.
func (g *guest) begin(finish func(n int, err error) error, transfer func(done func(n int, err error) bool)) error {
	if g.transfers >= maxTransfers {
		return fmt.Errorf("%w: the guest reads and writes %d times at once", wasmer.ErrResource, g.transfers)
	}
	g.transfers++
	go func() {
		result := completion{finish: finish, err: errGone}
		sent := false
		send := func() bool {
			sent = true
			select {
			case g.completions <- result:
				return true
			case <-g.done:
				return false
			}
		}
		defer func() {
			if !sent { // a panic, or runtime.Goexit
				result.panicked = recover()
				send()
			}
		}()
		transfer(func(n int, err error) bool {
			result.n, result.err = n, err
			return send()
		})
	}()
	return nil
}

// complete tells the guest of the end of a transfer.
func (g *guest) complete(c completion) error {
	g.transfers--
	return c.finish(c.n, c.result())
}

// beginRead reads into a part of an array.
func (g *guest) beginRead(in *input, target []byte, finish func(n int, err error) error) error {
	var data []byte
	return g.begin(func(n int, err error) error { return finish(copy(target, data), err) },
		func(done func(int, error) bool) {
			in.read(len(target), func(p []byte, err error) bool {
				data = p
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return done(len(p), err)
			})
		})
}

// writeBuffer is the most that is written to a stream at once while the guest goes on; programs write the rest themselves.
const writeBuffer = 1 << 20

// beginWrite writes a copy, unless the guest cannot be ended while it waits anyway.
func (g *guest) beginWrite(out io.Writer, data []byte, finish func(n int, err error) error) error {
	if g.ctx.Done() == nil {
		return finish(out.Write(data))
	}
	data = bytes.Clone(data[:min(len(data), writeBuffer)])
	return g.begin(finish, func(done func(int, error) bool) { done(out.Write(data)) })
}

// writeThrough writes while the guest stands still.
func (g *guest) writeThrough(out io.Writer, data []byte) error {
	if g.ctx.Done() == nil {
		_, _ = out.Write(data)
		return nil
	}
	data = bytes.Clone(data)
	ended := make(chan completion, 1)
	go func() {
		var end completion
		defer func() {
			end.panicked = recover()
			ended <- end
		}()
		_, _ = out.Write(data)
	}()
	select {
	case end := <-ended:
		return end.result()
	case <-g.waiting.Done():
		return g.interrupted()
	}
}
