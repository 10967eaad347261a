package wasmtest

// #include <stdlib.h>
//
// extern int32_t sum(void *context, int32_t x, int32_t y);
import "C"

import "unsafe"

//export sum
func sum(context unsafe.Pointer, x int32, y int32) int32 {
	return x + y
}

// Sum is the host function of the README of go-ext-wasm: the Go function and the C pointer to it. Tests cannot use cgo
// themselves.
func Sum() (func(unsafe.Pointer, int32, int32) int32, unsafe.Pointer) { return sum, C.sum }
