package wasmer

import (
	"context"
	"slices"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Module is compiled code, from which any number of instances can be made. Goroutines may share it.
//
// See https://webassembly.github.io/spec/core/syntax/modules.html
type Module struct {
	engine  *Engine
	handle  handle[ffi.Module]
	name    string
	imports []ImportType
	exports []ExportType
	// positions are the exports' by name.
	positions map[string]int
}

func newModule(engine *Engine, ptr *ffi.Module) *Module {
	m := &Module{engine: engine}
	m.handle.init(m, ptr, (*ffi.Module).Delete)
	d := ptr.Describe()
	m.name = d.String()
	m.imports = make([]ImportType, d.Uint32())
	for i := range m.imports {
		m.imports[i] = ImportType{Module: d.String(), Name: d.String(), Type: decodeExternType(d)}
	}
	m.exports = make([]ExportType, d.Uint32())
	m.positions = make(map[string]int, len(m.exports))
	for i := range m.exports {
		m.exports[i] = ExportType{Name: d.String(), Type: decodeExternType(d)}
		m.positions[m.exports[i].Name] = i
	}
	return m
}

// Name is the module's name in its name section; empty if it has none.
func (m *Module) Name() string { return m.name }

// Imports lists what the module needs, in its order.
func (m *Module) Imports() []ImportType { return slices.Clone(m.imports) }

// Exports lists what the module offers, in its order.
func (m *Module) Exports() []ExportType { return slices.Clone(m.exports) }

// Engine is the engine that made the module.
func (m *Module) Engine() *Engine { return m.engine }

// Instantiate makes an instance without imports, with its Exports filled in.
func (m *Module) Instantiate() (*Instance, error) { return m.InstantiateWithImports(nil) }

// InstantiateWithImports makes an instance, with its Exports filled in. Imports may be used again.
func (m *Module) InstantiateWithImports(imports *Imports) (*Instance, error) {
	instance, err := Instantiate(context.Background(), m, imports)
	if err != nil {
		return nil, err
	}
	instance.fillExports()
	return instance, nil
}

// Serialize makes an artifact that Engine.Deserialize of the same build loads without compiling.
func (m *Module) Serialize() ([]byte, error) {
	ptr, err := m.use()
	if err != nil {
		return nil, err
	}
	defer m.handle.release()
	artifact, err := ptr.Serialize()
	return artifact, translate("serialize", err)
}

func (m *Module) use() (*ffi.Module, error) {
	if m == nil {
		return nil, ErrClosed
	}
	return m.handle.use()
}

// Close frees the module. Instances made from it go on. Closing twice, or a nil module, does nothing.
func (m *Module) Close() error {
	if m != nil {
		m.handle.close()
	}
	return nil
}
