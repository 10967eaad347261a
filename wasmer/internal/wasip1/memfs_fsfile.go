package wasip1

import (
	"io"
	"io/fs"
	"path"
	"sync"
	"time"
)

// memHostFile is a file of a MemFS that the host has open.
type memHostFile struct {
	name     string
	file     *memFile
	mu       sync.Mutex
	position int64
}

func (f *memHostFile) Stat() (fs.FileInfo, error) {
	stat, err := f.file.Stat()
	return memInfo{path.Base(f.name), stat}, systemError("stat", f.name, err)
}

func (f *memHostFile) Close() error { return systemError("close", f.name, f.file.Close()) }

func (f *memHostFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.file.ReadAt(p, f.position)
	f.position += int64(n)
	return n, systemError("read", f.name, err)
}

// ReadAt reads all that was asked for, unless it is past the end.
func (f *memHostFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.file.ReadAt(p, offset)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, systemError("read", f.name, err)
}

func (f *memHostFile) Seek(offset int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stat, err := f.file.Stat()
	if err != nil {
		return 0, systemError("seek", f.name, err)
	}
	switch whence {
	case io.SeekCurrent:
		offset += f.position
	case io.SeekEnd:
		offset += int64(stat.Size)
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, systemError("seek", f.name, EINVAL)
	}
	f.position = offset
	return offset, nil
}

// memHostDir is a directory of a MemFS that the host has open.
type memHostDir struct {
	name string
	dir  *memDir
	// mu guards the cursor.
	mu     sync.Mutex
	cursor memCursor
}

func newMemHostDir(name string, dir *memDir) *memHostDir {
	return &memHostDir{name: name, dir: dir, cursor: memCursor{tree: &dir.fs.tree, node: dir.node}}
}

func (d *memHostDir) Stat() (fs.FileInfo, error) {
	stat, err := d.dir.Stat(".", false)
	return memInfo{path.Base(d.name), stat}, systemError("stat", d.name, err)
}

func (d *memHostDir) Read([]byte) (int, error) { return 0, systemError("read", d.name, EISDIR) }

func (d *memHostDir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return systemError("close", d.name, d.dir.Close())
}

func (d *memHostDir) ReadDir(n int) ([]fs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.dir.Sync(); err != nil {
		return nil, systemError("readdir", d.name, err)
	}
	entries := []fs.DirEntry{}
	for n <= 0 || len(entries) < n {
		name, node, err := d.cursor.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return entries, systemError("readdir", d.name, err)
		}
		entries = append(entries, memHostEntry{name, node, d.dir.fs})
	}
	if n > 0 && len(entries) == 0 {
		return nil, io.EOF
	}
	return entries, nil
}

// memHostEntry is an entry of a directory.
type memHostEntry struct {
	name string
	node *memNode
	fs   *MemFS
}

func (e memHostEntry) Name() string      { return e.name }
func (e memHostEntry) IsDir() bool       { return e.node.fileType == TypeDirectory }
func (e memHostEntry) Type() fs.FileMode { return modeOf(e.node.fileType).Type() }
func (e memHostEntry) String() string    { return fs.FormatDirEntry(e) }

func (e memHostEntry) Info() (fs.FileInfo, error) {
	e.fs.tree.RLock()
	defer e.fs.tree.RUnlock()
	if e.node.names == 0 {
		return nil, systemError("lstat", e.name, ENOENT)
	}
	return memInfo{e.name, e.fs.stat(e.node)}, nil
}

// memInfo is what is known of a file.
type memInfo struct {
	name string
	stat Stat
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return int64(i.stat.Size) }
func (i memInfo) Mode() fs.FileMode  { return modeOf(i.stat.Type) }
func (i memInfo) ModTime() time.Time { return time.Unix(0, i.stat.Modified) }
func (i memInfo) IsDir() bool        { return i.stat.Type == TypeDirectory }
func (i memInfo) Sys() any           { return nil }
func (i memInfo) String() string     { return fs.FormatFileInfo(i) }

func modeOf(fileType FileType) fs.FileMode {
	switch fileType {
	case TypeDirectory:
		return fs.ModeDir | 0o755
	case TypeSymbolicLink:
		return fs.ModeSymlink | 0o777
	}
	return 0o644
}
