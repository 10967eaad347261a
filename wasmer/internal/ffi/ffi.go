// Package ffi is the border to the Rust archive and, but for inference (/extensions), the only user of cgo: one Go function for each C function, typed
// handles instead of C types, errors decoded. It holds no policy.
package ffi

/*
#cgo CFLAGS: -std=c11
#include "wasmer_go.h"
*/
import "C"

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// What Rust owns, only ever pointed to. The types differ, so that none can stand in for another.
type (
	Engine   struct{ _ opaque }
	Module   struct{ _ opaque }
	Store    struct{ _ opaque }
	Instance struct{ _ opaque }
	Extern   struct{ _ opaque }
	Snapshot struct{ _ opaque }

	opaque byte
)

func (e *Engine) c() *C.wasmergo_engine     { return (*C.wasmergo_engine)(unsafe.Pointer(e)) }
func (m *Module) c() *C.wasmergo_module     { return (*C.wasmergo_module)(unsafe.Pointer(m)) }
func (s *Store) c() *C.wasmergo_store       { return (*C.wasmergo_store)(unsafe.Pointer(s)) }
func (i *Instance) c() *C.wasmergo_instance { return (*C.wasmergo_instance)(unsafe.Pointer(i)) }
func (s *Snapshot) c() *C.wasmergo_snapshot { return (*C.wasmergo_snapshot)(unsafe.Pointer(s)) }
func (e *Extern) c() *C.wasmergo_extern     { return (*C.wasmergo_extern)(unsafe.Pointer(e)) }

// Kind says what an Error is about.
type Kind uint32

// The kinds, as in the header.
const (
	KindInternal           Kind = C.WASMERGO_ERROR_KIND_INTERNAL
	KindInvalid            Kind = C.WASMERGO_ERROR_KIND_INVALID
	KindCompile            Kind = C.WASMERGO_ERROR_KIND_COMPILE
	KindUnsupported        Kind = C.WASMERGO_ERROR_KIND_UNSUPPORTED
	KindLink               Kind = C.WASMERGO_ERROR_KIND_LINK
	KindTrap               Kind = C.WASMERGO_ERROR_KIND_TRAP
	KindHost               Kind = C.WASMERGO_ERROR_KIND_HOST
	KindSignatureCollision Kind = C.WASMERGO_ERROR_KIND_SIGNATURE_COLLISION
	KindIncompatible       Kind = C.WASMERGO_ERROR_KIND_INCOMPATIBLE
	KindResource           Kind = C.WASMERGO_ERROR_KIND_RESOURCE
	KindDepth              Kind = C.WASMERGO_ERROR_KIND_DEPTH
	KindInterrupted        Kind = C.WASMERGO_ERROR_KIND_INTERRUPTED
	KindState              Kind = C.WASMERGO_ERROR_KIND_STATE
	KindSnapshot           Kind = C.WASMERGO_ERROR_KIND_SNAPSHOT
	KindNative             Kind = C.WASMERGO_ERROR_KIND_NATIVE
	KindPlugin             Kind = C.WASMERGO_ERROR_KIND_PLUGIN
)

// NoTrapCode, NoOffset and NoFeature stand for an absent field of an Error.
const (
	NoFeature  = C.WASMERGO_FEATURE_NONE
	NoTrapCode = C.WASMERGO_TRAP_NONE
	NoOffset   = C.WASMERGO_OFFSET_NONE
)

// Error is an error of the Rust side.
type Error struct {
	Kind     Kind
	TrapCode uint32
	Offset   uint64
	// Feature is the number of the feature that a module needs, or NoFeature; Instruction the invalid one's name.
	Feature     uint32
	Instruction string
	Message     string
	Stack       Stack
}

func (e *Error) Error() string { return e.Message }

// failure takes over an error's bytes and decodes them; nil for success.
func failure(bytes C.wasmergo_bytes) *Error {
	if bytes.data == nil {
		return nil
	}
	d := take(bytes)
	e := &Error{Kind: Kind(d.Uint32()), TrapCode: d.Uint32(), Offset: d.Uint64()}
	e.Feature, e.Instruction, e.Message = d.Uint32(), d.String(), d.String()
	e.Stack = d.Stack()
	return e
}

// err is failure as an error, without the trap of a typed nil.
func err(bytes C.wasmergo_bytes) error {
	if e := failure(bytes); e != nil {
		return e
	}
	return nil
}

// Decoder reads what Rust encoded: little-endian numbers, strings with their length before them.
type Decoder struct{ rest []byte }

// take copies the bytes into Go memory and frees them.
func take(bytes C.wasmergo_bytes) *Decoder { return &Decoder{takeBytes(bytes)} }

func takeBytes(bytes C.wasmergo_bytes) []byte {
	out := make([]byte, int(bytes.len))
	copy(out, unsafe.Slice((*byte)(unsafe.Pointer(bytes.data)), int(bytes.len)))
	C.wasmergo_bytes_delete(bytes)
	return out
}

func (d *Decoder) next(n int) []byte {
	if n > len(d.rest) {
		// Both sides come from one build: this is a bug of ours.
		panic(fmt.Sprintf("wasmer: internal error: %d bytes expected from the Rust side, %d left", n, len(d.rest)))
	}
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out
}

// Uint8 reads one byte.
func (d *Decoder) Uint8() uint8 { return d.next(1)[0] }

// Uint32 reads four bytes.
func (d *Decoder) Uint32() uint32 { return binary.LittleEndian.Uint32(d.next(4)) }

// Uint64 reads eight bytes.
func (d *Decoder) Uint64() uint64 { return binary.LittleEndian.Uint64(d.next(8)) }

// Bytes reads a length and that many bytes.
func (d *Decoder) Bytes() []byte { return d.next(int(d.Uint32())) }

// String reads a length and that many bytes.
func (d *Decoder) String() string { return string(d.next(int(d.Uint32()))) }

// borrow passes a slice for the time of one call; C does not look at the address of an empty one.
func borrow(b []byte) (*C.uint8_t, C.size_t) {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))), C.size_t(len(b))
}

func borrowString(s string) (*C.uint8_t, C.size_t) {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

// TestPanic panics in Rust and returns what the guard made of it.
func TestPanic() *Error { return failure(C.wasmergo_test_panic()) }

// Nothing crosses the border and returns: the yardstick of benchmarks.
func Nothing() { C.wasmergo_nothing() }

// Version, WasmerVersion, Target and BuildID tell about the archive.
func Version() string { return C.GoString(C.wasmergo_version()) }

// WasmerVersion is the version of the wasmer crate in the archive.
func WasmerVersion() string { return C.GoString(C.wasmergo_wasmer_version()) }

// Target is the target triple that the archive was built for.
func Target() string { return C.GoString(C.wasmergo_target()) }

// BuildID identifies builds that can exchange artifacts.
func BuildID() string { return C.GoString(C.wasmergo_build_id()) }
