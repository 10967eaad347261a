package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A plot is what of a group is drawn, into a file of its name.
type plot struct {
	name, group, title, about string
	// relative divides each row by the median that wazero has there: rows that differ much then fit beside each other.
	relative bool
	// lines says that the rows of a panel, "panel_step", are steps of something that grows.
	lines bool
	// leaveOut are the runtimes that would squeeze all others.
	leaveOut []string
	// rows are those that are drawn; nil for all.
	rows []string
	// bytes says that it is no time that is measured.
	bytes bool
}

const relativeAbout = "Time in that of wazero's compiler: further left is faster. Dots are medians, lines go from the fastest to the slowest round."

const timeAbout = "Further left is faster. Dots are medians, lines go from the fastest to the slowest round."

const growthAbout = "Lower is faster. Dots are medians, upright lines go from the fastest to the slowest round."

var plots = []plot{
	{
		name: "compute", group: "Compute", title: "Computations", about: relativeAbout, relative: true,
		leaveOut: []string{"wazero-interpreter"},
	},
	{name: "compile", group: "Compile", title: "Compilation", about: relativeAbout, relative: true},
	{name: "throughput", group: "Throughput", title: "Compilation of large programs", about: relativeAbout, relative: true},
	{name: "call", group: "Call", title: "A call of sum(5, 37), by form of the API", about: timeAbout},
	{name: "hostcall", group: "HostCall", title: "A call of a host function, by form of the API", about: timeAbout},
	{name: "instantiate", group: "Instantiate", title: "Make and close an instance", about: timeAbout},
	{name: "programs", group: "Programs", title: "Programs that live at the border", about: relativeAbout, relative: true},
	{
		name: "wasi", group: "WASI", title: "A command of WASI, from instantiation to its end, beside a plain module", about: timeAbout,
		rows: []string{"start_plain", "start", "start_exit"},
	},
	{
		name: "resident", group: "Resident", title: "Memory that an idle instance keeps", bytes: true,
		about: "Further left is less. Dots are medians, lines go from the least to the most of all rounds.",
	},
	{name: "goroutines", group: "Goroutines", title: "Time of an operation while goroutines share the work", about: growthAbout, lines: true},
	{name: "parameters", group: "Parameters", title: "A call, by number of parameters", about: growthAbout, lines: true},
	{name: "memory", group: "MemorySize", title: "Make and close an instance, by size of its memory", about: growthAbout, lines: true},
	{name: "modules", group: "ModuleSize", title: "Compile, and make an instance, by number of functions", about: growthAbout, lines: true},
}

// chart is the plot of what was measured.
func (p plot) chart(r results) chart {
	c := chart{title: p.title, about: p.about}
	for _, k := range r.keys(p.group) {
		if slices.Contains(p.leaveOut, k.runtime) || p.rows != nil && !slices.Contains(p.rows, k.row) {
			continue
		}
		scale, ok := p.scale(k, r)
		if !ok {
			continue
		}
		title, row := "", k.row
		if at := strings.LastIndexByte(row, '_'); p.lines && at >= 0 {
			title, row = strings.ReplaceAll(row[:at], "_", " "), row[at+1:]
		}
		if row == "" { // the yardstick
			row = k.runtime
		}
		unit := groupOf(p.group).unitOf(k, r)
		samples := r.samples[k][unit]
		median, _ := r.median(k, unit)
		c.panel(title, p).add(k.runtime, row, point{median / scale, slices.Min(samples) / scale, slices.Max(samples) / scale})
	}
	return c
}

// scale is what the row's numbers are divided by; false if that was not measured.
func (p plot) scale(k key, r results) (float64, bool) {
	if !p.relative {
		return 1, true
	}
	reference := key{k.group, wazero, k.row}
	scale, ok := r.median(reference, groupOf(p.group).unitOf(reference, r))
	return scale, ok && scale > 0
}

func (p plot) format() func(float64) string {
	switch {
	case p.relative:
		return brief
	case p.bytes:
		return size
	}
	return duration
}

// panel finds the one with the title, or adds it.
func (c *chart) panel(title string, of plot) *panel {
	for i := range c.panels {
		if c.panels[i].title == title {
			return &c.panels[i]
		}
	}
	c.panels = append(c.panels, panel{title: title, lines: of.lines, format: of.format()})
	return &c.panels[len(c.panels)-1]
}

// add leaves out what has no place on an axis of logarithms.
func (p *panel) add(runtime, row string, at point) {
	if at.least <= 0 {
		return
	}
	if !slices.Contains(p.rows, row) {
		p.rows = append(p.rows, row)
	}
	i := slices.IndexFunc(p.series, func(s series) bool { return s.runtime == runtime })
	if i < 0 {
		i = len(p.series)
		p.series = append(p.series, series{runtime, map[string]point{}})
	}
	p.series[i].points[row] = at
}

// writePlots writes a file for each plot that has something to show. What was not measured leaves its last file alone.
func writePlots(folder string, r results) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var failed error
	for _, p := range plots {
		if drawn := p.chart(r).draw(); drawn != nil {
			failed = errors.Join(failed, os.WriteFile(filepath.Join(folder, p.name+".svg"), drawn, 0o644))
		}
	}
	return failed
}
