package ffi

// #include "wasmer_go.h"
import "C"

import "unsafe"

// The kinds of steps of a program, as in the header.
const (
	StepCall       = C.WASMERGO_STEP_CALL
	StepWrite      = C.WASMERGO_STEP_WRITE
	StepRead       = C.WASMERGO_STEP_READ
	StepReadString = C.WASMERGO_STEP_READ_STRING
	StepAdd        = C.WASMERGO_STEP_ADD
	StepHigh       = C.WASMERGO_STEP_HIGH
	StepRequire    = C.WASMERGO_STEP_REQUIRE
	StepSkip       = C.WASMERGO_STEP_SKIP
)

// How a program went, as in the header.
const (
	ProgramRan     = C.WASMERGO_PROGRAM_RAN
	ProgramBounds  = C.WASMERGO_PROGRAM_BOUNDS
	ProgramEndless = C.WASMERGO_PROGRAM_ENDLESS
	ProgramZero    = C.WASMERGO_PROGRAM_ZERO
	ProgramRoom    = C.WASMERGO_PROGRAM_ROOM
)

const (
	// ProgramSlots are the first slots of a program, which tell how it went.
	ProgramSlots = C.WASMERGO_PROGRAM_SLOTS
	// ProgramInputs is how many inputs of bytes there are at most.
	ProgramInputs = C.WASMERGO_PROGRAM_INPUTS
)

// RunProgram runs the code of a program, of which the function is one that it calls. The slots lie in Rust's memory.
func RunProgram(function uintptr, code []uint64, slots *Slot, inputs *[ProgramInputs]*byte) {
	C.wasmergo_program_run(C.size_t(function), (*C.uint64_t)(unsafe.SliceData(code)), C.size_t(len(code)),
		C.size_t(uintptr(unsafe.Pointer(slots))), (*C.uint8_t)(inputs[0]), (*C.uint8_t)(inputs[1]),
		(*C.uint8_t)(inputs[2]), (*C.uint8_t)(inputs[3]))
}

// Address is the definition's address as a number, as programs and native functions are given it.
func (d *MemoryDefinition) Address() uintptr { return uintptr(unsafe.Pointer(d)) }

// ProgramBytes are the bytes that a program has read, until the next one of its store begins.
func ProgramBytes(slots []Slot, offset, size uint64) []byte {
	base := *(**byte)(unsafe.Pointer(&slots[2].Lo))
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(base), offset)), size)
}
