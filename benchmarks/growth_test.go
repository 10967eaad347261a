package benchmarks

import (
	"fmt"
	"testing"
)

// BenchmarkParameters calls functions of more and more parameters.
func BenchmarkParameters(b *testing.B) {
	for _, n := range []int{0, 1, 2, 4, 8, maxArgs} {
		wasm := binary(b, parametersGuest(n))
		against(b, compilers(), fmt.Sprint(n), func(b *testing.B, r rival) {
			add, args := export(b, load(b, r, nil, wasm), "add"), arguments(n)
			for b.Loop() {
				if _, err := add(args...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func arguments(n int) []int32 {
	args := make([]int32, n)
	for i := range args {
		args[i] = int32(i + 1)
	}
	return args
}

func TestParametersArrive(t *testing.T) {
	for n := range maxArgs + 1 {
		wasm := binary(t, parametersGuest(n))
		eachRival(t, compilers(), fmt.Sprint(n), func(t *testing.T, r rival) {
			sum, err := export(t, load(t, r, nil, wasm), "add")(arguments(n)...)
			if want := uint64(n * (n + 1) / 2); sum != want || err != nil {
				t.Error(sum, want, err)
			}
		})
	}
}

// memorySizes go up to 1 GiB; a module of that size, with the data in it, is more than compilers take.
var memorySizes = []struct {
	name string
	size int
	data bool
}{
	{"64KiB", 64 << 10, true}, {"1MiB", 1 << 20, true}, {"16MiB", 16 << 20, true}, {"256MiB", 256 << 20, true},
	{"1GiB", 1 << 30, false},
}

// BenchmarkMemorySize makes and closes instances whose memories have that much data from the start, or are touched by the guest.
func BenchmarkMemorySize(b *testing.B) {
	for _, m := range memorySizes {
		if !m.data || testing.Short() && m.size > 16<<20 {
			continue
		}
		wasm := dataGuest(b, m.size)
		against(b, compilers(), "initialised_"+m.name, func(b *testing.B, r rival) {
			module := compile(b, open(b, r, nil), wasm)
			for b.Loop() {
				if err := makeAndClose(module); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, m := range memorySizes {
		if testing.Short() && m.size > 16<<20 {
			continue
		}
		wasm := touchGuest(b, m.size)
		against(b, compilers(), "touched_"+m.name, func(b *testing.B, r rival) {
			module := compile(b, open(b, r, nil), wasm)
			for b.Loop() {
				if err := touch(module, m.size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func dataGuest(tb testing.TB, size int) []byte {
	tb.Helper()
	wasm, err := withData(dataText, size)
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

func touchGuest(tb testing.TB, size int) []byte {
	tb.Helper()
	return binary(tb, fmt.Sprintf(touchText, size/pageSize))
}

// touch makes an instance, has it write to all of its memory, and closes it.
func touch(m module, size int) error {
	i, err := m.instantiate()
	if err != nil {
		return err
	}
	run, err := i.function("touch")
	if err != nil {
		return err
	}
	steps, err := run()
	if err != nil {
		return err
	}
	if steps != uint64(size/4096) {
		return fmt.Errorf("touched %d pages, not %d", steps, size/4096)
	}
	return i.close()
}

func TestMemoriesAreTouched(t *testing.T) {
	wasm := touchGuest(t, 1<<20)
	eachRival(t, compilers(), "1MiB", func(t *testing.T, r rival) {
		if err := touch(compile(t, open(t, r, nil), wasm), 1<<20); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkModuleSize compiles modules of more and more functions, and makes instances of them.
func BenchmarkModuleSize(b *testing.B) {
	sizes := []int{10, 100, 1000, 10_000}
	if testing.Short() {
		sizes = sizes[:3]
	}
	rivals := func(functions int) []rival {
		if functions < 10_000 {
			return compilers()
		}
		return quick(compilers())
	}
	for _, n := range sizes {
		wasm := binary(b, functionsGuest(n, 1))
		against(b, rivals(n), fmt.Sprintf("compile_%d", n), func(b *testing.B, r rival) {
			e := open(b, r, nil)
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
	for _, n := range sizes {
		wasm := binary(b, functionsGuest(n, 1))
		against(b, rivals(n), fmt.Sprintf("instantiate_%d", n), func(b *testing.B, r rival) {
			m := compile(b, open(b, r, nil), wasm)
			for b.Loop() {
				if err := makeAndClose(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
