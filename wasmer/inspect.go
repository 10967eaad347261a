package wasmer

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// ModuleInfo is what a module says about itself. It is data: goroutines may share it, nothing need be closed.
type ModuleInfo struct {
	description
	wasm     []byte
	sections []section
}

// description is what all modules tell, compiled or not.
type description struct {
	name    string
	imports []ImportType
	exports []ExportType
	// positions are the exports' by name.
	positions map[string]int
	// memories are the positions of those that are memories.
	memories []int
}

type section struct {
	name string
	data []byte
}

// Inspect reads a module in binary or text format, without validating or compiling it: it costs about as much as looking
// at each of its sections. It fails with *CompileError if the module is malformed. The bytes are kept, and must not change
// as long as the result is in use.
func Inspect(wasm []byte) (*ModuleInfo, error) {
	d, err := ffi.Inspect(wasm)
	if err != nil {
		return nil, translate("inspect", err)
	}
	info := &ModuleInfo{description: decodeDescription(d), wasm: wasm}
	info.sections = make([]section, d.Uint32())
	for i := range info.sections {
		info.sections[i] = section{name: d.String(), data: d.Bytes()}
	}
	return info, nil
}

// InspectFile is Inspect for a file.
func InspectFile(filename string) (*ModuleInfo, error) {
	wasm, err := os.ReadFile(filename)
	if err != nil {
		return nil, fmt.Errorf("wasmer: inspect: %w", err)
	}
	return Inspect(wasm)
}

func decodeDescription(d *ffi.Decoder) description {
	m := description{name: d.String()}
	m.imports = make([]ImportType, d.Uint32())
	for i := range m.imports {
		m.imports[i] = ImportType{Module: d.String(), Name: d.String(), Type: decodeExternType(d)}
	}
	m.exports = make([]ExportType, d.Uint32())
	m.positions = make(map[string]int, len(m.exports))
	for i := range m.exports {
		m.exports[i] = ExportType{Name: d.String(), Type: decodeExternType(d)}
		m.positions[m.exports[i].Name] = i
		if m.exports[i].Type.Kind == ExternMemory {
			m.memories = append(m.memories, i)
		}
	}
	return m
}

// Name is the module's name in its name section; empty if it has none.
func (m *description) Name() string { return m.name }

// Imports lists what the module needs, in its order.
func (m *description) Imports() []ImportType { return slices.Clone(m.imports) }

// Exports lists what the module offers, in its order.
func (m *description) Exports() []ExportType { return slices.Clone(m.exports) }

// Bytes is what was inspected: for Engine.Validate and Engine.Compile.
func (m *ModuleInfo) Bytes() []byte { return m.wasm }

// CustomSections gives the contents of the custom sections of this name, in their order.
//
// See https://webassembly.github.io/spec/core/appendix/custom.html
func (m *ModuleInfo) CustomSections(name string) [][]byte {
	var contents [][]byte
	for _, section := range m.sections {
		if section.name == name {
			contents = append(contents, bytes.Clone(section.data))
		}
	}
	return contents
}

// CustomSectionNames lists the names of the custom sections, in their order, repeated ones too.
func (m *ModuleInfo) CustomSectionNames() []string {
	names := make([]string, len(m.sections))
	for i, section := range m.sections {
		names[i] = section.name
	}
	return names
}
