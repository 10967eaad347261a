package benchmarks

import (
	"slices"
	"testing"
)

// BenchmarkCompute measures compiled code alone: module and instance are made before.
func BenchmarkCompute(b *testing.B) {
	for _, p := range slices.Concat(programs, computations) {
		against(b, able(p), p.name, func(b *testing.B, r rival) {
			compute(b, p, export(b, load(b, r, nil, readProgram(b, p)), p.export))
		})
		for _, c := range nativeCompilers(p) {
			b.Run(c.name+"/"+p.name, func(b *testing.B) {
				b.ReportAllocs()
				compute(b, p, c.build(b, p))
			})
		}
	}
}

func compute(b *testing.B, p program, run function) {
	for first := true; b.Loop(); first = false {
		result, err := run(p.args...)
		if err != nil {
			b.Fatal(err)
		}
		if first {
			check(b, p, result)
		}
	}
}

// able are the rivals that can run the program in good time.
func able(p program) []rival {
	rivals := compilers()
	if p.light {
		rivals = runtimes()
	}
	return slices.DeleteFunc(rivals, func(r rival) bool { return p.simd && r.lacksSIMD })
}

// BenchmarkEndToEnd compiles, instantiates, calls and closes each time, as go-ext-wasm's benchmarks did. What runs for long is left
// to BenchmarkCompute: the rest of it would be nothing.
func BenchmarkEndToEnd(b *testing.B) {
	for _, p := range programs {
		if p.long || testing.Short() && !p.light {
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

// TestRuntimesAgree has every rival compute the programs, and the machine itself what it can.
func TestRuntimesAgree(t *testing.T) {
	for _, p := range slices.Concat(programs, computations) {
		if p.long {
			continue
		}
		agrees := func(t *testing.T, run function) {
			result, err := run(p.args...)
			if err != nil {
				t.Fatal(err)
			}
			check(t, p, result)
		}
		eachRival(t, able(p), p.name, func(t *testing.T, r rival) {
			agrees(t, export(t, load(t, r, nil, readProgram(t, p)), p.export))
		})
		for _, c := range nativeCompilers(p) {
			t.Run(c.name+"/"+p.name, func(t *testing.T) { agrees(t, c.build(t, p)) })
		}
	}
}
