package wasmer

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// nativeModule is a module of a native plug-in.
type nativeModule struct {
	name      string
	functions []nativeExport
}

type nativeExport struct {
	name       string
	definition *hostDefinition
}

// AddTo defines its functions.
func (m *nativeModule) AddTo(imports *Imports) {
	imports.Namespace(m.name)
	for _, function := range m.functions {
		_, _ = imports.add(function.name, importItem{host: function.definition}, nil)
	}
}

// newNativeModule checks a module; what is wrong is told otherwise.
func newNativeModule(module *ffi.PluginModule) (_ *nativeModule, problem string) {
	made := &nativeModule{name: module.Name}
	seen := map[string]bool{}
	for _, function := range module.Functions {
		at := fmt.Sprintf("function %q of module %q: ", function.Name, module.Name)
		if problem := nameProblem(function.Name); problem != "" {
			return nil, at + "its name " + problem
		}
		if seen[function.Name] {
			return nil, at + "there are several"
		}
		seen[function.Name] = true
		params, unknown := numberTypes(function.Params)
		results, unknownToo := numberTypes(function.Results)
		if unknown+unknownToo != "" {
			return nil, fmt.Sprintf("%sits types are %q and %q, want i32, i64, f32 and f64, with a space between them", at, function.Params, function.Results)
		}
		definition := &hostDefinition{
			typ:     FunctionType{Params: params, Results: results},
			foreign: &foreign{pointer: function.Pointer, leaf: function.Leaf},
		}
		if module.Open != 0 {
			definition.foreign.plugin = module
		}
		made.functions = append(made.functions, nativeExport{function.Name, definition})
	}
	return made, ""
}

var numberTypeNames = map[string]ValueType{
	"i32": ValueTypeI32, "i64": ValueTypeI64, "f32": ValueTypeF32, "f64": ValueTypeF64,
}

// numberTypes reads types of numbers by their names; unknown is the first name that is none.
func numberTypes(names string) (types []ValueType, unknown string) {
	for _, name := range strings.Fields(names) {
		t, ok := numberTypeNames[name]
		if !ok {
			return nil, name
		}
		types = append(types, t)
	}
	return types, ""
}

// pluginData is what a native plug-in keeps for the functions of a module that an instance imports.
type pluginData struct {
	module *ffi.PluginModule
	once   sync.Once
	data   uintptr
	// collected closes it where its store was not closed.
	collected runtime.Cleanup
}

// withDataOf is a function of a native plug-in for this importer, whose functions of one module share their data.
func (h *hostDefinition) withDataOf(importer *Instance) (*hostDefinition, error) {
	module := h.foreign.plugin
	var data *pluginData
	for _, host := range slices.Backward(importer.store.hosts) {
		if host.caller.instance != importer {
			break
		}
		if host.foreign != nil && host.foreign.plugin == module {
			data = host.foreign.owner.(*pluginData)
			break
		}
	}
	if data == nil {
		opened, err := module.OpenData()
		if err != nil {
			return nil, fmt.Errorf("wasmer: instantiate: module %q: %w", module.Name, translate("open", err))
		}
		data = &pluginData{module: module, data: opened}
		data.collected = runtime.AddCleanup(data, module.CloseData, opened)
	}
	bound, own := *h, *h.foreign
	own.data, own.owner = data.data, data
	bound.foreign = &own
	return &bound, nil
}

func (d *pluginData) close() {
	d.once.Do(func() {
		d.collected.Stop()
		d.module.CloseData(d.data)
	})
}

func (h *hostFunction) hasPluginData() bool { return h.foreign != nil && h.foreign.plugin != nil }

// closePluginData closes what native plug-ins keep for the host functions of a store that is gone.
func closePluginData(hosts []*hostFunction) {
	for _, host := range hosts {
		if host.hasPluginData() {
			host.foreign.owner.(*pluginData).close()
		}
	}
}
