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

func (d *hostDir) Open(path string, o OpenOptions) (file File, dir Dir, err error) {
	follow := o.Follow && !(o.Create && o.Exclusive) || endsInSlash(path) && !o.Create
	err = d.at(path, follow, func(p place) error {
		file, dir, err = d.openAt(p, o)
		return err
	})
	return file, dir, err
}

func (d *hostDir) openAt(p place, o OpenOptions) (File, Dir, error) {
	// A pipe without a writer must not keep the thread, nor a file of the kernel's that waits for something to happen.
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
		switch {
		case p.name == "." && o.Exclusive:
			return nil, nil, EEXIST
		case p.directory:
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
	// With the dot, a pipe that has come in its place is not waited for.
	root, err := d.root.OpenRoot(p.path + "/.")
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
	err = d.at(path, follow || endsInSlash(path), func(p place) error {
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
	return d.at(path, follow || endsInSlash(path), func(p place) error {
		if p.directory {
			if err := p.isDirectory(); err != nil {
				return err
			}
		}
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
		if errors.Is(err, unix.EPERM) && p.isDirectory() == nil {
			return EISDIR // POSIX has EPERM for directories
		}
		return err
	})
}

// notUnlinkable says why a path with a trailing slash cannot be unlinked.
func notUnlinkable(p place) error {
	if err := p.isDirectory(); err != nil {
		return err
	}
	return EISDIR
}

// between does something to two places, neither of which is followed.
func (d *hostDir) between(path string, to Dir, newPath string, do func(from, to place) error) error {
	target, ok := to.(*hostDir)
	if !ok {
		return EXDEV
	}
	return d.at(path, false, func(from place) error {
		return target.at(newPath, false, func(to place) error {
			return again(func() error { return do(from, to) })
		})
	})
}

func (d *hostDir) Rename(path string, to Dir, newPath string) error {
	return d.between(path, to, newPath, func(from, to place) error {
		if from.name == "." || to.name == "." {
			return EBUSY
		}
		if from.directory || to.directory {
			if err := from.isDirectory(); err != nil {
				return err
			}
		}
		return unix.Renameat(from.dir, from.name, to.dir, to.name)
	})
}

func (d *hostDir) Link(path string, to Dir, newPath string) error {
	return d.between(path, to, newPath, func(from, to place) error {
		if to.directory {
			if err := to.isDirectory(); err != nil && !errors.Is(err, ENOTDIR) {
				return err
			}
			return EEXIST
		}
		if from.directory {
			if err := from.isDirectory(); err != nil {
				return err
			}
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
		if endsInSlash(path) {
			if _, err := d.Stat(strings.TrimRight(path, "/"), false); err == nil {
				return EEXIST
			}
			return ENOENT
		}
		return again(func() error { return unix.Symlinkat(target, p.dir, p.name) })
	})
}

func (d *hostDir) ReadLink(path string) (target string, err error) {
	err = d.at(path, endsInSlash(path), func(p place) error {
		if p.directory {
			return EINVAL
		}
		target, err = readLink(p.dir, p.name)
		return err
	})
	return target, err
}

func (d *hostDir) Sync() error { return d.self.Sync() }
