package main

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// programs are those that a geometric mean is over.
type programs struct {
	name string
	all  []string
}

var (
	four  = []string{"nbody", "fib_recursive", "pollard_rho_128", "snappy_compress"}
	eight = []string{"matrix", "mandelbrot", "spectral", "fannkuch", "sha256", "quicksort", "json", "regex"}
	sets  = []programs{
		{"the four", four},
		{"the twelve", slices.Concat(four, eight)},
		{"the twelve with SIMD", slices.Concat(four, withSIMD(eight))},
	}
)

func withSIMD(names []string) []string {
	names = slices.Clone(names)
	for i := range names {
		names[i] += "_simd"
	}
	return names
}

// of is what of the programs there is on the runtime: two of the four have no source to compile natively.
func (p programs) of(runtime string) []string {
	if runtime != nativeCC && runtime != nativeClang {
		return p.all
	}
	return slices.DeleteFunc(slices.Clone(p.all), func(name string) bool { return slices.Contains(four[2:], name) })
}

// meanSpeed is not measured where a program is missing: a mean of fewer would be another number.
func meanSpeed(runtime, reference string, names []string) func(results) (float64, bool) {
	return func(r results) (float64, bool) {
		sum := 0.0
		for _, program := range names {
			speed, ok := r.ratio(key{"Compute", reference, program}, key{"Compute", runtime, program}, perOp, perOp)
			if !ok {
				return 0, false
			}
			sum += math.Log(speed)
		}
		return math.Exp(sum / float64(len(names))), true
	}
}

func writeMeans(w io.Writer, r results) {
	references := []string{wazero, wasmtime, nativeCC, nativeClang}
	header := []string{"programs", "runtime"}
	for _, reference := range references {
		header = append(header, "speed / "+reference)
	}
	var rows [][]string
	for _, set := range sets {
		for _, runtime := range []string{llvm, cranelift, singlepass} {
			row, measured := []string{set.name, runtime}, false
			for _, reference := range references {
				text := ""
				if speed, ok := meanSpeed(runtime, reference, set.of(reference))(r); ok {
					text, measured = fmt.Sprintf("%.2f", speed), true
				}
				row = append(row, text)
			}
			if measured {
				rows = append(rows, row)
			}
		}
	}
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\nGeometric means of the speed, above 1 is faster; pollard_rho_128 and snappy_compress have no native build.\n\n")
	writeTable(w, header, rows)
}
