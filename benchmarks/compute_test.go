package benchmarks

import (
	"slices"
	"testing"
)

// BenchmarkCompute measures compiled code alone: module and instance are made before.
func BenchmarkCompute(b *testing.B) {
	for _, p := range programs {
		rivals := runtimes()
		if !p.light {
			rivals = compilers()
		}
		against(b, rivals, p.name, func(b *testing.B, r rival) {
			run := export(b, load(b, r, nil, readProgram(b, p)), p.export)
			for first := true; b.Loop(); first = false {
				result, err := run(p.args...)
				if err != nil {
					b.Fatal(err)
				}
				if first {
					check(b, p, result)
				}
			}
		})
	}
}

// BenchmarkEndToEnd compiles, instantiates, calls and closes each time, as go-ext-wasm's benchmarks did.
func BenchmarkEndToEnd(b *testing.B) {
	for _, p := range programs {
		if testing.Short() && !p.light {
			continue
		}
		against(b, compilers(), p.name, func(b *testing.B, r rival) {
			wasm := readProgram(b, p)
			e := open(b, r, nil)
			for b.Loop() {
				result, err := once(e, wasm, p)
				if err != nil {
					b.Fatal(err)
				}
				check(b, p, result)
			}
		})
	}
}

func once(e engine, wasm []byte, p program) (uint64, error) {
	m, err := e.compile(wasm)
	if err != nil {
		return 0, err
	}
	i, err := m.instantiate()
	if err != nil {
		return 0, err
	}
	run, err := i.function(p.export)
	if err != nil {
		return 0, err
	}
	result, err := run(p.args...)
	if err != nil {
		return 0, err
	}
	if err := i.close(); err != nil {
		return 0, err
	}
	return result, m.close()
}

// BenchmarkCompile compiles the large programs, and closes them so that no cache answers the next time.
func BenchmarkCompile(b *testing.B) {
	for _, p := range []program{pollard, snappy} {
		against(b, compilers(), p.name, func(b *testing.B, r rival) {
			wasm := readProgram(b, p)
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
			// Tells the full programs from their small stand-ins.
			b.ReportMetric(float64(len(wasm)), "wasm-bytes")
		})
	}
}

// BenchmarkInstantiate makes and closes instances of one module.
func BenchmarkInstantiate(b *testing.B) {
	text := func(wat string) func(testing.TB) []byte {
		return func(tb testing.TB) []byte { return binary(tb, wat) }
	}
	for _, row := range []struct {
		name  string
		hosts hosts
		wasm  func(testing.TB) []byte
	}{
		{"plain", nil, text(sumGuest)},
		{"one_page", nil, text(memoryGuest)},
		{"two_hosts", hosts{"f": addOne, "g": addOne}, text(twoHostsGuest)},
		{pollard.name, nil, func(tb testing.TB) []byte { return readProgram(tb, pollard) }},
	} {
		against(b, compilers(), row.name, func(b *testing.B, r rival) {
			m := compile(b, open(b, r, row.hosts), row.wasm(b))
			for b.Loop() {
				i, err := m.instantiate()
				if err != nil {
					b.Fatal(err)
				}
				if err := i.close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestRuntimesAgree has every rival compute the light programs.
func TestRuntimesAgree(t *testing.T) {
	light := slices.DeleteFunc(slices.Clone(programs), func(p program) bool { return !p.light })
	for _, p := range light {
		for _, r := range runtimes() {
			t.Run(r.name+"/"+p.name, func(t *testing.T) {
				result, err := export(t, load(t, r, nil, readProgram(t, p)), p.export)(p.args...)
				if err != nil {
					t.Fatal(err)
				}
				check(t, p, result)
			})
		}
	}
}
