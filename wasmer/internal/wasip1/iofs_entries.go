package wasip1

import (
	"io"
	"io/fs"
	"path"
	"strings"
)

// ioEntries reads a directory in windows.
type ioEntries struct {
	path   string
	dir    fs.ReadDirFile // nil if the window is all there is
	window []fs.DirEntry
	err    error
}

const entriesAtOnce = 128

func (d *ioDir) Entries() (Entries, error) {
	if d.closed.Load() {
		return nil, EBADF
	}
	file, err := d.fs.open(d.node)
	if err != nil {
		return nil, err
	}
	if dir, ok := file.(fs.ReadDirFile); ok {
		return &ioEntries{path: d.node.path, dir: dir}, nil
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	all, err := fs.ReadDir(d.fs.fsys, d.node.path)
	if err != nil {
		return nil, err
	}
	return &ioEntries{path: d.node.path, window: all, err: io.EOF}, nil
}

func (e *ioEntries) Next() (Entry, error) {
	for {
		if len(e.window) == 0 {
			if err := e.fill(); err != nil {
				return Entry{}, err
			}
		}
		entry := e.window[0]
		e.window = e.window[1:]
		if isName(entry.Name()) {
			inode := inodeOf(path.Join(e.path, entry.Name()))
			return Entry{Name: entry.Name(), Type: fileTypeOf(entry.Type()), Inode: inode}, nil
		}
	}
}

// isName says whether a path may hold the name: a file system may be made from an archive by anyone.
func isName(name string) bool {
	return fs.ValidPath(name) && name != "." && !strings.Contains(name, "/")
}

func (e *ioEntries) fill() error {
	if e.err == nil {
		e.window, e.err = e.dir.ReadDir(entriesAtOnce)
		if len(e.window) == 0 && e.err == nil {
			e.err = io.EOF
		}
	}
	if len(e.window) == 0 {
		return e.err
	}
	return nil
}

func (e *ioEntries) Close() error {
	e.window, e.err = nil, EBADF
	if e.dir == nil {
		return nil
	}
	return e.dir.Close()
}
