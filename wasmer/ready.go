package wasmer

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

var i64Type = []ValueType{ValueTypeI64}

// ready defines a native function that is ready made.
func (i *Imports) ready(name string, function ffi.Ready, params, results []ValueType, item importItem, data uintptr, owner any) {
	item.host = &hostDefinition{typ: FunctionType{Params: params, Results: results}, foreign: &foreign{pointer: function.Pointer(), data: data, owner: owner}}
	_, _ = i.add(name, item, nil)
}

// Clock defines two native functions under the current module name, which take no parameters and return an i64: clock_realtime,
// nanoseconds since 1970 in UTC, and clock_monotonic, nanoseconds since some time.
func (i *Imports) Clock() *Imports {
	i.ready("clock_realtime", ffi.ClockRealtime, nil, i64Type, importItem{}, 0, nil)
	i.ready("clock_monotonic", ffi.ClockMonotonic, nil, i64Type, importItem{}, 0, nil)
	return i
}

// Random defines two native functions under the current module name, of the system's random numbers, fit for keys: random_get
// returns an i64, random_fill(address, size i32) fills bytes of the caller's memory.
func (i *Imports) Random() *Imports {
	i.ready("random_get", ffi.RandomGet, nil, i64Type, importItem{}, 0, nil)
	i.ready("random_fill", ffi.RandomFill, i32s(2), nil, importItem{}, 0, nil)
	return i
}

// Log defines a native function under the current module name, log_write(level, address, size i32), which appends text of the
// caller's memory to the ring. It never waits: what the ring has no room for is lost, and counted.
func (i *Imports) Log(ring *LogRing) *Imports {
	if i == nil || ring == nil {
		return i.refuse("log_write", "has no ring")
	}
	i.ready("log_write", ffi.LogWrite, i32s(3), nil, importItem{}, uintptr(unsafe.Pointer(ring.ptr)), ring)
	return i
}

// KeyValue defines three native functions on the table under the current module name; all take and give i32, addresses and sizes are in the
// caller's memory. kv_get(key, key_size, to, room) copies as much of a value as there is room for and returns its size, or -1 if
// there is none. kv_set(key, key_size, value, size) returns 1, or 0 if the table is full. kv_delete(key, key_size) returns 1, or 0
// if there was none.
func (i *Imports) KeyValue(table *KeyValue) *Imports {
	if i == nil || table == nil {
		return i.refuse("kv_get", "has no table")
	}
	data := uintptr(unsafe.Pointer(table.ptr))
	i.ready("kv_get", ffi.KVGet, i32s(4), i32s(1), importItem{}, data, table)
	i.ready("kv_set", ffi.KVSet, i32s(4), i32s(1), importItem{}, data, table)
	i.ready("kv_delete", ffi.KVDelete, i32s(2), i32s(1), importItem{}, data, table)
	return i
}

// Peer defines three native functions on another memory under the current module name, which copy between it and the caller's:
// peer_read(to, from, size i32) to the caller's, peer_write(to, from, size i32) from it, peer_size() i64 in bytes. The instance
// is made in the store of the memory.
func (i *Imports) Peer(memory *Memory) *Imports {
	if i == nil || memory == nil {
		return i.refuse("peer_read", "has no memory")
	}
	item := importItem{peer: memory}
	i.ready("peer_read", ffi.PeerRead, i32s(3), nil, item, 0, memory)
	i.ready("peer_write", ffi.PeerWrite, i32s(3), nil, item, 0, memory)
	i.ready("peer_size", ffi.PeerSize, nil, i64Type, item, 0, memory)
	return i
}

func (i *Imports) refuse(name, why string) *Imports {
	_, _ = i.add(name, importItem{}, fmt.Errorf("wasmer: imports: native function %q %s", name, why))
	return i
}

// KeyValue is a table of bytes by bytes that guests of any store and the host share. Any goroutine may use it at any time. It
// lives as long as it is referred to.
type KeyValue struct{ ptr *ffi.KeyValue }

// NewKeyValue makes a table of at most so many bytes, of keys and values, with 64 for each entry besides.
func NewKeyValue(limit int) *KeyValue {
	table := &KeyValue{ffi.NewKeyValue(max(limit, 0))}
	runtime.AddCleanup(table, (*ffi.KeyValue).Delete, table.ptr)
	return table
}

// Get is a copy of a value; ok is false if there is none.
func (k *KeyValue) Get(key string) (value []byte, ok bool) {
	defer runtime.KeepAlive(k)
	return k.ptr.Get(key)
}

// Set sets a value, or is ErrResource if the table is full.
func (k *KeyValue) Set(key string, value []byte) error {
	defer runtime.KeepAlive(k)
	if !k.ptr.Set(key, value) {
		return fmt.Errorf("%w: the table of keys and values is full", ErrResource)
	}
	return nil
}

// Delete deletes a value, and reports whether there was one.
func (k *KeyValue) Delete(key string) bool {
	defer runtime.KeepAlive(k)
	return k.ptr.Remove(key)
}

// Len is how many values there are.
func (k *KeyValue) Len() int {
	defer runtime.KeepAlive(k)
	return k.ptr.Len()
}

// bindPeer gives the functions of Peer their memory.
func (item importItem) bindPeer(importer *Instance, resolved *ffi.Import) error {
	memory, err := item.peer.resolve(importer)
	if err != nil {
		return err
	}
	definition, _ := memory.Item.Memory()
	if definition == nil {
		return errors.New("wasmer: internal error: a memory without a definition")
	}
	resolved.Data = definition.Address()
	return nil
}
