package wasmer

import "fmt"

// errNoMemory is what a host function gets that uses Caller.Memory without looking.
var errNoMemory = fmt.Errorf("%w, or never there: the guest exports no memory", ErrClosed)

// access pins the memory and gives its bytes, valid until release. The length is read once: it only grows.
func (m *Memory) access() ([]byte, error) {
	if m == nil {
		return nil, errNoMemory
	}
	if m.closed.Load() || m.instance != nil && m.instance.closed.Load() {
		return nil, ErrClosed
	}
	if err := m.store.pin(); err != nil {
		return nil, err
	}
	if m.latch != nil {
		m.latch.Enter()
	}
	return m.definition.Bytes(), nil
}

// release ends an access.
func (m *Memory) release() {
	if m.latch != nil {
		m.latch.Leave()
	}
	m.store.unpin()
}

// at is access to n bytes at offset.
func (m *Memory) at(offset, n uint64) ([]byte, error) {
	data, err := m.access()
	if err != nil {
		return nil, err
	}
	if size := uint64(len(data)); offset > size || n > size-offset {
		m.release()
		return nil, fmt.Errorf("%w: %d bytes at offset %d of a memory of %d bytes", ErrOutOfBounds, n, offset, size)
	}
	return data[offset : offset+n : offset+n], nil
}
