package wasip1

import (
	"errors"
	"io"
	"math"
)

// Fdflags are the modes of a file descriptor.
type Fdflags uint16

// The flags in their order.
const (
	FlagAppend Fdflags = 1 << iota
	FlagDsync
	FlagNonblock
	FlagRsync
	FlagSync

	allFlags = FlagSync<<1 - 1
)

// The steps from which FdSeek counts.
const (
	whenceSet uint32 = iota
	whenceCur
	whenceEnd
)

// read reads into the vectors. A stream brings what it has for the first of them; a file fills all.
func (c *Call) read(d *descriptor, offset int64) (total int, errno Errno) {
	for p := c.next(); p != nil; p = c.next() {
		if d.stream != nil {
			return d.stream.read(c, p, false, d.flags&FlagNonblock != 0)
		}
		n, err := d.file.ReadAt(p, offset)
		n, err = checked(n, err, len(p))
		total += n
		offset += int64(n)
		if err != nil && !errors.Is(err, io.EOF) && total == 0 {
			return 0, errnoOf(err)
		}
		if err != nil || n < len(p) {
			break
		}
	}
	return total, Success
}

// write writes the vectors to a file, at the offset or the end.
func (c *Call) write(d *descriptor, offset int64, atEnd bool) (total int, errno Errno) {
	for p := c.next(); p != nil; p = c.next() {
		var n int
		var err error
		if atEnd {
			n, err = d.file.Append(p)
		} else if offset > math.MaxInt64-int64(len(p)) {
			err = EFBIG
		} else {
			n, err = d.file.WriteAt(p, offset)
		}
		n, err = checked(n, err, len(p))
		total += n
		offset += int64(n)
		if err != nil && total == 0 {
			return 0, errnoOf(err)
		}
		if err != nil || n < len(p) {
			break
		}
	}
	if d.flags&(FlagSync|FlagDsync) != 0 {
		if err := d.file.Sync(d.flags&FlagSync == 0); err != nil {
			return 0, errnoOf(err)
		}
	}
	return total, Success
}

func (c *Call) FdRead(fd, iovs, count, nread uint32) Errno {
	d, errno := c.transfer(fd, RightRead, iovs, count, nread)
	if errno != Success {
		return errno
	}
	n, errno := c.read(d, d.offset)
	if errno != Success {
		return errno
	}
	d.offset += int64(n)
	return c.put32(nread, uint32(n))
}

func (c *Call) FdPread(fd, iovs, count uint32, offset uint64, nread uint32) Errno {
	return c.transferAt(fd, RightRead, iovs, count, offset, nread)
}

func (c *Call) FdPwrite(fd, iovs, count uint32, offset uint64, nwritten uint32) Errno {
	return c.transferAt(fd, RightWrite, iovs, count, offset, nwritten)
}

// transferAt reads or writes a file at an offset, whatever its position and mode.
func (c *Call) transferAt(fd uint32, right Rights, iovs, count uint32, offset uint64, result uint32) Errno {
	d, errno := c.transfer(fd, right|RightSeek, iovs, count, result)
	switch {
	case errno != Success:
		return errno
	case d.file == nil:
		return ESPIPE
	case offset > math.MaxInt64:
		return EINVAL
	}
	var n int
	if right == RightRead {
		n, errno = c.read(d, int64(offset))
	} else {
		n, errno = c.write(d, int64(offset), false)
	}
	if errno != Success {
		return errno
	}
	return c.put32(result, uint32(n))
}

func (c *Call) FdWrite(fd, iovs, count, nwritten uint32) Errno {
	d, errno := c.transfer(fd, RightWrite, iovs, count, nwritten)
	if errno != Success {
		return errno
	}
	var n int
	if d.stream != nil {
		n, errno = d.stream.write(c, d.flags&FlagNonblock != 0)
	} else {
		n, errno = c.write(d, d.offset, d.flags&FlagAppend != 0)
		if d.flags&FlagAppend != 0 && errno == Success {
			if stat, err := d.file.Stat(); err == nil {
				d.offset = int64(stat.Size)
			}
		} else {
			d.offset += int64(n)
		}
	}
	if errno != Success {
		return errno
	}
	return c.put32(nwritten, uint32(n))
}

