package wasmer

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
)

// DirtyPageSize is the size of the pages of DirtyPages in bytes.
const DirtyPageSize = 4096

// PageRange is a part of a memory: Size bytes at Offset, both multiples of DirtyPageSize.
type PageRange struct{ Offset, Size uint64 }

var errNotTracked = errors.New("wasmer: memory: dirty pages are not tracked: call TrackDirty first")

// TrackDirty makes the memory's present contents what the next DirtyPages compares with. Until then, and after UntrackDirty,
// tracking costs nothing; while it is on, it holds 16 bytes for each page and, on Linux 6.7 and later, a file descriptor, unless a
// quarter of those that the process may have is in use, and, with BoundedMemories, a mapping of its own, and the first write to a
// page takes half a microsecond longer.
//
// Each Memory tracks for itself: another one of the same memory, exported under another name say, has no part in it. It waits
// for calls under way, except in a host function of such a call, and reads the whole memory: some 10 ms for 64 MiB.
func (m *Memory) TrackDirty() error {
	data, err := m.enter()
	if err != nil {
		return err
	}
	defer m.store.leave()
	if m.tracker == nil {
		m.tracker = &dirtyTracker{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
		m.store.trackers = append(m.store.trackers, m.tracker)
	}
	m.tracker.pages = m.tracker.pages[:0]
	m.tracker.watch.written(data, m.moves())
	m.tracker.changes(data, []PageRange{{Size: uint64(len(data))}})
	return nil
}

// DirtyPages gives the pages that changed since TrackDirty or the last DirtyPages, as ranges in ascending order, neighbours
// in one; none if nothing changed. Whoever wrote them is seen: guests by any instruction, hosts through any method, through
// Data or a system call, and data segments. A page that was written with what it held already has not changed. Pages that
// were added by growth were zero before; Size tells that they are there.
//
// It waits for calls under way, except in a host function of such a call. On Linux 6.7 and later, where the kernel tells what was
// written, it takes some 20 microseconds for 64 MiB; elsewhere, where userfaultfd is not allowed, and after a bounded memory has
// moved, it reads the whole memory. What other goroutines write meanwhile is told now or the next time, if need be both times.
func (m *Memory) DirtyPages() ([]PageRange, error) {
	data, err := m.enter()
	if err != nil {
		return nil, err
	}
	defer m.store.leave()
	if m.tracker == nil {
		return nil, errNotTracked
	}
	return m.tracker.changes(data, m.tracker.watch.written(data, m.moves())), nil
}

// UntrackDirty ends the tracking and frees what it holds.
func (m *Memory) UntrackDirty() error {
	if _, err := m.enter(); err != nil {
		return err
	}
	defer m.store.leave()
	if m.tracker != nil {
		m.tracker.watch.close()
		m.store.trackers = slices.DeleteFunc(m.store.trackers, func(t *dirtyTracker) bool { return t == m.tracker })
		m.tracker = nil
	}
	return nil
}

// moves tells two places of the memory apart.
func (m *Memory) moves() uint64 {
	if m.latch == nil {
		return 0
	}
	return m.latch.Moves()
}

// enter enters the store, in which the memory stays where it is until leave, and gives its bytes.
func (m *Memory) enter() ([]byte, error) {
	if m == nil || m.closed.Load() || m.instance != nil && m.instance.closed.Load() {
		return nil, ErrClosed
	}
	if err := m.store.enter(context.Background()); err != nil {
		return nil, err
	}
	return m.definition.Bytes(), nil
}

// dirtyTracker knows pages by hashes of 128 bits with random seeds: a guest cannot know, and chance will not find, two
// contents of one hash. It looks at those that may have been written.
type dirtyTracker struct {
	watch writeWatch
	seeds [2]maphash.Seed
	pages [][2]uint64
}

// forget has all pages looked at the next time: a reset writes past the kernel.
func (t *dirtyTracker) forget() { t.watch.close() }

func (t *dirtyTracker) hash(page []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(t.seeds[0], page), maphash.Bytes(t.seeds[1], page)}
}

// changes takes note of the contents of what was written, and tells where they were others.
func (t *dirtyTracker) changes(data []byte, written []PageRange) []PageRange {
	var changed []PageRange
	if known := len(t.pages); known*DirtyPageSize < len(data) {
		zero := t.hash(make([]byte, DirtyPageSize))
		for range len(data)/DirtyPageSize - known {
			t.pages = append(t.pages, zero)
		}
	}
	for _, part := range written {
		for offset := part.Offset; offset < part.Offset+part.Size; offset += DirtyPageSize {
			hash := t.hash(data[offset:][:DirtyPageSize])
			if hash == t.pages[offset/DirtyPageSize] {
				continue
			}
			t.pages[offset/DirtyPageSize] = hash
			if last := len(changed) - 1; last >= 0 && changed[last].Offset+changed[last].Size == offset {
				changed[last].Size += DirtyPageSize
			} else {
				changed = append(changed, PageRange{Offset: offset, Size: DirtyPageSize})
			}
		}
	}
	return changed
}
