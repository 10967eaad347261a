package wasmer

import (
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Value is a WebAssembly value with its type: plain data, freely copied, and comparable unless it holds a Go value that
// is not. A reference to a function belongs to the function's store.
//
// See https://webassembly.github.io/spec/core/syntax/values.html
type Value struct {
	lo, hi uint64
	// ref is what a reference refers to: a *Function, or any Go value; nil for null.
	ref any
	typ ValueType
}

// I32 makes a value of type i32.
func I32(v int32) Value { return Value{lo: uint64(uint32(v)), typ: ValueTypeI32} }

// I64 makes a value of type i64.
func I64(v int64) Value { return Value{lo: uint64(v), typ: ValueTypeI64} }

// F32 makes a value of type f32.
func F32(v float32) Value { return Value{lo: uint64(math.Float32bits(v)), typ: ValueTypeF32} }

// F64 makes a value of type f64.
func F64(v float64) Value { return Value{lo: math.Float64bits(v), typ: ValueTypeF64} }

// V128 makes a value of type v128 from its low and high 64 bits.
func V128(lo, hi uint64) Value { return Value{lo: lo, hi: hi, typ: ValueTypeV128} }

// NullRef makes a null reference of a reference type.
func NullRef(t ValueType) Value { return Value{typ: t} }

// FuncRef makes a reference to a function; nil stands for null.
func FuncRef(f *Function) Value {
	if f == nil {
		return NullRef(ValueTypeFuncRef)
	}
	return Value{ref: f, typ: ValueTypeFuncRef}
}

// ExternRef makes a reference to a Go value; nil stands for null. As long as a guest holds it the value is kept alive.
func ExternRef(v any) Value { return Value{ref: v, typ: ValueTypeExternRef} }

func void() Value { return Value{typ: TypeVoid} }

// Type is the value's type; TypeVoid for the result of a function without results.
func (v Value) Type() ValueType {
	if v.typ == 0 {
		return TypeVoid
	}
	return v.typ
}

// GetType is Type under its go-ext-wasm name.
func (v Value) GetType() ValueType { return v.Type() }

// ToI32 gives the low 32 bits, whatever the type. Use uint32(v.ToI32()) for pointers: they may lie above 2 GiB.
func (v Value) ToI32() int32 { return int32(v.lo) }

// ToI64 gives the low 64 bits, whatever the type.
func (v Value) ToI64() int64 { return int64(v.lo) }

// ToF32 gives the low 32 bits as a float, whatever the type.
func (v Value) ToF32() float32 { return math.Float32frombits(uint32(v.lo)) }

// ToF64 gives the low 64 bits as a float, whatever the type.
func (v Value) ToF64() float64 { return math.Float64frombits(v.lo) }

// ToV128 gives the low and high 64 bits.
func (v Value) ToV128() (lo, hi uint64) { return v.lo, v.hi }

// ToVoid is nil: what a function without results returned.
func (v Value) ToVoid() any { return nil }

// IsReference reports whether the value is a reference.
func (v Value) IsReference() bool { return v.typ.IsReference() }

// IsNull reports whether the value is a null reference.
func (v Value) IsNull() bool { return v.typ.IsReference() && v.ref == nil }

// ToFuncRef gives the function that a funcref refers to, the same one each time: that of Instance.Function if it was looked
// up before. It is nil for null and other types.
func (v Value) ToFuncRef() *Function {
	f, _ := v.ref.(*Function)
	if v.typ != ValueTypeFuncRef {
		return nil
	}
	return f
}

// ToExternRef gives the Go value that an externref refers to; nil for null and other types.
func (v Value) ToExternRef() any {
	if v.typ != ValueTypeExternRef {
		return nil
	}
	return v.ref
}

// Go gives the value as int32, int64, float32, float64, [2]uint64 (v128, low half first), *Function, the Go value of an
// externref, or nil (void, null).
func (v Value) Go() any {
	switch v.typ {
	case ValueTypeI32:
		return v.ToI32()
	case ValueTypeI64:
		return v.ToI64()
	case ValueTypeF32:
		return v.ToF32()
	case ValueTypeF64:
		return v.ToF64()
	case ValueTypeV128:
		return [2]uint64{v.lo, v.hi}
	case ValueTypeExnRef:
		return nil
	}
	return v.ref
}

// String is the number in decimal, a v128 in hexadecimal, "null" or the type for references, "void" for void.
func (v Value) String() string {
	switch v.Type() {
	case ValueTypeI32:
		return strconv.Itoa(int(v.ToI32()))
	case ValueTypeI64:
		return strconv.FormatInt(v.ToI64(), 10)
	case ValueTypeF32:
		return fmt.Sprintf("%f", v.ToF32())
	case ValueTypeF64:
		return fmt.Sprintf("%f", v.ToF64())
	case ValueTypeV128:
		return fmt.Sprintf("0x%016x%016x", v.hi, v.lo)
	}
	if v.IsNull() {
		return "null"
	}
	return v.Type().String()
}

// toSlot is toValue for a type that is no reference; the common cases take the short way.
func toSlot(arg any, t ValueType) (ffi.Slot, error) {
	switch arg := arg.(type) {
	case int:
		if t == ValueTypeI32 && int(int32(arg)) == arg {
			return ffi.Slot{Lo: uint64(uint32(arg))}, nil
		} else if t == ValueTypeI64 {
			return ffi.Slot{Lo: uint64(arg)}, nil
		}
	case int32:
		if t == ValueTypeI32 {
			return ffi.Slot{Lo: uint64(uint32(arg))}, nil
		}
	case int64:
		if t == ValueTypeI64 {
			return ffi.Slot{Lo: uint64(arg)}, nil
		}
	case float64:
		if t == ValueTypeF64 {
			return ffi.Slot{Lo: math.Float64bits(arg)}, nil
		}
	}
	v, err := toValue(arg, t)
	return ffi.Slot{Lo: v.lo, Hi: v.hi}, err
}

// toValue converts a Go number, or takes a Value, for a parameter of type t. It never changes a value: what the type
// cannot hold exactly is an error. Signed integers must lie in the signed range of i32, unsigned ones in the unsigned.
func toValue(arg any, t ValueType) (Value, error) {
	switch arg := arg.(type) {
	case float32:
		if t == ValueTypeF32 {
			return F32(arg), nil
		}
	case Value:
		if arg.Type() == t {
			return arg, nil
		}
		return Value{}, fmt.Errorf("is %v of type %v, want %v", arg, arg.Type(), t)
	}
	if t.IsReference() || t == ValueTypeV128 {
		return toReference(arg, t)
	}
	v := reflect.ValueOf(arg)
	if v.Kind() == reflect.Float32 && t == ValueTypeF32 {
		return F32(single(v)), nil
	}
	switch integer := t == ValueTypeI32 || t == ValueTypeI64; {
	case integer && v.CanInt():
		if n := v.Int(); t == ValueTypeI64 {
			return I64(n), nil
		} else if n == int64(int32(n)) {
			return I32(int32(n)), nil
		}
	case integer && v.CanUint():
		if n := v.Uint(); t == ValueTypeI64 || n <= math.MaxUint32 {
			return Value{lo: n, typ: t}, nil
		}
	case (t == ValueTypeF32 || t == ValueTypeF64) && (v.CanFloat() || v.CanInt() || v.CanUint()):
		if f, exact := toFloat(v); exact && t == ValueTypeF64 {
			return F64(f), nil
		} else if exact && (float64(float32(f)) == f || math.IsNaN(f)) {
			return F32(float32(f)), nil
		}
	default:
		return Value{}, fmt.Errorf("is %v of Go type %T, want %v", arg, arg, t)
	}
	return Value{}, fmt.Errorf("is %v of Go type %T, which %v cannot hold exactly", arg, arg, t)
}

// toReference is toValue for references, null as nil, and v128.
func toReference(arg any, t ValueType) (Value, error) {
	switch f, isFunction := arg.(*Function); {
	case t == ValueTypeExternRef:
		return ExternRef(arg), nil
	case t == ValueTypeFuncRef && isFunction:
		return FuncRef(f), nil
	case t.IsReference() && arg == nil:
		return NullRef(t), nil
	}
	if halves, ok := arg.([2]uint64); ok && t == ValueTypeV128 {
		return V128(halves[0], halves[1]), nil
	}
	return Value{}, fmt.Errorf("is %v of Go type %T, want %v", arg, arg, t)
}

// toFloat converts a number, and reports whether it stayed the same.
func toFloat(v reflect.Value) (float64, bool) {
	switch {
	case v.CanInt():
		f := float64(v.Int())
		return f, f < 1<<63 && int64(f) == v.Int()
	case v.CanUint():
		f := float64(v.Uint())
		return f, f < 1<<64 && uint64(f) == v.Uint()
	}
	return v.Float(), true
}
