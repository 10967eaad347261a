package ffi

// #include "wasmer_go.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// TracedFunction is a function on a guest's call stack.
type TracedFunction struct {
	Module string
	Index  uint32
	// RawName is the name in the name section, Name what it stands for.
	RawName, Name string
	// Params and Results are value types, as in the binary format.
	Params, Results []byte
}

// Frame is a frame of a guest's call stack; Function an index into the stack's functions.
type Frame struct {
	Function, FunctionOffset, ModuleOffset uint32
}

// Trace can tell the sources of frames. It is freed when nothing refers to it.
type Trace struct{ ptr *C.wasmergo_trace }

// Stack is frames, innermost first, and the functions that they are of.
type Stack struct {
	Functions []TracedFunction
	Frames    []Frame
	// Trace has the sources; nil if there are none.
	Trace *Trace
}

// Stack reads functions and frames, and takes over the trace.
func (d *Decoder) Stack() (s Stack) {
	s.Functions = make([]TracedFunction, d.Uint32())
	for i := range s.Functions {
		s.Functions[i] = TracedFunction{
			Module: d.String(), Index: d.Uint32(), RawName: d.String(), Name: d.String(), Params: d.Bytes(), Results: d.Bytes(),
		}
	}
	s.Frames = make([]Frame, d.Uint32())
	for i := range s.Frames {
		s.Frames[i] = Frame{Function: d.Uint32(), FunctionOffset: d.Uint32(), ModuleOffset: d.Uint32()}
	}
	address := uintptr(d.Uint64())
	if address != 0 {
		ptr := *(**C.wasmergo_trace)(unsafe.Pointer(&address))
		s.Trace = &Trace{ptr: ptr}
		runtime.AddCleanup(s.Trace, func(ptr *C.wasmergo_trace) { C.wasmergo_trace_delete(ptr) }, ptr)
	}
	return s
}

// Sources encodes the sources of so many frames from the first on: for each a count, then file, line, column, function
// and whether it is inlined.
func (t *Trace) Sources(first, count int) *Decoder {
	d := take(C.wasmergo_trace_sources(t.ptr, C.size_t(first), C.size_t(count)))
	runtime.KeepAlive(t)
	return d
}
