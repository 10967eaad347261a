package wasmer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
)

// BindgenError is what a guest has returned or thrown as an error.
type BindgenError struct {
	// Function is the export that was called.
	Function string
	// Message is the guest's.
	Message string
}

func (e *BindgenError) Error() string {
	return fmt.Sprintf("wasmer: call %q: the guest's error: %s", e.Function, e.Message)
}

// CallBindgen calls an exported function of a guest that was built with wasm-bindgen or wasmedge-bindgen, with strings and slices
// of numbers in and out. Which of them it is the guest's exports tell: __wbindgen_malloc, or allocate and deallocate. A guest
// with neither takes and gives numbers.
//
// Arguments are string, bool, int8 to int64, uint8 to uint64, float32, float64 and slices of these but bool; named types of them,
// too. Results go to pointers to such types; a *any gets what the guest says it is, which only wasmedge-bindgen does. All are
// copies. Memory for them is the guest's allocator's, and is given back, as long as the guest does not trap.
//
// An error that the guest returns (Result of Rust) or throws is a *BindgenError; throwing, and the texts of errors with wasm-bindgen,
// take Imports.Bindgen. Arguments and results that do not fit the function are a *CallError. Other errors are those of
// Function.Call.
//
// See https://rustwasm.github.io/docs/wasm-bindgen and https://github.com/second-state/wasmedge-bindgen
func (i *Instance) CallBindgen(ctx context.Context, name string, args []any, results ...any) error {
	f, err := i.Function(name)
	if err != nil {
		return err
	}
	if ctx == nil {
		ctx = context.Background()
	}
	state := &bindgenState{function: name}
	b := &bindgenCall{Instance: i, ctx: context.WithValue(ctx, bindgenKey{}, state), f: f, state: state, results: results}
	if b.values, err = bindgenValues(name, args); err != nil {
		return err
	}
	for position, result := range results {
		if t := reflect.TypeOf(result); t == nil || t.Kind() != reflect.Pointer || reflect.ValueOf(result).IsNil() {
			return b.refused("result %d goes to %T: it takes a pointer", position, result)
		} else if _, ok := bindgenType(t.Elem()); !ok && t.Elem() != anyType {
			return b.refused("result %d goes to %T: a guest gives no such type", position, result)
		}
	}
	if b.malloc, err = i.optionalFunction("__wbindgen_malloc"); err != nil {
		return err
	}
	if b.free, err = i.optionalFunction("__wbindgen_free"); err != nil {
		return err
	}
	if b.malloc != nil || b.free != nil {
		return b.callWasmBindgen()
	}
	if b.malloc, err = i.optionalFunction("allocate"); err != nil {
		return err
	}
	if b.free, err = i.optionalFunction("deallocate"); err != nil {
		return err
	}
	if b.malloc != nil && b.free != nil && len(f.typ.Params) == 2 {
		return b.callWasmEdge()
	}
	return b.callWasmBindgen()
}

// bindgenCall is a call under way.
type bindgenCall struct {
	*Instance
	ctx     context.Context
	f       *Function
	state   *bindgenState
	values  []bindgenValue
	results []any
	// malloc and free are the guest's allocator; nil if it exports none.
	malloc, free *Function
}

// bindgenState is what guests bring to the host during a call.
type bindgenState struct {
	function string
	// texts are those of objects, by their numbers from firstObject on, and size is how many bytes they have.
	texts []string
	size  int
	// delivered are results that came by a call of the host.
	delivered bool
	list      []bindgenResult
	err       error
}

type bindgenKey struct{}

// bindgenValue is an argument.
type bindgenValue struct {
	value any
	kind  bindgenKind
	// data are the bytes, of count elements.
	data  []byte
	count int
}

// bindgenKind is a type that has a number in wasmedge-bindgen.
type bindgenKind struct {
	code  uint32
	size  int
	typ   reflect.Type
	slice bool
}

// bindgenKinds are the types by their numbers.
var bindgenKinds = []bindgenKind{
	{1, 1, reflect.TypeFor[uint8](), false},
	{2, 1, reflect.TypeFor[int8](), false},
	{3, 2, reflect.TypeFor[uint16](), false},
	{4, 2, reflect.TypeFor[int16](), false},
	{5, 4, reflect.TypeFor[uint32](), false},
	{6, 4, reflect.TypeFor[int32](), false},
	{7, 8, reflect.TypeFor[uint64](), false},
	{8, 8, reflect.TypeFor[int64](), false},
	{9, 4, reflect.TypeFor[float32](), false},
	{10, 8, reflect.TypeFor[float64](), false},
	{11, 1, reflect.TypeFor[bool](), false},
	{12, 4, reflect.TypeFor[rune](), false}, // after int32, which it is in Go
	{21, 1, reflect.TypeFor[[]uint8](), true},
	{22, 1, reflect.TypeFor[[]int8](), true},
	{23, 2, reflect.TypeFor[[]uint16](), true},
	{24, 2, reflect.TypeFor[[]int16](), true},
	{25, 4, reflect.TypeFor[[]uint32](), true},
	{26, 4, reflect.TypeFor[[]int32](), true},
	{27, 8, reflect.TypeFor[[]uint64](), true},
	{28, 8, reflect.TypeFor[[]int64](), true},
	{31, 1, reflect.TypeFor[string](), true},
	{0, 4, reflect.TypeFor[[]float32](), true}, // wasm-bindgen only, as results
	{0, 8, reflect.TypeFor[[]float64](), true},
}

