package ffi

// #cgo noescape wasmergo_module_digest
// #cgo noescape wasmergo_instance_snapshot
// #cgo noescape wasmergo_instance_reset
// #cgo noescape wasmergo_snapshot_encode
// #cgo noescape wasmergo_snapshot_decode
// #cgo nocallback wasmergo_module_digest
// #cgo nocallback wasmergo_instance_snapshot
// #cgo nocallback wasmergo_instance_restore
// #cgo nocallback wasmergo_instance_keep
// #cgo nocallback wasmergo_instance_reset
// #cgo nocallback wasmergo_instance_recycle
// #cgo nocallback wasmergo_snapshot_encode
// #cgo nocallback wasmergo_snapshot_decode
// #cgo nocallback wasmergo_snapshot_share
// #cgo nocallback wasmergo_snapshot_delete
// #include "wasmer_go.h"
import "C"

import "unsafe"

// Digest is that of the module in binary format.
func (m *Module) Digest() (digest [32]byte) {
	C.wasmergo_module_digest(m.c(), (*C.uint8_t)(unsafe.Pointer(&digest)))
	return digest
}

// Snapshot captures the state of an instance whose module has this digest; to be freed by Delete.
func (i *Instance) Snapshot(module *[32]byte) (*Snapshot, error) {
	var out *C.wasmergo_snapshot
	if err := err(C.wasmergo_instance_snapshot(i.c(), (*C.uint8_t)(unsafe.Pointer(module)), &out)); err != nil {
		return nil, err
	}
	return (*Snapshot)(unsafe.Pointer(out)), nil
}

// Restore takes the place of Start: the instance gets the state of a snapshot.
func (i *Instance) Restore(snapshot *Snapshot) Status {
	return Status(C.wasmergo_instance_restore(i.c(), snapshot.c()))
}

// Keep keeps the present state for Reset. Untouched says that none of its code has run but a start function.
func (i *Instance) Keep(untouched bool) error {
	return err(C.wasmergo_instance_keep(i.c(), C.bool(untouched)))
}

// Recycle resets an instance that has its store for itself, for another use; the result is a status as of Call.
func (i *Instance) Recycle() Status { return Status(C.wasmergo_instance_recycle(i.c())) }

// Reset puts the instance back to the state that was kept, or that it began with. Nobody may use its memories meanwhile.
func (i *Instance) Reset() error { return err(C.wasmergo_instance_reset(i.c())) }

// Encode gives the snapshot in bytes.
func (s *Snapshot) Encode() ([]byte, error) {
	var out C.wasmergo_bytes
	if err := err(C.wasmergo_snapshot_encode(s.c(), &out)); err != nil {
		return nil, err
	}
	return takeBytes(out), nil
}

// DecodeSnapshot makes a snapshot of the module from bytes; to be freed by Delete.
func (m *Module) DecodeSnapshot(bytes []byte) (*Snapshot, error) {
	var out *C.wasmergo_snapshot
	data, size := borrow(bytes)
	if err := err(C.wasmergo_snapshot_decode(m.c(), data, size, &out)); err != nil {
		return nil, err
	}
	return (*Snapshot)(unsafe.Pointer(out)), nil
}

// Share gives another handle of the snapshot, to be freed by Delete.
func (s *Snapshot) Share() *Snapshot {
	return (*Snapshot)(unsafe.Pointer(C.wasmergo_snapshot_share(s.c())))
}

// Delete frees the snapshot; instances that were made from it go on.
func (s *Snapshot) Delete() { C.wasmergo_snapshot_delete(s.c()) }
