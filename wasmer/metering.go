package wasmer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Metering says whether and how the code of an engine counts what it executes; see Meter for how much that is. The zero value
// is: not at all, which costs nothing.
//
// Each executed instruction counts, as the specification has them: `block`, `loop`, `else` and `end` too. A jump counts the
// `loop` or `end` that it arrives at, once more for each time; an `if` whose condition is false counts its `else`, or its `end`
// if it has none. What a jump, a return or a trap leaves out does not count.
//
// The counting is part of the machine code, so an artifact can be loaded only by an engine with the same metering.
type Metering struct {
	Mode MeteringMode
	// Costs is what instructions cost, by opcode; an opcode that is missing costs nothing. With nil each costs 1.
	Costs CostTable
	// LengthCosts is what bulk instructions cost beyond that for each unit of their length: memory.fill, memory.copy and
	// memory.init for each byte, table.fill, table.copy, table.init and table.grow for each element, memory.grow for each
	// page. It is charged before the operation, whether that succeeds or not. NewEngine refuses other opcodes.
	LengthCosts CostTable
	// CountInstructions makes Meter.Instructions count where there are Costs, which takes a second counter. Without Costs it
	// always does.
	CountInstructions bool
	// Limit is the cost limit that stores begin with; 0 means none. See Meter.SetLimit.
	Limit uint64
}

// MeteringMode is where code counts. In frames of traps, the very first instruction of a function has the offset of the second
// if it is one that can trap or a call: the counting comes before it.
type MeteringMode uint32

const (
	// MeteringOff does not count.
	MeteringOff MeteringMode = ffi.MeteringOff
	// MeteringBlock counts a block of code when it is entered: right where each block is executed to its end. A trap, an error
	// of a host function or an exception that comes through a module without exceptions leaves the whole block counted.
	MeteringBlock MeteringMode = ffi.MeteringBlock
	// MeteringExact counts before each instruction that can trap, leave the function or call another: what was counted is right
	// whenever the guest has ended, and when a host function looks. What a stack overflow has counted may be one block more.
	// LLVM has none, which is ErrUnsupported.
	MeteringExact MeteringMode = ffi.MeteringExact
)

func (m MeteringMode) String() string {
	switch m {
	case MeteringOff:
		return "off"
	case MeteringBlock:
		return "block"
	case MeteringExact:
		return "exact"
	}
	return fmt.Sprintf("MeteringMode(%d)", uint32(m))
}

// Opcode is an instruction's number in the binary format: its byte, or of one behind a prefix byte prefix<<16 | number. So
// i32.add is 0x6a, and memory.fill 0xfc000b.
//
// See https://webassembly.github.io/spec/core/appendix/index-instructions.html
type Opcode uint32

// OpcodeOf finds an opcode by its name in the text format, as "i32.add", or fails with ErrNotFound.
func OpcodeOf(name string) (Opcode, error) {
	opcode, ok := ffi.OpcodeOf(name)
	if !ok {
		return 0, fmt.Errorf("%w: no instruction is called %q", ErrNotFound, name)
	}
	return Opcode(opcode), nil
}

// String is the name in the text format, or a number if there is none.
func (o Opcode) String() string {
	if name := ffi.OpcodeName(uint32(o)); name != "" {
		return name
	}
	return fmt.Sprintf("Opcode(%#x)", uint32(o))
}

// CostTable is what instructions cost.
type CostTable map[Opcode]uint64

// NewCostTable makes a table of the costs of the opcodes 0, 1, and so on; up to 256 of them. Those behind a prefix can be added.
func NewCostTable(costs ...uint64) (CostTable, error) {
	if len(costs) > 256 {
		return nil, fmt.Errorf("wasmer: cost table: it has %d costs, there are 256 opcodes of one byte", len(costs))
	}
	table := make(CostTable, len(costs))
	for opcode, cost := range costs {
		table[Opcode(opcode)] = cost
	}
	return table, nil
}

// NamedCosts makes a table of costs by the instructions' names in the text format. It fails with ErrNotFound if there is no
// instruction of a name.
func NamedCosts(costs map[string]uint64) (CostTable, error) {
	table := make(CostTable, len(costs))
	for name, cost := range costs {
		opcode, err := OpcodeOf(name)
		if err != nil {
			return nil, fmt.Errorf("cost table: %w", err)
		}
		table[opcode] = cost
	}
	return table, nil
}

// lengths are the opcodes that LengthCosts may have.
var lengths = []Opcode{0x40, 0xfc0008, 0xfc000a, 0xfc000b, 0xfc000c, 0xfc000e, 0xfc000f, 0xfc0011}

// check reports what makes no sense, and gives the metering a table that nobody else changes.
func (m Metering) check() (Metering, error) {
	if m.Mode > MeteringExact {
		return m, fmt.Errorf("wasmer: engine: Metering.Mode is %v", m.Mode)
	}
	for opcode := range m.LengthCosts {
		if !slices.Contains(lengths, opcode) {
			return m, fmt.Errorf("wasmer: engine: Metering.LengthCosts has %v, which has no length", opcode)
		}
	}
	m.Costs, m.LengthCosts = maps.Clone(m.Costs), maps.Clone(m.LengthCosts)
	return m, nil
}

// separate says that instructions have a counter of their own. Else they are the cost, but for what the host charges.
func (m *Metering) separate() bool {
	return m.CountInstructions && m.Costs != nil || m.Costs == nil && len(m.LengthCosts) > 0
}

func (m *Metering) ffi() ffi.Metering {
	costs := map[Opcode]ffi.Cost{}
	for opcode, cost := range m.Costs {
		costs[opcode] = ffi.Cost{Opcode: uint32(opcode), HasCost: true, Cost: cost}
	}
	for opcode, each := range m.LengthCosts {
		cost := costs[opcode]
		cost.Opcode, cost.Each = uint32(opcode), each
		costs[opcode] = cost
	}
	return ffi.Metering{
		Mode: uint32(m.Mode), Uniform: m.Costs == nil, Instructions: m.separate(),
		Costs: slices.Collect(maps.Values(costs)),
	}
}

// sameCosts reports whether what the two count can be added up.
func (m *Metering) sameCosts(other *Metering) bool {
	return m == other || (m.Costs == nil) == (other.Costs == nil) && m.separate() == other.separate() &&
		maps.Equal(m.Costs, other.Costs) && maps.Equal(m.LengthCosts, other.LengthCosts)
}

// FunctionWithCost is Function for a Go function of which each call adds this much to the cost of its guest, if that is
// metered. It is charged before the function runs: a guest that cannot afford it ends with ErrCostLimit.
func (i *Imports) FunctionWithCost(name string, fn any, cost uint64) *Imports {
	host, err := defineHost(fn)
	if err != nil {
		err = fmt.Errorf("wasmer: imports: function %q %w", name, err)
	} else {
		host.cost = cost
	}
	_, _ = i.add(name, importItem{host: host}, err)
	return i
}
