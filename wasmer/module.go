package wasmer

import (
	"bytes"
	"context"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Module is compiled code, from which any number of instances can be made. Goroutines may share it.
//
// See https://webassembly.github.io/spec/core/syntax/modules.html
type Module struct {
	description
	engine      *Engine
	handle      handle[ffi.Module]
	compilation CompileStats
	// digest is that of the module in binary format.
	digest [32]byte
	// self is how the engine knows it.
	self weakModule
	// tier is nil unless the engine is Tiered.
	tier *moduleTier
}

func newModule(engine *Engine, ptr *ffi.Module) *Module {
	m := &Module{engine: engine, description: decodeDescription(ptr.Describe()), digest: ptr.Digest()}
	account, name := engine.account, m.name
	account.opened(countModules)
	tier := newModuleTier(engine.tiering, ptr)
	m.tier = tier
	free := func(ptr *ffi.Module) {
		account.closed(countModules)
		ptr.Delete()
	}
	m.handle.init(m, ptr, free, func(ptr *ffi.Module) {
		free(ptr)
		tier.close()
		account.tellCollected("module", name)
	})
	return m
}

// CustomSections gives the contents of the custom sections of this name, in their order. Debug information (.debug_*) that
// follows the code is not among them, nor is anything after Close: Inspect finds all.
//
// See https://webassembly.github.io/spec/core/appendix/custom.html
func (m *Module) CustomSections(name string) [][]byte {
	ptr, err := m.use()
	if err != nil {
		return nil
	}
	defer m.handle.release()
	d := ptr.CustomSections(name)
	var contents [][]byte
	for range d.Uint32() {
		contents = append(contents, bytes.Clone(d.Bytes()))
	}
	return contents
}

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

func (m *Module) use() (*ffi.Module, error) {
	if m == nil {
		return nil, ErrClosed
	}
	return m.handle.use()
}

// Close frees the module. Instances made from it go on. Closing twice, or a nil module, does nothing.
func (m *Module) Close() error {
	if m != nil && m.engine != nil {
		m.handle.close()
		m.tier.close()
		m.engine.children.remove(m.self)
	}
	return nil
}
