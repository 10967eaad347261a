package wasmer

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// CallBatch calls the function once for each row of arguments, in order, in one crossing to the guest. A row of in holds the
// arguments and a row of out the results of one call, each as the stack of CallRaw does. in is a whole number of rows, and
// out has room for as many; what lies behind them is left alone. If the function has no parameters, out tells how many calls
// there are, in a whole number of rows.
//
// It gives the number of calls that are done, whose results are in out. A call that fails ends the batch with the error that
// Call would have given; it is that of row done. So does the end of ctx, or of the instance, between two calls as well as in
// one. Each call is charged and counted like any other one. Host functions may call back, and other goroutines that call the
// store wait for the whole batch.
//
// Rows are read right before their call and written right after it. So in and out may overlap, as the same slice does: what
// is written over later arguments is what those calls get. Both belong to the batch until it returns.
func (f *Function) CallBatch(ctx context.Context, in, out []uint64) (done int, err error) {
	if f == nil {
		return 0, ErrClosed
	}
	if f.references {
		return 0, fmt.Errorf("%w: batch of %q: references cannot be passed raw, use Call: %s", ErrUnsupported, f.name, f.typ)
	}
	rows, err := f.rows(f.params, f.results, len(in), len(out))
	if err != nil {
		return 0, err
	}
	return f.batch(ctx, unsafe.SliceData(in), unsafe.SliceData(out), rows, false)
}

// CallBatch is Function.CallBatch for a function whose parameters and results all have the type that T stands for.
func CallBatch[T Number](ctx context.Context, f *Function, in, out []T) (done int, err error) {
	if f == nil {
		return 0, ErrClosed
	}
	want := typeOf[T]()
	for _, types := range [2][]ValueType{f.typ.Params, f.typ.Results} {
		for _, t := range types {
			if t != want {
				return 0, f.misused("rows of %T stand for %s only", *new(T), want)
			}
		}
	}
	rows, err := f.rows(len(f.typ.Params), len(f.typ.Results), len(in), len(out))
	if err != nil {
		return 0, err
	}
	words := func(values []T) *uint64 { return (*uint64)(unsafe.Pointer(unsafe.SliceData(values))) }
	return f.batch(ctx, words(in), words(out), rows, unsafe.Sizeof(*new(T)) == 4)
}

// rows is how many calls there are, of rows of so many words.
func (f *Function) rows(params, results, in, out int) (int, error) {
	switch {
	case params == 0 && results == 0:
		return 0, f.misused("a function without parameters and results has no rows")
	case params == 0 && in != 0:
		return 0, f.misused("given %d words of arguments, want none", in)
	case params == 0 && out%results != 0:
		return 0, f.misused("given room for %d words of results, want a multiple of %d", out, results)
	case params == 0:
		return out / results, nil
	case in%params != 0:
		return 0, f.misused("given %d words of arguments, want a multiple of %d", in, params)
	case results != 0 && out/results < in/params:
		return 0, f.misused("given room for %d words of results, want %d for each of %d calls", out, results, in/params)
	}
	return in / params, nil
}

func (f *Function) misused(format string, args ...any) error {
	return &CallError{Function: f.name, Position: -1, Message: "batch: " + fmt.Sprintf(format, args...) + ": " + f.typ.String()}
}

func (f *Function) batch(ctx context.Context, in, out *uint64, rows int, narrow bool) (done int, err error) {
	var frame frame
	if err := f.beginWith(ctx, 1+f.width, &frame); err != nil {
		return 0, err
	}
	values := frame.values
	ffi.CallBatch(f.address, &values[0], in, out, rows, narrow)
	done = int(values[0].Lo)
	if status := *f.store.status; status != ffi.OK {
		return done, f.store.fail(ctx, f.instance, &frame, f.name, status)
	}
	f.store.end(&frame)
	return done, nil
}
