package wasmer

import (
	"math"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// direct brings functions of common types into the common form without reflection: a call then costs what the way
// through the border costs. It is nil for other types.
func direct(fn any) hostCall {
	switch fn := fn.(type) {
	case func():
		return func(_ *Caller, _ []ffi.Slot) error { fn(); return nil }
	case func() error:
		return func(_ *Caller, _ []ffi.Slot) error { return fn() }
	case func(*Caller):
		return func(c *Caller, _ []ffi.Slot) error { fn(c); return nil }
	case func(*Caller) error:
		return func(c *Caller, _ []ffi.Slot) error { return fn(c) }
	case func() int32:
		return func(_ *Caller, v []ffi.Slot) error { v[0].Lo = uint64(uint32(fn())); return nil }
	case func() int64:
		return func(_ *Caller, v []ffi.Slot) error { v[0].Lo = uint64(fn()); return nil }
	case func() float64:
		return func(_ *Caller, v []ffi.Slot) error { v[0].Lo = math.Float64bits(fn()); return nil }
	case func(float64) float64:
		return func(_ *Caller, v []ffi.Slot) error {
			v[0].Lo = math.Float64bits(fn(math.Float64frombits(v[0].Lo)))
			return nil
		}
	case func(float64, float64) float64:
		return func(_ *Caller, v []ffi.Slot) error {
			v[0].Lo = math.Float64bits(fn(math.Float64frombits(v[0].Lo), math.Float64frombits(v[1].Lo)))
			return nil
		}
	}
	if call := directIntegers[int32](fn); call != nil {
		return call
	}
	if call := directIntegers[uint32](fn); call != nil {
		return call
	}
	if call := directIntegers[int64](fn); call != nil {
		return call
	}
	return directIntegers[uint64](fn)
}

// directIntegers covers functions with one to four parameters of the same integer type, with or without *Caller, result
// and error. A 64-bit slot holds any of the types: narrow ones are cut off on the way in and out.
func directIntegers[T int32 | uint32 | int64 | uint64](fn any) hostCall {
	a := func(v []ffi.Slot, i int) T { return T(v[i].Lo) }
	set := func(v []ffi.Slot, result T) { v[0].Lo = uint64(result) }
	switch fn := fn.(type) {
	case func(T):
		return func(_ *Caller, v []ffi.Slot) error { fn(a(v, 0)); return nil }
	case func(T, T):
		return func(_ *Caller, v []ffi.Slot) error { fn(a(v, 0), a(v, 1)); return nil }
	case func(T, T) error:
		return func(_ *Caller, v []ffi.Slot) error { return fn(a(v, 0), a(v, 1)) }
	case func(T) T:
		return func(_ *Caller, v []ffi.Slot) error { set(v, fn(a(v, 0))); return nil }
	case func(T, T) T:
		return func(_ *Caller, v []ffi.Slot) error { set(v, fn(a(v, 0), a(v, 1))); return nil }
	case func(T, T, T) T:
		return func(_ *Caller, v []ffi.Slot) error { set(v, fn(a(v, 0), a(v, 1), a(v, 2))); return nil }
	case func(T, T, T, T) T:
		return func(_ *Caller, v []ffi.Slot) error { set(v, fn(a(v, 0), a(v, 1), a(v, 2), a(v, 3))); return nil }
	case func(T) (T, error):
		return func(_ *Caller, v []ffi.Slot) error {
			result, err := fn(a(v, 0))
			set(v, result)
			return err
		}
	case func(T, T) (T, error):
		return func(_ *Caller, v []ffi.Slot) error {
			result, err := fn(a(v, 0), a(v, 1))
			set(v, result)
			return err
		}
	}
	return directCaller[T](fn)
}

func directCaller[T int32 | uint32 | int64 | uint64](fn any) hostCall {
	a := func(v []ffi.Slot, i int) T { return T(v[i].Lo) }
	set := func(v []ffi.Slot, result T) { v[0].Lo = uint64(result) }
	switch fn := fn.(type) {
	case func(*Caller, T):
		return func(c *Caller, v []ffi.Slot) error { fn(c, a(v, 0)); return nil }
	case func(*Caller, T, T):
		return func(c *Caller, v []ffi.Slot) error { fn(c, a(v, 0), a(v, 1)); return nil }
	case func(*Caller, T) error:
		return func(c *Caller, v []ffi.Slot) error { return fn(c, a(v, 0)) }
	case func(*Caller, T, T) error:
		return func(c *Caller, v []ffi.Slot) error { return fn(c, a(v, 0), a(v, 1)) }
	case func(*Caller, T) T:
		return func(c *Caller, v []ffi.Slot) error { set(v, fn(c, a(v, 0))); return nil }
	case func(*Caller, T, T) T:
		return func(c *Caller, v []ffi.Slot) error { set(v, fn(c, a(v, 0), a(v, 1))); return nil }
	case func(*Caller, T, T, T) T:
		return func(c *Caller, v []ffi.Slot) error { set(v, fn(c, a(v, 0), a(v, 1), a(v, 2))); return nil }
	case func(*Caller, T, T, T, T) T:
		return func(c *Caller, v []ffi.Slot) error { set(v, fn(c, a(v, 0), a(v, 1), a(v, 2), a(v, 3))); return nil }
	case func(*Caller, T) (T, error):
		return func(c *Caller, v []ffi.Slot) error {
			result, err := fn(c, a(v, 0))
			set(v, result)
			return err
		}
	case func(*Caller, T, T) (T, error):
		return func(c *Caller, v []ffi.Slot) error {
			result, err := fn(c, a(v, 0), a(v, 1))
			set(v, result)
			return err
		}
	}
	return nil
}
