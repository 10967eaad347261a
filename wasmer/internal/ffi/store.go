package ffi

// #cgo noescape wasmergo_store_new
// #cgo noescape wasmergo_store_memory
// #cgo noescape wasmergo_instance_new
// #cgo noescape wasmergo_memory_grow
// #cgo nocallback wasmergo_store_new
// #cgo nocallback wasmergo_store_memory
// #cgo nocallback wasmergo_instance_new
// #cgo nocallback wasmergo_memory_grow
// #include "wasmer_go.h"
import "C"

import "unsafe"

// Slot is one value on its way: 16 bytes, of which all but v128 use the low ones.
type Slot struct{ Lo, Hi uint64 }

// NewStore makes a store, to be freed by Delete, and gives its scratch area: where calls leave their status, and slots
// for values. Host functions of the store are called with its id.
func NewStore(id uint64) (*Store, *Status, []Slot, error) {
	var out *C.wasmergo_store
	var scratch *C.uint64_t
	if err := err(C.wasmergo_store_new(C.uint64_t(id), &out, &scratch)); err != nil {
		return nil, nil, nil, err
	}
	slots := unsafe.Slice((*Slot)(unsafe.Pointer(scratch)), C.WASMERGO_SCRATCH_SLOTS)
	return (*Store)(unsafe.Pointer(out)), (*Status)(unsafe.Pointer(&slots[0])), slots[1:], nil
}

// Delete frees the store with all that was made in it.
func (s *Store) Delete() { C.wasmergo_store_delete(s.c()) }

// NewMemory makes a memory; sizes are in pages.
func (s *Store) NewMemory(minPages, maxPages uint32) (*Extern, error) {
	var out *C.wasmergo_extern
	e := C.wasmergo_store_memory(s.c(), C.uint32_t(minPages), C.uint32_t(maxPages), &out)
	if err := err(e); err != nil {
		return nil, err
	}
	return (*Extern)(unsafe.Pointer(out)), nil
}

// Import is one import of an instance: an item of the same store or, if nil, the host function of this number.
type Import struct {
	Item     *Extern
	Function uint32
}

// Link makes an instance that has yet to be started; it ends with the store. The imports are in the module's order.
func (s *Store) Link(module *Module, imports []Import) (*Instance, error) {
	list := make([]C.wasmergo_import, len(imports))
	for i, item := range imports {
		list[i] = C.wasmergo_import{item: item.Item.c(), function: C.uint32_t(item.Function)}
	}
	var out *C.wasmergo_instance
	e := C.wasmergo_instance_new(s.c(), module.c(),
		unsafe.SliceData(list), C.size_t(len(list)), &out)
	if err := err(e); err != nil {
		return nil, err
	}
	return (*Instance)(unsafe.Pointer(out)), nil
}

// Error fetches the error of the call that failed last.
func (s *Store) Error() *Error { return failure(C.wasmergo_store_error(s.c())) }

// Abandon gives up the innermost running call, whose frames are never returned to.
func (s *Store) Abandon() error { return err(C.wasmergo_store_abandon(s.c())) }

// Start initializes the instance and runs its start function; the result is a status as of Call.
func (i *Instance) Start() Status {
	return Status(C.wasmergo_instance_start(i.c()))
}

// Export gives the export at this position of the module's list; nil if there is none.
func (i *Instance) Export(position int) *Extern {
	return (*Extern)(unsafe.Pointer(C.wasmergo_instance_export(i.c(), C.size_t(position))))
}

// Size is the present size of a memory in pages, or of a table in elements.
func (e *Extern) Size() uint64 { return uint64(C.wasmergo_extern_size(e.c())) }

// MemoryDefinition is where a memory's bytes are now: it lies in Rust's memory and changes as the memory grows.
type MemoryDefinition struct {
	Base unsafe.Pointer
	Len  uintptr
}

// Memory gives the definition of a memory, valid as long as its store.
func (e *Extern) Memory() *MemoryDefinition {
	return (*MemoryDefinition)(unsafe.Pointer(C.wasmergo_memory_definition_of(e.c())))
}

// GrowMemory returns the previous size in pages, or false if the memory cannot grow.
func (e *Extern) GrowMemory(pages uint64) (uint64, bool, error) {
	var previous C.uint64_t
	err := err(C.wasmergo_memory_grow(e.c(), C.uint64_t(pages), &previous))
	return uint64(previous), uint64(previous) != ^uint64(0), err
}

// Show keeps the address range of the memory from ever being another one's.
func (d *MemoryDefinition) Show() error {
	return err(C.wasmergo_memory_show(C.size_t(uintptr(d.Base))))
}
