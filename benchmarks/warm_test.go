package benchmarks

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkWarmStart goes from an engine that is not there yet to an instance of Go's compiler, a program of 48 MB, that has
// been compiled before: to the instant when its first instruction could run, and to the end of its shortest run.
func BenchmarkWarmStart(b *testing.B) {
	if testing.Short() {
		b.Skip("takes minutes the first time")
	}
	wasm, err := goCommand("cmd/compile")
	if errors.Is(err, exec.ErrNotFound) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	for _, row := range []struct {
		name string
		runs bool
		// prepare makes what the start then finds.
		prepare func(b *testing.B, r rival) (start func() (engine, module, error))
	}{
		{"cache_ready", false, func(b *testing.B, r rival) func() (engine, module, error) { return fromCache(b, r, wasm) }},
		{"cache_run", true, func(b *testing.B, r rival) func() (engine, module, error) { return fromCache(b, r, wasm) }},
		{"file_ready", false, func(b *testing.B, r rival) func() (engine, module, error) { return fromFile(b, r, wasm) }},
	} {
		against(b, compilers(), row.name, func(b *testing.B, r rival) {
			if r.slow {
				b.Skip("takes minutes to compile it once")
			}
			start := row.prepare(b, r)
			output, err := os.Create(filepath.Join(b.TempDir(), "output"))
			if err != nil {
				b.Fatal(err)
			}
			defer output.Close()
			first := func() (func() error, error) {
				e, m, err := start()
				if err != nil {
					return nil, err
				}
				i, err := m.settle(world{args: []string{"compile", "-V"}, stdout: output})
				if err != nil {
					return nil, err
				}
				if row.runs {
					err = i.start()
				}
				return func() error { return errors.Join(i.close(), m.close(), e.close()) }, err
			}
			for b.Loop() {
				stop, err := first()
				b.StopTimer()
				if err != nil {
					b.Fatal(err)
				}
				if err := stop(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			if info, err := output.Stat(); err != nil || row.runs && info.Size() == 0 {
				b.Fatal("the compiler said nothing", err)
			}
			b.ReportMetric(float64(len(wasm)), "wasm-bytes")
		})
	}
}

// fromCache starts with what an engine finds for the module in its cache.
func fromCache(b *testing.B, r rival, wasm []byte) func() (engine, module, error) {
	b.Helper()
	folder, err := keep("cache", r.name)
	if err != nil {
		b.Fatal(err)
	}
	start := func() (engine, module, error) {
		e, err := r.open(setup{allCores: true, cache: folder})
		if err != nil {
			return nil, nil, err
		}
		if err := e.provideWASI(); err != nil {
			return nil, nil, err
		}
		m, err := e.compile(wasm)
		return e, m, err
	}
	fill(b, start)
	return start
}

// fromFile starts with a file that the program has kept itself.
func fromFile(b *testing.B, r rival, wasm []byte) func() (engine, module, error) {
	b.Helper()
	folder, err := keep("artifacts")
	if err != nil {
		b.Fatal(err)
	}
	name := filepath.Join(folder, r.name)
	start := func() (engine, module, error) {
		e, err := r.open(setup{})
		if err != nil {
			return nil, nil, err
		}
		if err := e.provideWASI(); err != nil {
			return nil, nil, err
		}
		m, err := e.(filer).load(name)
		return e, m, err
	}
	if err := save(r, wasm, name); errors.Is(err, errors.ErrUnsupported) {
		b.Skip("has no such files")
	} else if err != nil {
		b.Fatal(err)
	}
	fill(b, start)
	return start
}

// save makes the file anew, as another build's would be refused: the cache has the code.
func save(r rival, wasm []byte, name string) error {
	folder, err := keep("cache", r.name)
	if err != nil {
		return err
	}
	e, err := r.open(setup{allCores: true, cache: folder})
	if err != nil {
		return err
	}
	f, ok := e.(filer)
	if !ok {
		return errors.Join(errors.ErrUnsupported, e.close())
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m, err := e.compile(wasm)
	if err != nil {
		return err
	}
	return errors.Join(f.save(m, name), m.close(), e.close())
}

// fill starts once, so that all is there, in the system's memory too.
func fill(b *testing.B, start func() (engine, module, error)) {
	b.Helper()
	e, m, err := start()
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(m.close(), e.close()); err != nil {
		b.Fatal(err)
	}
}
