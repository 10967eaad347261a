package wasip1

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// hostFile is a regular file of the host.
type hostFile struct {
	file *os.File
}

func (f *hostFile) Close() error { return f.file.Close() }

func (f *hostFile) Stat() (stat Stat, err error) {
	err = withFD(f.file, func(fd int) error {
		var system unix.Stat_t
		err := again(func() error { return unix.Fstat(fd, &system) })
		stat = statOf(&system)
		return err
	})
	return stat, err
}

func (f *hostFile) SetTimes(times Times) error {
	return withFD(f.file, func(fd int) error { return setTimes(fd, times) })
}

// ReadAt is one call of the system, where that of os.File asks again after a short read.
func (f *hostFile) ReadAt(p []byte, offset int64) (n int, err error) {
	err = withFD(f.file, func(fd int) error {
		return again(func() error {
			n, err = unix.Pread(fd, p, offset)
			return err
		})
	})
	if err == nil && n == 0 && len(p) > 0 {
		err = io.EOF
	}
	return max(n, 0), err
}

func (f *hostFile) WriteAt(p []byte, offset int64) (int, error) { return f.file.WriteAt(p, offset) }

func (f *hostFile) SetSize(size int64) error { return f.file.Truncate(size) }

func (f *hostFile) Sync(dataOnly bool) error {
	if !dataOnly {
		return f.file.Sync()
	}
	return withFD(f.file, func(fd int) error { return again(func() error { return syncData(fd) }) })
}

func (f *hostFile) Append(p []byte) (n int, err error) {
	err = withFD(f.file, func(fd int) error {
		n, err = appendTo(fd, p)
		return err
	})
	return n, err
}

func (f *hostFile) Allocate(offset, n int64) error {
	return withFD(f.file, func(fd int) error { return again(func() error { return allocate(fd, offset, n) }) })
}

// hostStream is a pipe, a terminal or the like.
type hostStream struct{ hostFile }

func (f *hostStream) Read(p []byte) (int, error)  { return f.file.Read(p) }
func (f *hostStream) Write(p []byte) (int, error) { return f.file.Write(p) }

func (f *hostStream) ReadAt([]byte, int64) (int, error)  { return 0, ESPIPE }
func (f *hostStream) WriteAt([]byte, int64) (int, error) { return 0, ESPIPE }

// system is the form in which the operating system takes times.
func (t Times) system() []unix.Timespec {
	times := []unix.Timespec{{Nsec: utimeOmit}, {Nsec: utimeOmit}}
	if t.Accessed != nil {
		times[0] = unix.NsecToTimespec(t.Accessed.UnixNano())
	}
	if t.Modified != nil {
		times[1] = unix.NsecToTimespec(t.Modified.UnixNano())
	}
	return times
}

// extend makes a file longer, without room on the disk for it.
func extend(fd int, size int64) error {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || stat.Size >= size {
		return err
	}
	return unix.Ftruncate(fd, size)
}

func statOf(s *unix.Stat_t) Stat {
	return Stat{
		Device: uint64(s.Dev), Inode: s.Ino, Type: typeOf(uint32(s.Mode)), Links: uint64(s.Nlink), Size: uint64(s.Size),
		Accessed: s.Atim.Nano(), Modified: s.Mtim.Nano(), Changed: s.Ctim.Nano(),
	}
}

func typeOf(mode uint32) FileType {
	switch mode & unix.S_IFMT {
	case unix.S_IFBLK:
		return TypeBlockDevice
	case unix.S_IFCHR:
		return TypeCharacterDevice
	case unix.S_IFDIR:
		return TypeDirectory
	case unix.S_IFREG:
		return TypeRegular
	case unix.S_IFSOCK:
		return TypeSocketStream
	case unix.S_IFLNK:
		return TypeSymbolicLink
	}
	return TypeUnknown
}
