package wasip1

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	utimeOmit = -2
	// pipeBuffer is what a pipe takes at once that has room.
	pipeBuffer = 512
)

func setTimes(fd int, times Times) error {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	accessed, modified := stat.Atim, stat.Mtim
	if times.Accessed != nil {
		accessed = unix.NsecToTimespec(times.Accessed.UnixNano())
	}
	if times.Modified != nil {
		modified = unix.NsecToTimespec(times.Modified.UnixNano())
	}
	return again(func() error {
		return unix.Futimes(fd, []unix.Timeval{
			unix.NsecToTimeval(accessed.Nano()), unix.NsecToTimeval(modified.Nano()),
		})
	})
}

func syncData(fd int) error { return unix.Fsync(fd) }

// appendTo writes at the end. Another process that does the same at the same moment may be overwritten.
func appendTo(fd int, p []byte) (int, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, err
	}
	n, err := unix.Pwrite(fd, p, stat.Size)
	return max(n, 0), err
}

func allocate(fd int, offset, n int64) error { return extend(fd, offset+n) }

// hostEntries reads a directory in steps of a few entries.
type hostEntries struct {
	file *os.File
	rest []fs.DirEntry
}

func (d *hostDir) Entries() (Entries, error) {
	file, err := d.root.Open(".")
	if err != nil {
		return nil, rootError(err)
	}
	return &hostEntries{file: file}, nil
}

func (e *hostEntries) Close() error { return e.file.Close() }

func (e *hostEntries) Next() (Entry, error) {
	if len(e.rest) == 0 {
		rest, err := e.file.ReadDir(128)
		if err != nil {
			return Entry{}, err
		}
		e.rest = rest
	}
	entry := Entry{Name: e.rest[0].Name()}
	e.rest = e.rest[1:]
	var stat unix.Stat_t
	err := withFD(e.file, func(fd int) error {
		return unix.Fstatat(fd, entry.Name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err == nil { // else it is gone by now
		entry.Inode, entry.Type = stat.Ino, typeOf(uint32(stat.Mode))
	}
	return entry, nil
}