// bindgenType finds the kind of a Go type.
func bindgenType(t reflect.Type) (bindgenKind, bool) {
	for _, kind := range bindgenKinds {
		same := t.Kind() == kind.typ.Kind()
		if same && t.Kind() == reflect.Slice {
			same = t.Elem().Kind() == kind.typ.Elem().Kind()
		}
		if same {
			return kind, true
		}
	}
	return bindgenKind{}, false
}

// bindgenValues looks at the arguments.
func bindgenValues(name string, args []any) ([]bindgenValue, error) {
	values := make([]bindgenValue, 0, len(args))
	for position, arg := range args {
		kind, ok := bindgenKind{}, false
		if arg != nil {
			kind, ok = bindgenType(reflect.TypeOf(arg))
		}
		if !ok {
			return nil, &CallError{Function: name, Position: position, Message: fmt.Sprintf("is of Go type %T; it takes a string, a bool, "+
				"a number of a fixed size, or a slice of these", arg)}
		}
		v := bindgenValue{value: arg, kind: kind, count: 1}
		r := reflect.ValueOf(arg)
		if kind.slice {
			v.count = r.Len()
		}
		if r.Kind() == reflect.String {
			v.data = []byte(r.String())
		} else {
			data, err := binary.Append(nil, binary.LittleEndian, r.Convert(kind.typ).Interface())
			if err != nil {
				return nil, err
			}
			v.data = data
		}
		if len(v.data) > math.MaxInt32 {
			return nil, &CallError{Function: name, Position: position, Message: "is larger than a guest's memory may be"}
		}
		values = append(values, v)
	}
	return values, nil
}

// store puts what the guest gave into the pointer of a result.
func (k bindgenKind) store(result any, data []byte) error {
	target := reflect.ValueOf(result).Elem()
	given := reflect.New(k.typ).Elem()
	switch {
	case len(data)%k.size != 0 || !k.slice && len(data) != k.size:
		return fmt.Errorf("the guest gave %d bytes for a %v", len(data), k.typ)
	case k.typ.Kind() == reflect.String:
		given.SetString(string(data))
	case k.typ.Kind() == reflect.Bool:
		given.SetBool(data[0] != 0)
	default:
		if k.slice {
			given.Set(reflect.MakeSlice(k.typ, len(data)/k.size, len(data)/k.size))
		}
		if _, err := binary.Decode(data, binary.LittleEndian, given.Addr().Interface()); err != nil {
			return err
		}
	}
	if target.Type() == anyType {
		target.Set(given)
	} else {
		target.Set(given.Convert(target.Type()))
	}
	return nil
}

func (b *bindgenCall) refused(format string, args ...any) error {
	return &CallError{Function: b.f.name, Position: -1, Message: fmt.Sprintf(format, args...)}
}

// optionalFunction is an exported function, or nil.
func (i *Instance) optionalFunction(name string) (*Function, error) {
	f, err := i.Function(name)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return f, err
}

// alloc copies data into memory of the guest.
func (b *bindgenCall) alloc(data []byte, align int) (uint32, error) {
	if b.malloc == nil || b.Memory == nil {
		return 0, fmt.Errorf("%w: call %q: strings and slices take an allocator, and the guest exports neither __wbindgen_malloc nor "+
			"allocate with a memory", ErrNotFound, b.f.name)
	}
	args := []any{len(data)}
	if len(b.malloc.typ.Params) == 2 {
		args = append(args, align)
	}
	values, err := b.malloc.Call(b.ctx, args...)
	if err != nil {
		return 0, err
	}
	if len(values) != 1 || values[0].Type() != TypeI32 {
		return 0, fmt.Errorf("wasmer: call %q: the guest's allocator is %s", b.f.name, b.malloc.typ)
	}
	at := uint32(values[0].ToI32())
	if at == 0 && len(data) > 0 {
		return 0, fmt.Errorf("%w: the guest's allocator cannot give %d bytes", ErrResource, len(data))
	}
	if err := b.Memory.Write(uint64(at), data); err != nil {
		return 0, fmt.Errorf("wasmer: the guest's allocator returned %d: %w", at, err)
	}
	return at, nil
}

// release gives memory back.
func (b *bindgenCall) release(at uint32, size, align int) error {
	if size == 0 || b.free == nil {
		return nil
	}
	args := []any{at, size}
	if len(b.free.typ.Params) == 3 {
		args = append(args, align)
	}
	_, err := b.free.Call(b.ctx, args...)
	return err
}
