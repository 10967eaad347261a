package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

type writeFunc func(p []byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// cancellable are a context that cannot end, and one that can but does not: what a guest writes takes different ways.
func cancellable(t testing.TB) map[string]context.Context {
	ctx, cancel := context.WithCancel(background)
	t.Cleanup(cancel)
	return map[string]context.Context{"background": background, "context that can end": ctx}
}

func TestEachWriteArrivesAtOnce(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, ctx := range cancellable(t) {
			t.Run(name, func(t *testing.T) {
				var got []string
				p := probeOf(t, engine, wasmer.WASIConfig{Stdout: writeFunc(func(b []byte) (int, error) {
					got = append(got, string(b))
					return len(b), nil
				})})
				p.ctx = ctx
				for _, line := range []string{"a", "no newline", "\n", strings.Repeat("long", 10_000)} {
					n, errno := p.write(1, line)
					require.Zero(t, errno)
					require.Equal(t, len(line), n)
					require.Equal(t, []string{line}, got, "before the guest goes on")
					got = nil
				}
				n, errno := p.write(1)
				require.Zero(t, errno)
				require.Zero(t, n)
				n, errno = p.write(1, "")
				require.Zero(t, errno)
				require.Zero(t, n)
				require.Empty(t, got, "what is empty is not written")
				n, errno = p.write(1, "one", "", "two", "three")
				require.Zero(t, errno)
				require.Equal(t, 11, n)
				require.Equal(t, "onetwothree", strings.Join(got, ""))
				if ctx == background {
					require.Equal(t, []string{"one", "two", "three"}, got)
				}
			})
		}
	})
}

func TestLargeWritesArriveWhole(t *testing.T) {
	const size = 2 << 20
	want := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(want)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, ctx := range cancellable(t) {
			t.Run(name, func(t *testing.T) {
				var got bytes.Buffer
				p := probeOf(t, engine, wasmer.WASIConfig{Stdout: writeFunc(got.Write)})
				p.ctx = ctx
				p.put(probeData, want)
				for got.Len() < size {
					rest := size - got.Len()
					p.put(0, slices.Concat(le32(uint32(probeData+got.Len())), le32(uint32(rest))))
					before := got.Len()
					require.Zero(t, p.errno("fd_write", 1, 0, 1, resultAddress))
					require.EqualValues(t, p.u32(resultAddress), got.Len()-before)
					require.Greater(t, got.Len(), before)
				}
				require.True(t, bytes.Equal(want, got.Bytes()))
			})
		}
	})
}

func le32(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }

func TestErrorsOfWritersAreErrnos(t *testing.T) {
	type answer struct {
		n   int
		err error
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, test := range map[string]struct {
			answer answer
			n      int
			errno  int
		}{
			"disk full":             {answer{0, syscall.ENOSPC}, 0, errnoNospc},
			"disk full, wrapped":    {answer{0, fmt.Errorf("x: %w", &os.PathError{Op: "write", Err: syscall.ENOSPC})}, 0, errnoNospc},
			"disk full in between":  {answer{2, syscall.ENOSPC}, 2, 0},
			"closed pipe":           {answer{0, io.ErrClosedPipe}, 0, errnoPipe},
			"broken pipe":           {answer{0, syscall.EPIPE}, 0, errnoPipe},
			"any error":             {answer{0, errors.New("any")}, 0, errnoIO},
			"unknown system error":  {answer{0, syscall.Errno(9999)}, 0, errnoIO},
			"closed file":           {answer{0, os.ErrClosed}, 0, errnoBadf},
			"not supported":         {answer{0, errors.ErrUnsupported}, 0, errnoNotsup},
			"short write":           {answer{3, nil}, 3, 0},
			"nothing and no error":  {answer{0, nil}, 0, errnoIO},
			"too much":              {answer{9, nil}, 0, errnoIO},
			"a negative number":     {answer{-1, nil}, 0, errnoIO},
			"the smallest number":   {answer{-1 << 63, nil}, 0, errnoIO},
			"the end of some input": {answer{0, io.EOF}, 0, errnoIO},
		} {
			t.Run(name, func(t *testing.T) {
				for _, ctx := range cancellable(t) {
					p := probeOf(t, engine, wasmer.WASIConfig{Stderr: writeFunc(func([]byte) (int, error) {
						return test.answer.n, test.answer.err
					})})
					p.ctx = ctx
					n, errno := p.write(2, "four", "more")
					require.Equal(t, test.errno, errno)
					if errno == errnoSuccess {
						require.Equal(t, test.n, n)
					}
				}
			})
		}
	})
}

