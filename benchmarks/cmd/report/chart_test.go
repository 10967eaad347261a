package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// elements counts those of a file that is well-formed, and gives the text in it.
func elements(t *testing.T, svg []byte) (counts map[string]int, text string) {
	t.Helper()
	counts = map[string]int{}
	decoder := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return counts, text
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			counts[token.Name.Local]++
			for _, attribute := range token.Attr {
				if strings.Contains(attribute.Value, "NaN") || strings.Contains(attribute.Value, "Inf") {
					t.Errorf("%s %s=%q", token.Name.Local, attribute.Name.Local, attribute.Value)
				}
			}
		case xml.CharData:
			text += string(token)
		}
	}
}

// measured are rows of all groups that are drawn, where everybody has a step of everything.
func measured(t *testing.T) results {
	t.Helper()
	var text strings.Builder
	for pass := range 3 {
		for _, p := range plots {
			rows := []string{"one", `a<b&"c"`}
			if p.rows != nil {
				rows = p.rows
			}
			if p.lines {
				rows = []string{"calls_1", "calls_2", "calls_8", "touched_1GiB"}
			}
			for n, row := range rows {
				for i, runtime := range []string{cranelift, llvm, wazero, wasmtime, "newcomer"} {
					fmt.Fprintf(&text, "Benchmark%s/%s/%s \t 1 \t %d ns/op \t %d bytes/instance\n", p.group, runtime, row,
						(n+1)*1000*(i+1)+pass*100, (n+1)*3000*(i+1)+pass)
				}
			}
		}
	}
	r, err := parse(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPlotsAreWellFormed(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "plots")
	if err := writePlots(folder, measured(t)); err != nil {
		t.Fatal(err)
	}
	for _, p := range plots {
		svg, err := os.ReadFile(filepath.Join(folder, p.name+".svg"))
		if err != nil {
			t.Error(err)
			continue
		}
		counts, text := elements(t, svg)
		for _, want := range []string{p.title, "newcomer", "wazero-compiler"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in %q", p.name, want, text)
			}
		}
		if counts["svg"] != 1 || counts["style"] != 1 || counts["circle"] == 0 || counts["path"] == 0 || counts["rect"] < 2 {
			t.Errorf("%s: %v", p.name, counts)
		}
	}
}

func TestNothingIsDrawnOfNothing(t *testing.T) {
	folder := t.TempDir()
	if err := writePlots(folder, results{}); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(folder); len(files) != 0 || err != nil {
		t.Error(files, err)
	}
}

func TestChartsShowMediansAndSpread(t *testing.T) {
	r, err := parse(strings.NewReader(`
BenchmarkGoroutines/wasmer-cranelift/calls_1 	1	5 ns/op	 100.0 ns/call
BenchmarkGoroutines/wasmer-cranelift/calls_1 	1	5 ns/op	 300.0 ns/call
BenchmarkGoroutines/wasmer-cranelift/calls_1 	1	5 ns/op	 120.0 ns/call
BenchmarkGoroutines/wasmer-cranelift/instantiate_2 	1	5 ns/op	 70.0 ns/call
BenchmarkCompute/wazero-compiler/nbody 	1	200 ns/op	0 allocs/op
BenchmarkCompute/wasmtime/nbody 	1	100 ns/op	0 allocs/op
BenchmarkCompute/wasmtime/alone 	1	100 ns/op	0 allocs/op
BenchmarkCompute/wazero-interpreter/nbody 	1	99999 ns/op	0 allocs/op
`))
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) plot {
		for _, p := range plots {
			if p.name == name {
				return p
			}
		}
		t.Fatal(name)
		return plot{}
	}
	lines := find("goroutines").chart(r)
	if len(lines.panels) != 2 || lines.panels[0].title != "calls" || lines.panels[1].title != "instantiate" || !lines.panels[0].lines {
		t.Fatalf("%+v", lines)
	}
	if got := lines.panels[0].series[0].points["1"]; got != (point{120, 100, 300}) {
		t.Error(got)
	}
	dots := find("compute").chart(r)
	if len(dots.panels) != 1 || len(dots.panels[0].series) != 2 || len(dots.panels[0].rows) != 1 {
		t.Fatalf("%+v", dots)
	}
	if got := dots.panels[0].series[1]; got.runtime != wasmtime || got.points["nbody"] != (point{0.5, 0.5, 0.5}) {
		t.Error(got)
	}
}

func TestAxis(t *testing.T) {
	for _, values := range [][]float64{{1}, {100, 100}, {20, 3500}, {1e-3, 1e9}, {0.3, 1.1}} {
		a := axisOf(values, 600, 100)
		for _, value := range values {
			if at := a.at(value); !(at < 600 && at > 100) {
				t.Errorf("%v: %g at %g", values, value, at)
			}
		}
		for _, tick := range a.ticks() {
			if at := a.at(tick); !(at <= 600 && at >= 100) {
				t.Errorf("%v: tick %g at %g", values, tick, at)
			}
		}
		if len(a.ticks()) == 0 && len(values) > 1 && values[0] != values[1] {
			t.Errorf("%v: no tick", values)
		}
	}
	a := axisOf([]float64{10, 1000}, 0, 100)
	if middle := a.at(100); math.Abs(middle-50) > 1e-9 {
		t.Error(middle)
	}
}

func TestSizes(t *testing.T) {
	for bytes, want := range map[float64]string{512: "512 B", 11207: "10.9 KiB", 1 << 20: "1 MiB", 1059545: "1.01 MiB"} {
		if got := size(bytes); got != want {
			t.Errorf("%g: %s, want %s", bytes, got, want)
		}
	}
}

// luminance is that of https://www.w3.org/TR/WCAG21/#dfn-relative-luminance.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	channel := func(at int) float64 {
		value, err := strconv.ParseUint(colour[at:at+2], 16, 8)
		if err != nil {
			t.Fatal(colour, err)
		}
		part := float64(value) / 255
		if part <= 0.04045 {
			return part / 12.92
		}
		return math.Pow((part+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(1) + 0.7152*channel(3) + 0.0722*channel(5)
}

func TestPlotsAreLegibleInLightAndDark(t *testing.T) {
	for _, on := range []theme{light, dark} {
		least := func(what, colour string, least float64) {
			a, b := luminance(t, colour), luminance(t, on.background)
			if contrast := (max(a, b) + 0.05) / (min(a, b) + 0.05); contrast < least {
				t.Errorf("%s, %s on %s: contrast %.2f, want %g", what, colour, on.background, contrast, least)
			}
		}
		least("text", on.text, 7)
		least("faint text", on.faint, 4.5)
		for runtime, look := range styles {
			least(runtime, look.colour, 3)
		}
	}
}
