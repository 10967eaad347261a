package wasmer_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// openBelow counts the file descriptors of this process that lead below a folder; -1 where the system does not tell.
func openBelow(dir string) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	n := 0
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name())); err == nil && strings.HasPrefix(target, dir) {
			n++
		}
	}
	return n
}

// requireOpen waits until so many descriptors lead below a folder: what a call under way held is closed when it has left.
func requireOpen(t testing.TB, want int, dir string) {
	t.Helper()
	if openBelow("/") < 0 {
		t.Skip("the system does not list open files")
	}
	require.Eventually(t, func() bool { return openBelow(dir) == want }, 5*time.Second, time.Millisecond,
		"%d are open, want %d", openBelow(dir), want)
}

// opener opens a file and a folder, which it leaves open, and then exits with the code in its first argument's first
// letter: "0" and so on; it returns if that is "-".
const opener = `(module $opener
	(import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
	(memory (export "memory") 1)
	(data (i32.const 0) "one.txt") (data (i32.const 16) "sub")
	(data (i32.const 32) "\00\00\00\00\07\00\00\00")
	(func $must (param i32) (if (local.get 0) (then unreachable)))
	(func $path (param i32 i32) (call $must (call $open (i32.const 3) (i32.const 0) (local.get 0) (local.get 1) (i32.const 0)
		(i64.const 0x4002) (i64.const 0x4002) (i32.const 0) (i32.const 64))))
	(func (export "_start") (local $code i32)
		(call $path (i32.const 0) (i32.const 7))
		(call $path (i32.const 16) (i32.const 3))
		(call $must (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 64)))
		(call $must (call $args (i32.const 100) (i32.const 200)))
		(local.set $code (i32.sub (i32.load8_u (i32.const 200)) (i32.const 48)))
		(if (i32.ge_s (local.get $code) (i32.const 0)) (then (call $exit (local.get $code))))))`

func TestSoakWASIRuns(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, opener)
		for name, test := range map[string]struct {
			arg           string
			close, shared bool
		}{
			"exits, closed":                      {"0", true, true},
			"exits":                              {"3", false, true},
			"returns, closed":                    {"-", true, true},
			"exits, a WASI for each":             {"3", true, false},
			"exits, a WASI for each, not closed": {"3", false, false},
		} {
			t.Run(name, func(t *testing.T) {
				dir := wasiFolder(t)
				config := wasmer.WASIConfig{Args: []string{test.arg}, Mounts: []wasmer.Mount{{Guest: "/", Host: dir}}}
				stdout, _ := config.Capture()
				shared := newWASI(t, config)
				once := func() {
					wasi := shared
					if !test.shared {
						wasi = wasmer.NewWASI(config)
					}
					instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().WASI(wasi))
					require.NoError(t, err)
					err = instance.Start(background)
					if test.arg == "3" {
						require.ErrorIs(t, err, &wasmer.ExitError{Code: 3})
					} else {
						require.NoError(t, err)
					}
					if test.close {
						require.NoError(t, instance.Close())
					}
					if test.close && !test.shared {
						require.NoError(t, wasi.Close())
					}
				}
				goroutines := runtime.NumGoroutine()
				runs := 0
				flat(t, max(500, times(50_000)), 50, func(int) {
					once()
					runs++
					if !test.close && !test.shared && runs%100 == 0 {
						runtime.GC() // closes the folders
					}
				})
				require.Equal(t, runs*len("one.txt"), stdout.Len())
				runtime.GC()
				requireOpen(t, 2, dir)
				require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+2 }, 5*time.Second, time.Millisecond)
			})
		}
	})
}

func TestSoakWASIRunsAtOnce(t *testing.T) {
	const atOnce = 8
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, opener)
		dir := wasiFolder(t)
		config := wasmer.WASIConfig{Args: []string{"7"}, Mounts: []wasmer.Mount{{Guest: "/", Host: dir}}}
		stdout, _ := config.Capture()
		wasi := newWASI(t, config)
		goroutines := runtime.NumGoroutine()
		rounds := max(100, times(10_000))
		flatBut(t, rounds, 10, atOnce*9<<30, func(int) {
			var group sync.WaitGroup
			for n := range atOnce {
				group.Go(func() {
					instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().WASI(wasi))
					if err != nil {
						t.Error(err)
						return
					}
					ctx, cancel := context.WithCancel(background)
					defer cancel()
					if err := instance.Start(ctx); err == nil || err.Error() != `wasmer: the guest "opener" exited with code 7` {
						t.Error(err)
					}
					if n%2 == 0 {
						_ = instance.Close()
					}
				})
			}
			group.Wait()
		})
		require.Equal(t, (rounds+10)*atOnce*len("one.txt"), stdout.Len())
		requireOpen(t, 2, dir)
		require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+2 }, 5*time.Second, time.Millisecond)
	})
}