func TestErrorsOfReadersAreErrnos(t *testing.T) {
	type answer struct {
		n   int
		err error
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, test := range map[string]struct {
			answer answer
			errno  int
			data   string
		}{
			"the end":                 {answer{0, io.EOF}, 0, ""},
			"the end, with bytes":     {answer{2, io.EOF}, 0, "\x01\x01"},
			"an error with bytes":     {answer{2, syscall.EIO}, 0, "\x01\x01"},
			"closed pipe":             {answer{0, io.ErrClosedPipe}, errnoPipe, ""},
			"any error":               {answer{0, errors.New("any")}, errnoIO, ""},
			"the end in the midst":    {answer{0, io.ErrUnexpectedEOF}, errnoIO, ""},
			"a folder":                {answer{0, syscall.EISDIR}, 31, ""},
			"a reset connection":      {answer{0, syscall.ECONNRESET}, 15, ""},
			"a deadline":              {answer{0, os.ErrDeadlineExceeded}, 73, ""},
			"nothing again and again": {answer{0, nil}, errnoIO, ""},
			"more than asked for":     {answer{5, nil}, errnoIO, ""},
			"a negative number":       {answer{-1, nil}, errnoIO, ""},
		} {
			t.Run(name, func(t *testing.T) {
				p := probeOf(t, engine, wasmer.WASIConfig{Stdin: readFunc(func(b []byte) (int, error) {
					for i := range b {
						b[i] = 1
					}
					return test.answer.n, test.answer.err
				})})
				data, errno := p.read(0, 4)
				require.Equal(t, test.errno, errno)
				require.Equal(t, test.data, data)
			})
		}
	})
}

// A reader that claims more than it was asked for must not bring what an earlier one left behind.
func TestReaderClaimsMoreThanAskedFor(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		reads := 0
		p := probeOf(t, engine, wasmer.WASIConfig{Stdin: readFunc(func(b []byte) (int, error) {
			if reads++; reads == 1 {
				return copy(b, "a secret of the first guest"), nil
			}
			return copy(b, "x") + 20, nil
		})})
		_, errno := p.read(0, 100)
		require.Zero(t, errno)
		data, errno := p.read(0, 1)
		require.Equal(t, errnoIO, errno)
		require.Empty(t, data)
		data, errno = p.read(0, 100)
		require.Zero(t, errno)
		require.NotContains(t, data, "secret")
	})
}

func TestPanicsOfStreamsGoOnInTheCaller(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, ctx := range cancellable(t) {
			t.Run(name, func(t *testing.T) {
				broken := true
				panics := func(b []byte) (int, error) {
					if broken {
						panic(context.Canceled)
					}
					return copy(b, "x"), nil
				}
				p := probeOf(t, engine, wasmer.WASIConfig{
					Stdin: readFunc(panics), Stdout: writeFunc(panics), Random: readFunc(panics),
					Yield: func() { _, _ = panics(nil) }, Monotonic: func() time.Duration { _, _ = panics(nil); return 7 },
				})
				p.ctx = ctx
				p.vectors(1)
				calls := map[string][]any{
					"fd_read": {0, 0, 1, resultAddress}, "fd_write": {1, 0, 1, resultAddress}, "random_get": {probeData, 1},
					"sched_yield": {}, "clock_time_get": {clockMonotonic, 0, resultAddress},
				}
				for range 2 {
					for name, args := range calls {
						require.PanicsWithValue(t, context.Canceled, func() { _, _ = p.try(name, args...) }, name)
					}
				}
				broken = false
				for name, args := range calls {
					require.Zero(t, p.errno(name, args...), name)
				}
			})
		}
	})
}

