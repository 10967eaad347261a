package wasmer

import "github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"

// Emscripten gives the guest what a program needs of Emscripten's runtime whose memory can grow, beside WASI: the function
// env.emscripten_notify_memory_growth, which does nothing, since memory is looked up when it is used. A definition of
// the same name, before or after, takes its place.
func (i *Imports) Emscripten() *Imports {
	return i.defineBehind("env", "emscripten_notify_memory_growth", &hostDefinition{
		typ:  FunctionType{Params: []ValueType{ValueTypeI32}},
		call: func(*Caller, []ffi.Slot) error { return nil },
	})
}

// defineBehind defines an import that gives way to others of the name.
func (i *Imports) defineBehind(module, name string, host *hostDefinition) *Imports {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		i.keep(ErrClosed)
		return i
	}
	i.setBehind(importKey{module, name}, importItem{host: host})
	return i
}

func (i *Imports) setBehind(key importKey, item importItem) {
	if i.behind == nil {
		i.behind = map[importKey]importItem{}
	}
	i.behind[key] = item
}
