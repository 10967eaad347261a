package wasmer

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
)

func cliInspectCommand() *cliCommand {
	return &cliCommand{
		name: "inspect", operand: "FILE", summary: "show what a module needs and offers",
		options: []cliOption{{name: "json", summary: "for programs"}},
		notes: `
Types are in the text format. Memories are those imported or exported; one with two
names is shown twice.`,
		examples: `
  wasmer-go inspect app.wasm
  wasmer-go inspect app.wasm --json | jq -r '.exports[].name'`,
		do: (*cli).inspect,
	}
}

func (c *cli) inspect(context.Context) error {
	wasm, err := c.read()
	if err != nil {
		return err
	}
	if IsArtifact(wasm) {
		return c.inspectArtifact(wasm)
	}
	module, err := Inspect(wasm)
	if err != nil {
		return c.explainInvalid(wasm, err)
	}
	if c.has("json") {
		return c.writeJSON(module)
	}
	c.writeText(module)
	return nil
}

func (c *cli) writeText(module *ModuleInfo) {
	name := "(none)"
	if module.Name() != "" {
		name = cliQuote(module.Name())
	}
	fmt.Fprintf(&c.out, "name: %s\n", name)
	var imports, exports, memories [][]string
	for _, i := range module.Imports() {
		imports = append(imports, []string{i.Type.Kind.String(), cliQuote(i.Module), cliQuote(i.Name), i.Type.String()})
		if i.Type.Kind == ExternMemory {
			name := cliQuote(i.Module) + " " + cliQuote(i.Name)
			memories = append(memories, []string{"import", name, i.Type.String(), cliPages(i.Type.Memory.Limits)})
		}
	}
	for _, e := range module.Exports() {
		exports = append(exports, []string{e.Type.Kind.String(), cliQuote(e.Name), e.Type.String()})
		if e.Type.Kind == ExternMemory {
			memories = append(memories, []string{"export", cliQuote(e.Name), e.Type.String(), cliPages(e.Type.Memory.Limits)})
		}
	}
	for _, section := range []struct {
		title string
		rows  [][]string
	}{{"imports", imports}, {"exports", exports}, {"memories", memories}} {
		fmt.Fprintf(&c.out, "\n%s: %d\n", section.title, len(section.rows))
		if len(section.rows) > 0 {
			c.out.WriteString(cliTable(section.rows) + "\n")
		}
	}
	for _, artifact := range embeddedArtifacts(module) {
		c.out.WriteString("\ncompiled code:\n" + cliTable(artifactRows(artifact)) + "\n")
	}
}

// cliPages is the size of a memory in words.
func cliPages(l Limits) string {
	text := fmt.Sprintf("%s, %s", cliCount(int(l.Min), "page"), cliMemorySize(l.Min))
	if l.HasMax {
		return text + fmt.Sprintf("; at most %s, %s", cliCount(int(l.Max), "page"), cliMemorySize(l.Max))
	}
	return text + "; no maximum"
}

func cliMemorySize(pages uint64) string {
	kib := pages * PageSize >> 10
	switch {
	case kib >= 1<<20:
		return fmt.Sprintf("%.4g GiB", float64(kib)/(1<<20))
	case kib >= 1<<10:
		return fmt.Sprintf("%.4g MiB", float64(kib)/(1<<10))
	}
	return fmt.Sprintf("%d KiB", kib)
}

// cliQuote keeps names apart from what surrounds them, and harmless to a terminal.
func cliQuote(name string) string { return strconv.Quote(name) }

// cliTable aligns the columns, and indents.
func cliTable(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	_ = w.Flush()
	return strings.TrimRight(b.String(), "\n")
}

// cliExtern is an import or export. Which fields it has besides these depends on the kind.
type cliExtern struct {
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

func newCLIExtern(module *string, name string, t ExternType) cliExtern {
	out := cliExtern{Module: module, Name: name, Kind: t.Kind.String(), Type: t.String()}
	switch t.Kind {
	case ExternFunction, ExternTag:
		out.Params, out.Results = cliTypeNames(t.Function.Params), cliTypeNames(t.Function.Results)
	case ExternTable:
		out.setLimits(t.Table.Limits)
		out.Value = t.Table.Element.String()
	case ExternMemory:
		out.setLimits(t.Memory.Limits)
		out.Shared = &t.Memory.Shared
	case ExternGlobal:
		out.Value, out.Mutable = t.Global.Value.String(), &t.Global.Mutable
	}
	return out
}

func (e *cliExtern) setLimits(limits Limits) {
	e.Min = &limits.Min
	if limits.HasMax {
		e.Max = &limits.Max
	}
}

func cliTypeNames(types []ValueType) *[]string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return &names
}

func (c *cli) writeJSON(module *ModuleInfo) error {
	out := struct {
		Name     string      `json:"name"`
		Imports  []cliExtern `json:"imports"`
		Exports  []cliExtern `json:"exports"`
		Memories []cliExtern `json:"memories"`
		// Artifacts are those embedded in the module.
		Artifacts []cliArtifact `json:"artifacts,omitempty"`
	}{Name: module.Name(), Imports: []cliExtern{}, Exports: []cliExtern{}, Memories: []cliExtern{}}
	for _, artifact := range embeddedArtifacts(module) {
		out.Artifacts = append(out.Artifacts, newCLIArtifact(artifact))
	}
	for _, i := range module.Imports() {
		out.Imports = append(out.Imports, newCLIExtern(&i.Module, i.Name, i.Type))
	}
	for _, e := range module.Exports() {
		out.Exports = append(out.Exports, newCLIExtern(nil, e.Name, e.Type))
	}
	for _, e := range append(out.Imports[:len(out.Imports):len(out.Imports)], out.Exports...) {
		if e.Kind == ExternMemory.String() {
			out.Memories = append(out.Memories, e)
		}
	}
	return c.writeIndented(out)
}

func (c *cli) writeIndented(out any) error {
	encoder := json.NewEncoder(&c.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}
