package ffi

// #cgo noescape wasmergo_engine_key
// #cgo nocallback wasmergo_engine_key
// #cgo noescape wasmergo_module_from_cache
// #cgo nocallback wasmergo_module_from_cache
// #cgo noescape wasmergo_module_from_cache_file
// #cgo nocallback wasmergo_module_from_cache_file
// #include "wasmer_go.h"
import "C"

import (
	"os"
	"runtime"
	"unsafe"
)

// Key is the key of a cached module.
type Key = [32]byte

func keyOf(key *Key) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(key)) }

// Key gives the key of a module in binary or text format.
func (e *Engine) Key(wasm []byte) (key Key, _ error) {
	data, size := borrow(wasm)
	return key, err(C.wasmergo_engine_key(e.c(), data, size, keyOf(&key)))
}

// FromCache makes a module from the entry of a key, to be freed by Delete.
func (e *Engine) FromCache(key Key, entry []byte) (*Module, error) {
	var out *C.wasmergo_module
	data, size := borrow(entry)
	if err := err(C.wasmergo_module_from_cache(e.c(), keyOf(&key), data, size, &out)); err != nil {
		return nil, err
	}
	return (*Module)(unsafe.Pointer(out)), nil
}

// FromCacheFile is FromCache for a file, which may be closed after.
func (e *Engine) FromCacheFile(key Key, file *os.File) (*Module, error) {
	var out *C.wasmergo_module
	defer runtime.KeepAlive(file)
	if err := err(C.wasmergo_module_from_cache_file(e.c(), keyOf(&key), C.int32_t(file.Fd()), &out)); err != nil {
		return nil, err
	}
	return (*Module)(unsafe.Pointer(out)), nil
}

// ToCache makes an entry.
func (m *Module) ToCache(key Key) ([]byte, error) {
	var out C.wasmergo_bytes
	if err := err(C.wasmergo_module_to_cache(m.c(), keyOf(&key), &out)); err != nil {
		return nil, err
	}
	return takeBytes(out), nil
}

// ToCacheFile writes an entry.
func (m *Module) ToCacheFile(key Key, file *os.File) error {
	defer runtime.KeepAlive(file)
	return err(C.wasmergo_module_to_cache_file(m.c(), keyOf(&key), C.int32_t(file.Fd())))
}

// Share gives another handle of the same code, to be freed by Delete.
func (m *Module) Share() *Module {
	return (*Module)(unsafe.Pointer(C.wasmergo_module_share(m.c())))
}

// InspectEntry describes an entry in a file: compiler, key, name. Without verify damage of what follows the header is not noticed.
func InspectEntry(file *os.File, verify bool) (*Decoder, error) {
	var out C.wasmergo_bytes
	defer runtime.KeepAlive(file)
	if err := err(C.wasmergo_cache_inspect(C.int32_t(file.Fd()), C.bool(verify), &out)); err != nil {
		return nil, err
	}
	return take(out), nil
}