// Guests that are not closed are collected, with what they have open.
func TestSoakWASIGuestsThatAreForgotten(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, opener)
		dir := wasiFolder(t)
		config := wasmer.WASIConfig{Args: []string{"-"}, Mounts: []wasmer.Mount{{Guest: "/", Host: dir}}}
		flatBut(t, 100, 10, 256*9<<30, func(int) {
			instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().WASI(wasmer.NewWASI(config)))
			require.NoError(t, err)
			require.NoError(t, instance.Start(background))
		})
		require.Eventually(t, func() bool { runtime.GC(); return openBelow(dir) <= 0 }, 5*time.Second, 10*time.Millisecond)
	})
}

// Guests that wait, write and open files are ended in all ways at any time. Whatever comes first, all that waits is told, and
// nothing stays open.
func TestSoakWASIGuestsEndedAtAnyTime(t *testing.T) {
	calls := []struct {
		name string
		args []any
	}{
		{"fd_read", []any{0, 0, 1, resultAddress}},
		{"fd_write", []any{1, 0, 1, resultAddress}},
		{"fd_write", []any{2, 0, 1, resultAddress}},
		{"sock_accept", []any{4, 0, resultAddress}},
		{"poll_oneoff", []any{1024, 8192, 2, resultAddress}},
		{"path_open", []any{3, 0, 3000, 7, 0, 2, 2, 0, resultAddress}},
		{"sched_yield", nil},
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		dir := wasiFolder(t)
		listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		require.NoError(t, err)
		input, typed := io.Pipe()
		shown, output := io.Pipe()
		goroutines := runtime.NumGoroutine()
		wasi := wasmer.NewWASI(wasmer.WASIConfig{
			Stdin: input, Stdout: output, Stderr: new(wasmer.Buffer), Listeners: []net.Listener{listener},
			Mounts: []wasmer.Mount{{Guest: "/", Host: dir}},
		})
		imports := wasmer.NewImports().WASI(wasi)
		guest := func(random *rand.Rand, store *wasmer.Store) {
			instance, err := store.Instantiate(background, "", module, imports)
			if err != nil {
				require.ErrorIs(t, err, wasmer.ErrClosed)
				return
			}
			for address, data := range map[uint64][]byte{ // the store may be closed already
				0: slices.Concat(le32(probeData), le32(64)), 3000: []byte("one.txt"),
				1024: slices.Concat(clockSubscription(1, clockMonotonic, time.Millisecond, 0), readSubscription(2, 0)),
			} {
				_ = instance.Memory.Write(address, data)
			}
			var group sync.WaitGroup
			for range 3 {
				call, wait, end := calls[random.IntN(len(calls))], random.IntN(3000), random.IntN(4)
				group.Go(func() {
					f, err := instance.Function(call.name)
					if err != nil {
						return
					}
					ctx, cancel := context.WithTimeout(background, time.Duration(wait)*time.Microsecond)
					defer cancel()
					if _, err = f.Call(ctx, call.args...); err != nil && !errors.Is(err, wasmer.ErrClosed) && !errors.Is(err, wasmer.ErrInterrupted) {
						t.Error(err)
					}
					switch end {
					case 0:
						_ = instance.Close()
					case 1:
						_ = instance.CloseWithExitCode(7)
					}
				})
			}
			group.Wait()
		}
		var group sync.WaitGroup
		for n := range uint64(6) {
			random := rand.New(rand.NewPCG(n, 1))
			group.Go(func() {
				for range max(15, times(1500)) {
					store, err := wasmer.NewStore(engine)
					if err != nil {
						t.Error(err)
						return
					}
					var guests sync.WaitGroup
					for range 2 {
						part := rand.New(rand.NewPCG(random.Uint64(), 1))
						guests.Go(func() { guest(part, store) })
					}
					if random.IntN(3) == 0 {
						time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
						_ = store.Close()
					}
					guests.Wait()
					_ = store.Close()
				}
			})
		}
		group.Wait()
		requireOpen(t, 2, dir)
		require.NoError(t, errors.Join(wasi.Close(), listener.Close(), typed.Close(), shown.Close()))
		requireOpen(t, 0, dir)
		require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+2 }, 5*time.Second, time.Millisecond)
	})
}
