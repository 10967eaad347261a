package gojs

import (
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// What values take, in bytes, by and large.
const (
	valueSize    = 16
	propertySize = 64
	objectSize   = 160
)

// maxValues bounds what the values of a guest take.
const maxValues = 1 << 30

// budget bounds the memory that the guest takes on the host. It adds up what was allocated; before that is too much, it
// looks how much of it is still there.
//
// The guest's garbage collector does not know how large the values are that it holds: a program that copies a file leaves
// one buffer after the other, long before it collects any. Those that have served their purpose are given up early.
type budget struct {
	// used is what was allocated, without what was found to be gone.
	used int64
	// look is how much of it makes the next look worth while.
	look int64
	// looks counts them.
	looks uint32
}

const (
	// plenty is from when on buffers are given up.
	plenty = maxValues / 32
	// kept is how many calls of fs a buffer outlives its use.
	kept = 64
)

// charge counts what is about to be allocated for values.
func (g *guest) charge(size int64) error {
	b := &g.budget
	if size < maxValues {
		if b.used += size; b.used <= b.look {
			return nil
		}
		b.used = g.measure() + size
		if b.used > plenty && g.calls > kept {
			g.references.evictSpent(g.calls - kept)
			b.used = g.measure() + size
		}
		b.look = b.used + plenty
	}
	if size >= maxValues || b.used > maxValues {
		return fmt.Errorf("%w: the guest's JavaScript values take more than %d MiB", wasmer.ErrResource, maxValues>>20)
	}
	return nil
}

// measure adds up all values that can be reached.
func (g *guest) measure() int64 {
	g.budget.looks++
	m := meter{look: g.budget.looks}
	for i := range g.references.entries {
		m.add(g.references.entries[i].value)
	}
	for _, e := range g.events {
		m.add(e.function)
		m.addAll(e.args)
	}
	for _, t := range g.timers.pending {
		m.add(t.function)
		m.addAll(t.args)
	}
	for t := range g.streaming {
		m.add(t.callback)
		m.add(t.array)
	}
	for len(m.queue) > 0 {
		o := m.queue[len(m.queue)-1]
		m.queue = m.queue[:len(m.queue)-1]
		m.open(o)
	}
	return m.size
}

// meter finds values, each object once.
type meter struct {
	size  int64
	look  uint32
	queue []*object
}

func (m *meter) add(v value) {
	m.size += valueSize
	switch v := v.(type) {
	case string:
		m.size += int64(len(v))
	case *symbol:
		m.size += objectSize + int64(len(v.description))
	case *object:
		if v != nil && v.seen != m.look {
			v.seen = m.look
			m.queue = append(m.queue, v)
		}
	}
}

func (m *meter) addAll(list []value) {
	for _, v := range list {
		m.add(v)
	}
}

// open adds what belongs to an object.
func (m *meter) open(o *object) {
	m.size += objectSize
	m.add(o.prototype)
	for i := range o.properties.list {
		p := &o.properties.list[i]
		m.size += propertySize + int64(len(p.key))
		m.add(p.value)
	}
	switch slot := o.slot.(type) {
	case *array:
		m.addAll(slot.elements)
	case *byteArray:
		if slot.owner == nil {
			m.size += int64(len(slot.data))
		}
		m.add(slot.owner)
	case *function:
		m.addAll(slot.bound)
	}
}
