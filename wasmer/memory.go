package wasmer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// PageSize is the size of a page of memory in bytes.
const PageSize = 65536

const maxMemoryPages = 65536

// Memory is a linear memory: bytes that the guest works on. Its methods may be used by any goroutine at any time;
// bytes that a guest changes at the same moment may be seen half changed.
//
// Offsets and sizes are in bytes. An access outside of the memory is ErrOutOfBounds, and changes nothing. After Close of
// the memory or its instance every access is ErrClosed.
//
// See https://webassembly.github.io/spec/core/exec/runtime.html#memory-instances
type Memory struct {
	store *Store
	// instance is that which exports the memory, if one does.
	instance   *Instance
	item       *ffi.Extern
	definition *ffi.MemoryDefinition
	// latch keeps a memory in place that can move; nil for others.
	latch  *ffi.Latch
	typ    MemoryType
	closed atomic.Bool
	// shown is where the memory lay when its bytes were shown last.
	shown atomic.Uintptr
	// tracker knows what DirtyPages compares with; nil if it is off. It belongs to who holds the store.
	tracker *dirtyTracker
}

// NewMemory makes a memory of minPages to maxPages pages of 64 KiB, to be imported. The first instantiation that
// imports it adopts it: the instance is made in the memory's store.
func NewMemory(minPages, maxPages uint32) (*Memory, error) {
	store, err := newPrivateStore()
	if err != nil {
		return nil, err
	}
	memory, err := store.NewMemory(minPages, maxPages)
	if err != nil {
		_ = store.Close()
	}
	return memory, err
}

// NewMemory makes a memory of minPages to maxPages pages of 64 KiB in the store.
func (s *Store) NewMemory(minPages, maxPages uint32) (*Memory, error) {
	return s.NewMemoryOf(MemoryType{Limits{Min: uint64(minPages), Max: uint64(maxPages), HasMax: true}})
}

// NewMemoryOf makes a memory of the type in the store. Sizes lie between 0 and 65536 pages; what exceeds
// EngineConfig.MaxMemoryPages is ErrResource.
func (s *Store) NewMemoryOf(typ MemoryType) (_ *Memory, err error) {
	if s == nil {
		return nil, ErrClosed
	}
	err = typ.check()
	if typ.Min > maxMemoryPages || typ.HasMax && typ.Max > maxMemoryPages {
		err = fmt.Errorf("a memory has at most %d pages", maxMemoryPages)
	}
	if typ.Shared && !typ.HasMax {
		err = errors.New("a shared memory needs a maximum")
	}
	if err != nil {
		return nil, fmt.Errorf("wasmer: memory: %w: %s", err, typ)
	}
	defer func() { s.tellLimit(err) }() // with the store left
	if err := s.enter(context.Background()); err != nil {
		return nil, err
	}
	defer s.leave()
	maxPages := uint64(ffi.None)
	if typ.HasMax {
		maxPages = typ.Max
	}
	config := s.config()
	engine, release := s.ownEngine()
	defer release()
	item, err := s.ptr.NewMemory(engine, uint32(typ.Min), maxPages, typ.Shared, uint32(config.MaxMemoryPages),
		config.Memories == BoundedMemories)
	if err != nil {
		return nil, translate("memory", err)
	}
	s.hold()
	return newMemory(s, item, typ), nil
}

func newMemory(s *Store, item *ffi.Extern, typ MemoryType) *Memory {
	definition, latch := item.Memory()
	return &Memory{store: s, item: item, definition: definition, latch: latch, typ: typ}
}

// Type is the memory's type as declared.
func (m *Memory) Type() MemoryType { return m.typ }

// Size is the size in bytes; 0 after Close.
func (m *Memory) Size() uint64 {
	data, err := m.access()
	if err != nil {
		return 0
	}
	defer m.release()
	return uint64(len(data))
}

// Pages is the size in pages of 64 KiB; 0 after Close.
func (m *Memory) Pages() uint64 { return m.Size() / PageSize }

// Length is Size under its go-ext-wasm name; a memory of 4 GiB has a length of 4 GiB - 1.
func (m *Memory) Length() uint32 { return uint32(min(m.Size(), math.MaxUint32)) }

