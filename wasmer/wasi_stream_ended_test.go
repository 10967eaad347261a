package wasmer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestReadThatWaitsIsEnded(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		input, typed := io.Pipe()
		wasi := newWASI(t, wasmer.WASIConfig{Stdin: input})
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		for round := range 5 {
			p := newProbe(t, module, wasi)
			p.vectors(100)
			requireEndsWaiting(t, p, "fd_read", 0, 0, 1, resultAddress)
			want := fmt.Sprintf("typed after the guest was ended, %d", round)
			go func() { _, _ = io.WriteString(typed, want) }()
			next := newProbe(t, module, wasi)
			var got string
			for len(got) < len(want) {
				data, errno := next.read(0, 7)
				require.Zero(t, errno)
				require.NotEmpty(t, data)
				got += data
			}
			require.Equal(t, want, got)
		}
		require.NoError(t, typed.Close())
		require.Empty(t, newProbe(t, module, wasi).readAll(0, 7))
	})
}

// blocker is a writer that waits until it is let go.
type blocker struct {
	entered, release chan struct{}
	got              bytes.Buffer
}

func newBlocker() *blocker {
	return &blocker{entered: make(chan struct{}, 100), release: make(chan struct{})}
}

func (b *blocker) Write(p []byte) (int, error) {
	b.entered <- struct{}{}
	<-b.release
	return b.got.Write(p)
}

func TestWriteThatWaitsIsEnded(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		t.Run("into a pipe", func(t *testing.T) {
			shown, output := io.Pipe()
			wasi := newWASI(t, wasmer.WASIConfig{Stdout: output})
			p := newProbe(t, compile(t, engine, probeText("wasi_snapshot_preview1")), wasi)
			p.data([]string{"lost or not"})
			requireEndsWaiting(t, p, "fd_write", 1, 0, 1, resultAddress)
			require.NoError(t, shown.Close())
		})
		t.Run("into a writer of the user", func(t *testing.T) {
			output := newBlocker()
			wasi := newWASI(t, wasmer.WASIConfig{Stdout: wasmer.MayWait(output)})
			module := compile(t, engine, probeText("wasi_snapshot_preview1"))
			p := newProbe(t, module, wasi)
			p.data([]string{"lost or not"})
			ctx, cancel := context.WithTimeout(background, waitsFor)
			defer cancel()
			p.ctx = ctx
			start := time.Now()
			_, err := p.try("fd_write", 1, 0, 1, resultAddress)
			require.Less(t, time.Since(start), waitsFor+soon)
			require.ErrorIs(t, err, wasmer.ErrInterrupted)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			<-output.entered
			other := newProbe(t, module, wasi)
			other.data([]string{"after"})
			requireEndsWaiting(t, other, "fd_write", 1, 0, 1, resultAddress) // waits for its turn
			close(output.release)
			last := newProbe(t, module, wasi)
			_, errno := last.write(1, ", whole")
			require.Zero(t, errno)
			require.Equal(t, "lost or not, whole", output.got.String())
		})
	})
}

// However many guests have waited for a stream in vain, what waits on the host's side is one call.
func TestGuestsThatGaveUpLeaveNoGoroutines(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		output := newBlocker()
		defer close(output.release)
		input, typed := io.Pipe()
		defer typed.Close()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer listener.Close()
		wasi := newWASI(t, wasmer.WASIConfig{Stdin: input, Stdout: wasmer.MayWait(output), Listeners: []net.Listener{listener}})
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		before := runtime.NumGoroutine()
		for range 50 {
			p := newProbe(t, module, wasi)
			p.vectors(1)
			for name, args := range map[string][]any{
				"fd_read": {0, 0, 1, resultAddress}, "fd_write": {1, 0, 1, resultAddress}, "sock_accept": {3, 0, resultAddress},
			} {
				ctx, cancel := context.WithTimeout(background, time.Millisecond)
				p.ctx = ctx
				_, err := p.try(name, args...)
				require.ErrorIs(t, err, wasmer.ErrInterrupted, name)
				cancel()
			}
			require.NoError(t, p.Close())
		}
		require.LessOrEqual(t, runtime.NumGoroutine(), before+10)
	})
}

// Guests that share a WASI use a writer one at a time: the writer here needs no lock.
func TestGuestsShareAWriter(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, ctx := range cancellable(t) {
			t.Run(name, func(t *testing.T) {
				var got strings.Builder
				wasi := newWASI(t, wasmer.WASIConfig{Stdout: writeFunc(func(b []byte) (int, error) { return got.Write(b) })})
				module := compile(t, engine, probeText("wasi_snapshot_preview1"))
				var group sync.WaitGroup
				for n := range 8 {
					p := newProbe(t, module, wasi)
					p.ctx = ctx
					group.Go(func() {
						for range 50 {
							written, errno := p.write(1, strings.Repeat(fmt.Sprint(n), 9), "\n")
							if written != 10 || errno != 0 {
								t.Errorf("wrote %d, errno %d", written, errno)
							}
						}
					})
				}
				group.Wait()
				lines := slices.Collect(strings.Lines(got.String()))
				require.Len(t, lines, 8*50)
				for _, line := range lines {
					require.Len(t, line, 10)
					require.Equal(t, strings.Repeat(line[:1], 9)+"\n", line, "a write stays in one piece")
				}
			})
		}
	})
}

