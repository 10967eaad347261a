package wasmer_test

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const (
	ti32 = wasmer.ValueTypeI32
	ti64 = wasmer.ValueTypeI64
	tf64 = wasmer.ValueTypeF64
)

// generator makes valid modules with all shapes of control, which end.
type generator struct {
	*rand.Rand
	module *referenceModule
	code   []instruction
	params []wasmer.ValueType // and locals
	labels [][]wasmer.ValueType
	result []wasmer.ValueType
	budget int
}

// fuel is the global that bounds how long a module runs.
const fuel = 0

func newReferenceModule(seed uint64) *referenceModule {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	m := &referenceModule{pages: 1, maxPages: 3, globals: []wasmer.ValueType{ti32, ti32, ti64, ti64}}
	g.module = m
	m.types = []wasmer.FunctionType{{}}
	for range 8 {
		m.types = append(m.types, wasmer.FunctionType{Params: g.types(3), Results: g.types(3)})
	}
	for range 2 + g.IntN(4) {
		m.functions = append(m.functions, referenceFunction{typ: g.IntN(len(m.types)), locals: g.types(4)})
	}
	for range 6 {
		m.table = append(m.table, g.IntN(len(m.functions)+2)-1)
	}
	for i := range m.functions {
		f := &m.functions[i]
		f.code = g.function(f)
	}
	return m
}

func (g *generator) types(most int) []wasmer.ValueType {
	var list []wasmer.ValueType
	for range g.IntN(most + 1) {
		list = append(list, []wasmer.ValueType{ti32, ti32, ti64, tf64}[g.IntN(4)])
	}
	return list
}

func (g *generator) function(f *referenceFunction) []instruction {
	typ := g.module.types[f.typ]
	g.code, g.budget = nil, 40+g.IntN(80)
	g.params, g.result = slices.Concat(typ.Params, f.locals), typ.Results
	g.labels = [][]wasmer.ValueType{typ.Results}
	if g.IntN(4) > 0 {
		g.emit(0x10, 0) // some functions begin with a call
	}
	g.burn()
	g.body(typ.Results)
	g.emit(0x0b, 0)
	resolve(g.code)
	return g.code
}

// resolve finds the ends of blocks.
func resolve(code []instruction) {
	var open []int
	for i := range code {
		switch code[i].op {
		case 0x02, 0x03, 0x04:
			open = append(open, i)
		case 0x05:
			code[open[len(open)-1]].other = i
		case 0x0b:
			if len(open) == 0 {
				return
			}
			begin := &code[open[len(open)-1]]
			open = open[:len(open)-1]
			if begin.end = i; begin.other == 0 {
				begin.other = i
			} else {
				code[begin.other].end = i
			}
		}
	}
}

func (g *generator) emit(op wasmer.Opcode, imm uint64) {
	g.code = append(g.code, instruction{op: op, imm: imm})
}

// burn returns if there is no fuel, else takes some.
func (g *generator) burn() {
	g.emit(0x23, fuel)
	g.emit(0x45, 0)
	g.emit(0x04, 0)
	for _, t := range g.result {
		g.constant(t)
	}
	g.emit(0x0f, 0)
	g.emit(0x0b, 0)
	g.emit(0x23, fuel)
	g.emit(0x41, math.MaxUint32)
	g.emit(0x6a, 0)
	g.emit(0x24, fuel)
}

// body makes statements, then values.
func (g *generator) body(results []wasmer.ValueType) {
	for range g.IntN(4) {
		g.statement()
	}
	for _, t := range results {
		g.value(t)
	}
}

func (g *generator) constant(t wasmer.ValueType) {
	small := uint64(g.IntN(5))
	switch {
	case t == ti32 && g.IntN(20) == 0:
		g.emit(0x41, uint64(g.Uint32()))
	case t == ti32:
		g.emit(0x41, small)
	case t == ti64 && g.IntN(20) == 0:
		g.emit(0x42, g.Uint64())
	case t == ti64:
		g.emit(0x42, small)
	case g.IntN(20) == 0:
		g.emit(0x44, math.Float64bits([]float64{math.NaN(), 1e300, -3e9, math.Inf(1)}[g.IntN(4)]))
	default:
		g.emit(0x44, math.Float64bits(float64(small)+0.5))
	}
}

func (g *generator) local(t wasmer.ValueType) (uint64, bool) {
	start := g.IntN(len(g.params) + 1)
	for i := range g.params {
		if at := (start + i) % len(g.params); g.params[at] == t {
			return uint64(at), true
		}
	}
	return 0, false
}

// typeOf finds a type with these results, whatever its parameters.
func (g *generator) typeOf(fits func(wasmer.FunctionType) bool) (uint64, bool) {
	start := g.IntN(len(g.module.types))
	for i := range g.module.types {
		if at := (start + i) % len(g.module.types); fits(g.module.types[at]) {
			return uint64(at), true
		}
	}
	return 0, false
}

// block makes a block, loop or if of a type.
func (g *generator) block(number uint64) {
	typ := g.module.types[number]
	for _, t := range typ.Params {
		g.value(t)
	}
	op := wasmer.Opcode(0x02 + g.IntN(3))
	label := typ.Results
	if op == 0x04 {
		g.value(ti32)
	}
	if op == 0x03 {
		label = typ.Params
	}
	g.emit(op, number)
	g.labels = append(g.labels, label)
	arm := func() {
		if op == 0x03 {
			g.burn()
		}
		for _, t := range slices.Backward(typ.Params) {
			if at, ok := g.local(t); ok {
				g.emit(0x21, at)
			} else {
				g.emit(0x1a, 0)
			}
		}
		g.body(typ.Results)
	}
	arm()
	if op == 0x04 && (g.IntN(2) == 0 || !slices.Equal(typ.Params, typ.Results)) {
		g.emit(0x05, 0)
		arm()
	}
	g.labels = g.labels[:len(g.labels)-1]
	g.emit(0x0b, 0)
}

