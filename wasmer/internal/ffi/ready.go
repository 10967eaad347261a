package ffi

// #cgo noescape wasmergo_logring_take
// #cgo nocallback wasmergo_logring_take
// #cgo noescape wasmergo_keyvalue_set
// #cgo nocallback wasmergo_keyvalue_set
// #cgo noescape wasmergo_keyvalue_get
// #cgo nocallback wasmergo_keyvalue_get
// #cgo noescape wasmergo_keyvalue_remove
// #cgo nocallback wasmergo_keyvalue_remove
// #include "wasmer_go.h"
import "C"

// Ready is the number of a native function that is ready made.
type Ready uint32

// The functions, as in the header.
const (
	ClockRealtime  Ready = C.WASMERGO_CLOCK_REALTIME
	ClockMonotonic Ready = C.WASMERGO_CLOCK_MONOTONIC
	RandomGet      Ready = C.WASMERGO_RANDOM_GET
	RandomFill     Ready = C.WASMERGO_RANDOM_FILL
	LogWrite       Ready = C.WASMERGO_LOG_WRITE
	KVGet          Ready = C.WASMERGO_KV_GET
	KVSet          Ready = C.WASMERGO_KV_SET
	KVDelete       Ready = C.WASMERGO_KV_DELETE
	PeerRead       Ready = C.WASMERGO_PEER_READ
	PeerWrite      Ready = C.WASMERGO_PEER_WRITE
	PeerSize       Ready = C.WASMERGO_PEER_SIZE
)

// Pointer is the function's address.
func (r Ready) Pointer() uintptr { return uintptr(C.wasmergo_ready_function(C.uint32_t(r))) }

// LogRing is a ring of log entries in Rust's memory.
type LogRing C.wasmergo_logring

func (r *LogRing) c() *C.wasmergo_logring { return (*C.wasmergo_logring)(r) }

// NewLogRing makes a ring that writes to the descriptor when there is something to take; Delete frees it.
func NewLogRing(limit int, wake uintptr) *LogRing {
	return (*LogRing)(C.wasmergo_logring_new(C.size_t(limit), C.int(wake)))
}

// Take takes the entries out: level, length and text each. It is nil if there are none; then the next one is told of. lost is how
// many were lost since.
func (r *LogRing) Take() (entries *Decoder, lost uint64) {
	var n C.uint64_t
	bytes := C.wasmergo_logring_take(r.c(), &n)
	if bytes.data == nil {
		return nil, uint64(n)
	}
	return take(bytes), uint64(n)
}

// Empty reports whether all was read.
func (d *Decoder) Empty() bool { return len(d.rest) == 0 }

// Close has all further entries lost, and writes to the descriptor no more.
func (r *LogRing) Close() { C.wasmergo_logring_close(r.c()) }

// Delete frees the ring.
func (r *LogRing) Delete() { C.wasmergo_logring_delete(r.c()) }

// KeyValue is a table in Rust's memory.
type KeyValue C.wasmergo_keyvalue

func (k *KeyValue) c() *C.wasmergo_keyvalue { return (*C.wasmergo_keyvalue)(k) }

// NewKeyValue makes a table; Delete frees it.
func NewKeyValue(limit int) *KeyValue { return (*KeyValue)(C.wasmergo_keyvalue_new(C.size_t(limit))) }

// Delete frees the table.
func (k *KeyValue) Delete() { C.wasmergo_keyvalue_delete(k.c()) }

// Set sets a value, and reports whether there was room.
func (k *KeyValue) Set(key string, value []byte) bool {
	keyData, keyLen := borrowString(key)
	data, size := borrow(value)
	return bool(C.wasmergo_keyvalue_set(k.c(), keyData, keyLen, data, size))
}

// Get reads a value; ok is false if there is none.
func (k *KeyValue) Get(key string) (value []byte, ok bool) {
	data, size := borrowString(key)
	bytes := C.wasmergo_keyvalue_get(k.c(), data, size)
	if bytes.data == nil {
		return nil, false
	}
	return take(bytes).Bytes(), true
}

// Remove deletes a value, and reports whether there was one.
func (k *KeyValue) Remove(key string) bool {
	data, size := borrowString(key)
	return bool(C.wasmergo_keyvalue_remove(k.c(), data, size))
}

// Len is how many values there are.
func (k *KeyValue) Len() int { return int(C.wasmergo_keyvalue_len(k.c())) }
