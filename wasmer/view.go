package wasmer

import "errors"

// View calls f with the memory itself, not a copy: what f writes is seen by the guest at once, and the other way round. It
// returns the error of f.
//
// The bytes are those of the size at the time of View, and stay valid and in place until f returns; f must not keep them. Unlike
// Data, nothing of the memory lives longer for it. f may use the instance and the memory as usual, View included, and View may be
// used in a host function. What happens to the memory while f runs, in f or in another goroutine:
//
//   - Close of the memory, its instance or its store returns at once, as ever, and what it frees is freed when f has returned.
//   - Growth adds pages after those that f sees. Only BoundedMemories move by it at times: a growth that would need that fails, as
//     if the system had no memory. The guest's memory.grow gives -1 then, and Grow is ErrResource.
//   - Instance.Reset waits for f, for a moment: then it is ErrRunning, and changes nothing.
//   - Calls go on; f sees what the guest writes, be it half written.
//
// If f panics or ends its goroutine, the view ends.
func (m *Memory) View(f func(data []byte) error) error {
	if f == nil {
		return errors.New("wasmer: memory: a view needs a function")
	}
	data, err := m.access()
	if err != nil {
		return err
	}
	if m.latch != nil {
		// The access must be short, for growth in another goroutine, or below f, waits for it.
		m.latch.BeginView()
		m.latch.Leave()
	}
	defer m.endView()
	return f(data[:len(data):len(data)])
}

func (m *Memory) endView() {
	if m.latch != nil {
		m.latch.EndView()
	}
	m.store.unpin()
}
