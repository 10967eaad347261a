package wasip1

import (
	"encoding/binary"
	"math"
	"time"
)

func (d *descriptor) stat() (Stat, error) {
	switch {
	case d.file != nil:
		return d.file.Stat()
	case d.dir != nil:
		return d.dir.Stat(".", false)
	case d.stream != nil:
		return d.stream.stat()
	}
	return Stat{Type: TypeSocketStream}, nil
}

func (c *Call) FdFdstatGet(fd, result uint32) Errno {
	d, errno := c.lookup(fd, 0)
	if errno != Success {
		return errno
	}
	target, errno := c.bytes(result, 24)
	if errno != Success {
		return errno
	}
	stat, err := d.stat()
	if err != nil {
		return errnoOf(err)
	}
	clear(target)
	target[0] = byte(stat.Type)
	binary.LittleEndian.PutUint16(target[2:], uint16(d.flags))
	binary.LittleEndian.PutUint64(target[8:], uint64(d.rights))
	binary.LittleEndian.PutUint64(target[16:], uint64(d.inheriting))
	return Success
}

func (c *Call) FdFdstatSetFlags(fd, flags uint32) Errno {
	d, errno := c.lookup(fd, RightSetFlags)
	if errno != Success {
		return errno
	}
	if flags&^uint32(allFlags) != 0 {
		return EINVAL
	}
	d.flags = Fdflags(flags)
	return Success
}

func (c *Call) FdFdstatSetRights(fd uint32, rights, inheriting uint64) Errno {
	d, errno := c.lookup(fd, 0)
	if errno != Success {
		return errno
	}
	if Rights(rights)&^d.rights != 0 || Rights(inheriting)&^d.inheriting != 0 {
		return ENOTCAPABLE
	}
	d.rights, d.inheriting = Rights(rights), Rights(inheriting)
	return Success
}

func (c *Call) FdFilestatGet(fd, result uint32) Errno {
	d, errno := c.lookup(fd, RightFilestat)
	if errno != Success {
		return errno
	}
	stat, err := d.stat()
	if err != nil {
		return errnoOf(err)
	}
	return c.putStat(result, stat)
}

func (c *Call) putStat(offset uint32, stat Stat) Errno {
	size := uint32(64)
	if c.Snapshot0 {
		size = 56
	}
	target, errno := c.bytes(offset, size)
	if errno != Success {
		return errno
	}
	clear(target)
	binary.LittleEndian.PutUint64(target, stat.Device)
	binary.LittleEndian.PutUint64(target[8:], stat.Inode)
	target[16] = byte(stat.Type)
	if c.Snapshot0 {
		binary.LittleEndian.PutUint32(target[20:], uint32(min(stat.Links, math.MaxUint32)))
		target = target[24:]
	} else {
		binary.LittleEndian.PutUint64(target[24:], stat.Links)
		target = target[32:]
	}
	binary.LittleEndian.PutUint64(target, stat.Size)
	binary.LittleEndian.PutUint64(target[8:], uint64(stat.Accessed))
	binary.LittleEndian.PutUint64(target[16:], uint64(stat.Modified))
	binary.LittleEndian.PutUint64(target[24:], uint64(stat.Changed))
	return Success
}

func (c *Call) FdFilestatSetSize(fd uint32, size uint64) Errno {
	d, errno := c.file(fd, RightSetSize, EINVAL)
	if errno != Success {
		return errno
	}
	if size > math.MaxInt64 {
		return EINVAL
	}
	return errnoOf(d.file.SetSize(int64(size)))
}

func (c *Call) FdFilestatSetTimes(fd uint32, accessed, modified uint64, flags uint32) Errno {
	d, errno := c.lookup(fd, RightSetTimes)
	if errno != Success {
		return errno
	}
	times, errno := c.times(accessed, modified, flags)
	switch {
	case errno != Success:
		return errno
	case d.file != nil:
		return errnoOf(d.file.SetTimes(times))
	case d.dir != nil:
		return errnoOf(d.dir.SetTimes(".", false, times))
	}
	return EINVAL
}

// The flags of the functions that set times.
const (
	setAccessed uint32 = 1 << iota
	setAccessedNow
	setModified
	setModifiedNow
)

func (c *Call) times(accessed, modified uint64, flags uint32) (times Times, errno Errno) {
	const both1, both2 = setAccessed | setAccessedNow, setModified | setModifiedNow
	if flags&^(both1|both2) != 0 || flags&both1 == both1 || flags&both2 == both2 {
		return times, EINVAL
	}
	now := time.Unix(0, c.clock.realtime())
	at := func(given uint64, set, setNow uint32) *time.Time {
		switch {
		case flags&set != 0:
			t := time.Unix(0, int64(given)) // before 1970 it is negative, as it is read
			return &t
		case flags&setNow != 0:
			return &now
		}
		return nil
	}
	times.Accessed = at(accessed, setAccessed, setAccessedNow)
	times.Modified = at(modified, setModified, setModifiedNow)
	return times, Success
}

func (c *Call) FdPrestatGet(fd, result uint32) Errno {
	d := c.table.get(fd)
	if d == nil || !d.isPreopen {
		return EBADF
	}
	target, errno := c.bytes(result, 8)
	if errno != Success {
		return errno
	}
	clear(target) // the first byte is the kind: 0, a directory
	binary.LittleEndian.PutUint32(target[4:], uint32(len(d.preopen)))
	return Success
}

func (c *Call) FdPrestatDirName(fd, path, n uint32) Errno {
	d := c.table.get(fd)
	if d == nil || !d.isPreopen {
		return EBADF
	}
	if uint64(n) < uint64(len(d.preopen)) {
		return ENAMETOOLONG
	}
	target, errno := c.bytes(path, uint32(len(d.preopen)))
	if errno != Success {
		return errno
	}
	copy(target, d.preopen)
	return Success
}
