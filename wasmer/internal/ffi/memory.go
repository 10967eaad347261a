package ffi

// #cgo noescape wasmergo_memory_definition_of
// #cgo nocallback wasmergo_memory_definition_of
// #cgo nocallback wasmergo_memory_stats_now
// #include "wasmer_go.h"
import "C"

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

// MemoryDefinition is where a memory's bytes are now: it lies in Rust's memory and changes as the memory grows.
type MemoryDefinition struct {
	Base unsafe.Pointer
	Len  uintptr
}

// Memory gives the definition of a memory, and the latch of one that can move, nil for others. Both are valid as long as its
// store.
func (e *Extern) Memory() (*MemoryDefinition, *Latch) {
	var latch *C.uint64_t
	definition := C.wasmergo_memory_definition_of(e.c(), &latch)
	return (*MemoryDefinition)(unsafe.Pointer(definition)), (*Latch)(unsafe.Pointer(latch))
}

// Bytes are the memory's bytes now.
func (d *MemoryDefinition) Bytes() []byte {
	return unsafe.Slice((*byte)(d.Base), atomic.LoadUintptr(&d.Len))
}

// Show keeps the address range of the memory from ever being another one's.
func (d *MemoryDefinition) Show() error {
	return err(C.wasmergo_memory_show(C.size_t(uintptr(d.Base))))
}

// Latch keeps a memory in place while it is held.
type Latch struct{ state, views atomic.Uint64 }

// Enter waits for a move under way. Leave must follow soon: it is waited for.
func (l *Latch) Enter() {
	for l.state.Add(1)&C.WASMERGO_LATCH_MOVING != 0 {
		l.Leave()
		for l.state.Load()&C.WASMERGO_LATCH_MOVING != 0 {
			runtime.Gosched()
		}
	}
}

// Leave ends what Enter began.
func (l *Latch) Leave() { l.state.Add(^uint64(0)) }

// BeginView keeps the memory in place until EndView, between an Enter and its Leave. A growth that had to move it is refused.
func (l *Latch) BeginView() { l.views.Add(1) }

// EndView ends what BeginView began.
func (l *Latch) EndView() { l.views.Add(^uint64(0)) }

// Moves counts the moves that began or ended.
func (l *Latch) Moves() uint64 { return l.state.Load() / C.WASMERGO_LATCH_MOVING }

// MemoryStats tells about all memories of the process.
type MemoryStats struct {
	// Memories counts those that live, Accessible their bytes, Reserved the bytes of address space taken for them.
	Memories, Accessible, Reserved uint64
	// Mappings counts those of the process; 0 where that is unknown, or was not asked for.
	Mappings uint64
	// Images counts those of which memories begin as copies, ImageBytes their bytes.
	Images, ImageBytes uint64
}

// ReadMemoryStats tells how things are now. Counting mappings reads /proc/self/maps.
func ReadMemoryStats(mappings bool) MemoryStats {
	s := C.wasmergo_memory_stats_now(C.bool(mappings))
	return MemoryStats{
		uint64(s.memories), uint64(s.accessible), uint64(s.reserved), uint64(s.mappings),
		uint64(s.images), uint64(s.image_bytes),
	}
}
