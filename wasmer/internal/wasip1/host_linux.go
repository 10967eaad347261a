package wasip1

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	utimeOmit = unix.UTIME_OMIT
	// pipeBuffer is what a pipe takes at once that has room.
	pipeBuffer = 4096
)

func setTimes(fd int, times Times) error {
	system := times.system()
	return again(func() error {
		// Without a path the times are those of the open file.
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&system[0])), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}

func syncData(fd int) error { return unix.Fdatasync(fd) }

// appendTo writes at the end in one step, also beside other processes.
func appendTo(fd int, p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = again(func() error {
		n, err = unix.Pwritev2(fd, [][]byte{p}, 0, unix.RWF_APPEND)
		return err
	})
	return max(n, 0), err
}

func allocate(fd int, offset, n int64) error {
	err := unix.Fallocate(fd, 0, offset, n)
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	return extend(fd, offset+n)
}

// hostEntries reads the records of getdents64, which hold the inodes: os.File.ReadDir leaves them out, and asks for them
// by path.
type hostEntries struct {
	file   *os.File
	buffer []byte
	rest   []byte
}

func (d *hostDir) Entries() (Entries, error) {
	file, err := d.root.Open(".")
	if err != nil {
		return nil, rootError(err)
	}
	return &hostEntries{file: file, buffer: make([]byte, 16<<10)}, nil
}

func (e *hostEntries) Close() error { return e.file.Close() }

func (e *hostEntries) Next() (Entry, error) {
	for {
		if len(e.rest) == 0 {
			if err := e.fill(); err != nil {
				return Entry{}, err
			}
		}
		// A record is shorter than a unix.Dirent, which has room for the longest name.
		var layout unix.Dirent
		record := e.rest[:binary.NativeEndian.Uint16(e.rest[unsafe.Offsetof(layout.Reclen):])]
		entry := Entry{
			Name:  untilNUL(record[unsafe.Offsetof(layout.Name):]),
			Type:  entryType(record[unsafe.Offsetof(layout.Type)]),
			Inode: binary.NativeEndian.Uint64(record[unsafe.Offsetof(layout.Ino):]),
		}
		e.rest = e.rest[len(record):]
		if entry.Name != "." && entry.Name != ".." {
			return entry, nil
		}
	}
}

func (e *hostEntries) fill() error {
	return withFD(e.file, func(fd int) error {
		var n int
		err := again(func() (err error) {
			n, err = unix.Getdents(fd, e.buffer)
			return err
		})
		if err == nil && n == 0 {
			err = io.EOF
		}
		e.rest = e.buffer[:max(n, 0)]
		return err
	})
}

func untilNUL(name []byte) string {
	for i, c := range name {
		if c == 0 {
			return string(name[:i])
		}
	}
	return string(name)
}

func entryType(t uint8) FileType {
	// The types of entries are the mode's highest bits.
	return typeOf(uint32(t) << 12)
}