// One writer for output and errors is common, and needs no lock either.
func TestGuestsShareAWriterForOutputAndErrors(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, ctx := range cancellable(t) {
			t.Run(name, func(t *testing.T) {
				var writing, overlaps atomic.Int32
				output := new(bytes.Buffer)
				both := writeFunc(func(b []byte) (int, error) {
					if writing.Add(1) != 1 {
						overlaps.Add(1)
					}
					time.Sleep(time.Millisecond)
					writing.Add(-1)
					return output.Write(b)
				})
				writer := &both
				wasi := newWASI(t, wasmer.WASIConfig{Stdout: writer, Stderr: writer})
				module := compile(t, engine, probeText("wasi_snapshot_preview1"))
				var group sync.WaitGroup
				for n := range 4 {
					p := newProbe(t, module, wasi)
					p.ctx = ctx
					group.Go(func() {
						for range 10 {
							_, _ = p.write(1+n%2, "x")
						}
					})
				}
				group.Wait()
				require.Zero(t, overlaps.Load(), "two writes at once")
				require.Equal(t, 40, output.Len())
			})
		}
	})
}

// Writers that look comparable, but are not, are taken for different ones.
func TestWritersThatCannotBeCompared(t *testing.T) {
	type wrapped struct{ io.Writer }
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var got bytes.Buffer
		plain := writeFunc(got.Write)
		for _, writer := range []io.Writer{plain, wrapped{plain}, &wrapped{plain}, wrapped{&got}} {
			got.Reset()
			var p *probe
			require.NotPanics(t, func() { p = probeOf(t, engine, wasmer.WASIConfig{Stdout: writer, Stderr: writer}) })
			_, _ = p.write(1, "out")
			_, _ = p.write(2, "err")
			require.Equal(t, "outerr", got.String())
		}
	})
}

// What the host does for a guest may call the guest again, which may call WASI then. That is no matter for the call that
// led there.
func TestWASICallsWithinWASICalls(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var p *probe
		var told, output []string
		inner := func() {
			const at, data, result = 512, 1 << 20, 3072
			p.put(at, slices.Concat(le32(data), le32(2), le32(data+2), le32(2)))
			p.put(data, []byte("told"))
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			values, err := function(t, p.Instance, "fd_write").Call(ctx, 2, at, 2, result)
			require.NoError(t, err)
			require.Zero(t, values[0].ToI32())
			require.EqualValues(t, 4, p.u32(result))
		}
		p = probeOf(t, engine, wasmer.WASIConfig{
			Stdout: writeFunc(func(b []byte) (int, error) {
				inner()
				output = append(output, string(b))
				return len(b), nil
			}),
			Stderr: writeFunc(func(b []byte) (int, error) {
				told = append(told, string(b))
				return len(b), nil
			}),
			Yield: inner, Sleep: func(context.Context, time.Duration) error { inner(); return nil },
			Random: readFunc(func(b []byte) (int, error) { inner(); return copy(b, "random"), nil }),
		})
		for name, call := range map[string]func(){
			"fd_write": func() {
				n, errno := p.write(1, "one", "", "two", "three")
				require.Zero(t, errno)
				require.Equal(t, 11, n)
				require.Equal(t, []string{"one", "two", "three"}, output)
			},
			"sched_yield": func() { require.Zero(t, p.errno("sched_yield")) },
			"random_get":  func() { require.Equal(t, "random", string(p.random(6))) },
			"poll_oneoff": func() {
				require.Equal(t, []event{{userdata: 3}}, p.poll(clockSubscription(3, clockMonotonic, time.Hour, 0)))
			},
		} {
			told = nil
			call()
			require.Equal(t, "told", strings.Join(told, "")[:4], name)
		}
	})
}

func TestWriterClosesItsGuest(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, ctx := range cancellable(t) {
			var p *probe
			p = probeOf(t, engine, wasmer.WASIConfig{Stdout: writeFunc(func(b []byte) (int, error) {
				return len(b), p.CloseWithExitCode(3)
			})})
			p.ctx = ctx
			p.data([]string{"quit"})
			_, err := p.try("fd_write", 1, 0, 1, resultAddress)
			requireExit(t, err, 3)
		}
	})
}

// Each byte goes to one of the guests that wait for input, and to nobody twice. No guest is told of an error, however
// often others were faster.
func TestGuestsShareAReader(t *testing.T) {
	const guests, total = 50, 3000
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		input, typed := io.Pipe()
		wasi := newWASI(t, wasmer.WASIConfig{Stdin: input})
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		var group sync.WaitGroup
		var mu sync.Mutex
		received := 0
		for range guests {
			p := newProbe(t, module, wasi)
			group.Go(func() {
				for {
					data, errno := p.read(0, 1)
					if errno != errnoSuccess {
						t.Errorf("errno %d", errno)
						return
					}
					if data == "" {
						return
					}
					mu.Lock()
					received++
					mu.Unlock()
				}
			})
		}
		for range total {
			_, err := typed.Write([]byte{'x'})
			require.NoError(t, err)
		}
		require.NoError(t, typed.Close())
		group.Wait()
		require.Equal(t, total, received)
	})
}

func TestStreamsAreNeverClosed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		wasi := newWASI(t, wasmer.WASIConfig{Stdin: here, Stdout: here, Conns: []net.Conn{here}})
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		for range 2 {
			p := newProbe(t, module, wasi)
			for fd := range 4 {
				require.Zero(t, p.errno("fd_close", fd))
			}
			require.NoError(t, p.Close())
		}
		p := newProbe(t, module, wasi)
		go func() { _, _ = io.WriteString(there, "still open") }()
		data, errno := p.read(0, 100)
		require.Zero(t, errno)
		require.Equal(t, "still open", data)
	})
}