// label picks one, and makes its values.
func (g *generator) label() uint64 {
	depth := g.IntN(len(g.labels))
	for _, t := range g.labels[len(g.labels)-1-depth] {
		g.value(t)
	}
	return uint64(depth)
}

func (g *generator) drop(types []wasmer.ValueType) {
	for range types {
		g.emit(0x1a, 0)
	}
}

func (g *generator) statement() {
	if g.budget--; g.budget < 0 {
		g.emit(0x01, 0)
		return
	}
	switch g.IntN(14) {
	case 0, 1, 2:
		number := uint64(g.IntN(len(g.module.types)))
		g.block(number)
		g.drop(g.module.types[number].Results)
	case 3:
		depth := g.label()
		g.value(ti32)
		g.emit(0x0d, depth)
		g.drop(g.labels[len(g.labels)-1-int(depth)])
	case 4:
		depth := g.label()
		g.emit(0x0c, depth)
	case 5:
		depth := g.label()
		arity := g.labels[len(g.labels)-1-int(depth)]
		var targets []uint64
		for at := range g.labels {
			if slices.Equal(g.labels[len(g.labels)-1-at], arity) && g.IntN(2) == 0 {
				targets = append(targets, uint64(at))
			}
		}
		g.value(ti32)
		g.code = append(g.code, instruction{op: 0x0e, targets: append(targets, depth)})
	case 6:
		if g.IntN(8) == 0 {
			g.emit(0x00, 0)
			return
		}
		for _, t := range g.result {
			g.value(t)
		}
		g.emit(0x0f, 0)
	case 7:
		g.call(uint64(g.IntN(len(g.module.functions) + 1)))
	case 8:
		g.value(ti32)
		if g.IntN(2) == 0 {
			g.value(ti32)
			g.emit(0x36, uint64(g.IntN(65600)))
		} else {
			g.value(ti64)
			g.emit(0x37, uint64(g.IntN(65600)))
		}
	case 9:
		g.value(ti32)
		g.emit(0x24, 1)
	case 10:
		for range 3 {
			g.value(ti32)
		}
		g.emit(wasmer.Opcode(0xfc000a+g.IntN(2)), 0)
	case 11:
		number := uint64(g.IntN(len(g.module.types)))
		for _, t := range g.module.types[number].Params {
			g.value(t)
		}
		g.value(ti32)
		g.emit(0x11, number)
		g.drop(g.module.types[number].Results)
	default:
		t := []wasmer.ValueType{ti32, ti64, tf64}[g.IntN(3)]
		g.value(t)
		if at, ok := g.local(t); ok {
			g.emit(0x21, at)
		} else {
			g.emit(0x1a, 0)
		}
	}
}

// call calls a function and drops its results.
func (g *generator) call(number uint64) {
	typ := g.module.types[0]
	if number > 0 {
		typ = g.module.types[g.module.functions[number-1].typ]
	}
	for _, t := range typ.Params {
		g.value(t)
	}
	g.emit(0x10, number)
	g.drop(typ.Results)
}

// value makes instructions that leave a value of the type.
func (g *generator) value(t wasmer.ValueType) {
	if g.budget--; g.budget < 0 {
		g.constant(t)
		return
	}
	two := func(t wasmer.ValueType, ops ...wasmer.Opcode) {
		g.value(t)
		g.value(t)
		g.emit(ops[g.IntN(len(ops))], 0)
	}
	one := func(t wasmer.ValueType, op wasmer.Opcode, imm uint64) {
		g.value(t)
		g.emit(op, imm)
	}
	switch g.IntN(10) {
	case 0, 1:
		if at, ok := g.local(t); ok {
			g.emit(0x20, at)
			return
		}
	case 2:
		fits := func(typ wasmer.FunctionType) bool { return len(typ.Results) > 0 && typ.Results[0] == t }
		if number, ok := g.typeOf(fits); ok {
			g.block(number)
			g.drop(g.module.types[number].Results[1:])
			return
		}
	case 3:
		g.value(t)
		g.value(t)
		g.value(ti32)
		g.emit(0x1b, 0)
		return
	case 4:
		if at, ok := g.local(t); ok {
			one(t, 0x22, at)
			return
		}
	case 5, 6, 7:
		switch t {
		case ti32:
			switch g.IntN(8) {
			case 0:
				two(ti64, 0x54)
			case 1:
				one(ti64, 0xa7, 0)
			case 2:
				one(tf64, 0xaa, 0)
			case 3:
				one(ti32, 0x28, uint64(g.IntN(100)))
			case 4:
				one(ti32, 0x40, 0)
			case 5:
				g.emit(0x3f, 0)
			default:
				two(ti32, 0x48, 0x6a, 0x6c, 0x6d, 0x70, 0x73)
			}
		case ti64:
			switch g.IntN(4) {
			case 0:
				one(ti32, 0xac, 0)
			case 1:
				one(ti32, 0x29, uint64(g.IntN(100)))
			default:
				two(ti64, 0x7c, 0x7e, 0x7f, 0x82)
			}
		default:
			one(ti32, 0xb7, 0)
		}
		return
	}
	g.constant(t)
}
