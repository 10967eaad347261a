package ffi

// #cgo noescape wasmergo_store_new
// #cgo noescape wasmergo_memory_new
// #cgo noescape wasmergo_table_new
// #cgo noescape wasmergo_table_get
// #cgo noescape wasmergo_global_new
// #cgo noescape wasmergo_function_new
// #cgo noescape wasmergo_function_reference
// #cgo noescape wasmergo_store_externrefs
// #cgo noescape wasmergo_instance_new
// #cgo noescape wasmergo_memory_grow
// #cgo nocallback wasmergo_store_new
// #cgo nocallback wasmergo_memory_new
// #cgo nocallback wasmergo_table_new
// #cgo nocallback wasmergo_table_get
// #cgo nocallback wasmergo_global_new
// #cgo nocallback wasmergo_function_new
// #cgo nocallback wasmergo_function_reference
// #cgo nocallback wasmergo_store_externrefs
// #cgo nocallback wasmergo_instance_new
// #cgo nocallback wasmergo_memory_grow
// #include "wasmer_go.h"
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// Slot is one value on its way: 16 bytes, of which all but v128 use the low ones.
type Slot struct{ Lo, Hi uint64 }

// Scratch is an area of a store, freed with it.
type Scratch struct {
	// Status is where calls leave their status.
	Status *Status
	// HostThread is the thread, as of ThreadID, on which a host function of the store runs right now; 0 if none does.
	HostThread *atomic.Uint64
	// Running is the number of the outermost call that runs; 0 if none does.
	Running *atomic.Uint64
	// Number is the one that the next call is to have. It belongs to who holds the store.
	Number *uint64
	// Slots are for values.
	Slots []Slot
	// Meter is what guests have used up.
	Meter *Meter
}

// NewStore makes a store, to be freed by Delete. Host functions of the store are called with its id.
func NewStore(id, stackSize uint64) (*Store, Scratch, error) {
	var out *C.wasmergo_store
	var scratch, meter *C.uint64_t
	if err := err(C.wasmergo_store_new(C.uint64_t(id), C.uint64_t(stackSize), &out, &scratch, &meter)); err != nil {
		return nil, Scratch{}, err
	}
	slots := unsafe.Slice((*Slot)(unsafe.Pointer(scratch)), C.WASMERGO_SCRATCH_SLOTS)
	return (*Store)(unsafe.Pointer(out)), Scratch{
		Status:     (*Status)(unsafe.Pointer(&slots[0].Lo)),
		HostThread: (*atomic.Uint64)(unsafe.Pointer(&slots[0].Hi)),
		Running:    (*atomic.Uint64)(unsafe.Pointer(&slots[1].Lo)),
		Number:     &slots[1].Hi,
		Slots:      slots[2:],
		Meter:      (*Meter)(unsafe.Pointer(meter)),
	}, nil
}

// Delete frees the store with all that was made in it.
func (s *Store) Delete() { C.wasmergo_store_delete(s.c()) }

// None stands for an absent maximum, and for a size that could not be had.
const None = ^uint64(0)

// NewMemory makes a memory; sizes are in pages, maxPages and the engine that it is counted for may be None and nil.
func (s *Store) NewMemory(engine *Engine, minPages uint32, maxPages uint64, shared bool, limit uint32, bounded bool) (*Extern, error) {
	var out *C.wasmergo_extern
	e := C.wasmergo_memory_new(s.c(), engine.c(), C.uint32_t(minPages), C.uint64_t(maxPages), C.bool(shared),
		C.uint32_t(limit), C.bool(bounded), &out)
	return (*Extern)(unsafe.Pointer(out)), err(e)
}

// NewTable makes a table full of a reference; maxSize may be None.
func (s *Store) NewTable(elementType uint8, minSize uint32, maxSize uint64, limit uint32, init uint64) (*Extern, error) {
	var out *C.wasmergo_extern
	e := C.wasmergo_table_new(s.c(), C.uint8_t(elementType),
		C.uint32_t(minSize), C.uint64_t(maxSize), C.uint32_t(limit), C.uint64_t(init), &out)
	return (*Extern)(unsafe.Pointer(out)), err(e)
}

// NewGlobal makes a global that is zero or null.
func (s *Store) NewGlobal(valueType uint8, mutable bool) (*Extern, error) {
	var out *C.wasmergo_extern
	e := C.wasmergo_global_new(s.c(), C.uint8_t(valueType), C.bool(mutable), &out)
	return (*Extern)(unsafe.Pointer(out)), err(e)
}

// NewFunction makes a function that calls the host function of this number, at this cost. Its types are those of the parameters, then
// those of the results.
func (s *Store) NewFunction(engine *Engine, types []uint8, params int, number uint32, cost uint64) (*Extern, error) {
	var out *C.wasmergo_extern
	data, size := borrow(types)
	e := C.wasmergo_function_new(s.c(), engine.c(),
		data, C.size_t(params), size-C.size_t(params), C.uint32_t(number), C.uint64_t(cost), &out)
	return (*Extern)(unsafe.Pointer(out)), err(e)
}

