package wasip1

import (
	"context"
	"encoding/binary"
)

// Call is a call that a guest makes: the process that it is, its memory, and the context of the host's call.
type Call struct {
	*Process
	Memory  []byte
	Context context.Context
	// Snapshot0 says that the guest calls wasi_unstable, the version before, where a few things lie differently.
	Snapshot0 bool
}

// bytes is a part of the guest's memory.
func (c Call) bytes(offset, n uint32) ([]byte, Errno) {
	return c.part(offset, uint64(n))
}

func (c Call) part(offset uint32, n uint64) ([]byte, Errno) {
	end := uint64(offset) + n
	if end > uint64(len(c.Memory)) {
		return nil, EFAULT
	}
	return c.Memory[offset:end:end], Success
}

// array is a part of the guest's memory that holds so many elements of a size.
func (c Call) array(offset, count, size uint32) ([]byte, Errno) {
	return c.part(offset, uint64(count)*uint64(size))
}

// path is a path in the guest's memory.
func (c Call) path(offset, n uint32) (string, Errno) {
	if n > maxPath {
		return "", ENAMETOOLONG
	}
	data, errno := c.bytes(offset, n)
	if errno != Success {
		return "", errno
	}
	for _, b := range data {
		if b == 0 {
			return "", EINVAL
		}
	}
	if n == 0 {
		return "", ENOENT
	}
	return string(data), Success
}

func (c Call) put32(offset, v uint32) Errno {
	target, errno := c.bytes(offset, 4)
	if errno == Success {
		binary.LittleEndian.PutUint32(target, v)
	}
	return errno
}

func (c Call) put64(offset uint32, v uint64) Errno {
	target, errno := c.bytes(offset, 8)
	if errno == Success {
		binary.LittleEndian.PutUint64(target, v)
	}
	return errno
}

// vectors are the buffers that a list of pointers and lengths describes.
type vectors struct {
	memory, list []byte
}

const vectorSize = 8

// vectors checks the whole list, so that what follows cannot fail midway. Their lengths together are an i32 or less, as
// POSIX has it.
func (c Call) vectors(offset, count uint32) (v vectors, errno Errno) {
	list, errno := c.array(offset, count, vectorSize)
	if errno != Success {
		return v, errno
	}
	total := uint64(0)
	for i := 0; i < len(list); i += vectorSize {
		n := binary.LittleEndian.Uint32(list[i+4:])
		if _, errno := c.bytes(binary.LittleEndian.Uint32(list[i:]), n); errno != Success {
			return v, errno
		}
		if total += uint64(n); total > 1<<31-1 {
			return v, EINVAL
		}
	}
	return vectors{c.Memory, list}, Success
}

// next is the next buffer that is not empty.
func (v *vectors) next() ([]byte, bool) {
	for len(v.list) > 0 {
		offset, n := binary.LittleEndian.Uint32(v.list), binary.LittleEndian.Uint32(v.list[4:])
		v.list = v.list[vectorSize:]
		if n > 0 {
			// The guest may have changed the list since it was checked, if its buffers lie there.
			end := uint64(offset) + uint64(n)
			if end > uint64(len(v.memory)) {
				return nil, false
			}
			return v.memory[offset:end:end], true
		}
	}
	return nil, false
}
