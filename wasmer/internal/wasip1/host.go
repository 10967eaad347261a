package wasip1

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// hostDir is a folder of the host. os.Root finds the directories on the way to the last component of a path, and keeps
// them beneath; what is done there is done to a single name that is not followed, so that nobody who changes the tree at
// the same time leads it elsewhere.
type hostDir struct {
	root *os.Root
	self *os.File
}

// maxPath bounds the paths, maxLinks the symbolic links at their ends, as Linux does.
const (
	maxPath  = 4096
	maxLinks = 40
)

// OpenHost opens a folder of the host.
func OpenHost(path string) (Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return newHostDir(root)
}

func newHostDir(root *os.Root) (Dir, error) {
	self, err := root.Open(".")
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &hostDir{root: root, self: self}, nil
}

func (d *hostDir) Close() error { return errors.Join(d.self.Close(), d.root.Close()) }

// place is where an operation takes effect: a name, in an open directory.
type place struct {
	dir  int
	name string
	// path leads here from the hostDir.
	path string
	// directory says that the path ends in a slash, or is one that names a directory in any case.
	directory bool
}

// at resolves the path and does something there.
func (d *hostDir) at(path string, follow bool, do func(place) error) error {
	for range maxLinks {
		target, err := d.once(path, follow, do)
		if err != nil || target == "" {
			return err
		}
		path = target
	}
	return ELOOP
}

// once is at for a path without a symbolic link at its end; for one with it it gives the path to go on with.
func (d *hostDir) once(path string, follow bool, do func(place) error) (target string, err error) {
	if len(path) > maxPath {
		return "", ENAMETOOLONG
	}
	trimmed := strings.TrimRight(path, "/")
	if trimmed == "" || path[0] == '/' {
		return "", EPERM
	}
	directory := trimmed != path
	parent, name := "", trimmed
	if slash := strings.LastIndexByte(trimmed, '/'); slash >= 0 {
		parent, name = trimmed[:slash+1], trimmed[slash+1:]
	}
	if name == "." || name == ".." {
		parent, name, directory = trimmed, ".", true
	}
	dir := d.self
	if parent != "" && trimmed != "." {
		dir, err = d.root.OpenFile(strings.TrimRight(parent, "/"), os.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err != nil {
			return "", rootError(err)
		}
		defer dir.Close()
	}
	err = withFD(dir, func(fd int) error {
		if follow || directory {
			link, err := readLink(fd, name)
			if err == nil {
				target, err = onward(parent, link, directory)
				return err
			}
		}
		return do(place{fd, name, trimmed, directory})
	})
	return target, err
}

// onward is the path that a symbolic link stands for.
func onward(parent, link string, directory bool) (string, error) {
	if link == "" || link[0] == '/' {
		return "", EPERM
	}
	if directory {
		link += "/"
	}
	return parent + link, nil
}

// rootError makes EPERM of what os.Root says of a path that leads outside, for which it has no error of its own.
func rootError(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		var errno syscall.Errno
		if !errors.As(path.Err, &errno) && !errors.Is(err, os.ErrClosed) && !errors.Is(err, os.ErrInvalid) {
			return EPERM
		}
	}
	return err
}

// withFD keeps the file from being closed, and its number from being used for another file, while something is done.
func withFD(file *os.File, do func(fd int) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := conn.Control(func(fd uintptr) { result = do(int(fd)) }); err != nil {
		return err
	}
	return result
}

// again repeats a system call that a signal has broken off.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func readLink(dir int, name string) (string, error) {
	buffer := make([]byte, maxPath)
	var n int
	err := again(func() (err error) {
		n, err = unix.Readlinkat(dir, name, buffer)
		return err
	})
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

func (d *hostDir) Open(path string, o OpenOptions) (file File, dir Dir, err error) {
	err = d.at(path, o.Follow && !(o.Create && o.Exclusive), func(p place) error {
		file, dir, err = d.openAt(p, o)
		return err
	})
	return file, dir, err
}

func (d *hostDir) openAt(p place, o OpenOptions) (File, Dir, error) {
	// A pipe without a writer must not keep the thread.
	flags := unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	switch {
	case o.Read && o.Write:
		flags |= unix.O_RDWR
	case o.Write:
		flags |= unix.O_WRONLY
	}
	if o.Directory || p.directory && !o.Create {
		flags |= unix.O_DIRECTORY
	}
	if o.Create {
		if p.directory {
			return nil, nil, EISDIR
		}
		flags |= unix.O_CREAT
		if o.Exclusive {
			flags |= unix.O_EXCL
		}
	}
	if o.Truncate {
		flags |= unix.O_TRUNC
	}
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Openat(p.dir, p.name, flags, 0o666)
		return err
	})
	if err != nil {
		return nil, nil, linkError(p, o, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		_ = unix.Close(fd)
		return nil, nil, err
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		dir, err := d.adopt(fd, p, &stat)
		return nil, dir, err
	case unix.S_IFREG:
		if err := unix.SetNonblock(fd, false); err != nil {
			_ = unix.Close(fd)
			return nil, nil, err
		}
		return &hostFile{file: os.NewFile(uintptr(fd), p.name)}, nil, nil
	}
	return &hostStream{hostFile{file: os.NewFile(uintptr(fd), p.name)}}, nil, nil
}