func TestGoexitInAStream(t *testing.T) {
	exits := func([]byte) (int, error) { runtime.Goexit(); return 0, nil }
	for name, config := range map[string]wasmer.WASIConfig{
		"reader": {Stdin: readFunc(exits)}, "writer": {Stdout: writeFunc(exits)}, "random": {Random: readFunc(exits)},
	} {
		t.Run(name, func(t *testing.T) {
			inChild(t, func(t *testing.T) {
				engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
				require.NoError(t, err)
				p := probeOf(t, engine, config)
				p.vectors(1)
				inGoroutine(func() {
					switch name {
					case "reader":
						require.NotZero(t, p.errno("fd_read", 0, 0, 1, resultAddress))
					case "writer":
						require.NotZero(t, p.errno("fd_write", 1, 0, 1, resultAddress))
					default:
						require.NotZero(t, p.errno("random_get", probeData, 1))
					}
				})
				other := probeOf(t, engine, wasmer.WASIConfig{Stdin: strings.NewReader("fine")})
				require.Equal(t, "fine", other.readAll(0, 10))
			})
		})
	}
}

func TestBackPressure(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		reader, writer := io.Pipe()
		p := probeOf(t, engine, wasmer.WASIConfig{Stdout: writer})
		type result struct{ n, errno int }
		written := make(chan result, 1)
		go func() {
			n, errno := p.write(1, "four")
			written <- result{n, errno}
		}()
		var first [3]byte
		_, err := io.ReadFull(reader, first[:])
		require.NoError(t, err)
		select {
		case got := <-written:
			t.Fatalf("the write returned before all was read: %v", got)
		case <-time.After(waitsFor):
		}
		_, err = io.ReadFull(reader, first[:1])
		require.NoError(t, err)
		require.Equal(t, result{4, 0}, <-written)
		require.NoError(t, reader.Close())
		_, errno := p.write(1, "more")
		require.Equal(t, errnoPipe, errno)
	})
}

// TestStdinToStdout copies 2 MiB through a guest, again and again, between streams of several kinds.
func TestStdinToStdout(t *testing.T) {
	want := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(want)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := wasiGuest(t, engine, "cat")
		for n := range 100 {
			var input io.Reader = bytes.NewReader(want)
			if n%2 == 0 {
				input = readFunc(input.Read)
			}
			config := wasmer.WASIConfig{Args: []string{"cat"}, Stdin: input}
			stdout, _ := config.Capture()
			wasi := newWASI(t, config)
			instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().WASI(wasi))
			require.NoError(t, err)
			ctx, cancel := background, context.CancelFunc(func() {})
			if n%4 >= 2 {
				ctx, cancel = context.WithCancel(ctx)
			}
			require.NoError(t, instance.Start(ctx))
			cancel()
			require.True(t, bytes.Equal(want, stdout.Bytes()), "round %d: %d bytes", n, stdout.Len())
			require.NoError(t, instance.Close())
		}
	})
}

func TestPipesOfTheSystem(t *testing.T) {
	want := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(want)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := wasiGuest(t, engine, "cat")
		for range 5 {
			input, typed, err := os.Pipe()
			require.NoError(t, err)
			shown, output, err := os.Pipe()
			require.NoError(t, err)
			instance := wasiInstance(t, module, wasmer.WASIConfig{Args: []string{"cat"}, Stdin: input, Stdout: output})
			go func() {
				_, _ = typed.Write(want)
				_ = typed.Close()
			}()
			go func() {
				if err := instance.Start(background); err != nil {
					t.Error(err)
				}
				_ = output.Close()
			}()
			got, err := io.ReadAll(shown)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got))
			require.NoError(t, errors.Join(input.Close(), shown.Close()))
		}
	})
}
