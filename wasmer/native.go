package wasmer

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// NativeFunction is a host function in machine code that guests call without Go: made by C, or what speaks its conventions,
// such as extern "C" of Rust. It costs a guest little more than a function of its own.
//
// In C it takes a wasmer_native_call, then an argument for each parameter: int32_t for i32, int64_t for i64, float for f32,
// double for f64. It returns its result, or nothing. With several results it returns nothing, and takes one more argument, a
// uint64_t* to one element for each: their bits, of narrow ones the low half. v128 and references are ErrUnsupported.
//
//	#include "wasmer_native.h" // lies beside the Go files of this package
//
//	int32_t count(wasmer_native_call *call, int32_t text, int32_t size) {
//		const uint8_t *bytes = wasmer_native_bytes(call, text, size);
//		return bytes ? count_words(bytes, size) : 0;
//	}
//
// It runs on the thread of the call, on the thread's own stack, and may lock, allocate and take its time. The memory's base
// and size hold until it returns. When it sets the call's error to a text, the guest ends with a *NativeError as soon as it
// returns; the text is copied then. A guest that is to be stopped meanwhile, by its context or Close, ends when it returns; system
// calls may be interrupted by a signal (EINTR). It must not throw, nor jump out (longjmp), nor use the store of its caller: calls
// into it from a native function, by way of Go, would wait for ever. What it does wrong otherwise ends the process, as in any C.
type NativeFunction struct {
	// Pointer is the function's address; with cgo, C.name of a declared function.
	Pointer unsafe.Pointer
	Type    FunctionType
	// Data is handed to each call. It must not point to Go memory, and must be valid until the function is called no more: as
	// long as one of Imports, or the store of an instance that imports it, is in use.
	Data unsafe.Pointer
	// Owner is kept from being collected for so long: what a finalizer or cleanup of it frees can be in Data.
	Owner any
	// Leaf has the function run on the guest's stack, if that has 64 KiB left, which saves the way to another one. It must need 32 KiB
	// of stack at most, with all that it calls, return soon, and not lock, allocate, wait, or call the system.
	Leaf bool
}

// NativeError is how a guest ends when a native function has failed.
type NativeError struct {
	// Message is what the function said.
	Message string
}

func (e *NativeError) Error() string { return "wasmer: native function: " + e.Message }

// Native defines a C function as an import of the current module name; see NativeFunction. A wrong type, or a function whose
// type it is not, corrupts memory.
func (i *Imports) Native(name string, function unsafe.Pointer, typ FunctionType) *Imports {
	return i.NativeFunction(name, NativeFunction{Pointer: function, Type: typ})
}

// NativeFunction is Native for a function that takes data. For one that costs something see FunctionWithCost.
func (i *Imports) NativeFunction(name string, function NativeFunction) *Imports {
	host, err := function.define()
	if err != nil {
		err = fmt.Errorf("wasmer: imports: native function %q %w", name, err)
	}
	_, _ = i.add(name, importItem{host: host}, err)
	return i
}

func (f NativeFunction) define() (*hostDefinition, error) {
	if f.Pointer == nil {
		return nil, errors.New("has no pointer")
	}
	typ := FunctionType{Params: slices.Clone(f.Type.Params), Results: slices.Clone(f.Type.Results)}
	for _, t := range slices.Concat(typ.Params, typ.Results) {
		switch t {
		case ValueTypeI32, ValueTypeI64, ValueTypeF32, ValueTypeF64:
		default:
			return nil, fmt.Errorf("takes or gives more than numbers: %w: %s", ErrUnsupported, typ)
		}
	}
	return &hostDefinition{typ: typ, foreign: &foreign{
		pointer: uintptr(f.Pointer), data: uintptr(f.Data), owner: f.Owner, leaf: f.Leaf,
	}}, nil
}

// foreign is a native function as it is called, with whom its data belongs to.
type foreign struct {
	pointer, data uintptr
	owner         any
	leaf          bool
	// plugin is the module that makes the data of each instance; nil for others. The owner is a *pluginData then.
	plugin *ffi.PluginModule
}
