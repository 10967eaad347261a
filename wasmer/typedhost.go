package wasmer

import (
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// HostFunction is a Go function made by Host0 to Host4, of types that are known when it is compiled: calls need no reflection,
// whatever the types. It is given to Imports.Function and its like in place of the Go function.
type HostFunction struct{ definition hostDefinition }

// Type is the function's WebAssembly type.
func (f *HostFunction) Type() FunctionType { return f.definition.typ }

func newHostFunction[R Result](missing bool, call hostCall, params ...ValueType) *HostFunction {
	typ := FunctionType{Params: params}
	if result := typeOf[R](); result != TypeVoid {
		typ.Results = []ValueType{result}
	}
	if missing {
		call = nil // which is refused when it is imported
	}
	return &HostFunction{hostDefinition{typ: typ, call: call}}
}

// argument reads a parameter.
func argument[T Number](values []ffi.Slot, i int) T { return *(*T)(unsafe.Pointer(&values[i])) }

// give writes a result, if there is one.
func give[R Result](values []ffi.Slot, result R) {
	if unsafe.Sizeof(result) > 0 {
		*(*R)(unsafe.Pointer(&values[0])) = result
	}
}

// Host0 makes a host function without parameters; R is Void if it has no result. The Caller is as for
// Imports.AppendFunction; an error ends the guest and comes out of the call that led here.
func Host0[R Result](fn func(*Caller) (R, error)) *HostFunction {
	return newHostFunction[R](fn == nil, func(c *Caller, v []ffi.Slot) error {
		result, err := fn(c)
		give(v, result)
		return err
	})
}

// Host1 is Host0 for one parameter.
func Host1[A Number, R Result](fn func(*Caller, A) (R, error)) *HostFunction {
	return newHostFunction[R](fn == nil, func(c *Caller, v []ffi.Slot) error {
		result, err := fn(c, argument[A](v, 0))
		give(v, result)
		return err
	}, typeOf[A]())
}

// Host2 is Host0 for two parameters.
func Host2[A, B Number, R Result](fn func(*Caller, A, B) (R, error)) *HostFunction {
	return newHostFunction[R](fn == nil, func(c *Caller, v []ffi.Slot) error {
		result, err := fn(c, argument[A](v, 0), argument[B](v, 1))
		give(v, result)
		return err
	}, typeOf[A](), typeOf[B]())
}

// Host3 is Host0 for three parameters.
func Host3[A, B, C Number, R Result](fn func(*Caller, A, B, C) (R, error)) *HostFunction {
	return newHostFunction[R](fn == nil, func(c *Caller, v []ffi.Slot) error {
		result, err := fn(c, argument[A](v, 0), argument[B](v, 1), argument[C](v, 2))
		give(v, result)
		return err
	}, typeOf[A](), typeOf[B](), typeOf[C]())
}

// Host4 is Host0 for four parameters.
func Host4[A, B, C, D Number, R Result](fn func(*Caller, A, B, C, D) (R, error)) *HostFunction {
	return newHostFunction[R](fn == nil, func(c *Caller, v []ffi.Slot) error {
		result, err := fn(c, argument[A](v, 0), argument[B](v, 1), argument[C](v, 2), argument[D](v, 3))
		give(v, result)
		return err
	}, typeOf[A](), typeOf[B](), typeOf[C](), typeOf[D]())
}
