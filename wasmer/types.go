package wasmer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// ValueType is the type of a WebAssembly value; its number is the byte of the binary format.
//
// See https://webassembly.github.io/spec/core/syntax/types.html#value-types
type ValueType uint8

// The value types.
const (
	ValueTypeI32       ValueType = 0x7f
	ValueTypeI64       ValueType = 0x7e
	ValueTypeF32       ValueType = 0x7d
	ValueTypeF64       ValueType = 0x7c
	ValueTypeV128      ValueType = 0x7b
	ValueTypeFuncRef   ValueType = 0x70
	ValueTypeExternRef ValueType = 0x6f
	ValueTypeExnRef    ValueType = 0x69

	// What Inspect may find in modules that no compiler accepts: a reference of the gc proposal, and any other.
	valueTypeAnyRef ValueType = 0x6e
	valueTypeRef    ValueType = 0x64
)

// The names of go-ext-wasm. TypeVoid is the type of the Value of a function without results; WebAssembly has none
// such.
const (
	TypeI32  = ValueTypeI32
	TypeI64  = ValueTypeI64
	TypeF32  = ValueTypeF32
	TypeF64  = ValueTypeF64
	TypeVoid = ValueType(0x40)
)

// String is the type's name in the text format.
func (t ValueType) String() string {
	switch t {
	case ValueTypeI32:
		return "i32"
	case ValueTypeI64:
		return "i64"
	case ValueTypeF32:
		return "f32"
	case ValueTypeF64:
		return "f64"
	case ValueTypeV128:
		return "v128"
	case ValueTypeFuncRef:
		return "funcref"
	case ValueTypeExternRef:
		return "externref"
	case ValueTypeExnRef:
		return "exnref"
	case valueTypeAnyRef:
		return "anyref"
	case valueTypeRef:
		return "ref"
	case TypeVoid:
		return "void"
	}
	return fmt.Sprintf("ValueType(%#x)", uint8(t))
}

// IsReference reports whether the type's values are references.
func (t ValueType) IsReference() bool {
	return t == ValueTypeFuncRef || t == ValueTypeExternRef || t == ValueTypeExnRef
}

// valid reports whether hosts can make something of the type.
func (t ValueType) valid() bool {
	return t >= ValueTypeV128 && t <= ValueTypeI32 || t.IsReference()
}

// FunctionType is the type of a function.
//
// See https://webassembly.github.io/spec/core/syntax/types.html#function-types
type FunctionType struct {
	Params, Results []ValueType
}

// String is the type in the text format, for instance "(func (param i32 i32) (result i32))".
func (t FunctionType) String() string {
	var b strings.Builder
	b.WriteString("(func")
	writeTypes(&b, "param", t.Params)
	writeTypes(&b, "result", t.Results)
	b.WriteByte(')')
	return b.String()
}

func writeTypes(b *strings.Builder, keyword string, types []ValueType) {
	if len(types) == 0 {
		return
	}
	fmt.Fprintf(b, " (%s", keyword)
	for _, t := range types {
		fmt.Fprintf(b, " %s", t)
	}
	b.WriteByte(')')
}

// Equal reports whether both types have the same parameters and results.
func (t FunctionType) Equal(u FunctionType) bool {
	return slices.Equal(t.Params, u.Params) && slices.Equal(t.Results, u.Results)
}

// slots counts what the values of the types take in a raw stack: one, v128 two.
func slots(types []ValueType) int {
	n := len(types)
	for _, t := range types {
		if t == ValueTypeV128 {
			n++
		}
	}
	return n
}

// Limits are the bounds of a memory in pages, or of a table in elements.
//
// See https://webassembly.github.io/spec/core/syntax/types.html#limits
type Limits struct {
	Min uint64
	// Max is the upper bound, if HasMax.
	Max    uint64
	HasMax bool
	// Shared says that a memory may be used by several threads.
	Shared bool
}

// String is the limits in the text format, for instance "1 2 shared".
func (l Limits) String() string {
	text := strconv.FormatUint(l.Min, 10)
	if l.HasMax {
		text += " " + strconv.FormatUint(l.Max, 10)
	}
	if l.Shared {
		text += " shared"
	}
	return text
}

// within reports whether something with the limits l can be imported where want is asked for.
func (l Limits) within(want Limits) bool {
	return l.Min >= want.Min && (!want.HasMax || l.HasMax && l.Max <= want.Max) && l.Shared == want.Shared
}

// check reports what is wrong with limits that a host makes something with.
func (l Limits) check() error {
	if l.HasMax && l.Max < l.Min {
		return fmt.Errorf("the maximum %d is less than the minimum %d", l.Max, l.Min)
	}
	return nil
}

