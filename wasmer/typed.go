package wasmer

import (
	"context"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Number is a Go type that stands for exactly one WebAssembly type: 32-bit integers for i32, 64-bit ones for i64,
// float32 for f32, float64 for f64.
type Number interface {
	~int32 | ~uint32 | ~int64 | ~uint64 | ~float32 | ~float64
}

// Void is the result type of typed functions without a result.
type Void struct{}

// Result is the result type of a typed function.
type Result interface {
	Number | Void
}

// typeOf is the WebAssembly type that T stands for; TypeVoid for Void.
func typeOf[T Result]() ValueType {
	t := reflect.TypeFor[T]()
	if t == reflect.TypeFor[Void]() {
		return TypeVoid
	}
	return valueTypeOf(t)
}

// encode and decode pass a number's bits as they are: of a 32-bit one in the low half.
func encode[T Number](v T) uint64 {
	if unsafe.Sizeof(v) == 4 {
		return uint64(*(*uint32)(unsafe.Pointer(&v)))
	}
	return *(*uint64)(unsafe.Pointer(&v))
}

func decode[R Result](bits uint64) (result R) {
	switch unsafe.Sizeof(result) {
	case 4:
		*(*uint32)(unsafe.Pointer(&result)) = uint32(bits)
	case 8:
		*(*uint64)(unsafe.Pointer(&result)) = bits
	}
	return result
}

// typed looks a function up and checks its type against the Go types.
func typed[R Result](i *Instance, name string, params ...ValueType) (*Function, ValueType, error) {
	f, err := i.Function(name)
	if err != nil {
		return nil, 0, err
	}
	want := FunctionType{Params: params}
	result := typeOf[R]()
	if result != TypeVoid {
		want.Results = []ValueType{result}
	}
	if !f.typ.Equal(want) {
		return nil, 0, fmt.Errorf("wasmer: function %q is %s, the Go types stand for %s", name, f.typ, want)
	}
	return f, result, nil
}

// finish makes the call of a frame whose arguments are in place.
func finish[R Result](ctx context.Context, f *Function, frame *frame, t ValueType) (result R, err error) {
	if status := f.invoke(&frame.values[0]); status != ffi.OK {
		return result, unlessTerminated(f.store.fail(ctx, f.instance, frame, f.name, status))
	}
	result = decode[R](bits(&frame.values[0], t))
	f.store.end(frame)
	return result, nil
}

// Func0 gives the exported function of this name as a Go function without reflection or allocations; R is Void if it
// has no result. It fails if the Go types do not stand for the function's type. Calls fail as Function.Call does.
func Func0[R Result](i *Instance, name string) (func(context.Context) (R, error), error) {
	f, t, err := typed[R](i, name)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (result R, err error) {
		var frame frame
		if err := f.begin(ctx, &frame); err != nil {
			return result, err
		}
		return finish[R](ctx, f, &frame, t)
	}, nil
}

// Func1 is Func0 for one parameter.
func Func1[A Number, R Result](i *Instance, name string) (func(context.Context, A) (R, error), error) {
	ta := typeOf[A]()
	f, t, err := typed[R](i, name, ta)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a A) (result R, err error) {
		var frame frame
		if err := f.begin(ctx, &frame); err != nil {
			return result, err
		}
		frame.values[0].Lo = encode(a)
		return finish[R](ctx, f, &frame, t)
	}, nil
}

// Func2 is Func0 for two parameters.
func Func2[A, B Number, R Result](i *Instance, name string) (func(context.Context, A, B) (R, error), error) {
	ta, tb := typeOf[A](), typeOf[B]()
	f, t, err := typed[R](i, name, ta, tb)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a A, b B) (result R, err error) {
		var frame frame
		if err := f.begin(ctx, &frame); err != nil {
			return result, err
		}
		frame.values[0].Lo, frame.values[1].Lo = encode(a), encode(b)
		return finish[R](ctx, f, &frame, t)
	}, nil
}

// Func3 is Func0 for three parameters.
func Func3[A, B, C Number, R Result](i *Instance, name string) (func(context.Context, A, B, C) (R, error), error) {
	ta, tb, tc := typeOf[A](), typeOf[B](), typeOf[C]()
	f, t, err := typed[R](i, name, ta, tb, tc)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a A, b B, c C) (result R, err error) {
		var frame frame
		if err := f.begin(ctx, &frame); err != nil {
			return result, err
		}
		v := frame.values
		v[0].Lo, v[1].Lo, v[2].Lo = encode(a), encode(b), encode(c)
		return finish[R](ctx, f, &frame, t)
	}, nil
}

// Func4 is Func0 for four parameters.
func Func4[A, B, C, D Number, R Result](i *Instance, name string) (func(context.Context, A, B, C, D) (R, error), error) {
	ta, tb, tc, td := typeOf[A](), typeOf[B](), typeOf[C](), typeOf[D]()
	f, t, err := typed[R](i, name, ta, tb, tc, td)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a A, b B, c C, d D) (result R, err error) {
		var frame frame
		if err := f.begin(ctx, &frame); err != nil {
			return result, err
		}
		v := frame.values
		v[0].Lo, v[1].Lo, v[2].Lo, v[3].Lo = encode(a), encode(b), encode(c), encode(d)
		return finish[R](ctx, f, &frame, t)
	}, nil
}
