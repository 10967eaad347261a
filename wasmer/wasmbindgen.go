package wasmer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
)

// fits reports whether a pointer takes a result of this kind.
func (k bindgenKind) fits(result any) bool {
	t := reflect.TypeOf(result).Elem()
	kind, ok := bindgenType(t)
	return t == anyType || ok && kind.typ == k.typ
}

// callWasmBindgen calls a function of wasm-bindgen. Strings and slices are an address and a number of elements; the guest frees
// them. What is more than one number comes back at an address that is the first argument, or as several results; the guest
// does not free it.
func (b *bindgenCall) callWasmBindgen() error {
	if len(b.results) > 1 {
		return b.refused("wasm-bindgen gives one result, want %d", len(b.results))
	}
	params := b.f.typ.Params
	needed := 0
	for _, v := range b.values {
		needed++
		if v.kind.slice {
			needed++
		}
	}
	// Guests of old take each i64 as two i32.
	split := 0
	if rest := len(params) - needed; rest > 0 {
		for _, v := range b.values {
			if v.kind.size == 8 && !v.kind.slice && v.kind.typ.Kind() != reflect.Float64 {
				split++
			}
		}
		if rest != split && rest != split+1 {
			split = 0
		}
	}
	pointer := len(params) == needed+split+1 && len(b.f.typ.Results) == 0
	if !pointer && len(params) != needed+split {
		return b.refused("given %d arguments, which take %d parameters: %s", len(b.values), needed+split, b.f.typ)
	}
	if b.f.references {
		return fmt.Errorf("%w: call %q: objects of JavaScript: %s", ErrUnsupported, b.f.name, b.f.typ)
	}
	var args []any
	if !pointer {
		if err := b.appendArgs(&args, split > 0); err != nil {
			return err
		}
		values, err := b.f.Call(b.ctx, args...)
		if err != nil {
			return err
		}
		return b.takeValues(values)
	}
	space, giveBack, err := b.space()
	if err != nil {
		return err
	}
	given := false
	defer func() {
		if !given { // the error says more, or a host function panicked
			_ = giveBack(false)
		}
	}()
	args = append(args, space)
	if err := b.appendArgs(&args, split > 0); err != nil {
		given = true
		return errors.Join(err, giveBack(true))
	}
	if _, err := b.f.Call(b.ctx, args...); err != nil {
		return err
	}
	returned, err := b.Memory.Read(uint64(space), 16)
	given = true
	if err := errors.Join(err, giveBack(true)); err != nil {
		return err
	}
	return b.takeAtPointer(returned)
}

// space is where the guest writes its results: of its allocator, or, if it exports none since it takes no strings, of its stack. That
// is lent to one call at a time. What it is given back with says whether the guest has returned.
func (b *bindgenCall) space() (at uint32, giveBack func(returned bool) error, err error) {
	stack, err := b.optionalFunction("__wbindgen_add_to_stack_pointer")
	if err != nil {
		return 0, nil, err
	}
	if b.malloc != nil || stack == nil {
		at, err := b.alloc(make([]byte, 16), 8)
		return at, func(returned bool) error {
			if !returned {
				return nil // whatever has become of the allocator
			}
			return b.release(at, 16, 8)
		}, err
	}
	unlock, err := b.lockStack(b.ctx)
	if err != nil {
		return 0, nil, err
	}
	move := func(by int32) (uint32, error) {
		values, err := stack.Call(context.WithoutCancel(b.ctx), by)
		if err == nil && (len(values) != 1 || b.Memory == nil) {
			err = fmt.Errorf("%w: call %q: the guest's stack is %s, and needs a memory", ErrNotFound, b.f.name, stack.typ)
		}
		if err != nil {
			return 0, err
		}
		return uint32(values[0].ToI32()), nil
	}
	giveBack = func(bool) error {
		defer unlock()
		_, err := move(16)
		return err
	}
	if at, err = move(-16); err != nil {
		unlock()
		return 0, nil, err
	}
	if err := b.Memory.Write(uint64(at), make([]byte, 16)); err != nil {
		return 0, nil, errors.Join(err, giveBack(false))
	}
	return at, giveBack, nil
}