// Data is the memory itself, not a copy: changes are seen by the guest and the other way round. It is nil after Close.
//
// The slice is bounded by the size at the time of Data. When the memory grows it still shows the same bytes, without
// the new ones, or, of BoundedMemories, may be out of use: ask again after anything that can grow it. It does not keep the
// instance alive, and must not be used after Close or collection; if it is, it shows zeros, and what is written to it is lost,
// but it never shows the bytes of another instance: an address range that was handed out is never used for another memory.
// Where the process has a limit of address space (ulimit -v), prefer Read, Write and the like.
func (m *Memory) Data() []byte {
	data, err := m.access()
	if err != nil {
		return nil
	}
	defer m.release()
	if len(data) == 0 {
		return []byte{}
	}
	if place := uintptr(m.definition.Base); m.shown.Load() != place {
		if err := m.definition.Show(); err != nil {
			return nil
		}
		m.shown.Store(place)
	}
	return data[:len(data):len(data)]
}

// Grow adds pages of 64 KiB. It fails if that exceeds the maximum, or the system has no memory; then nothing changed.
func (m *Memory) Grow(pages uint32) error {
	_, err := m.GrowBy(uint64(pages))
	return err
}

// GrowBy is Grow and returns the size before, in pages. It waits for calls under way, except in a host function of such
// a call.
//
// See https://webassembly.github.io/spec/core/exec/modules.html#growing-memories
func (m *Memory) GrowBy(pages uint64) (previous uint64, err error) {
	if m == nil || m.closed.Load() || m.instance != nil && m.instance.closed.Load() {
		return 0, ErrClosed
	}
	defer func() { m.store.tellLimit(err) }() // with the store left
	if err := m.store.enter(context.Background()); err != nil {
		return 0, err
	}
	defer m.store.leave()
	previous, grown, err := m.item.GrowMemory(pages)
	if err != nil {
		return 0, translate("memory", err)
	}
	if !grown {
		return 0, fmt.Errorf("%w: memory: cannot grow by %d pages, has %d, limits %s",
			errMemoryGrowth, pages, uint64(m.definition.Len)/PageSize, m.typ.Limits)
	}
	return previous, nil
}

// Read copies n bytes at offset.
func (m *Memory) Read(offset, n uint64) ([]byte, error) {
	data, err := m.at(offset, n)
	if err != nil {
		return nil, err
	}
	defer m.release()
	return bytes.Clone(data[:n:n]), nil
}

// Write copies data to offset.
func (m *Memory) Write(offset uint64, data []byte) error {
	target, err := m.at(offset, uint64(len(data)))
	if err != nil {
		return err
	}
	defer m.release()
	copy(target, data)
	return nil
}

// ReadString copies n bytes at offset into a string.
func (m *Memory) ReadString(offset, n uint64) (string, error) {
	data, err := m.at(offset, n)
	if err != nil {
		return "", err
	}
	defer m.release()
	return string(data), nil
}

// ReadCString copies the bytes at offset up to the first NUL; without a NUL before the end of the memory it is
// ErrOutOfBounds.
func (m *Memory) ReadCString(offset uint64) (string, error) {
	if _, err := m.at(offset, 0); err != nil {
		return "", err
	}
	defer m.release()
	data := m.definition.Bytes()[offset:]
	n := bytes.IndexByte(data, 0)
	if n < 0 {
		return "", fmt.Errorf("%w: no NUL after offset %d", ErrOutOfBounds, offset)
	}
	return string(data[:n]), nil
}

// WriteString copies a string to offset.
func (m *Memory) WriteString(offset uint64, s string) error {
	return m.Write(offset, unsafe.Slice(unsafe.StringData(s), len(s)))
}