// Function is the function that a reference stands for, and the same each time; nil for a null reference.
func (s *Store) Function(reference uint64) *Extern {
	return (*Extern)(unsafe.Pointer(C.wasmergo_function_of(s.c(), C.size_t(reference))))
}

// Externrefs sets a bit for each of the host's values that guests hold, that of number 1 first. None of them may be running.
func (s *Store) Externrefs(held []uint64) {
	C.wasmergo_store_externrefs(s.c(), (*C.uint64_t)(unsafe.SliceData(held)), C.size_t(len(held)))
}

// Import is one import of an instance: an item of the same store or, if nil, the host function of this number.
type Import struct {
	Item     *Extern
	Function uint32
	// Native does the common cases of the host function, with Start as its argument.
	Native Native
	Start  uint64
	// Cost is what a call of the host function costs.
	Cost uint64
	// Pointer is the native function that it is instead, with Data for it; 0 for none.
	Pointer, Data uintptr
	// Leaf says that it may run on the guest's stack.
	Leaf bool
	// Queued says that calls are queued, and Bytes has a bit for each parameter that with the next is an address and a number of
	// bytes.
	Queued bool
	Bytes  uint64
}

// Native is a host function of which the common cases need no Go.
type Native uint32

// The native functions, as in the header.
const (
	NativeNone         Native = C.WASMERGO_NATIVE_NONE
	NativeClockTimeGet Native = C.WASMERGO_NATIVE_CLOCK_TIME_GET
)

// Link makes an instance that has yet to be started; it ends with the store. The imports are in the module's order.
func (s *Store) Link(module *Module, imports []Import) (*Instance, error) {
	list := make([]C.wasmergo_import, len(imports))
	for i, item := range imports {
		list[i] = C.wasmergo_import{
			item: item.Item.c(), function: C.uint32_t(item.Function), native: C.wasmergo_native(item.Native),
			start: C.uint64_t(item.Start), cost: C.uint64_t(item.Cost),
			pointer: C.size_t(item.Pointer), data: C.size_t(item.Data), leaf: C.bool(item.Leaf),
			queued: C.bool(item.Queued), bytes: C.uint64_t(item.Bytes),
		}
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

// Discard frees an instance that failed to start, if nothing can hold on to it, and reports whether it did.
func (i *Instance) Discard() bool { return bool(C.wasmergo_instance_discard(i.c())) }

// Export gives the export at this position of the module's list; nil if there is none.
func (i *Instance) Export(position int) *Extern {
	return (*Extern)(unsafe.Pointer(C.wasmergo_instance_export(i.c(), C.size_t(position))))
}

// Size is the present size of a memory in pages, or of a table in elements.
func (e *Extern) Size() uint64 { return uint64(C.wasmergo_extern_size(e.c())) }

// GrowMemory returns the previous size in pages, or false if the memory cannot grow.
func (e *Extern) GrowMemory(pages uint64) (uint64, bool, error) {
	var previous C.uint64_t
	err := err(C.wasmergo_memory_grow(e.c(), C.uint64_t(pages), &previous))
	return uint64(previous), uint64(previous) != ^uint64(0), err
}

// HostFunction is the number of the host function that the function calls directly, or false.
func (e *Extern) HostFunction() (uint32, bool) {
	number := uint32(C.wasmergo_function_host(e.c()))
	return number, number != ^uint32(0)
}

// Reference is the function as a reference.
func (e *Extern) Reference() (uint64, error) {
	var out C.uint64_t
	err := err(C.wasmergo_function_reference(e.c(), &out))
	return uint64(out), err
}

// FunctionType encodes the function's parameters and results.
func (e *Extern) FunctionType() *Decoder { return take(C.wasmergo_function_type(e.c())) }

// GetElement reads an element of a table, or reports that the index is out of bounds.
func (e *Extern) GetElement(index uint32) (uint64, bool) {
	var out C.uint64_t
	ok := C.wasmergo_table_get(e.c(), C.uint32_t(index), &out)
	return uint64(out), bool(ok)
}

// SetElement writes an element of a table, or reports that the index is out of bounds.
func (e *Extern) SetElement(index uint32, reference uint64) bool {
	return bool(C.wasmergo_table_set(e.c(), C.uint32_t(index), C.uint64_t(reference)))
}

// GrowTable returns the previous size, or None if the table cannot grow.
func (e *Extern) GrowTable(delta, init uint64) uint64 {
	return uint64(C.wasmergo_table_grow(e.c(), C.uint64_t(delta), C.uint64_t(init)))
}

// Global is the slot of a global's value, which lies in Rust's memory as long as the store lives.
func (e *Extern) Global() *Slot {
	return (*Slot)(unsafe.Pointer(C.wasmergo_global_slot(e.c())))
}
