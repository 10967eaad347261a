package benchmarks

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// sizeable are programs to compile: two of some megabytes, two of more than ten, by three compilers.
var sizeable = []struct {
	name  string
	large bool
	read  func() ([]byte, error)
}{
	{"hello", false, func() ([]byte, error) { return os.ReadFile(filepath.Join("..", "testdata", "wasip1_hello.wasm")) }},
	{"dprint", false, func() ([]byte, error) { return npmFile("@dprint/typescript@0.96.1", "plugin.wasm") }},
	{"vet", true, func() ([]byte, error) { return goCommand("cmd/vet") }},
	{"ruby", true, func() ([]byte, error) { return npmFile("@ruby/3.4-wasm-wasi@2.10.1", "dist/ruby.wasm") }},
}

// BenchmarkThroughput compiles programs of some size, on one core and on all.
func BenchmarkThroughput(b *testing.B) {
	for _, m := range sizeable {
		if m.large && testing.Short() {
			continue
		}
		wasm, err := m.read()
		if errors.Is(err, exec.ErrNotFound) {
			continue // what makes the program, or fetches it
		}
		if err != nil {
			b.Fatal(err)
		}
		for _, cores := range []struct {
			name string
			all  bool
		}{{"one_core", false}, {"all_cores", true}} {
			against(b, append(unoptimized(), compilers()...), m.name+"_"+cores.name, func(b *testing.B, r rival) {
				if r.slow && len(wasm) > 3<<20 {
					b.Skip("takes a minute, or minutes")
				}
				if cores.all {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU()))
				}
				e := openFor(b, r, setup{allCores: cores.all})
				b.SetBytes(int64(len(wasm)))
				runtime.GC() // what the rivals before have left is not this one's
				for b.Loop() {
					m, err := e.compile(wasm)
					if err != nil {
						b.Fatal(err)
					}
					if err := m.close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(wasm)), "wasm-bytes")
			})
		}
	}
}