// linkError tells a symbolic link at the end of a path from other reasons not to open it. Of a link that was asked for as a
// directory the system says ENOTDIR.
func linkError(p place, o OpenOptions, err error) error {
	if errors.Is(err, unix.ENOTDIR) && o.Directory {
		if _, notLink := readLink(p.dir, p.name); notLink == nil {
			return ELOOP
		}
	}
	return err
}

// adopt makes a Dir of its own of an open directory. os.Root opens by path only: what it finds there must be the same.
func (d *hostDir) adopt(fd int, p place, stat *unix.Stat_t) (Dir, error) {
	self := os.NewFile(uintptr(fd), p.name)
	root, err := d.root.OpenRoot(p.path)
	if err != nil {
		_ = self.Close()
		return nil, rootError(err)
	}
	sub := &hostDir{root: root, self: self}
	found, err := root.Stat(".")
	if err == nil {
		if system, ok := found.Sys().(*syscall.Stat_t); !ok || system.Ino != stat.Ino || system.Dev != stat.Dev {
			err = EAGAIN // somebody has put another one in its place
		}
	}
	if err != nil {
		_ = sub.Close()
		return nil, err
	}
	return sub, nil
}

func (d *hostDir) Stat(path string, follow bool) (stat Stat, err error) {
	err = d.at(path, follow, func(p place) error {
		var system unix.Stat_t
		err := again(func() error { return unix.Fstatat(p.dir, p.name, &system, unix.AT_SYMLINK_NOFOLLOW) })
		stat = statOf(&system)
		if err == nil && p.directory && stat.Type != TypeDirectory {
			return ENOTDIR
		}
		return err
	})
	return stat, err
}

func (d *hostDir) SetTimes(path string, follow bool, times Times) error {
	return d.at(path, follow, func(p place) error {
		return again(func() error {
			return unix.UtimesNanoAt(p.dir, p.name, times.system(), unix.AT_SYMLINK_NOFOLLOW)
		})
	})
}

func (d *hostDir) MakeDir(path string) error {
	// A trailing slash is fine here, and a link at the end is what exists already.
	return d.at(strings.TrimRight(path, "/"), false, func(p place) error {
		return again(func() error { return unix.Mkdirat(p.dir, p.name, 0o777) })
	})
}

func (d *hostDir) RemoveDir(path string) error {
	return d.at(path, false, func(p place) error {
		return again(func() error { return unix.Unlinkat(p.dir, p.name, unix.AT_REMOVEDIR) })
	})
}

func (d *hostDir) Unlink(path string) error {
	return d.at(path, false, func(p place) error {
		if p.directory {
			return notUnlinkable(p)
		}
		err := again(func() error { return unix.Unlinkat(p.dir, p.name, 0) })
		if errors.Is(err, unix.EPERM) { // what POSIX has for directories, where Linux has EISDIR
			err = errors.Join(notUnlinkable(p), err)
		}
		return err
	})
}

// notUnlinkable says why a path with a trailing slash cannot be unlinked.
func notUnlinkable(p place) error {
	var stat unix.Stat_t
	err := again(func() error { return unix.Fstatat(p.dir, p.name, &stat, unix.AT_SYMLINK_NOFOLLOW) })
	switch {
	case err != nil:
		return err
	case stat.Mode&unix.S_IFMT == unix.S_IFDIR:
		return EISDIR
	case p.directory:
		return ENOTDIR
	}
	return nil
}

// between does something to two places, neither of which is followed.
func (d *hostDir) between(path string, to Dir, newPath string, do func(from, to place) error) error {
	target, ok := to.(*hostDir)
	if !ok {
		return EXDEV
	}
	return d.at(path, false, func(from place) error {
		return target.at(newPath, false, func(to place) error {
			if from.name == "." || to.name == "." {
				return EBUSY
			}
			return again(func() error { return do(from, to) })
		})
	})
}

func (d *hostDir) Rename(path string, to Dir, newPath string) error {
	return d.between(path, to, newPath, func(from, to place) error {
		if from.directory || to.directory {
			var stat unix.Stat_t
			if err := unix.Fstatat(from.dir, from.name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return err
			}
			if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
				return ENOTDIR
			}
		}
		return unix.Renameat(from.dir, from.name, to.dir, to.name)
	})
}

func (d *hostDir) Link(path string, to Dir, newPath string) error {
	return d.between(path, to, newPath, func(from, to place) error {
		if from.directory || to.directory {
			// Directories have no hard links, and a trailing slash asks for one.
			var stat unix.Stat_t
			if err := unix.Fstatat(from.dir, from.name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return err
			}
			if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
				return EPERM
			}
			if from.directory {
				return ENOTDIR
			}
			return ENOENT
		}
		return unix.Linkat(from.dir, from.name, to.dir, to.name, 0)
	})
}

func (d *hostDir) Symlink(target, path string) error {
	if target == "" {
		return ENOENT
	}
	if target[0] == '/' {
		return EPERM
	}
	return d.at(strings.TrimRight(path, "/"), false, func(p place) error {
		if strings.HasSuffix(path, "/") {
			if _, err := d.Stat(strings.TrimRight(path, "/"), false); err == nil {
				return EEXIST
			}
			return ENOENT
		}
		return again(func() error { return unix.Symlinkat(target, p.dir, p.name) })
	})
}

func (d *hostDir) ReadLink(path string) (target string, err error) {
	err = d.at(path, false, func(p place) error {
		if p.directory {
			return EINVAL
		}
		target, err = readLink(p.dir, p.name)
		return err
	})
	return target, err
}

func (d *hostDir) Sync() error { return d.self.Sync() }
