package ffi

// #cgo noescape wasmergo_instance_statistics
// #cgo noescape wasmergo_store_statistics
// #cgo noescape wasmergo_live_read
// #cgo noescape wasmergo_code_count_read
// #cgo noescape wasmergo_module_code
// #cgo nocallback wasmergo_instance_statistics
// #cgo nocallback wasmergo_store_statistics
// #cgo nocallback wasmergo_live_read
// #cgo nocallback wasmergo_code_count_read
// #cgo nocallback wasmergo_module_code
// #include "wasmer_go.h"
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// Statistics is what was counted, and measured, in nanoseconds.
type Statistics struct {
	Calls, HostCalls, RefusedGrowths uint64
	WasmTime, HostTime               uint64
}

func statistics(c *C.wasmergo_statistics) Statistics {
	return Statistics{
		Calls: uint64(c.calls), HostCalls: uint64(c.host_calls), RefusedGrowths: uint64(c.refused_growths),
		WasmTime: uint64(c.wasm_time), HostTime: uint64(c.host_time),
	}
}

// counts are what Rust counts, where it does.
type counts struct {
	calls, hostCalls, refusedGrowths atomic.Uint64
	measured                         atomic.Uint32
}

// Where in an instance and in a store they lie.
var (
	countsOfInstance = uintptr(C.wasmergo_instance_counts())
	countsOfStore    = uintptr(C.wasmergo_store_counts())
)

// read gives what was counted, if nothing was measured, which takes a crossing.
func (c *counts) read() (s Statistics, ok bool) {
	return Statistics{
		Calls: c.calls.Load(), HostCalls: c.hostCalls.Load(), RefusedGrowths: c.refusedGrowths.Load(),
	}, c.measured.Load() == 0
}

// Statistics is what was counted of the instance; any goroutine may ask at any time before its store is deleted.
func (i *Instance) Statistics() Statistics {
	if counted, ok := (*counts)(unsafe.Add(unsafe.Pointer(i), countsOfInstance)).read(); ok {
		return counted
	}
	var out C.wasmergo_statistics
	C.wasmergo_instance_statistics(i.c(), &out)
	return statistics(&out)
}

// Measure has times measured of the instance from now on.
func (i *Instance) Measure() { C.wasmergo_instance_measure(i.c()) }

// Statistics is what was counted of functions that belong to no instance of the Go side.
func (s *Store) Statistics() Statistics {
	if counted, ok := (*counts)(unsafe.Add(unsafe.Pointer(s), countsOfStore)).read(); ok {
		return counted
	}
	var out C.wasmergo_statistics
	C.wasmergo_store_statistics(s.c(), &out)
	return statistics(&out)
}

// Code is the number of compiled modules that something still holds, and the bytes of their machine code.
type Code struct{ Modules, Bytes uint64 }

// Live is what there is in the process, besides memories.
type Live struct {
	Externs uint64
	Code    Code
}

// ReadLive tells what there is.
func ReadLive() Live {
	var out C.wasmergo_live
	C.wasmergo_live_read(&out)
	return Live{Externs: uint64(out.externs), Code: code(out.code)}
}

func code(c C.wasmergo_code) Code { return Code{uint64(c.modules), uint64(c.bytes)} }

// CodeCount is the count of an engine's code, which outlives the engine.
type CodeCount struct{ _ opaque }

func (c *CodeCount) c() *C.wasmergo_code_count { return (*C.wasmergo_code_count)(unsafe.Pointer(c)) }

// CodeCount is the count of the engine's code, to be freed by Delete.
func (e *Engine) CodeCount() *CodeCount {
	return (*CodeCount)(unsafe.Pointer(C.wasmergo_engine_code_count(e.c())))
}

// Read tells how much code there is.
func (c *CodeCount) Read() Code {
	var out C.wasmergo_code
	C.wasmergo_code_count_read(c.c(), &out)
	return code(out)
}

// Delete frees the count.
func (c *CodeCount) Delete() { C.wasmergo_code_count_delete(c.c()) }

// Code is the number of the module's functions that were compiled, and the bytes of their machine code.
func (m *Module) Code() (functions, bytes uint64) {
	var f, b C.uint64_t
	C.wasmergo_module_code(m.c(), &f, &b)
	return uint64(f), uint64(b)
}
