package wasmer

import (
	"math"
	"reflect"
)

var (
	halvesType   = reflect.TypeFor[[2]uint64]()
	functionType = reflect.TypeFor[*Function]()
	anyType      = reflect.TypeFor[any]()
)

// valueTypeOf is the WebAssembly type that values of the Go type are passed as; 0 if there is none.
func valueTypeOf(t reflect.Type) ValueType {
	switch t {
	case halvesType:
		return ValueTypeV128
	case functionType:
		return ValueTypeFuncRef
	case anyType:
		return ValueTypeExternRef
	}
	switch t.Kind() {
	case reflect.Int32, reflect.Uint32:
		return ValueTypeI32
	case reflect.Int64, reflect.Uint64:
		return ValueTypeI64
	case reflect.Float32:
		return ValueTypeF32
	case reflect.Float64:
		return ValueTypeF64
	}
	return 0
}

func setNumber(v reflect.Value, bits uint64, t ValueType) {
	switch {
	case t == ValueTypeF32:
		v.Set(reflect.ValueOf(math.Float32frombits(uint32(bits))).Convert(v.Type()))
	case t == ValueTypeF64:
		v.SetFloat(math.Float64frombits(bits))
	case t == ValueTypeI32 && v.CanInt():
		v.SetInt(int64(int32(bits)))
	case t == ValueTypeI32:
		v.SetUint(uint64(uint32(bits)))
	case v.CanInt():
		v.SetInt(int64(bits))
	default:
		v.SetUint(bits)
	}
}

// setReference sets a v128 or a reference; null is the zero value.
func setReference(v reflect.Value, value Value) {
	if given := value.Go(); given != nil {
		v.Set(reflect.ValueOf(given))
	}
}

func getNumber(v reflect.Value, t ValueType) uint64 {
	switch {
	case t == ValueTypeF32:
		return uint64(math.Float32bits(single(v)))
	case t == ValueTypeF64:
		return math.Float64bits(v.Float())
	case v.CanInt() && t == ValueTypeI32:
		return uint64(uint32(v.Int()))
	case v.CanInt():
		return uint64(v.Int())
	}
	return v.Uint()
}

// single is a float32 as it is: by way of float64, as Value.Float goes, a signaling NaN would change.
func single(v reflect.Value) float32 {
	return v.Convert(reflect.TypeFor[float32]()).Interface().(float32)
}
