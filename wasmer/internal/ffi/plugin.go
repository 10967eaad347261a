package ffi

// #include "wasmer_go.h"
import "C"

// Library is a shared library that stays loaded; the same one each time that it is loaded.
type Library uintptr

// Plugin is what a library says that it is.
type Plugin struct {
	Name, Version, Description string
	Modules                    []PluginModule
}

// PluginModule is a host module of a plug-in. Open and Close are 0 if it has none.
type PluginModule struct {
	Name        string
	Open, Close uintptr
	Functions   []PluginFunction
}

// PluginFunction is a native function, with its types as text.
type PluginFunction struct {
	Name, Params, Results string
	Pointer               uintptr
	Leaf                  bool
}

// LoadPlugin loads the library at a path that is not relative.
func LoadPlugin(path string) (Library, *Plugin, error) {
	data, size := borrowString(path)
	var out C.wasmergo_bytes
	var handle C.size_t
	if err := err(C.wasmergo_plugin_load(data, size, &out, &handle)); err != nil {
		return 0, nil, err
	}
	d := take(out)
	p := &Plugin{Name: d.String(), Version: d.String(), Description: d.String()}
	p.Modules = make([]PluginModule, d.Uint32())
	for i := range p.Modules {
		m := &p.Modules[i]
		m.Name, m.Open, m.Close = d.String(), uintptr(d.Uint64()), uintptr(d.Uint64())
		m.Functions = make([]PluginFunction, d.Uint32())
		for i := range m.Functions {
			m.Functions[i] = PluginFunction{d.String(), d.String(), d.String(), uintptr(d.Uint64()), d.Uint8() != 0}
		}
	}
	return Library(handle), p, nil
}

// Unload gives the library back, as often as it was loaded. Nothing of it is used any more then.
func (l Library) Unload() { C.wasmergo_plugin_unload(C.size_t(l)) }

// OpenData makes the data of the module for an instance.
func (m *PluginModule) OpenData() (uintptr, error) {
	var data C.size_t
	err := err(C.wasmergo_plugin_open(C.size_t(m.Open), &data))
	return uintptr(data), err
}

// CloseData frees what OpenData has made, if there is anything to free.
func (m *PluginModule) CloseData(data uintptr) {
	if m.Close != 0 {
		C.wasmergo_plugin_close(C.size_t(m.Close), C.size_t(data))
	}
}
