package wasmer

import (
	"sync"
	"sync/atomic"
)

// slot leads from a store's number, which is all that C knows, to the store. It holds the store only while a call runs:
// a table that always held it would keep closures that capture their instance from ever being collected.
type slot struct {
	id    uint64
	store *Store
}

const slotsPerChunk = 256

var slotTable struct {
	mu   sync.Mutex
	free []*slot
	// chunks never move once they are made; readers need no lock.
	chunks atomic.Pointer[[]*[slotsPerChunk]slot]
}

func takeSlot() *slot {
	slotTable.mu.Lock()
	defer slotTable.mu.Unlock()
	if len(slotTable.free) == 0 {
		addChunk()
	}
	last := len(slotTable.free) - 1
	s := slotTable.free[last]
	slotTable.free = slotTable.free[:last]
	return s
}

func addChunk() {
	var chunks []*[slotsPerChunk]slot
	if old := slotTable.chunks.Load(); old != nil {
		chunks = append(chunks, *old...)
	}
	chunk := new([slotsPerChunk]slot)
	for i := range chunk {
		chunk[i].id = uint64(len(chunks)*slotsPerChunk + i)
		slotTable.free = append(slotTable.free, &chunk[i])
	}
	chunks = append(chunks, chunk)
	slotTable.chunks.Store(&chunks)
}

func (s *slot) give() {
	slotTable.mu.Lock()
	defer slotTable.mu.Unlock()
	s.store = nil
	slotTable.free = append(slotTable.free, s)
}

// storeOf is the store of a running call.
func storeOf(id uint64) *Store {
	return (*slotTable.chunks.Load())[id/slotsPerChunk][id%slotsPerChunk].store
}
