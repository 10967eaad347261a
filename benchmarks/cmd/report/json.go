package main

import (
	"encoding/json"
	"io"
	"slices"
)

// documentVersion changes when a field changes its meaning or goes away.
const documentVersion = 1

// document is the report for machines. README.md describes its fields.
type document struct {
	Version int             `json:"version"`
	Machine documentMachine `json:"machine"`
	Method  documentMethod  `json:"method"`
	// Failure is why the report is incomplete; absent if it is not.
	Failure string           `json:"failure,omitempty"`
	Rows    []documentRow    `json:"rows"`
	Targets []documentTarget `json:"targets"`
}

type documentMachine struct {
	Date     string `json:"date"`
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	Platform string `json:"platform"`
	Load     string `json:"load"`
	Go       string `json:"go"`
	Library  string `json:"library"`
	Wazero   string `json:"wazero"`
	Wasmtime string `json:"wasmtime"`
	Native   string `json:"native"`
}

type documentMethod struct {
	Passes     int      `json:"passes"`
	LongPasses int      `json:"long_passes"`
	Rounds     int      `json:"rounds"`
	Args       []string `json:"args"`
	RoundArgs  []string `json:"round_args,omitempty"`
}

type documentRow struct {
	Group   string    `json:"group"`
	Runtime string    `json:"runtime"`
	Row     string    `json:"row"`
	Unit    string    `json:"unit"`
	Median  float64   `json:"median"`
	Least   float64   `json:"least"`
	Most    float64   `json:"most"`
	Spread  float64   `json:"spread"`
	Samples []float64 `json:"samples"`
	// Ratios are the median in that of the same row of another runtime.
	Ratios map[string]float64 `json:"ratios,omitempty"`
	// Medians are those of all units, the row's own among them.
	Medians map[string]float64 `json:"medians"`
}

type documentTarget struct {
	What     string   `json:"what"`
	Unit     string   `json:"unit"`
	AtLeast  bool     `json:"at_least"`
	Limit    float64  `json:"limit"`
	Measured *float64 `json:"measured"`
	Met      *bool    `json:"met"`
}

func writeJSON(w io.Writer, about machine, o options, r results, failed error) error {
	d := document{
		Version: documentVersion,
		Machine: documentMachine{
			Date: about.date, CPU: about.cpu, Cores: about.cores, Platform: about.platform, Load: about.load, Go: about.goVersion,
			Library: about.library, Wazero: about.wazero, Wasmtime: about.wasmtime, Native: about.cCompilers,
		},
		Method: documentMethod{Passes: o.count, LongPasses: o.longPasses(), Args: o.args(true)},
		Rows:   []documentRow{},
	}
	if o.inRounds() {
		d.Method.Rounds, d.Method.RoundArgs = o.rounds, o.roundArgs()
	}
	if failed != nil {
		d.Failure = failed.Error()
	}
	for _, g := range groups {
		for _, k := range r.keys(g.name) {
			d.Rows = append(d.Rows, rowOf(g, k, r))
		}
	}
	for _, t := range targets() {
		row := documentTarget{What: t.what, Unit: string(t.unit), AtLeast: t.atLeast, Limit: t.limit}
		if value, ok := t.measure(r); ok {
			met := t.met(value)
			row.Measured, row.Met = &value, &met
		}
		d.Targets = append(d.Targets, row)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "\t")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(d)
}

func rowOf(g group, k key, r results) documentRow {
	unit := g.unitOf(k, r)
	samples := r.samples[k][unit]
	median, _ := r.median(k, unit)
	row := documentRow{
		Group: k.group, Runtime: k.runtime, Row: k.row, Unit: unit, Median: median, Spread: r.spread(k, unit), Samples: samples,
		Least: slices.Min(samples), Most: slices.Max(samples), Ratios: map[string]float64{}, Medians: map[string]float64{},
	}
	for _, ref := range g.references {
		other := ref.of(k)
		if ratio, ok := r.ratio(k, other, unit, g.unitOf(other, r)); ok {
			row.Ratios[ref.name] = ratio
		}
	}
	for unit := range r.samples[k] {
		row.Medians[unit], _ = r.median(k, unit)
	}
	return row
}
