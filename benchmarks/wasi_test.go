package benchmarks

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
)

// BenchmarkWASI measures what guests ask of the host: small calls, the start of a command, and work on files.
func BenchmarkWASI(b *testing.B) {
	const rounds = 100
	eachSink(b, func(b *testing.B, s *scribe) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.rounds(rounds); err != nil {
				b.Fatal(err)
			}
		}
		reportCall(b, rounds*roundCalls)
	})
	eachClock(b, func(b *testing.B, c wasiClock, read function) {
		b.ReportAllocs()
		for b.Loop() {
			if err := c.rounds(rounds, read); err != nil {
				b.Fatal(err)
			}
		}
		reportCall(b, rounds*roundCalls)
	})
	eachPlainStart(b, func(b *testing.B, m module) {
		b.ReportAllocs()
		for b.Loop() {
			if err := runPlain(m); err != nil {
				b.Fatal(err)
			}
		}
	})
	eachStart(b, func(b *testing.B, m module) {
		b.ReportAllocs()
		for b.Loop() {
			if err := greet(m); err != nil {
				b.Fatal(err)
			}
		}
	})
	s := sizes{copied: 1 << 30, listed: 10_000, joined: 1000}
	if testing.Short() { // wasmtime's time for a folder grows with the square of its size
		s.copied, s.listed = 64<<20, 1000
	}
	eachJob(b, s, func(b *testing.B, j job, folder string, do func(world) error) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			w, err := j.open(folder)
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			err = do(w)
			b.StopTimer()
			if err := errors.Join(err, j.finish(w)); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		b.ReportMetric(float64(j.amount), "amount")
	})
}

// TestWASI does a little of all that BenchmarkWASI does a lot of.
func TestWASI(t *testing.T) {
	eachSink(t, func(t *testing.T, s *scribe) {
		if err := s.rounds(2); err != nil {
			t.Fatal(err)
		}
	})
	eachClock(t, func(t *testing.T, c wasiClock, read function) {
		if err := c.rounds(2, read); err != nil {
			t.Fatal(err)
		}
	})
	eachPlainStart(t, func(t *testing.T, m module) {
		if err := runPlain(m); err != nil {
			t.Fatal(err)
		}
	})
	eachStart(t, func(t *testing.T, m module) {
		if err := greet(m); err != nil {
			t.Fatal(err)
		}
	})
	eachJob(t, sizes{copied: 3*stepSize + 1, listed: 300, joined: 20},
		func(t *testing.T, j job, folder string, do func(world) error) {
			w, err := j.open(folder)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(do(w), j.finish(w)); err != nil {
				t.Fatal(err)
			}
		})
}

func eachSink[T runner[T]](t T, f func(t T, s *scribe)) {
	wasm := binary(t, wasiGuest)
	for _, kind := range sinkKinds {
		rivals := compilers()
		if !kind.isFile {
			rivals = takingWriters(rivals)
		}
		eachRival(t, rivals, "fd_write_"+kind.name, func(t T, r rival) {
			s, err := kind.open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			closeAfter(t, s)
			f(t, &scribe{sink: s, write: export(t, settle(t, r, world{stdout: s.Writer}, wasm), "writes")})
		})
	}
}

// takingWriters leaves out the rivals that write to files only.
func takingWriters(rivals []rival) []rival {
	return slices.DeleteFunc(rivals, func(r rival) bool { return r.filesOnly })
}

func eachClock[T runner[T]](t T, f func(t T, c wasiClock, read function)) {
	wasm := binary(t, wasiGuest)
	for _, c := range wasiClocks {
		eachRival(t, compilers(), "clock_"+c.name, func(t T, r rival) {
			f(t, c, export(t, settle(t, r, world{}, wasm), "clocks"))
		})
	}
}

// eachPlainStart is what the start of a command is compared with: a module that imports nothing.
func eachPlainStart[T runner[T]](t T, f func(t T, m module)) {
	wasm := binary(t, plainCommandGuest)
	eachRival(t, takingWriters(compilers()), "start_plain", func(t T, r rival) { f(t, compile(t, open(t, r, nil), wasm)) })
}

func runPlain(m module) error {
	i, err := m.instantiate()
	if err != nil {
		return err
	}
	return errors.Join(i.start(), i.close())
}

func eachStart[T runner[T]](t T, f func(t T, m module)) {
	hello, err := readCommand("hello")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		wasm []byte
	}{
		{"start", hello},
		{"start_exit", binary(t, exitGuest)},
	} {
		eachRival(t, takingWriters(compilers()), row.name, func(t T, r rival) {
			f(t, compile(t, openWASI(t, r), row.wasm))
		})
	}
}

// greet runs the command that greets from its instantiation to its end.
func greet(m module) error {
	var out bytes.Buffer
	if err := runCommand(m, world{stdout: &out}); err != nil {
		return err
	}
	if out.String() != "hello, wasi\n" {
		return errors.New("said " + out.String())
	}
	return nil
}

func eachJob[T runner[T]](t T, s sizes, f func(t T, j job, folder string, do func(world) error)) {
	folder := folderInMemory(t)
	for _, j := range jobs(s) {
		// Only if one of the rows was asked for, and once for all of them.
		arrange := sync.OnceValue(func() error { return j.prepare(folder) })
		if j.native != nil {
			t.Run("native/"+j.name, func(t T) {
				if err := arrange(); err != nil {
					t.Fatal(err)
				}
				f(t, j, folder, j.native)
			})
		}
		eachRival(t, compilers(), j.name, func(t T, r rival) {
			wasm, err := readCommand(j.name)
			if err := errors.Join(err, arrange()); err != nil {
				t.Fatal(err)
			}
			m := compile(t, openWASI(t, r), wasm)
			f(t, j, folder, func(w world) error { return runCommand(m, w) })
		})
	}
}

func runCommand(m module, w world) error {
	i, err := m.settle(w)
	if err != nil {
		return err
	}
	return errors.Join(i.start(), i.close())
}

// folderInMemory keeps disks out of it where the system has such folders.
func folderInMemory(tb testing.TB) string {
	tb.Helper()
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err != nil || !info.IsDir() {
		return tb.TempDir()
	}
	folder, err := os.MkdirTemp(shared, "wasi-benchmark")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			tb.Error(err)
		}
	})
	return folder
}

func openWASI(tb testing.TB, r rival) engine {
	tb.Helper()
	e := open(tb, r, nil)
	if err := e.provideWASI(); err != nil {
		tb.Fatal(err)
	}
	return e
}

// settle makes an instance with WASI in an engine of its own.
func settle(tb testing.TB, r rival, w world, wasm []byte) instance {
	tb.Helper()
	i, err := compile(tb, openWASI(tb, r), wasm).settle(w)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, i)
	return i
}
