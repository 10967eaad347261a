package wasmer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// What it costs to make an instance and to close it, by what the module has, beside a crossing of the border; and when two
// goroutines do it at once (go test -cpu 1,2).
func BenchmarkInstances(b *testing.B) {
	function := `(func (export "f%d") (param i32) (result i32) (local.get 0))`
	var functions strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&functions, function, i)
	}
	one := fmt.Sprintf(function, 0)
	data := func(bytes int) string {
		return fmt.Sprintf(`(memory (export "memory") %d) (data (i32.const 1024) "%s")`, bytes>>16+2, strings.Repeat("d", bytes))
	}
	b.Run("EmptyCgo", func(b *testing.B) {
		for b.Loop() {
			ffi.Nothing()
		}
	})
	engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{}))
	b.Cleanup(func() { engine.Close() })
	for _, bm := range []struct{ name, module string }{
		{"NoMemory", one},
		{"Small", `(memory (export "memory") 1)` + one},
		{"1000Exports", `(memory (export "memory") 1)` + functions.String()},
		{"Data16KiB", data(16<<10) + one},
		{"Data64KiB", data(64<<10) + one},
		{"Data256KiB", data(256<<10) + one},
		{"Data20MB", data(20e6) + one},
	} {
		module := wasmer.Must(engine.Compile(background, []byte("(module "+bm.module+")")))
		b.Cleanup(func() { module.Close() })
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					instance, err := wasmer.Instantiate(background, module, nil)
					if err != nil {
						b.Fatal(err)
					}
					_ = instance.Close()
				}
			})
		})
	}
}