// lockStack waits until nobody else has something on the guest's stack between two calls. Who is called by the guest itself, on
// top of what is there, need not wait.
func (i *Instance) lockStack(ctx context.Context) (unlock func(), err error) {
	if i.store.onHostThread() {
		return func() {}, nil
	}
	i.mu.Lock()
	if i.stackLent == nil {
		i.stackLent = make(chan struct{}, 1)
	}
	lent := i.stackLent
	i.mu.Unlock()
	select {
	case lent <- struct{}{}:
		return func() { <-lent }, nil
	case <-ctx.Done():
		return nil, interrupted(ctx)
	}
}

// appendArgs copies the arguments to the guest. Those of a call that does not come about are freed.
func (b *bindgenCall) appendArgs(args *[]any, split bool) error {
	var given []uint32
	for _, v := range b.values {
		switch number, wide := v.value, v.kind.size == 8 && v.kind.typ.Kind() != reflect.Float64; {
		case v.kind.slice:
			at, err := b.alloc(v.data, v.kind.size)
			if err != nil {
				for before, at := range given {
					if earlier := b.values[before]; earlier.kind.slice {
						err = errors.Join(err, b.release(at, len(earlier.data), earlier.kind.size))
					}
				}
				return err
			}
			given = append(given, at)
			*args = append(*args, at, v.count)
			continue
		case wide && split:
			*args = append(*args, binary.LittleEndian.Uint32(v.data), binary.LittleEndian.Uint32(v.data[4:]))
		case v.kind.typ.Kind() == reflect.Bool:
			*args = append(*args, v.data[0])
		default:
			*args = append(*args, number)
		}
		given = append(given, 0)
	}
	return nil
}

// takeValues takes results that the function itself has.
func (b *bindgenCall) takeValues(values []Value) error {
	if len(b.results) == 0 {
		return nil
	}
	kind, _ := bindgenType(reflect.TypeOf(b.results[0]).Elem())
	switch {
	case kind.slice && len(values) == 2:
		return b.takeSlice(kind, uint32(values[0].ToI32()), uint32(values[1].ToI32()))
	case kind.slice || kind.size == 0 || len(values) != 1:
		return b.refused("a %T takes a string or a slice, and the function is %s", b.results[0], b.f.typ)
	}
	typ := values[0].Type()
	float, wide := typ == TypeF32 || typ == TypeF64, typ == TypeI64 || typ == TypeF64
	isFloat := kind.typ.Kind() == reflect.Float32 || kind.typ.Kind() == reflect.Float64
	if float != isFloat || wide != (kind.size == 8) {
		return b.refused("the result is %s, and goes to %T", typ, b.results[0])
	}
	data := binary.LittleEndian.AppendUint64(nil, values[0].lo)
	return kind.store(b.results[0], data[:kind.size])
}

// takeAtPointer takes what the guest has written: the value, then the number of an error's object, and whether there is one, if
// the function can fail.
func (b *bindgenCall) takeAtPointer(returned []byte) error {
	var kind bindgenKind
	if len(b.results) == 1 {
		kind, _ = bindgenType(reflect.TypeOf(b.results[0]).Elem())
	}
	failure := 8 // after a pair, or 8 bytes
	switch {
	case len(b.results) == 0:
		failure = 0
	case kind.size == 0:
		return b.refused("wasm-bindgen does not tell types: the result cannot go to %T", b.results[0])
	case !kind.slice && kind.size < 8:
		failure = 4
	}
	if binary.LittleEndian.Uint32(returned[failure+4:]) == 1 {
		return b.state.failure(binary.LittleEndian.Uint32(returned[failure:]))
	}
	switch {
	case len(b.results) == 0:
		return nil
	case kind.slice:
		return b.takeSlice(kind, binary.LittleEndian.Uint32(returned), binary.LittleEndian.Uint32(returned[4:]))
	}
	return kind.store(b.results[0], returned[:kind.size])
}

// takeSlice copies a string or slice, and gives its memory back.
func (b *bindgenCall) takeSlice(kind bindgenKind, at, count uint32) error {
	if b.Memory == nil {
		return fmt.Errorf("%w: the instance exports no memory", ErrNotFound)
	}
	data, err := b.Memory.Read(uint64(at), uint64(count)*uint64(kind.size))
	if err != nil {
		return fmt.Errorf("wasmer: call %q: what the guest returned: %w", b.f.name, err)
	}
	if err := b.release(at, len(data), kind.size); err != nil {
		return err
	}
	return kind.store(b.results[0], data)
}