// MemoryType is the type of a memory, in pages of 64 KiB.
//
// See https://webassembly.github.io/spec/core/syntax/types.html#memory-types
type MemoryType struct{ Limits }

// String is the type in the text format, for instance "(memory 1 2)".
func (t MemoryType) String() string { return fmt.Sprintf("(memory %s)", t.Limits) }

// TableType is the type of a table.
//
// See https://webassembly.github.io/spec/core/syntax/types.html#table-types
type TableType struct {
	// Element is ValueTypeFuncRef or ValueTypeExternRef.
	Element ValueType
	Limits
}

// String is the type in the text format, for instance "(table 10 20 funcref)".
func (t TableType) String() string { return fmt.Sprintf("(table %s %s)", t.Limits, t.Element) }

// GlobalType is the type of a global.
//
// See https://webassembly.github.io/spec/core/syntax/types.html#global-types
type GlobalType struct {
	Value   ValueType
	Mutable bool
}

// String is the type in the text format, for instance "(global (mut i32))".
func (t GlobalType) String() string {
	if t.Mutable {
		return fmt.Sprintf("(global (mut %s))", t.Value)
	}
	return fmt.Sprintf("(global %s)", t.Value)
}

// ExternKind is the kind of an import or export.
type ExternKind uint8

// The kinds; the numbers are those of the binary format.
const (
	ExternFunction ExternKind = iota
	ExternTable
	ExternMemory
	ExternGlobal
	ExternTag
)

func (k ExternKind) String() string {
	return [...]string{"function", "table", "memory", "global", "tag"}[min(k, ExternTag)]
}

// ExternType is the type of an import or export. Kind says which of the other fields counts.
//
// See https://webassembly.github.io/spec/core/syntax/types.html#external-types
type ExternType struct {
	Kind ExternKind
	// Function is the type of a function, or of a tag.
	Function FunctionType
	Table    TableType
	Memory   MemoryType
	Global   GlobalType
}

// String is the type in the text format.
func (t ExternType) String() string {
	switch t.Kind {
	case ExternFunction:
		return t.Function.String()
	case ExternTable:
		return t.Table.String()
	case ExternMemory:
		return t.Memory.String()
	case ExternGlobal:
		return t.Global.String()
	}
	return strings.Replace(t.Function.String(), "(func", "(tag", 1)
}

// Equal reports whether both types are the same.
func (t ExternType) Equal(u ExternType) bool {
	return t.Kind == u.Kind && t.Function.Equal(u.Function) &&
		t.Table == u.Table && t.Memory == u.Memory && t.Global == u.Global
}

// accepts reports whether an extern of type have can be imported as t.
//
// See https://webassembly.github.io/spec/core/valid/matching.html#import-subtyping
func (t ExternType) accepts(have ExternType) bool {
	if t.Kind != have.Kind {
		return false
	}
	switch t.Kind {
	case ExternTable:
		return t.Table.Element == have.Table.Element && have.Table.within(t.Table.Limits)
	case ExternMemory:
		return have.Memory.within(t.Memory.Limits)
	case ExternGlobal:
		return t.Global == have.Global
	}
	return t.Function.Equal(have.Function)
}

// ImportType is an import of a module.
type ImportType struct {
	Module, Name string
	Type         ExternType
}

// ExportType is an export of a module or instance.
type ExportType struct {
	Name string
	Type ExternType
}

func decodeTypes(d *ffi.Decoder) []ValueType {
	types := make([]ValueType, d.Uint32())
	for i := range types {
		types[i] = ValueType(d.Uint8())
	}
	return types
}

func decodeFunctionType(d *ffi.Decoder) FunctionType {
	return FunctionType{Params: decodeTypes(d), Results: decodeTypes(d)}
}

func decodeLimits(d *ffi.Decoder) Limits {
	return Limits{Min: d.Uint64(), HasMax: d.Uint8() != 0, Max: d.Uint64(), Shared: d.Uint8() != 0}
}

func decodeExternType(d *ffi.Decoder) ExternType {
	t := ExternType{Kind: ExternKind(d.Uint8())}
	switch t.Kind {
	case ExternTable:
		t.Table = TableType{Element: ValueType(d.Uint8()), Limits: decodeLimits(d)}
	case ExternMemory:
		t.Memory = MemoryType{decodeLimits(d)}
	case ExternGlobal:
		t.Global = GlobalType{Value: ValueType(d.Uint8()), Mutable: d.Uint8() != 0}
	default:
		t.Function = decodeFunctionType(d)
	}
	return t
}
