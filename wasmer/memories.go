package wasmer

import "fmt"

// Memories says how the memories of an engine's modules, and of its stores, lie in the address space. It is compiled into the
// code: artifacts of the one kind are ErrIncompatible with engines of the other.
type Memories uint32

// The kinds of memories.
const (
	// DefaultMemories are ReservedMemories.
	DefaultMemories Memories = 0
	// ReservedMemories take 9 GiB of address space each, and two mappings. The code needs no bounds checks, and a memory never
	// moves. A process has room for some 14,000 of them (47 bits of address space), and none under a small `ulimit -v`.
	ReservedMemories Memories = 1
	// BoundedMemories take the address space that they use and lie side by side in a few mappings, so that hundreds of thousands
	// live in one process. The code checks bounds, which makes it slower. A memory may move when it grows. Modules can
	// import memories of either kind, those compiled for ReservedMemories only such. With LLVM they have 65535 pages at most: its
	// code reads their size in 32 bits, so those of 65536 pages, from another engine, have nothing that it can access.
	BoundedMemories Memories = 2
)

func (m Memories) String() string {
	switch m {
	case DefaultMemories:
		return "default"
	case ReservedMemories:
		return "reserved"
	case BoundedMemories:
		return "bounded"
	}
	return fmt.Sprintf("Memories(%d)", uint32(m))
}

// Memories is the kind of memories in use.
func (e *Engine) Memories() Memories { return e.config.Memories }
