package main

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
)

func documentOf(t *testing.T, failed error) (d document, fields map[string]any) {
	t.Helper()
	var text strings.Builder
	if err := writeJSON(&text, machine{cpu: "a <fast> one", cores: 2}, options{count: 5, long: 2, time: "1s"}, parsed(t), failed); err != nil {
		t.Fatal(err)
	}
	for _, into := range []any{&d, &fields} {
		if err := json.Unmarshal([]byte(text.String()), into); err != nil {
			t.Fatal(err)
		}
	}
	return d, fields
}

func TestNumbersForMachines(t *testing.T) {
	d, _ := documentOf(t, nil)
	if d.Version != documentVersion || d.Machine.CPU != "a <fast> one" || d.Method.Passes != 5 || d.Method.LongPasses != 2 || d.Failure != "" {
		t.Errorf("%+v", d)
	}
	find := func(group, runtime, name string) documentRow {
		t.Helper()
		i := slices.IndexFunc(d.Rows, func(r documentRow) bool { return r.Group == group && r.Runtime == runtime && r.Row == name })
		if i < 0 {
			t.Fatalf("no row %s/%s/%s in %+v", group, runtime, name, d.Rows)
		}
		return d.Rows[i]
	}
	cgo := find("Call", yardstick.runtime, "")
	if cgo.Unit != perOp || cgo.Median != 25 || cgo.Least != 20 || cgo.Most != 30 || math.Abs(cgo.Spread-0.4) > 1e-9 ||
		!slices.Equal(cgo.Samples, []float64{20, 30}) {
		t.Errorf("%+v", cgo)
	}
	host := find("HostCall", cranelift, "Func")
	if host.Unit != perHostCall || host.Median != 90 || host.Medians[perOp] != 90000 || host.Medians[allocsPerOp] != 1 {
		t.Errorf("%+v", host)
	}
	if echo := find("WASI", cranelift, "echo"); math.Abs(echo.Ratios[native]-1.22) > 1e-9 || len(echo.Ratios) != 2 {
		t.Errorf("%+v", echo)
	}
	for _, target := range d.Targets {
		switch target.What {
		case "WASI, copy of stdin to stdout: time Cranelift / native":
			if target.Met == nil || *target.Met || *target.Measured != 1.22 || target.Limit != 1.2 || target.AtLeast || target.Unit != "x" {
				t.Errorf("%+v", target)
			}
		case "WASI, copy of a file: time Cranelift / native":
			if target.Met != nil || target.Measured != nil {
				t.Errorf("%+v: was not measured", target)
			}
		case "host call, Func":
			if target.Met == nil || !*target.Met || target.Unit != "ns" {
				t.Errorf("%+v", target)
			}
		}
	}
	if len(d.Targets) != len(targets()) {
		t.Error(len(d.Targets))
	}
}

func TestFailureForMachines(t *testing.T) {
	if d, _ := documentOf(t, errors.New("pass 1: broken")); d.Failure != "pass 1: broken" {
		t.Error(d.Failure)
	}
}

// The fields are promised by README.md.
func TestFieldsForMachines(t *testing.T) {
	_, fields := documentOf(t, nil)
	for what, want := range map[string]struct {
		got  any
		keys string
	}{
		"document": {fields, "machine method rows targets version"},
		"machine":  {fields["machine"], "cores cpu date go library load native platform wasmtime wazero"},
		"method":   {fields["method"], "args long_passes passes rounds"},
		"row":      {fields["rows"].([]any)[0], "group least median medians most row runtime samples spread unit"},
		"target":   {fields["targets"].([]any)[0], "at_least limit measured met unit what"},
	} {
		keys := slices.Sorted(maps.Keys(want.got.(map[string]any)))
		keys = slices.DeleteFunc(keys, func(key string) bool { return key == "ratios" })
		if got := strings.Join(keys, " "); got != want.keys {
			t.Errorf("%s: %s, want %s", what, got, want.keys)
		}
	}
}
