package ffi

// #include "wasmer_go.h"
//
// extern uint32_t wasmergoHostCall(uint64_t store, uint32_t function, uint64_t* values);
import "C"

import "unsafe"

// Status is the outcome of a call.
type Status uint64

// The statuses, as in the header.
const (
	OK          Status = C.WASMERGO_OK
	Failed      Status = C.WASMERGO_FAILED
	HostFailed  Status = C.WASMERGO_HOST_FAILED
	Interrupted Status = C.WASMERGO_INTERRUPTED
)

// Address is a function's address as a number, which cgo passes on without looking at it.
func (e *Extern) Address() uintptr { return uintptr(unsafe.Pointer(e)) }

// Call calls the function at the address. The values lie in Rust's memory: arguments in, results out. The status is
// in the first slot of the store's scratch area afterwards.
func Call(function uintptr, values *Slot) {
	C.wasmergo_function_call(C.size_t(function), C.size_t(uintptr(unsafe.Pointer(values))))
}

// CallBatch calls the function at the address once for each row of arguments. The values are slots for one call and one before
// them, which gets the number of rows that were done. Rows are of 32-bit words if narrow is set.
func CallBatch(function uintptr, values *Slot, in, out *uint64, rows int, narrow bool) {
	C.wasmergo_function_batch(C.size_t(function), C.size_t(uintptr(unsafe.Pointer(values))),
		(*C.uint64_t)(in), (*C.uint64_t)(out), C.size_t(rows), C.bool(narrow))
}

// Interruption is what a store does after a call was to be interrupted.
type Interruption uint32

// What a store does, as in the header.
const (
	NoCall  Interruption = C.WASMERGO_INTERRUPT_NO_CALL
	InGuest Interruption = C.WASMERGO_INTERRUPT_IN_GUEST
	InHost  Interruption = C.WASMERGO_INTERRUPT_IN_HOST
)

// Interrupt stops the guest of the call of this number, and reports what the store does after a moment.
func (s *Store) Interrupt(number uint64) Interruption {
	return Interruption(C.wasmergo_store_interrupt(s.c(), C.uint64_t(number)))
}

// Signal is the number of the signal that stops guests.
func Signal() int { return int(C.wasmergo_signal_number()) }

// Queue holds queued calls from Head to Tail; see wasmergo_queue in the header.
type Queue struct {
	Head, Tail uint64
	Words      [queueWords]uint64
}

const queueWords = C.WASMERGO_QUEUE_WORDS

// Deliver is the number of the function that is called with a Queue to take from.
const Deliver uint32 = C.WASMERGO_DELIVER

// HostCall is the Go side of host functions. Its values lie on the guest's stack.
type HostCall func(store uint64, function uint32, values unsafe.Pointer) uint32

var hostCall HostCall

// SetHostCall sets the Go side of host functions, once, at start.
func SetHostCall(f HostCall) {
	hostCall = f
	C.wasmergo_host_set_callback(C.wasmergo_host_callback(C.wasmergoHostCall))
}

//export wasmergoHostCall
func wasmergoHostCall(store C.uint64_t, function C.uint32_t, values *C.uint64_t) C.uint32_t {
	return C.uint32_t(hostCall(uint64(store), uint32(function), unsafe.Pointer(values)))
}

// CheckStack makes each entry to Go assert that it happens on the thread's own stack.
func CheckStack(check bool) { C.wasmergo_host_check_stack(C.bool(check)) }

// ThreadID identifies the calling thread among the live ones.
func ThreadID() uintptr { return uintptr(C.wasmergo_thread_id()) }
