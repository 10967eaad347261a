package wasmer_test

import (
	"encoding/binary"
	"math"
	carry "math/bits"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// referenceFunction is a function as a list of instructions, which an interpreter of our own executes one by one, counting each.
type referenceFunction struct {
	typ    int
	locals []wasmer.ValueType
	code   []instruction
}

// instruction has its immediates as the binary format has them, but for jumps, whose places are numbers of instructions.
type instruction struct {
	op         wasmer.Opcode
	imm        uint64
	targets    []uint64 // of br_table, the default last
	other, end int      // of block, loop, if and else: where its else (or end) and its end are
}

type referenceModule struct {
	types     []wasmer.FunctionType
	functions []referenceFunction // after the one import, number 0, of type 0
	globals   []wasmer.ValueType
	table     []int // functions by number, or -1
	pages     uint32
	maxPages  uint32
}

// referenceMachine executes a module.
type referenceMachine struct {
	*referenceModule
	metering           wasmer.Metering
	hostCost           uint64
	memory             []byte
	variables          []uint64
	stack              []uint64
	used, instructions uint64
	limit              uint64
	seen               [][2]uint64
}

func newReferenceMachine(m *referenceModule, metering wasmer.Metering, hostCost uint64) *referenceMachine {
	machine := &referenceMachine{referenceModule: m, metering: metering, hostCost: hostCost, limit: math.MaxUint64}
	machine.memory = make([]byte, m.pages<<16)
	machine.variables = make([]uint64, len(m.globals))
	return machine
}

func (m *referenceMachine) charge(cost uint64) {
	if sum, over := carry.Add64(m.used, cost, 0); over != 0 || sum > m.limit {
		panic(wasmer.TrapCostLimit)
	}
	m.used += cost
}

func (m *referenceMachine) count(op wasmer.Opcode) {
	cost := uint64(1)
	if m.metering.Costs != nil {
		cost = m.metering.Costs[op]
	}
	m.charge(cost)
	m.instructions++
}

// call gives the results, or the trap.
func (m *referenceMachine) call(function int, args []uint64) (results []uint64, trap error) {
	m.stack = append(m.stack[:0], args...)
	defer func() {
		if code, ok := recover().(wasmer.TrapCode); ok {
			trap = code
		}
	}()
	m.invoke(function)
	return m.stack, nil
}

func (m *referenceMachine) pop() uint64 {
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v
}

func (m *referenceMachine) push(v uint64) { m.stack = append(m.stack, v) }

func (m *referenceMachine) push32(v uint32) { m.push(uint64(v)) }

func (m *referenceMachine) pushBool(v bool) {
	if v {
		m.push(1)
	} else {
		m.push(0)
	}
}

type referenceLabel struct {
	at, arity, height int
}

// keep drops what is below the topmost values, down to a height.
func (m *referenceMachine) keep(arity, height int) {
	m.stack = append(m.stack[:height], m.stack[len(m.stack)-arity:]...)
}

func (m *referenceMachine) invoke(number int) {
	if number == 0 {
		m.charge(m.hostCost)
		m.seen = append(m.seen, [2]uint64{m.used, m.instructions})
		return
	}
	f := m.functions[number-1]
	typ := m.types[f.typ]
	base := len(m.stack) - len(typ.Params)
	locals := append(append([]uint64(nil), m.stack[base:]...), make([]uint64, len(f.locals))...)
	m.stack = m.stack[:base]
	labels := []referenceLabel{{at: len(f.code) - 1, arity: len(typ.Results), height: base}}
	jump := func(depth uint64) int {
		label := labels[len(labels)-1-int(depth)]
		m.keep(label.arity, label.height)
		keep := len(labels) - int(depth)
		if f.code[label.at].op == 0x03 {
			keep-- // which the loop opens anew
		}
		labels = labels[:keep]
		return label.at
	}
	for pc := 0; ; pc++ {
		in := &f.code[pc]
		if in.op == 0x05 {
			// The end of the first arm counts as the end of it all.
			m.count(0x0b)
			labels = labels[:len(labels)-1]
			pc = in.end
			continue
		}
		m.count(in.op)
		if length, ok := m.metering.LengthCosts[in.op]; ok {
			high, cost := carry.Mul64(length, uint64(uint32(m.stack[len(m.stack)-1])))
			if high != 0 {
				panic(wasmer.TrapCostLimit)
			}
			m.charge(cost)
		}
		switch in.op {
		case 0x00:
			panic(wasmer.TrapUnreachable)
		case 0x01:
		case 0x02, 0x03:
			block := m.types[in.imm]
			label := referenceLabel{at: in.end, arity: len(block.Results), height: len(m.stack) - len(block.Params)}
			if in.op == 0x03 {
				label.at, label.arity = pc, len(block.Params)
			}
			labels = append(labels, label)
		case 0x04:
			condition, block := uint32(m.pop()), m.types[in.imm]
			labels = append(labels, referenceLabel{in.end, len(block.Results), len(m.stack) - len(block.Params)})
			switch {
			case condition != 0:
			case in.other == in.end:
				pc = in.end - 1
			default:
				m.count(0x05)
				pc = in.other
			}
		case 0x0b:
			if labels = labels[:len(labels)-1]; len(labels) == 0 {
				return
			}
		case 0x0c:
			pc = jump(in.imm) - 1
		case 0x0d:
			if uint32(m.pop()) != 0 {
				pc = jump(in.imm) - 1
			}
		case 0x0e:
			index := min(uint64(uint32(m.pop())), uint64(len(in.targets)-1))
			pc = jump(in.targets[index]) - 1
		case 0x0f:
			m.keep(len(typ.Results), base)
			return
		case 0x10:
			m.invoke(int(in.imm))
		case 0x11:
			m.invoke(m.element(uint32(m.pop()), int(in.imm)))
		case 0x1a:
			m.pop()
		case 0x1b:
			condition, second, first := uint32(m.pop()), m.pop(), m.pop()
			if condition == 0 {
				first = second
			}
			m.push(first)
		case 0x20:
			m.push(locals[in.imm])
		case 0x21:
			locals[in.imm] = m.pop()
		case 0x22:
			locals[in.imm] = m.stack[len(m.stack)-1]
		case 0x23:
			m.push(m.variables[in.imm])
		case 0x24:
			m.variables[in.imm] = m.pop()
		case 0x41, 0x42, 0x44:
			m.push(in.imm)
		default:
			m.compute(in)
		}
	}
}

// element is the function that an indirect call leads to.
func (m *referenceMachine) element(index uint32, typ int) int {
	if int(index) >= len(m.table) {
		panic(wasmer.TrapTableOutOfBounds)
	}
	callee := m.table[index]
	if callee < 0 {
		panic(wasmer.TrapNullIndirectCall)
	}
	callees := 0
	if callee > 0 {
		callees = m.functions[callee-1].typ
	}
	if !m.types[callees].Equal(m.types[typ]) {
		panic(wasmer.TrapBadSignature)
	}
	return callee
}

// at is a part of the memory.
func (m *referenceMachine) at(start, size uint64) []byte {
	if start+size > uint64(len(m.memory)) {
		panic(wasmer.TrapOutOfBounds)
	}
	return m.memory[start : start+size]
}

// compute does what is not about control or variables.
func (m *referenceMachine) compute(in *instruction) {
	switch in.op {
	case 0x28: // i32.load
		m.push32(binary.LittleEndian.Uint32(m.at(uint64(uint32(m.pop()))+in.imm, 4)))
	case 0x29: // i64.load
		m.push(binary.LittleEndian.Uint64(m.at(uint64(uint32(m.pop()))+in.imm, 8)))
	case 0x36: // i32.store
		v := m.pop()
		binary.LittleEndian.PutUint32(m.at(uint64(uint32(m.pop()))+in.imm, 4), uint32(v))
	case 0x37: // i64.store
		v := m.pop()
		binary.LittleEndian.PutUint64(m.at(uint64(uint32(m.pop()))+in.imm, 8), v)
	case 0x3f: // memory.size
		m.push32(uint32(len(m.memory) >> 16))
	case 0x40: // memory.grow
		pages, delta := uint32(len(m.memory)>>16), uint64(uint32(m.pop()))
		if uint64(pages)+delta > uint64(m.maxPages) {
			m.push32(math.MaxUint32)
			return
		}
		m.memory = append(m.memory, make([]byte, delta<<16)...)
		m.push32(pages)
	case 0xfc000a: // memory.copy
		n, from, to := uint64(uint32(m.pop())), uint64(uint32(m.pop())), uint64(uint32(m.pop()))
		source := m.at(from, n)
		copy(m.at(to, n), source)
	case 0xfc000b: // memory.fill
		n, value, to := uint64(uint32(m.pop())), byte(m.pop()), uint64(uint32(m.pop()))
		target := m.at(to, n)
		for i := range target {
			target[i] = value
		}
	case 0x45: // i32.eqz
		m.pushBool(uint32(m.pop()) == 0)
	case 0x50: // i64.eqz
		m.pushBool(m.pop() == 0)
	case 0xa7: // i32.wrap_i64
		m.push32(uint32(m.pop()))
	case 0xac: // i64.extend_i32_s
		m.push(uint64(int64(int32(m.pop()))))
	case 0xb7: // f64.convert_i32_s
		m.push(math.Float64bits(float64(int32(m.pop()))))
	case 0xaa: // i32.trunc_f64_s
		v := math.Float64frombits(m.pop())
		if math.IsNaN(v) {
			panic(wasmer.TrapBadConversion)
		}
		if v = math.Trunc(v); v < math.MinInt32 || v > math.MaxInt32 {
			panic(wasmer.TrapIntegerOverflow)
		}
		m.push32(uint32(int32(v)))
	default:
		second, first := m.pop(), m.pop()
		m.push(m.binary(in.op, first, second))
	}
}

func (m *referenceMachine) binary(op wasmer.Opcode, first, second uint64) uint64 {
	a, b := uint32(first), uint32(second)
	divisible := func(zero, overflow bool) {
		if zero {
			panic(wasmer.TrapDivisionByZero)
		}
		if overflow {
			panic(wasmer.TrapIntegerOverflow)
		}
	}
	switch op {
	case 0x48: // i32.lt_s
		if int32(a) < int32(b) {
			return 1
		}
		return 0
	case 0x54: // i64.lt_u
		if first < second {
			return 1
		}
		return 0
	case 0x6a: // i32.add
		return uint64(a + b)
	case 0x6c: // i32.mul
		return uint64(a * b)
	case 0x6d: // i32.div_s
		divisible(b == 0, a == 1<<31 && b == math.MaxUint32)
		return uint64(uint32(int32(a) / int32(b)))
	case 0x70: // i32.rem_u
		divisible(b == 0, false)
		return uint64(a % b)
	case 0x73: // i32.xor
		return uint64(a ^ b)
	case 0x7c: // i64.add
		return first + second
	case 0x7e: // i64.mul
		return first * second
	case 0x7f: // i64.div_s
		divisible(second == 0, first == 1<<63 && second == math.MaxUint64)
		return uint64(int64(first) / int64(second))
	case 0x82: // i64.rem_u
		divisible(second == 0, false)
		return first % second
	case 0xa0: // f64.add
		return math.Float64bits(math.Float64frombits(first) + math.Float64frombits(second))
	}
	panic("an instruction that the reference does not know: " + op.String())
}
