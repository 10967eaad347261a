package wasmer

import (
	"fmt"
	"maps"
	"strings"
)

// hint suggests why an import is missing.
func (i *Imports) hint(want ImportType) string {
	plugin := pluginOf(want.Module)
	if plugin != "" && !i.defines(want.Module) {
		return fmt.Sprintf("of the plug-in %s: see LoadPlugins, or MockModules to do without it", plugin)
	}
	if needs := foreignWASI(want.Module); plugin == "" && needs != "" && (!isWASI(want.Module) || i == nil || i.wasi == nil) {
		return needs
	}
	switch module := want.Module; {
	case module == "wbg" || strings.HasPrefix(module, "__wbindgen"):
		return "a wasm-bindgen guest, made for JavaScript: see Imports.Bindgen, or build it for wasm32-wasip1 without wasm-bindgen"
	case module == "env" && strings.HasPrefix(want.Name, "emscripten_"):
		return "an Emscripten guest: see Imports.Emscripten, and define what more it needs of its runtime"
	case module == "env" && want.Name == "abort":
		return "an AssemblyScript guest: see Imports.AssemblyScript"
	}
	if i == nil {
		return ""
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var names []string
	for key := range maps.Keys(i.items) {
		if key.module == want.Module {
			names = append(names, key.name)
		} else if key.name == want.Name {
			return fmt.Sprintf("%q is defined for module %q", key.name, key.module)
		}
	}
	if near := nearest(want.Name, names); near != "" {
		return fmt.Sprintf("is %q meant?", near)
	}
	return ""
}

// defines reports whether there is anything under the module name.
func (i *Imports) defines(module string) bool {
	if i == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for key := range i.items {
		if key.module == module {
			return true
		}
	}
	return false
}

// nearest is the name with the fewest differing letters, if they are few.
func nearest(name string, names []string) string {
	best, distance := "", 1+min(3, (len(name)+1)/2)
	for _, candidate := range names {
		if d := editDistance(name, candidate); d < distance || d == distance && best != "" && candidate < best {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance counts the letters to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
