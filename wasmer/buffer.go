package wasmer

import (
	"bytes"
	"sync"
)

// Buffer holds what was written to it. The zero value is empty. Goroutines may share it, so that it can be read while a
// guest writes.
type Buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

// Write appends p. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

// Read takes bytes from the beginning; io.EOF if there are none.
func (b *Buffer) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Read(p)
}

// Bytes is a copy of what is there.
func (b *Buffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.data.Bytes())
}

// String is what is there as a string.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// Len is the number of bytes that are there.
func (b *Buffer) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Len()
}

// Reset makes the buffer empty.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data.Reset()
}

// AtOnce tells that reading never waits.
func (b *Buffer) AtOnce() {}
