package ffi

// #include "wasmer_go.h"
import "C"

import "sync/atomic"

// The modes of metering, and the trap code of a guest that it ended, as in the header.
const (
	MeteringOff   = C.WASMERGO_METERING_MODE_OFF
	MeteringBlock = C.WASMERGO_METERING_MODE_BLOCK
	MeteringExact = C.WASMERGO_METERING_MODE_EXACT

	TrapCostLimit = C.WASMERGO_TRAP_COST_LIMIT
)

// Metering says whether and how an engine's code counts, as in the header.
type Metering struct {
	Mode                  uint32
	Uniform, Instructions bool
	Costs                 []Cost
}

// Cost is what an opcode costs, if HasCost, and each unit of its length.
type Cost struct {
	Opcode     uint32
	HasCost    bool
	Cost, Each uint64
}

func (m Metering) c() (C.wasmergo_metering, []C.wasmergo_cost) {
	costs := make([]C.wasmergo_cost, len(m.Costs))
	for i, c := range m.Costs {
		costs[i] = C.wasmergo_cost{
			opcode: C.uint32_t(c.Opcode), has_cost: C.bool(c.HasCost), cost: C.uint64_t(c.Cost), each: C.uint64_t(c.Each),
		}
	}
	return C.wasmergo_metering{
		mode: C.uint32_t(m.Mode), uniform: C.bool(m.Uniform), instructions: C.bool(m.Instructions),
	}, costs
}

// Meter is the meter of a store, which lies in Rust's memory as long as the store. Guests write it while they run.
type Meter struct {
	Remaining, Instructions atomic.Uint64
	_                       [2]uint64 // of the guests' code alone
	// Host is what host functions have cost.
	Host atomic.Uint64
	// Metered is not 0 if code in the store counts.
	Metered atomic.Uint64
}

// OpcodeOf finds an opcode by its name in the text format.
func OpcodeOf(name string) (uint32, bool) {
	data, size := borrowString(name)
	opcode := uint32(C.wasmergo_opcode_of(data, size))
	return opcode, opcode != C.WASMERGO_OPCODE_NONE
}

// OpcodeName is the opcode's name in the text format, or empty.
func OpcodeName(opcode uint32) string {
	bytes := C.wasmergo_opcode_name(C.uint32_t(opcode))
	if bytes.data == nil {
		return ""
	}
	return string(takeBytes(bytes))
}