// transfer checks all that reading and writing take before anything is read or written.
func (c *Call) transfer(fd uint32, right Rights, iovs, count, result uint32) (*descriptor, Errno) {
	d, errno := c.lookup(fd, 0)
	if errno != Success {
		return nil, errno
	}
	if d.file == nil && d.stream == nil {
		return nil, wrongKind(d, right)
	}
	if d.rights&right&(RightRead|RightWrite) == 0 {
		return nil, EBADF
	}
	if d.rights&right != right {
		if d.stream != nil {
			return nil, ESPIPE
		}
		return nil, ENOTCAPABLE
	}
	if errno := c.takeVectors(iovs, count); errno != Success {
		return nil, errno
	}
	_, errno = c.bytes(result, 4)
	return d, errno
}

// wrongKind is why a directory or a listener can be neither read nor written.
func wrongKind(d *descriptor, right Rights) Errno {
	switch {
	case d.dir == nil:
		return ENOTCONN
	case right&RightRead != 0:
		return EISDIR
	}
	return EBADF
}

func (c *Call) FdSeek(fd uint32, delta int64, whence, result uint32) Errno {
	if c.Snapshot0 { // where the order is another one
		whence = [...]uint32{whenceCur, whenceEnd, whenceSet, 3}[min(whence, 3)]
	}
	right := RightSeek
	if delta == 0 && whence == whenceCur {
		right = RightTell
	}
	d, errno := c.file(fd, right, ESPIPE)
	if errno != Success {
		return errno
	}
	var base int64
	switch whence {
	case whenceSet:
	case whenceCur:
		base = d.offset
	case whenceEnd:
		stat, err := d.file.Stat()
		if err != nil {
			return errnoOf(err)
		}
		base = int64(stat.Size)
	default:
		return EINVAL
	}
	if delta > 0 && base > math.MaxInt64-delta {
		return EOVERFLOW
	}
	if base+delta < 0 {
		return EINVAL
	}
	if errno := c.put64(result, uint64(base+delta)); errno != Success {
		return errno
	}
	d.offset = base + delta
	return Success
}

func (c *Call) FdTell(fd, result uint32) Errno {
	d, errno := c.file(fd, RightTell, ESPIPE)
	if errno != Success {
		return errno
	}
	return c.put64(result, uint64(d.offset))
}

func (c *Call) FdClose(fd uint32) Errno {
	d, errno := c.lookup(fd, 0)
	if errno != Success {
		return errno
	}
	c.table.remove(fd)
	return errnoOf(d.close())
}

func (c *Call) FdRenumber(from, to uint32) Errno {
	d, errno := c.lookup(from, 0)
	if errno != Success {
		return errno
	}
	replaced, errno := c.lookup(to, 0)
	if errno != Success {
		return errno
	}
	if from == to {
		return Success
	}
	c.table.remove(from)
	c.table.list[to] = d
	return errnoOf(replaced.close())
}

func (c *Call) FdSync(fd uint32) Errno     { return c.sync(fd, RightSync, false) }
func (c *Call) FdDatasync(fd uint32) Errno { return c.sync(fd, RightDatasync, true) }

func (c *Call) sync(fd uint32, right Rights, dataOnly bool) Errno {
	d, errno := c.lookup(fd, right)
	switch {
	case errno != Success:
		return errno
	case d.file != nil:
		return errnoOf(d.file.Sync(dataOnly))
	case d.dir != nil:
		return errnoOf(d.dir.Sync())
	}
	return EINVAL
}

func (c *Call) FdAdvise(fd uint32, offset, n uint64, advice uint32) Errno {
	d, errno := c.lookup(fd, RightAdvise)
	switch {
	case errno != Success:
		return errno
	case advice > 5 || offset > math.MaxInt64 || n > math.MaxInt64-offset:
		return EINVAL
	case d.dir != nil:
		return EBADF
	}
	return Success // the host's system knows best
}

func (c *Call) FdAllocate(fd uint32, offset, n uint64) Errno {
	d, errno := c.file(fd, RightAllocate, EINVAL)
	switch {
	case errno != Success:
		return errno
	case n == 0 || offset > math.MaxInt64 || n > math.MaxInt64:
		return EINVAL
	case n > math.MaxInt64-offset:
		return EFBIG
	}
	return errnoOf(d.file.Allocate(int64(offset), int64(n)))
}

// file finds a regular file; for a stream it is the other error.
func (c *Call) file(fd uint32, right Rights, stream Errno) (*descriptor, Errno) {
	d, errno := c.lookup(fd, 0)
	switch {
	case errno != Success:
		return nil, errno
	case d.dir != nil:
		return nil, EBADF
	case d.file == nil:
		return nil, stream
	case d.rights&right != right:
		return nil, ENOTCAPABLE
	}
	return d, Success
}