// firstObject is the number of the first object that is not a constant of JavaScript.
const firstObject = 36

// maxObjects bounds the objects that a guest makes in one call, and maxTexts the bytes of their texts together.
const (
	maxObjects = 10_000
	maxTexts   = 16 << 20
)

// failure is the error that an object stands for.
func (s *bindgenState) failure(object uint32) error {
	message := fmt.Sprintf("an object without text (%d): Imports.Bindgen keeps texts", object)
	if at := int64(object) - firstObject; at >= 0 && at < int64(len(s.texts)) {
		message = s.texts[at]
	}
	return &BindgenError{Function: s.function, Message: message}
}

// Bindgen gives the guest what programs of wasm-bindgen and wasmedge-bindgen import to return errors, and older ones of the
// latter to return anything: __wbindgen_throw, and texts as objects (__wbindgen_string_new, __wbindgen_error_new,
// __wbindgen_object_drop_ref) of modules wbg and __wbindgen_placeholder__, and return_result and return_error of module
// wasmedge-bindgen. They are for Instance.CallBindgen. Definitions of the same names, before or after, take their place. Programs
// that call more of JavaScript cannot run.
func (i *Imports) Bindgen() *Imports {
	for _, module := range []string{"wbg", "__wbindgen_placeholder__"} {
		i.defineGoBehind(module, "__wbindgen_throw", func(c *Caller, at, size uint32) error {
			text, err := c.bindgenText(at, size)
			if err != nil {
				return err
			}
			return &BindgenError{Function: bindgenOf(c).function, Message: text}
		})
		object := func(c *Caller, at, size uint32) (uint32, error) {
			state := bindgenOf(c)
			if len(state.texts) >= maxObjects || uint64(size) > uint64(maxTexts-state.size) {
				return 0, fmt.Errorf("%w: the guest makes more than %d objects, or %d bytes of their texts, in one call", ErrResource, maxObjects, maxTexts)
			}
			text, err := c.bindgenText(at, size)
			if err != nil {
				return 0, err
			}
			state.texts, state.size = append(state.texts, text), state.size+len(text)
			return firstObject + uint32(len(state.texts)) - 1, nil
		}
		i.defineGoBehind(module, "__wbindgen_string_new", object)
		i.defineGoBehind(module, "__wbindgen_error_new", object)
		i.defineGoBehind(module, "__wbindgen_object_drop_ref", func(*Caller, uint32) {}) // all go with the call
	}
	i.defineGoBehind("wasmedge-bindgen", "return_result", func(c *Caller, at, count uint32) error {
		memory := c.Memory()
		if memory == nil {
			return fmt.Errorf("%w: the caller exports no memory", ErrNotFound)
		}
		state := bindgenOf(c)
		list, err := readBindgenResults(memory, at, count)
		state.delivered, state.list, state.err = true, list, nil
		return err
	})
	return i.defineGoBehind("wasmedge-bindgen", "return_error", func(c *Caller, at, size uint32) error {
		text, err := c.bindgenText(at, size)
		state := bindgenOf(c)
		state.delivered, state.list = true, nil
		state.err = &BindgenError{Function: state.function, Message: text}
		return err
	})
}

func (i *Imports) defineGoBehind(module, name string, fn any) *Imports {
	host, err := defineHost(fn)
	if err != nil {
		panic(err) // it is one of this file
	}
	return i.defineBehind(module, name, host)
}

// bindgenOf is the state of the call that led here; one that is forgotten if it was no call of CallBindgen.
func bindgenOf(c *Caller) *bindgenState {
	if state, ok := c.Context().Value(bindgenKey{}).(*bindgenState); ok {
		return state
	}
	return &bindgenState{}
}

func (c *Caller) bindgenText(at, size uint32) (string, error) {
	memory := c.Memory()
	if memory == nil {
		return "", fmt.Errorf("%w: the caller exports no memory", ErrNotFound)
	}
	return memory.ReadString(uint64(at), uint64(size))
}
