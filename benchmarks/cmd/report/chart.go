package main

import (
	"fmt"
	"slices"
)

// A chart is one file: panels, one above the other, with one legend.
type chart struct {
	title, about string
	panels       []panel
}

// A panel compares runtimes at the same rows, by dots a row, or by lines that go through the rows.
type panel struct {
	title  string
	rows   []string
	series []series
	// lines says that the rows are steps of a growing cost, from left to right.
	lines  bool
	format func(float64) string
}

// series are what a runtime has measured, by row.
type series struct {
	runtime string
	points  map[string]point
}

type point struct{ median, least, most float64 }

const (
	chartWidth = 860.0
	margin     = 20.0
	// labels is the room for the names of rows, or of ticks.
	labels     = 190.0
	tickLabels = 80.0
	dotStep    = 9.0
	linesTall  = 240.0
)

// draw gives nothing for a chart without a point.
func (c chart) draw() []byte {
	c.panels = slices.DeleteFunc(slices.Clone(c.panels), func(p panel) bool { return len(p.values()) == 0 })
	if len(c.panels) == 0 {
		return nil
	}
	var d drawing
	d.text(margin, 30, "start", "title", c.title)
	d.text(margin, 48, "start", "faint", c.about)
	y := c.legend(&d, 70)
	for _, p := range c.panels {
		if p.title != "" {
			y += 24
			d.text(margin, y, "start", "", p.title)
		}
		if p.lines {
			y = p.drawLines(&d, y+14)
		} else {
			y = p.drawDots(&d, y+14)
		}
	}
	return d.finish(chartWidth, y+margin, c.title)
}

// legend names each runtime once, and gives where it ends.
func (c chart) legend(d *drawing, y float64) float64 {
	x, seen := margin, map[string]bool{}
	for _, p := range c.panels {
		for _, s := range p.series {
			if seen[s.runtime] {
				continue
			}
			seen[s.runtime] = true
			width := 30 + 7*float64(len(s.runtime))
			if x+width > chartWidth-margin {
				x, y = margin, y+18
			}
			d.mark(styleOf(s.runtime), x+4, y-4, s.runtime)
			d.text(x+14, y, "start", "", s.runtime)
			x += width
		}
	}
	return y
}

func (p panel) values() (values []float64) {
	for _, s := range p.series {
		for _, point := range s.points {
			values = append(values, point.least, point.most)
		}
	}
	return values
}

// drawDots has a band for each row, and in it a line for each runtime that has it: a dot at the median, and the spread.
func (p panel) drawDots(d *drawing, top float64) (bottom float64) {
	x := axisOf(p.values(), margin+labels, chartWidth-margin-20)
	height := func(row string) float64 { return dotStep*float64(p.inRow(row)) + 8 }
	bottom = top
	for _, row := range p.rows {
		bottom += height(row)
	}
	p.ticks(x.ticks(), x.at, 55, func(at float64, label string) {
		d.line(at, top, at, bottom, "grid", "")
		d.text(at, bottom+16, "middle", "faint", label)
	})
	y := top
	for _, row := range p.rows {
		d.line(margin, y, chartWidth-margin, y, "grid", "")
		d.text(margin+labels-10, y+height(row)/2+4, "end", "", row)
		line := y + 4 + dotStep/2
		for _, s := range p.series {
			point, measured := s.points[row]
			if !measured {
				continue
			}
			look := styleOf(s.runtime)
			d.line(x.at(point.least), line, x.at(point.most), line, "", look.colour)
			d.mark(look, x.at(point.median), line, p.hint(s, row))
			line += dotStep
		}
		y += height(row)
	}
	d.line(margin, bottom, chartWidth-margin, bottom, "grid", "")
	return bottom + 24
}

func (p panel) inRow(row string) (n int) {
	for _, s := range p.series {
		if _, measured := s.points[row]; measured {
			n++
		}
	}
	return n
}

// drawLines has a column for each row.
func (p panel) drawLines(d *drawing, top float64) (bottom float64) {
	bottom = top + linesTall
	left, right := margin+tickLabels, chartWidth-margin-20
	y := axisOf(p.values(), bottom, top)
	x := func(i int) float64 {
		return left + (float64(i)+0.5)*(right-left)/float64(len(p.rows))
	}
	p.ticks(y.ticks(), y.at, 16, func(at float64, label string) {
		d.line(left, at, right, at, "grid", "")
		d.text(left-8, at+4, "end", "faint", label)
	})
	for i, row := range p.rows {
		d.text(x(i), bottom+16, "middle", "faint", row)
	}
	for _, s := range p.series {
		look := styleOf(s.runtime)
		before := -1
		for i, row := range p.rows {
			point, measured := s.points[row]
			if !measured {
				continue
			}
			if before >= 0 {
				d.line(x(before), y.at(s.points[p.rows[before]].median), x(i), y.at(point.median), "", look.colour)
			}
			before = i
			d.line(x(i), y.at(point.least), x(i), y.at(point.most), "", look.colour)
			d.mark(look, x(i), y.at(point.median), p.hint(s, row))
		}
	}
	return bottom + 24
}

// ticks leaves out those that would come closer than apart pixels to the one before.
func (p panel) ticks(ticks []float64, at func(float64) float64, apart float64, draw func(at float64, label string)) {
	last := -2 * apart
	for _, tick := range ticks {
		place := at(tick)
		if distance := place - last; distance > -apart && distance < apart {
			continue
		}
		last = place
		draw(place, p.format(tick))
	}
}

func (p panel) hint(s series, row string) string {
	point := s.points[row]
	return fmt.Sprintf("%s, %s: %s (%s to %s)", s.runtime, row, p.format(point.median), p.format(point.least), p.format(point.most))
}