// ReadAt implements io.ReaderAt: fewer bytes than asked for come with io.EOF.
func (m *Memory) ReadAt(p []byte, offset int64) (int, error) {
	data, err := m.access()
	if err != nil {
		return 0, err
	}
	defer m.release()
	if offset < 0 {
		return 0, fmt.Errorf("%w: negative offset %d", ErrOutOfBounds, offset)
	}
	n := 0
	if offset < int64(len(data)) {
		n = copy(p, data[offset:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt: what lies outside of the memory is not written, with ErrOutOfBounds.
func (m *Memory) WriteAt(p []byte, offset int64) (int, error) {
	data, err := m.access()
	if err != nil {
		return 0, err
	}
	defer m.release()
	n := 0
	if offset >= 0 && offset < int64(len(data)) {
		n = copy(data[offset:], p)
	}
	if n < len(p) {
		return n, fmt.Errorf("%w: %d bytes at offset %d of a memory of %d bytes", ErrOutOfBounds, len(p), offset, len(data))
	}
	return n, nil
}

// ReadByteAt reads the byte at offset.
func (m *Memory) ReadByteAt(offset uint64) (byte, error) {
	data, err := m.at(offset, 1)
	if err != nil {
		return 0, err
	}
	defer m.release()
	return data[0], nil
}

// WriteByteAt writes the byte at offset.
func (m *Memory) WriteByteAt(offset uint64, v byte) error {
	data, err := m.at(offset, 1)
	if err != nil {
		return err
	}
	defer m.release()
	data[0] = v
	return nil
}

// ReadUint16Le reads a little-endian number at offset.
func (m *Memory) ReadUint16Le(offset uint64) (uint16, error) {
	data, err := m.at(offset, 2)
	if err != nil {
		return 0, err
	}
	defer m.release()
	return binary.LittleEndian.Uint16(data), nil
}

// WriteUint16Le writes a little-endian number to offset.
func (m *Memory) WriteUint16Le(offset uint64, v uint16) error {
	data, err := m.at(offset, 2)
	if err != nil {
		return err
	}
	defer m.release()
	binary.LittleEndian.PutUint16(data, v)
	return nil
}

// ReadUint32Le reads a little-endian number at offset.
func (m *Memory) ReadUint32Le(offset uint64) (uint32, error) {
	data, err := m.at(offset, 4)
	if err != nil {
		return 0, err
	}
	defer m.release()
	return binary.LittleEndian.Uint32(data), nil
}

// WriteUint32Le writes a little-endian number to offset.
func (m *Memory) WriteUint32Le(offset uint64, v uint32) error {
	data, err := m.at(offset, 4)
	if err != nil {
		return err
	}
	defer m.release()
	binary.LittleEndian.PutUint32(data, v)
	return nil
}

// ReadUint64Le reads a little-endian number at offset.
func (m *Memory) ReadUint64Le(offset uint64) (uint64, error) {
	data, err := m.at(offset, 8)
	if err != nil {
		return 0, err
	}
	defer m.release()
	return binary.LittleEndian.Uint64(data), nil
}

// WriteUint64Le writes a little-endian number to offset.
func (m *Memory) WriteUint64Le(offset uint64, v uint64) error {
	data, err := m.at(offset, 8)
	if err != nil {
		return err
	}
	defer m.release()
	binary.LittleEndian.PutUint64(data, v)
	return nil
}

// ReadFloat32Le reads a little-endian float at offset.
func (m *Memory) ReadFloat32Le(offset uint64) (float32, error) {
	bits, err := m.ReadUint32Le(offset)
	return math.Float32frombits(bits), err
}

// WriteFloat32Le writes a little-endian float to offset.
func (m *Memory) WriteFloat32Le(offset uint64, v float32) error {
	return m.WriteUint32Le(offset, math.Float32bits(v))
}

// ReadFloat64Le reads a little-endian float at offset.
func (m *Memory) ReadFloat64Le(offset uint64) (float64, error) {
	bits, err := m.ReadUint64Le(offset)
	return math.Float64frombits(bits), err
}

// WriteFloat64Le writes a little-endian float to offset.
func (m *Memory) WriteFloat64Le(offset uint64, v float64) error {
	return m.WriteUint64Le(offset, math.Float64bits(v))
}

// Close ends the use of the memory by the host. A memory made by NewMemory is freed with the last instance that has
// it; one of an instance, or of a store, is freed with that. Closing twice, or a nil memory, does nothing.
func (m *Memory) Close() error {
	if m == nil || m.closed.Swap(true) {
		return nil
	}
	if m.instance == nil {
		m.store.drop()
	}
	return nil
}
