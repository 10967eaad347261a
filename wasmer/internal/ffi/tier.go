package ffi

// #include "wasmer_go.h"
import "C"

import "unsafe"

// Tier makes an engine with another compiler and number of threads, to be freed by Delete. What it compiles links and counts
// with that of the first.
func (e *Engine) Tier(compiler, threads uint32) (*Engine, error) {
	var out *C.wasmergo_engine
	if err := err(C.wasmergo_engine_tier(e.c(), C.uint32_t(compiler), C.uint32_t(threads), &out)); err != nil {
		return nil, err
	}
	return (*Engine)(unsafe.Pointer(out)), nil
}

// Compiler is the compiler that made the module's code.
func (m *Module) Compiler() uint32 { return uint32(C.wasmergo_module_compiler(m.c())) }
