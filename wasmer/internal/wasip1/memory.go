package wasip1

import (
	"context"
	"encoding/binary"
)

// Call is a call that a guest makes: the process that it is, its memory, and the context of the host's call. It may be used
// again for the next call.
type Call struct {
	*Process
	Memory  []byte
	Context context.Context
	// Moved gives the memory if it can move while the host's own readers, writers and files run; nil if it cannot.
	Moved func() []byte
	// Snapshot0 says that the guest calls wasi_unstable, the version before, where a few things lie differently.
	Snapshot0 bool
	// Outer is closed when another guest is to end that the call goes through; nil if there is none.
	Outer <-chan struct{}

	// list is what is left of a list of buffers, rest of the last one that it gave.
	list, rest []byte
}

// bytes is a part of the guest's memory.
func (c *Call) bytes(offset, n uint32) ([]byte, Errno) {
	return c.part(offset, uint64(n))
}

func (c *Call) part(offset uint32, n uint64) ([]byte, Errno) {
	if c.Moved != nil {
		c.Memory = c.Moved()
	}
	end := uint64(offset) + n
	if end > uint64(len(c.Memory)) {
		return nil, EFAULT
	}
	return c.Memory[offset:end:end], Success
}

// array is a part of the guest's memory that holds so many elements of a size.
func (c *Call) array(offset, count, size uint32) ([]byte, Errno) {
	return c.part(offset, uint64(count)*uint64(size))
}

// path is a path in the guest's memory.
func (c *Call) path(offset, n uint32) (string, Errno) {
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

func (c *Call) put32(offset, v uint32) Errno {
	target, errno := c.bytes(offset, 4)
	if errno == Success {
		binary.LittleEndian.PutUint32(target, v)
	}
	return errno
}

func (c *Call) put64(offset uint32, v uint64) Errno {
	target, errno := c.bytes(offset, 8)
	if errno == Success {
		binary.LittleEndian.PutUint64(target, v)
	}
	return errno
}

const vectorSize = 8

// takeVectors takes a list of pointers and lengths, whose buffers next gives. It checks the whole list, so that what follows
// cannot fail midway. The lengths together are an i32 or less, as POSIX has it.
func (c *Call) takeVectors(offset, count uint32) Errno {
	list, errno := c.array(offset, count, vectorSize)
	if errno != Success {
		return errno
	}
	total := uint64(0)
	for rest := list; len(rest) >= vectorSize; rest = rest[vectorSize:] {
		n := uint64(binary.LittleEndian.Uint32(rest[4:]))
		if uint64(binary.LittleEndian.Uint32(rest))+n > uint64(len(c.Memory)) {
			return EFAULT
		}
		if total += n; total > 1<<31-1 {
			return EINVAL
		}
	}
	c.list, c.rest = list, nil
	return Success
}

// listSize is the sum of what is left of the list.
func (c *Call) listSize() (n uint64) {
	n = uint64(len(c.rest))
	for rest := c.list; len(rest) >= vectorSize; rest = rest[vectorSize:] {
		n += uint64(binary.LittleEndian.Uint32(rest[4:]))
	}
	return n
}

// next is the next buffer of the list that is not empty; nil at its end.
func (c *Call) next() []byte {
	if rest := c.rest; len(rest) > 0 {
		c.rest = nil
		return rest
	}
	if c.Moved != nil {
		c.Memory = c.Moved()
	}
	for len(c.list) >= vectorSize {
		offset, n := binary.LittleEndian.Uint32(c.list), binary.LittleEndian.Uint32(c.list[4:])
		c.list = c.list[vectorSize:]
		if n == 0 {
			continue
		}
		// The guest may have changed the list since it was checked, if its buffers lie there.
		if end := uint64(offset) + uint64(n); end <= uint64(len(c.Memory)) {
			return c.Memory[offset:end:end]
		}
		break
	}
	return nil
}
