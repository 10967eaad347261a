package crypto

import (
	"math"
	"runtime"
)

// handle is a guest's number for an object of its instance.
type handle int32

// object is what a handle stands for.
type object interface {
	// close overwrites what is secret.
	close()
}

// session is what an instance has open.
type session struct {
	*table
}

// newSession makes a session whose secrets are overwritten when it is collected, after its instance.
func newSession(config Config) *session {
	s := &session{&table{config: config, entries: map[handle]*entry{}}}
	runtime.AddCleanup(s, (*table).closeAll, s.table)
	return s
}

// table has the objects of an instance. A number that was closed is not given out again before all others were.
type table struct {
	config  Config
	entries map[handle]*entry
	last    handle
	// bytes is the sum over all entries.
	bytes int
}

// entry is an object and how many bytes of the guest's data it holds.
type entry struct {
	object object
	bytes  int
}

// add opens a handle. If there is no room for it, the object is closed.
func (t *table) add(o object, bytes int) (handle, errno) {
	if err := t.makeRoom(bytes); err != success {
		o.close()
		return 0, err
	}
	for {
		if t.last++; t.last < 0 {
			t.last = 1
		}
		if t.entries[t.last] == nil {
			t.entries[t.last] = &entry{o, bytes}
			t.bytes += bytes
			return t.last, success
		}
	}
}

// makeRoom tells whether there is room for a handle and bytes, and closes what nobody needs if there is not.
func (t *table) makeRoom(bytes int) errno {
	if err := t.room(bytes); err == success {
		return success
	}
	t.closeSpent()
	return t.room(bytes)
}

func (t *table) room(bytes int) errno {
	switch {
	case len(t.entries) >= t.config.MaxHandles:
		return tooManyHandles
	case bytes > t.config.MaxBytes-t.bytes:
		return overflow
	}
	return success
}

// charge counts more bytes to a handle.
func (t *table) charge(h handle, bytes int) errno {
	if bytes > t.config.MaxBytes-t.bytes {
		return overflow
	}
	t.entries[h].bytes += bytes
	t.bytes += bytes
	return success
}

// remove closes a handle.
func (t *table) remove(h handle) {
	e := t.entries[h]
	t.bytes -= e.bytes
	delete(t.entries, h)
	e.object.close()
}

// closeSpent closes the tags that were pulled. The specification has it that pulling closes a tag, but WasmEdge keeps it: so it is
// kept until somebody needs the room, and guests written for either go on.
func (t *table) closeSpent() {
	for h, e := range t.entries {
		if tag, ok := e.object.(*symmetricTag); ok && tag.pulled {
			t.remove(h)
		}
	}
}

func (t *table) closeAll() {
	for h := range t.entries {
		t.remove(h)
	}
}

// get is the object of a handle, if it is a T.
func get[T object](g guest, h handle) (T, errno) {
	if e := g.entries[h]; e != nil {
		if o, ok := e.object.(T); ok {
			return o, success
		}
	}
	var none T
	return none, invalidHandle
}

// closeHandle closes a handle, if it is one of a T.
func closeHandle[T object](g guest, h handle) errno {
	if _, err := get[T](g, h); err != success {
		return closed
	}
	g.remove(h)
	return success
}

// size is a length that a guest is told.
func size(n int) uint32 { return uint32(min(n, math.MaxUint32)) }
