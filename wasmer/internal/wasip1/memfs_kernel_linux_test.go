package wasip1

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// kernelDir is an open directory of Linux: each operation is one system call. It keeps nothing within.
type kernelDir struct {
	Dir
	fd int
}

func openKernelDir(t testing.TB, path string) *kernelDir {
	t.Helper()
	fd, err := unix.Open(path, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	return &kernelDir{fd: fd}
}

// leadsOutside says whether the path does, of which the other operations take no notice.
func (d *kernelDir) leadsOutside(t testing.TB, path string, follow bool) bool {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH}
	if !follow {
		how.Flags |= unix.O_NOFOLLOW
	}
	for {
		fd, err := unix.Openat2(d.fd, path, &how)
		switch {
		case err == nil:
			require.NoError(t, unix.Close(fd))
			return false
		case err == unix.ENOSYS || err == unix.EPERM:
			t.Skip("the kernel has no openat2")
		case err != unix.EAGAIN:
			return err == unix.EXDEV
		}
	}
}

func (d *kernelDir) Open(path string, o OpenOptions) (File, Dir, error) {
	flags := unix.O_CLOEXEC
	switch {
	case o.Read && o.Write:
		flags |= unix.O_RDWR
	case o.Write:
		flags |= unix.O_WRONLY
	}
	for flag, set := range map[int]bool{
		unix.O_NOFOLLOW: !o.Follow, unix.O_DIRECTORY: o.Directory, unix.O_CREAT: o.Create, unix.O_EXCL: o.Create && o.Exclusive,
		unix.O_TRUNC: o.Truncate,
	} {
		if set {
			flags |= flag
		}
	}
	fd, err := unix.Openat(d.fd, path, flags, 0o644)
	if err == unix.ENOTDIR && o.Directory && !o.Follow {
		if link, _ := d.Stat(path, false); link.Type == TypeSymbolicLink {
			err = unix.ELOOP // as for all other links; here Linux makes an exception
		}
	}
	if err != nil {
		return nil, nil, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, nil, err
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		return nil, &kernelDir{fd: fd}, nil
	}
	return &kernelFile{fd: fd}, nil, nil
}

func (d *kernelDir) Stat(path string, follow bool) (Stat, error) {
	flags := 0
	if !follow {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	var stat unix.Stat_t
	if err := unix.Fstatat(d.fd, path, &stat, flags); err != nil {
		return Stat{}, err
	}
	types := map[uint32]FileType{unix.S_IFDIR: TypeDirectory, unix.S_IFREG: TypeRegular, unix.S_IFLNK: TypeSymbolicLink}
	return Stat{Type: types[stat.Mode&unix.S_IFMT], Links: uint64(stat.Nlink), Size: uint64(stat.Size), Inode: stat.Ino}, nil
}

func (d *kernelDir) MakeDir(path string) error   { return unix.Mkdirat(d.fd, path, 0o755) }
func (d *kernelDir) RemoveDir(path string) error { return unix.Unlinkat(d.fd, path, unix.AT_REMOVEDIR) }
func (d *kernelDir) Unlink(path string) error    { return unix.Unlinkat(d.fd, path, 0) }
func (d *kernelDir) Close() error                { return unix.Close(d.fd) }

func (d *kernelDir) Rename(path string, to Dir, newPath string) error {
	return unix.Renameat(d.fd, path, to.(*kernelDir).fd, newPath)
}

func (d *kernelDir) Link(path string, to Dir, newPath string) error {
	return unix.Linkat(d.fd, path, to.(*kernelDir).fd, newPath, 0)
}

func (d *kernelDir) Symlink(target, path string) error { return unix.Symlinkat(target, d.fd, path) }

func (d *kernelDir) ReadLink(path string) (string, error) {
	p := make([]byte, 4096)
	n, err := unix.Readlinkat(d.fd, path, p)
	if err != nil {
		return "", err
	}
	return string(p[:n]), nil
}

// Entries reads all at once.
func (d *kernelDir) Entries() (Entries, error) {
	fd, err := unix.Openat(d.fd, ".", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	entries := &kernelEntries{}
	for p := make([]byte, 1<<16); ; {
		n, err := unix.Getdents(fd, p)
		if err != nil || n == 0 {
			return entries, err
		}
		_, _, entries.names = unix.ParseDirent(p[:n], -1, entries.names)
	}
}

type kernelEntries struct{ names []string }

func (e *kernelEntries) Close() error { return nil }

func (e *kernelEntries) Next() (Entry, error) {
	if len(e.names) == 0 {
		return Entry{}, io.EOF
	}
	name := e.names[0]
	e.names = e.names[1:]
	return Entry{Name: name}, nil
}

type kernelFile struct {
	File
	fd int
}

func (f *kernelFile) Close() error                            { return unix.Close(f.fd) }
func (f *kernelFile) SetSize(size int64) error                { return unix.Ftruncate(f.fd, size) }
func (f *kernelFile) WriteAt(p []byte, at int64) (int, error) { return unix.Pwrite(f.fd, p, at) }

func (f *kernelFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := unix.Pread(f.fd, p, at)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return max(n, 0), err
}

func (f *kernelFile) Stat() (Stat, error) {
	var stat unix.Stat_t
	err := unix.Fstat(f.fd, &stat)
	return Stat{Type: TypeRegular, Links: uint64(stat.Nlink), Size: uint64(stat.Size)}, err
}
