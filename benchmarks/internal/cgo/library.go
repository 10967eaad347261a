package cgo

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

typedef uint64_t computation(uint32_t size);

static uint64_t compute(void *run, uint32_t size) { return ((computation *)run)(size); }
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// Open loads a shared library, for good, and finds a function there that takes an uint32_t and returns an uint64_t.
func Open(library, symbol string) (func(uint32) uint64, error) {
	file, name := C.CString(library), C.CString(symbol)
	defer C.free(unsafe.Pointer(file))
	defer C.free(unsafe.Pointer(name))
	handle := C.dlopen(file, C.RTLD_NOW|C.RTLD_LOCAL)
	if handle == nil {
		return nil, errors.New(C.GoString(C.dlerror()))
	}
	run := C.dlsym(handle, name)
	if run == nil {
		return nil, fmt.Errorf("%s: no symbol %s", library, symbol)
	}
	return func(size uint32) uint64 { return uint64(C.compute(run, C.uint32_t(size))) }, nil
}
