package wasip1

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// A MemFS is a file system of Go for the host, which may change it besides. Nothing has permissions in it.
var (
	_ fs.StatFS     = (*MemFS)(nil)
	_ fs.ReadDirFS  = (*MemFS)(nil)
	_ fs.ReadFileFS = (*MemFS)(nil)
	_ fs.ReadLinkFS = (*MemFS)(nil)
)

// at does something in the root. The error is one as package os has it.
func (m *MemFS) at(op, name string, do func(root *memDir) error) error {
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	root := m.rootDir()
	defer root.Close()
	return systemError(op, name, do(root))
}

// systemError makes what package os would return of an error number.
func systemError(op, name string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	errno := errnoOf(err)
	if errno == EBADF {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrClosed}
	}
	if system, ok := systemErrors()[errno]; ok {
		return &fs.PathError{Op: op, Path: name, Err: system}
	}
	return &fs.PathError{Op: op, Path: name, Err: errno}
}

var systemErrors = sync.OnceValue(func() map[Errno]syscall.Errno {
	errors := map[Errno]syscall.Errno{}
	for system, errno := range fromSystem {
		errors[errno] = system
	}
	return errors
})

// Open opens a file or a directory for reading. Symbolic links are followed, as everywhere but in Lstat and ReadLink, but never
// out of the file system. A file can be read at any offset, and it can seek.
func (m *MemFS) Open(name string) (opened fs.File, err error) {
	err = m.at("open", name, func(root *memDir) error {
		opened, err = root.openForHost(name)
		return err
	})
	return opened, err
}

func (d *memDir) openForHost(name string) (fs.File, error) {
	file, dir, err := d.Open(name, OpenOptions{Read: true, Follow: true})
	switch {
	case err != nil:
		return nil, err
	case file != nil:
		return &memHostFile{name: name, file: file.(*memFile)}, nil
	}
	return newMemHostDir(name, dir.(*memDir)), nil
}

// Stat is what is known of a file.
func (m *MemFS) Stat(name string) (fs.FileInfo, error) { return m.statAt("stat", name, true) }

// Lstat is Stat of a symbolic link itself.
func (m *MemFS) Lstat(name string) (fs.FileInfo, error) { return m.statAt("lstat", name, false) }

func (m *MemFS) statAt(op, name string, follow bool) (info fs.FileInfo, err error) {
	err = m.at(op, name, func(root *memDir) error {
		stat, err := root.Stat(name, follow)
		if err == nil {
			info = memInfo{path.Base(name), stat}
		}
		return err
	})
	return info, err
}

// ReadLink is the target of a symbolic link.
func (m *MemFS) ReadLink(name string) (target string, err error) {
	err = m.at("readlink", name, func(root *memDir) error {
		target, err = root.ReadLink(name)
		return err
	})
	return target, err
}

// ReadDir reads a directory, sorted by name.
func (m *MemFS) ReadDir(name string) (entries []fs.DirEntry, err error) {
	err = m.at("readdir", name, func(root *memDir) error {
		_, dir, err := root.Open(name, OpenOptions{Directory: true, Follow: true})
		if err != nil {
			return err
		}
		opened := newMemHostDir(name, dir.(*memDir))
		defer opened.Close()
		entries, err = opened.ReadDir(-1)
		return err
	})
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// ReadFile reads a whole file.
func (m *MemFS) ReadFile(name string) (data []byte, err error) {
	err = m.at("open", name, func(root *memDir) error {
		file, _, err := root.Open(name, OpenOptions{Read: true, Follow: true})
		switch {
		case err != nil:
			return err
		case file == nil:
			return EISDIR
		}
		defer file.Close()
		data, err = file.(*memFile).readAll()
		return err
	})
	return data, err
}

// readAll reads what there is at one moment.
func (f *memFile) readAll() (data []byte, err error) {
	err = f.view(f.read, func() error {
		data = make([]byte, f.node.data.size)
		f.node.data.readAt(data, 0)
		return nil
	})
	return data, err
}

// WriteFile makes a file of the data, or replaces what is in it. The directory must be there.
func (m *MemFS) WriteFile(name string, data []byte) error {
	return m.at("open", name, func(root *memDir) error {
		file, _, err := root.Open(name, OpenOptions{Write: true, Follow: true, Create: true, Truncate: true})
		if err != nil {
			return err
		}
		defer file.Close()
		for offset := 0; offset < len(data); {
			n, err := file.WriteAt(data[offset:], int64(offset))
			if err != nil {
				return err
			}
			offset += n
		}
		return nil
	})
}

// MkdirAll makes a directory, and those on the way to it, as far as they are not there.
func (m *MemFS) MkdirAll(name string) error {
	return m.at("mkdir", name, func(root *memDir) error {
		for i := range len(name) + 1 {
			if i < len(name) && name[i] != '/' {
				continue
			}
			if err := root.MakeDir(name[:i]); err != nil && errnoOf(err) != EEXIST {
				return err
			}
		}
		_, err := root.Stat(name+"/", true)
		return err
	})
}

// Remove removes a file, a symbolic link or an empty directory.
func (m *MemFS) Remove(name string) error {
	return m.at("remove", name, func(root *memDir) error {
		err := root.Unlink(name)
		if errnoOf(err) == EISDIR {
			return root.RemoveDir(name)
		}
		return err
	})
}
