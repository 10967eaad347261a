package main

import (
	"bufio"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A key is a benchmark's name: BenchmarkGroup/runtime/row.
type key struct{ group, runtime, row string }

// results hold what all passes measured, by benchmark and unit.
type results struct {
	order   []key // as the benchmarks ran
	samples map[key]map[string][]float64
}

// parse reads the output of go test -bench.
func parse(r io.Reader) (results, error) {
	all := results{samples: map[key]map[string][]float64{}}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		if _, err := strconv.Atoi(fields[1]); err != nil {
			continue // not a number of iterations: this one failed or was skipped
		}
		name := strings.SplitN(strings.TrimPrefix(fields[0], "Benchmark"), "/", 3)
		name = append(name, "", "")
		k := key{name[0], name[1], name[2]}
		if all.samples[k] == nil {
			all.order = append(all.order, k)
			all.samples[k] = map[string][]float64{}
		}
		for i := 2; i < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return all, err
			}
			unit := fields[i+1]
			all.samples[k][unit] = append(all.samples[k][unit], value)
		}
	}
	return all, lines.Err()
}

// median reports false where nothing was measured.
func (r results) median(k key, unit string) (float64, bool) {
	values := slices.Sorted(slices.Values(r.samples[k][unit]))
	n := len(values)
	if n == 0 {
		return 0, false
	}
	return (values[(n-1)/2] + values[n/2]) / 2, true
}

// spread is the distance of the slowest from the fastest pass, as a part of the median. Of many samples only the half in the middle
// counts, for one disturbance would else speak for all.
func (r results) spread(k key, unit string) float64 {
	values := slices.Sorted(slices.Values(r.samples[k][unit]))
	median, ok := r.median(k, unit)
	if !ok || median == 0 {
		return 0
	}
	const many = 8
	last := len(values) - 1
	if len(values) < many {
		return (values[last] - values[0]) / median
	}
	return (values[last*3/4] - values[last/4]) / median
}

// ratio is a's median in b's.
func (r results) ratio(a, b key, unit, unitOfB string) (float64, bool) {
	x, ok := r.median(a, unit)
	y, okOfB := r.median(b, unitOfB)
	if !ok || !okOfB || y == 0 {
		return 0, false
	}
	return x / y, true
}

// keys are the benchmarks of a group, in the order in which they ran.
func (r results) keys(group string) []key {
	return slices.DeleteFunc(slices.Clone(r.order), func(k key) bool { return k.group != group })
}
