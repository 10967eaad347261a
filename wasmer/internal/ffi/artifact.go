package ffi

// #include "wasmer_go.h"
import "C"

import (
	"os"
	"runtime"
	"unsafe"
)

// Deserialize makes a module from an artifact, to be freed by Delete. Unless it is to be verified, its header alone is.
func (e *Engine) Deserialize(artifact []byte, verify bool) (*Module, error) {
	var out *C.wasmergo_module
	data, size := borrow(artifact)
	if err := err(C.wasmergo_module_deserialize(e.c(), data, size, C.bool(verify), &out)); err != nil {
		return nil, err
	}
	return (*Module)(unsafe.Pointer(out)), nil
}

// DeserializeFile is Deserialize for a file, which may be closed after.
func (e *Engine) DeserializeFile(file *os.File) (*Module, error) {
	var out *C.wasmergo_module
	defer runtime.KeepAlive(file)
	if err := err(C.wasmergo_module_deserialize_file(e.c(), C.int32_t(file.Fd()), C.bool(true), &out)); err != nil {
		return nil, err
	}
	return (*Module)(unsafe.Pointer(out)), nil
}

// Serialize makes an artifact.
func (m *Module) Serialize() ([]byte, error) {
	var out C.wasmergo_bytes
	if err := err(C.wasmergo_module_serialize(m.c(), &out)); err != nil {
		return nil, err
	}
	return takeBytes(out), nil
}

// Write writes an artifact.
func (m *Module) Write(file *os.File) error {
	defer runtime.KeepAlive(file)
	return err(C.wasmergo_module_write(m.c(), C.int32_t(file.Fd())))
}

// Embed puts an artifact into the module that it was made from.
func (m *Module) Embed(wasm []byte) ([]byte, error) {
	var out C.wasmergo_bytes
	data, size := borrow(wasm)
	if err := err(C.wasmergo_module_embed(m.c(), data, size, &out)); err != nil {
		return nil, err
	}
	return takeBytes(out), nil
}

// Embedded gives the artifacts in a module that say that they were made from it.
func Embedded(wasm []byte) ([][]byte, error) {
	var out C.wasmergo_bytes
	data, size := borrow(wasm)
	if err := err(C.wasmergo_module_embedded(data, size, &out)); err != nil {
		return nil, err
	}
	var artifacts [][]byte
	for d := take(out); len(d.rest) > 0; {
		start := d.Uint64()
		end := start + d.Uint64()
		artifacts = append(artifacts, wasm[start:end:end])
	}
	return artifacts, nil
}

// InspectArtifact encodes what an artifact says of itself.
func InspectArtifact(artifact []byte) (*Decoder, error) {
	var out C.wasmergo_bytes
	data, size := borrow(artifact)
	if err := err(C.wasmergo_artifact_inspect(data, size, &out)); err != nil {
		return nil, err
	}
	return take(out), nil
}
