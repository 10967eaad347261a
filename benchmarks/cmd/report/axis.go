package main

import (
	"math"
	"slices"
)

// An axis maps numbers above zero to pixels, by their logarithms: what is twice as slow is as far away everywhere.
type axis struct {
	least, most float64
	from, to    float64 // pixels
}

// axisOf has all the values, with some air around them.
func axisOf(values []float64, from, to float64) axis {
	least, most := slices.Min(values), slices.Max(values)
	air := max(math.Pow(most/least, 0.04), 1.15)
	return axis{least / air, most * air, from, to}
}

func (a axis) at(value float64) float64 {
	return a.from + (a.to-a.from)*math.Log(value/a.least)/math.Log(a.most/a.least)
}

// ticks are round numbers: powers of ten, with their doubles and halves where there is room.
func (a axis) ticks() (ticks []float64) {
	steps := []float64{1, 2, 5}
	if a.most/a.least > 2000 {
		steps = steps[:1]
	}
	for power := math.Floor(math.Log10(a.least)); power <= math.Log10(a.most); power++ {
		for _, step := range steps {
			if tick := step * math.Pow(10, power); tick >= a.least && tick <= a.most {
				ticks = append(ticks, tick)
			}
		}
	}
	return ticks
}
