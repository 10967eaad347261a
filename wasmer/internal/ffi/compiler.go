package ffi

// #include "wasmer_go.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// The levels of optimization, as in the header.
const (
	OptDefault      = C.WASMERGO_OPT_LEVEL_DEFAULT
	OptNone         = C.WASMERGO_OPT_LEVEL_NONE
	OptLess         = C.WASMERGO_OPT_LEVEL_LESS
	OptMore         = C.WASMERGO_OPT_LEVEL_MORE
	OptSpeed        = C.WASMERGO_OPT_LEVEL_SPEED
	OptSpeedAndSize = C.WASMERGO_OPT_LEVEL_SPEED_AND_SIZE
	OptSize         = C.WASMERGO_OPT_LEVEL_SIZE
)

// CodeOptions are the options for code, as in the header.
type CodeOptions struct {
	OptLevel, Threads          uint32
	VerifyIR, CanonicalizeNaNs bool
	Triple, CPU, DumpIR        string
	MaxFunctionSize, MaxMemory uint64
}

// c is for one call, as long as the texts are pinned.
func (o *CodeOptions) c(pinner *runtime.Pinner) C.wasmergo_code_options {
	text := func(s string) (*C.uint8_t, C.size_t) {
		data := unsafe.StringData(s)
		if data != nil {
			pinner.Pin(data)
		}
		return (*C.uint8_t)(unsafe.Pointer(data)), C.size_t(len(s))
	}
	out := C.wasmergo_code_options{
		opt_level: C.uint32_t(o.OptLevel), threads: C.uint32_t(o.Threads),
		verify_ir: C.bool(o.VerifyIR), canonicalize_nans: C.bool(o.CanonicalizeNaNs),
		max_function_size: C.uint64_t(o.MaxFunctionSize), max_memory: C.uint64_t(o.MaxMemory),
	}
	out.triple, out.triple_len = text(o.Triple)
	out.cpu, out.cpu_len = text(o.CPU)
	out.dump_ir, out.dump_ir_len = text(o.DumpIR)
	return out
}
