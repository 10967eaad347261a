package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

var inspectCommand = &command{
	name: "inspect", synopsis: "FILE [--json]", summary: "show what a module needs and offers",
	help: `
  --json  for programs

Types are in the text format. Memories are those imported or exported; one with two
names is shown twice.
`,
	options: map[string]bool{"json": false},
	file:    true,
	do:      inspect,
}

func inspect(in *input) error {
	wasm, err := in.read()
	if err != nil {
		return err
	}
	module, err := wasmer.Inspect(wasm)
	if err != nil {
		return explainInvalid(in, wasm, err)
	}
	if in.has("json") {
		return writeJSON(in, module)
	}
	writeText(in, module)
	return nil
}

func writeText(in *input, module *wasmer.ModuleInfo) {
	name := "(none)"
	if module.Name() != "" {
		name = quote(module.Name())
	}
	fmt.Fprintf(&in.out, "name: %s\n", name)
	var imports, exports, memories [][]string
	for _, i := range module.Imports() {
		imports = append(imports, []string{i.Type.Kind.String(), quote(i.Module), quote(i.Name), i.Type.String()})
		if i.Type.Kind == wasmer.ExternMemory {
			memories = append(memories, []string{"import", quote(i.Module) + " " + quote(i.Name), i.Type.String(), pages(i.Type.Memory.Limits)})
		}
	}
	for _, e := range module.Exports() {
		exports = append(exports, []string{e.Type.Kind.String(), quote(e.Name), e.Type.String()})
		if e.Type.Kind == wasmer.ExternMemory {
			memories = append(memories, []string{"export", quote(e.Name), e.Type.String(), pages(e.Type.Memory.Limits)})
		}
	}
	for _, section := range []struct {
		title string
		rows  [][]string
	}{{"imports", imports}, {"exports", exports}, {"memories", memories}} {
		fmt.Fprintf(&in.out, "\n%s: %d\n", section.title, len(section.rows))
		if len(section.rows) > 0 {
			in.out.WriteString(table(section.rows) + "\n")
		}
	}
}

// pages is the size of a memory in words.
func pages(l wasmer.Limits) string {
	text := fmt.Sprintf("%s, %s", count(int(l.Min), "page"), size(l.Min))
	if l.HasMax {
		return text + fmt.Sprintf("; at most %s, %s", count(int(l.Max), "page"), size(l.Max))
	}
	return text + "; no maximum"
}

func size(pages uint64) string {
	kib := pages * wasmer.PageSize >> 10
	switch {
	case kib >= 1<<20:
		return fmt.Sprintf("%.4g GiB", float64(kib)/(1<<20))
	case kib >= 1<<10:
		return fmt.Sprintf("%.4g MiB", float64(kib)/(1<<10))
	}
	return fmt.Sprintf("%d KiB", kib)
}

// quote keeps names apart from what surrounds them, and harmless to a terminal.
func quote(name string) string { return strconv.Quote(name) }

// table aligns the columns, and indents.
func table(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	_ = w.Flush()
	return strings.TrimRight(b.String(), "\n")
}

// externJSON is an import or export. Which fields it has besides these depends on the kind.
type externJSON struct {
	// Module is that of an import, which may be empty.
	Module *string `json:"module,omitempty"`
	Name   string  `json:"name"`
	Kind   string  `json:"kind"`
	Type   string  `json:"type"`
	// Params and Results are those of a function or tag.
	Params  *[]string `json:"params,omitempty"`
	Results *[]string `json:"results,omitempty"`
	// Min and Max are the limits of a memory in pages, of a table in elements.
	Min    *uint64 `json:"min,omitempty"`
	Max    *uint64 `json:"max,omitempty"`
	Shared *bool   `json:"shared,omitempty"`
	// Value is the type of a global or of a table's elements.
	Value   string `json:"value,omitempty"`
	Mutable *bool  `json:"mutable,omitempty"`
}

func newExternJSON(module *string, name string, t wasmer.ExternType) externJSON {
	out := externJSON{Module: module, Name: name, Kind: t.Kind.String(), Type: t.String()}
	switch t.Kind {
	case wasmer.ExternFunction, wasmer.ExternTag:
		out.Params, out.Results = typeNames(t.Function.Params), typeNames(t.Function.Results)
	case wasmer.ExternTable:
		out.setLimits(t.Table.Limits)
		out.Value = t.Table.Element.String()
	case wasmer.ExternMemory:
		out.setLimits(t.Memory.Limits)
		out.Shared = &t.Memory.Shared
	case wasmer.ExternGlobal:
		out.Value, out.Mutable = t.Global.Value.String(), &t.Global.Mutable
	}
	return out
}

func (e *externJSON) setLimits(limits wasmer.Limits) {
	e.Min = &limits.Min
	if limits.HasMax {
		e.Max = &limits.Max
	}
}

func typeNames(types []wasmer.ValueType) *[]string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return &names
}

func writeJSON(in *input, module *wasmer.ModuleInfo) error {
	out := struct {
		Name     string       `json:"name"`
		Imports  []externJSON `json:"imports"`
		Exports  []externJSON `json:"exports"`
		Memories []externJSON `json:"memories"`
	}{module.Name(), []externJSON{}, []externJSON{}, []externJSON{}}
	for _, i := range module.Imports() {
		out.Imports = append(out.Imports, newExternJSON(&i.Module, i.Name, i.Type))
	}
	for _, e := range module.Exports() {
		out.Exports = append(out.Exports, newExternJSON(nil, e.Name, e.Type))
	}
	for _, e := range append(out.Imports[:len(out.Imports):len(out.Imports)], out.Exports...) {
		if e.Kind == wasmer.ExternMemory.String() {
			out.Memories = append(out.Memories, e)
		}
	}
	encoder := json.NewEncoder(&in.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}
