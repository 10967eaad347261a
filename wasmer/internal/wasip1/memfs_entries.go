package wasip1

import (
	"io"
	"slices"
	"sort"
	"sync"
)

// memEntry is a name in a directory.
type memEntry struct {
	name string
	node *memNode
	// position grows with each entry that the directory gets, and is never given twice.
	position uint64
}

// memEntries are the entries of a directory: by name, and in the order in which they came, in blocks of entries so
// that removing one moves few others. A reader only remembers the position where it is, so that it misses none and
// gives none twice, whatever is added and removed meanwhile.
type memEntries struct {
	byName map[string]*memEntry
	blocks [][]*memEntry // none is empty
	last   uint64
	most   int // entries since the memory was last given back
}

const (
	entriesPerBlock = 256
	// shrinkFrom is how many entries a directory must have had for their memory to be worth giving back.
	shrinkFrom = 16
)

func (e *memEntries) len() int { return len(e.byName) }

func (e *memEntries) get(name string) *memEntry { return e.byName[name] }

func (e *memEntries) add(name string, node *memNode) {
	if e.byName == nil {
		e.byName = map[string]*memEntry{}
	}
	e.last++
	entry := &memEntry{name: name, node: node, position: e.last}
	e.byName[name] = entry
	e.push(entry)
	e.most = max(e.most, len(e.byName))
}

func (e *memEntries) push(entry *memEntry) {
	if n := len(e.blocks); n > 0 && len(e.blocks[n-1]) < entriesPerBlock {
		e.blocks[n-1] = append(e.blocks[n-1], entry)
		return
	}
	e.blocks = append(e.blocks, []*memEntry{entry})
}

func (e *memEntries) remove(name string) {
	position := e.byName[name].position
	delete(e.byName, name)
	block, i := e.search(position)
	e.blocks[block] = slices.Delete(e.blocks[block], i, i+1)
	if len(e.blocks[block]) == 0 {
		e.blocks = slices.Delete(e.blocks, block, block+1)
	}
	e.shrink()
}

// shrink gives back the memory of a directory that had many more entries than it has: maps keep theirs.
func (e *memEntries) shrink() {
	switch {
	case len(e.byName) == 0:
		*e = memEntries{last: e.last}
	case e.most >= shrinkFrom && len(e.byName) <= e.most/4:
		e.rebuild()
	}
}

func (e *memEntries) rebuild() {
	small := memEntries{byName: make(map[string]*memEntry, len(e.byName)), last: e.last, most: len(e.byName)}
	for _, block := range e.blocks {
		for _, entry := range block {
			small.byName[entry.name] = entry
			small.push(entry)
		}
	}
	*e = small
}

// search finds the first entry at the position or after it; the block is past the last one if there is none.
func (e *memEntries) search(position uint64) (block, i int) {
	block = sort.Search(len(e.blocks), func(b int) bool { return e.blocks[b][len(e.blocks[b])-1].position >= position })
	if block < len(e.blocks) {
		i = sort.Search(len(e.blocks[block]), func(i int) bool { return e.blocks[block][i].position >= position })
	}
	return block, i
}

// after is the first entry past the position, or nil.
func (e *memEntries) after(position uint64) *memEntry {
	block, i := e.search(position + 1)
	if block == len(e.blocks) {
		return nil
	}
	return e.blocks[block][i]
}

// memCursor reads a directory.
type memCursor struct {
	tree     *sync.RWMutex
	node     *memNode
	position uint64
}

func (c *memCursor) Next() (Entry, error) {
	name, node, err := c.next()
	if err != nil {
		return Entry{}, err
	}
	return Entry{Name: name, Type: node.fileType, Inode: node.inode}, nil
}

func (c *memCursor) next() (string, *memNode, error) {
	c.tree.RLock()
	defer c.tree.RUnlock()
	if c.node == nil {
		return "", nil, EBADF
	}
	entry := c.node.entries.after(c.position)
	if entry == nil {
		return "", nil, io.EOF
	}
	c.position = entry.position
	return entry.name, entry.node, nil
}

func (c *memCursor) Close() error {
	c.node = nil
	return nil
}
