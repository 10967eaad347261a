package wasmer

import (
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// MockModule stands in for a host module that guests know but this program has not: whatever functions a guest imports of it are
// there, and end the guest with a *MissingPluginError when they are called. What is defined otherwise, by the imports or by the
// names of a store, goes first.
type MockModule struct {
	// Name is what guests import it by.
	Name string
	// Plugin is the name of the plug-in that has the module.
	Plugin string
}

// MockModules are those of the plug-ins and extensions that guests made for WasmEdge know, and WASI.
func MockModules() []MockModule {
	return []MockModule{
		{"wasi_ephemeral_crypto_asymmetric_common", "wasi_crypto"},
		{"wasi_ephemeral_crypto_common", "wasi_crypto"},
		{"wasi_ephemeral_crypto_kx", "wasi_crypto"},
		{"wasi_ephemeral_crypto_signatures", "wasi_crypto"},
		{"wasi_ephemeral_crypto_symmetric", "wasi_crypto"},
		{"wasi_ephemeral_nn", "wasi_nn"},
		{wasiSnapshot1, "wasi"},
		{"wasmedge_httpsreq", "wasmedge_httpsreq"},
		{"wasmedge_process", "wasmedge_process"},
		{"wasi:logging/logging", "wasi_logging"},
	}
}

// pluginOf is the name of the plug-in that is known to have the module; empty if there is none.
func pluginOf(module string) string {
	for _, mock := range MockModules() {
		if mock.Name == module && module != wasiSnapshot1 {
			return mock.Plugin
		}
	}
	return ""
}

// AddTo makes the module of the guests that are given the imports.
func (m MockModule) AddTo(imports *Imports) {
	if imports == nil {
		return
	}
	imports.mu.Lock()
	defer imports.mu.Unlock()
	if imports.closed {
		imports.keep(ErrClosed)
		return
	}
	imports.setMock(m)
}

func (i *Imports) setMock(m MockModule) {
	if i.mocks == nil {
		i.mocks = map[string]MockModule{}
	}
	i.mocks[m.Name] = m
}

// mockOf makes the function in the place of an import; false if nothing stands in for its module.
func (i *Imports) mockOf(want ImportType) (importItem, bool) {
	if i == nil || want.Type.Kind != ExternFunction {
		return importItem{}, false
	}
	i.mu.Lock()
	mock, ok := i.mocks[want.Module]
	i.mu.Unlock()
	if !ok {
		return importItem{}, false
	}
	missing := &MissingPluginError{Plugin: mock.Plugin, Module: want.Module, Function: want.Name}
	call := func(*Caller, []ffi.Slot) error { return missing }
	return importItem{host: &hostDefinition{typ: want.Type.Function, call: call}}, true
}

// MissingPluginError is how a guest ends that has called a function of a MockModule.
type MissingPluginError struct {
	// Plugin is the name of the plug-in that is needed.
	Plugin string
	// Module and Function are what the guest has called.
	Module, Function string
}

func (e *MissingPluginError) Error() string {
	needs := fmt.Sprintf("plug-in %s is not installed: load it, or import the Go package that brings it, and make the instance anew", e.Plugin)
	if e.Module == wasiSnapshot1 {
		needs = "WASI is not configured: see Imports.WASI"
	}
	return fmt.Sprintf("wasmer: call of %q.%q: %s", e.Module, e.Function, needs)
}
