package wasip1

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// place is where an operation takes effect: a name, in an open directory.
type place struct {
	dir  int
	name string
	// path leads here from the hostDir.
	path string
	// directory says that the path ends in a slash, or is one that names a directory in any case.
	directory bool
}

// at resolves the path and does something there. With follow, a symbolic link at the end stands for its target.
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
		if follow {
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

// isDirectory is ENOTDIR for what is something else.
func (p place) isDirectory() error {
	var stat unix.Stat_t
	err := again(func() error { return unix.Fstatat(p.dir, p.name, &stat, unix.AT_SYMLINK_NOFOLLOW) })
	if err == nil && stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = ENOTDIR
	}
	return err
}

func endsInSlash(path string) bool { return strings.HasSuffix(path, "/") }

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
	if conn.Control(func(fd uintptr) { result = do(int(fd)) }) != nil {
		return EBADF // it was closed
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
