package wasip1

import (
	"encoding/binary"
	"errors"
	"io"
)

// cursor is how far a directory was read. An entry's cookie is its number plus one; the entries of the last call are kept,
// since the one that was cut off is asked for again. A guest that goes further back makes the reading start anew.
type cursor struct {
	entries Entries
	// window holds the entries from number first on; what follows has not been read yet.
	window []Entry
	first  uint64
	atEnd  bool
}

const (
	direntSize = 24
	// maxWindow bounds the entries that are kept.
	maxWindow = 4096
)

func (c *cursor) close() {
	if c != nil && c.entries != nil {
		_ = c.entries.Close()
	}
}

func (c *Call) FdReaddir(fd, buffer, size uint32, cookie uint64, result uint32) Errno {
	d, errno := c.directory(fd, RightReaddir)
	if errno != Success {
		return errno
	}
	target, errno := c.bytes(buffer, size)
	if errno != Success {
		return errno
	}
	if _, errno := c.bytes(result, 4); errno != Success {
		return errno
	}
	if err := c.seek(d, cookie); err != nil {
		return readdirErrno(err)
	}
	used := 0
	for number := cookie; used < len(target); number++ {
		entry, err := d.cursor.at(number)
		if err == io.EOF {
			break
		}
		if err != nil {
			if used == 0 {
				return errnoOf(err)
			}
			break
		}
		used += putEntry(target[used:], number+1, entry)
	}
	return c.put32(result, uint32(used))
}

func readdirErrno(err error) Errno {
	if errors.Is(err, errEnded) {
		return stopped
	}
	return errnoOf(err)
}

// errEnded breaks off skipping many entries.
var errEnded = errors.New("the guest is to end")

// seek goes to an entry by its number.
func (c *Call) seek(d *descriptor, cookie uint64) error {
	if d.cursor == nil || cookie < d.cursor.first || cookie == 0 {
		self, err := d.dir.Stat(".", false)
		if err != nil {
			return err
		}
		entries, err := d.dir.Entries()
		if err != nil {
			return err
		}
		d.cursor.close()
		// What lies above is not the guest's to know.
		d.cursor = &cursor{entries: entries, window: []Entry{
			{Name: ".", Type: TypeDirectory, Inode: self.Inode}, {Name: "..", Type: TypeDirectory, Inode: self.Inode},
		}}
	}
	for number := d.cursor.first + uint64(len(d.cursor.window)); number < cookie; number++ {
		if number%1024 == 0 && c.isEnding() {
			return errEnded
		}
		if _, err := d.cursor.at(number); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// at is the entry with this number, which is not below the first.
func (c *cursor) at(number uint64) (Entry, error) {
	for number-c.first >= uint64(len(c.window)) {
		if c.atEnd {
			return Entry{}, io.EOF
		}
		entry, err := c.entries.Next()
		if err == io.EOF {
			c.atEnd = true
		}
		if err != nil {
			return Entry{}, err
		}
		if len(c.window) >= maxWindow {
			c.window = c.window[1:]
			c.first++
		}
		c.window = append(c.window, entry)
	}
	return c.window[number-c.first], nil
}

// putEntry writes as much of an entry as there is room for.
func putEntry(target []byte, next uint64, entry Entry) int {
	var header [direntSize]byte
	binary.LittleEndian.PutUint64(header[:], next)
	binary.LittleEndian.PutUint64(header[8:], entry.Inode)
	binary.LittleEndian.PutUint32(header[16:], uint32(len(entry.Name)))
	header[20] = byte(entry.Type)
	n := copy(target, header[:])
	return n + copy(target[n:], entry.Name)
}
