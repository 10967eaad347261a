package ffi

// #cgo noescape wasmergo_engine_new
// #cgo noescape wasmergo_module_validate
// #cgo nocallback wasmergo_engine_new
// #cgo nocallback wasmergo_module_validate
// #include "wasmer_go.h"
import "C"

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

// The compilers, as in the header.
const (
	Cranelift  = C.WASMERGO_COMPILER_CRANELIFT
	Singlepass = C.WASMERGO_COMPILER_SINGLEPASS
	LLVM       = C.WASMERGO_COMPILER_LLVM
)

// CompilerAvailable reports whether the archive contains the compiler.
func CompilerAvailable(compiler uint32) bool {
	return bool(C.wasmergo_compiler_available(C.uint32_t(compiler)))
}

// EngineConfig are the options of an engine, as in the header.
type EngineConfig struct {
	Compiler uint32
	Code     CodeOptions
	// Features is a set, bit by bit, or DefaultFeatures.
	Features                   uint64
	MemoryPages, TableElements uint32
	StackSize                  uint64
	BoundedMemories            bool
	Metering                   Metering
	DropDebugInfo              bool
	TotalMemoryPages           uint64
	ArtifactKey                []byte
}

// DefaultFeatures stands for the compiler's.
const DefaultFeatures = C.WASMERGO_FEATURES_DEFAULT

// SupportedFeatures is the set that the compiler supports.
func SupportedFeatures(compiler uint32) uint64 {
	return uint64(C.wasmergo_features_supported(C.uint32_t(compiler)))
}

// NewEngine makes an engine, to be freed by Delete.
func NewEngine(options EngineConfig) (*Engine, error) {
	metering, costs := options.Metering.c()
	var pinner runtime.Pinner
	defer pinner.Unpin()
	config := C.wasmergo_engine_config{
		metering: metering,
		compiler: C.uint32_t(options.Compiler),
		code:     options.Code.c(&pinner),
		features: C.uint64_t(options.Features),
		limits: C.wasmergo_limits{
			memory_pages:     C.uint32_t(options.MemoryPages),
			table_elements:   C.uint32_t(options.TableElements),
			stack_size:       C.uint64_t(options.StackSize),
			bounded_memories: C.bool(options.BoundedMemories),

			total_memory_pages: C.uint64_t(options.TotalMemoryPages),
		},
		drop_debug_info: C.bool(options.DropDebugInfo),
	}
	if key := options.ArtifactKey; len(key) > 0 {
		var pinner runtime.Pinner
		defer pinner.Unpin()
		pinner.Pin(&key[0])
		config.artifact_key, config.artifact_key_len = (*C.uint8_t)(&key[0]), C.size_t(len(key))
	}
	var out *C.wasmergo_engine
	if err := err(C.wasmergo_engine_new(&config, unsafe.SliceData(costs), C.size_t(len(costs)), &out)); err != nil {
		return nil, err
	}
	return (*Engine)(unsafe.Pointer(out)), nil
}

// Delete frees the engine; its modules stay valid.
func (e *Engine) Delete() { C.wasmergo_engine_delete(e.c()) }

// Validate checks a module in binary or text format.
func (e *Engine) Validate(wasm []byte) error {
	data, size := borrow(wasm)
	return err(C.wasmergo_module_validate(e.c(), data, size))
}

// Compilation are the numbers that both sides share while a module is compiled.
type Compilation struct {
	// Stop is other than 0 to have it end early.
	Stop atomic.Uint64
	// Done are the bytes of functions that are compiled, of Total.
	Done, Total atomic.Uint64
	// Peak is the most bytes of memory that it took; it is there at the end.
	Peak atomic.Uint64
}

// Compile makes a module, to be freed by Delete.
func (e *Engine) Compile(wasm []byte, compilation *Compilation) (*Module, error) {
	var out *C.wasmergo_module
	data, size := borrow(wasm)
	if err := err(C.wasmergo_module_compile(e.c(), data, size, (*C.uint64_t)(unsafe.Pointer(compilation)), &out)); err != nil {
		return nil, err
	}
	return (*Module)(unsafe.Pointer(out)), nil
}

// Describe encodes name, imports and exports.
func (m *Module) Describe() *Decoder { return take(C.wasmergo_module_describe(m.c())) }

// CustomSections encodes the contents of the custom sections of this name.
func (m *Module) CustomSections(name string) *Decoder {
	data, size := borrowString(name)
	return take(C.wasmergo_module_custom_sections(m.c(), data, size))
}

// Inspect describes a module without compiling or validating it: as Describe, then its custom sections.
func Inspect(wasm []byte) (*Decoder, error) {
	var out C.wasmergo_bytes
	data, size := borrow(wasm)
	if err := err(C.wasmergo_module_inspect(data, size, &out)); err != nil {
		return nil, err
	}
	return take(out), nil
}

// Delete frees the module; instances keep what they need of it.
func (m *Module) Delete() { C.wasmergo_module_delete(m.c()) }

// Wat2Wasm translates the text format.
func Wat2Wasm(text []byte) ([]byte, error) {
	var out C.wasmergo_bytes
	data, size := borrow(text)
	if err := err(C.wasmergo_wat2wasm(data, size, &out)); err != nil {
		return nil, err
	}
	return takeBytes(out), nil
}
