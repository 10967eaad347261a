package wasip1

import (
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"sync/atomic"
)

// NewFS is the root of a file system of Go. It cannot be changed: that is EROFS. Paths lead through it name by name, and
// symbolic links are read and followed here, so that the file system is never asked for one. One that changes at the same
// time, such as os.DirFS, may still put a link where there was a directory: such folders are better opened with OpenHost.
func NewFS(fsys fs.FS) Dir {
	return &ioDir{fs: &ioFS{fsys: fsys, device: newDevice()}, node: ioNode{path: "."}}
}

// HostFolder is the folder of the host that the file system is, made by os.DirFS, or by fs.Sub of such a one. It looks into
// types that Go does not export; should these ever change, no folder is recognised.
func HostFolder(fsys fs.FS) (folder string, ok bool) {
	value, below := reflect.ValueOf(fsys), "."
	for value.IsValid() && value.Type() == subType {
		inner, dir := value.Elem().FieldByName("fsys"), value.Elem().FieldByName("dir")
		if inner.Kind() != reflect.Interface || dir.Kind() != reflect.String {
			return "", false
		}
		value, below = inner.Elem(), path.Join(dir.String(), below)
	}
	if !value.IsValid() || value.Type() != dirFSType || value.Kind() != reflect.String || value.Len() == 0 {
		return "", false
	}
	return inFolder(value.String(), below)
}

// inFolder joins as os.DirFS does: the folder stays as it is, for ".." may follow a symbolic link in it.
func inFolder(folder, name string) (string, bool) {
	name, err := filepath.Localize(name)
	switch {
	case err != nil:
		return "", false
	case name == ".":
		return folder, true
	case os.IsPathSeparator(folder[len(folder)-1]):
		return folder + name, true
	}
	return folder + string(filepath.Separator) + name, true
}

var (
	dirFSType = reflect.TypeOf(os.DirFS("."))
	subType   = reflect.TypeOf(sub(os.DirFS(".")))
)

func sub(fsys fs.FS) fs.FS {
	sub, _ := fs.Sub(fsys, "sub") // a valid name is no error
	return sub
}

// ioFS is a file system of Go as a tree.
type ioFS struct {
	fsys   fs.FS
	device uint64
}

// ioNode is what there is at a path. The info of the directory where a path starts is nil.
type ioNode struct {
	path string
	info fs.FileInfo
}

func (f *ioFS) child(directory ioNode, name string) (ioNode, error) {
	path := path.Join(directory.path, name)
	if !fs.ValidPath(path) {
		return ioNode{}, EILSEQ // all names are valid, unless they are not in UTF-8
	}
	info, err := fs.Lstat(f.fsys, path)
	if _, ok := f.fsys.(fs.ReadLinkFS); err == nil && !ok && os.SameFile(info, info) {
		// A folder of the host that hides behind another type: without ReadLinkFS, a link was followed.
		info, err = f.entry(directory.path, name)
	}
	return ioNode{path, info}, err
}

// entry finds what a directory holds among all its entries, which do not follow links.
func (f *ioFS) entry(directory, name string) (fs.FileInfo, error) {
	entries, err := fs.ReadDir(f.fsys, path.Clean(directory))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Name() == name {
			return entry.Info()
		}
	}
	return nil, ENOENT
}

func (f *ioFS) fileType(n ioNode) FileType {
	if n.info == nil {
		return TypeDirectory
	}
	return fileTypeOf(n.info.Mode())
}

// target is EACCES for a link in a file system that cannot read it, such as that of a ZIP archive.
func (f *ioFS) target(n ioNode) (string, error) {
	links, ok := f.fsys.(fs.ReadLinkFS)
	if !ok {
		return "", EACCES
	}
	return links.ReadLink(n.path)
}

func fileTypeOf(mode fs.FileMode) FileType {
	switch mode.Type() {
	case 0:
		return TypeRegular
	case fs.ModeDir:
		return TypeDirectory
	case fs.ModeSymlink:
		return TypeSymbolicLink
	case fs.ModeDevice:
		return TypeBlockDevice
	case fs.ModeDevice | fs.ModeCharDevice:
		return TypeCharacterDevice
	case fs.ModeSocket:
		return TypeSocketStream
	}
	return TypeUnknown
}

// open opens what was found, and makes sure of it as far as can be.
func (f *ioFS) open(n ioNode) (fs.File, error) {
	file, err := f.fsys.Open(n.path)
	if err != nil || n.info == nil {
		return file, err
	}
	info, err := file.Stat()
	if err == nil && !same(n.info, info) {
		err = ESTALE
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// same says whether both are of one file; for files that are not of the host, whether they are of one kind.
func same(found, opened fs.FileInfo) bool {
	if os.SameFile(found, found) {
		return os.SameFile(found, opened)
	}
	return found.Mode().Type() == opened.Mode().Type()
}

// inodeOf is a number for a path: file systems of Go have none.
func inodeOf(path string) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(path))
	return max(hash.Sum64(), 1)
}

func (f *ioFS) stat(path string, info fs.FileInfo) Stat {
	modified := info.ModTime().UnixNano()
	if info.ModTime().IsZero() {
		modified = 0 // it is not known, and too long ago for nanoseconds
	}
	return Stat{
		Device: f.device, Inode: inodeOf(path), Type: fileTypeOf(info.Mode()), Links: 1, Size: uint64(max(info.Size(), 0)),
		Accessed: modified, Modified: modified, Changed: modified,
	}
}

// ioDir is an open directory of a file system of Go. It holds nothing open.
type ioDir struct {
	unchanging
	fs     *ioFS
	node   ioNode
	closed atomic.Bool
}

// start is where paths start. What was known of the directory when it was opened may have changed.
func (d *ioDir) start() ioNode { return ioNode{path: d.node.path} }

func (d *ioDir) find(path string, follow bool) (ioNode, error) {
	if d.closed.Load() {
		return ioNode{}, EBADF
	}
	node, err := find(d.fs, d.start(), path, follow)
	if err == nil && node.info == nil { // it is the directory itself, where the path starts
		node.info, err = fs.Stat(d.fs.fsys, node.path)
	}
	return node, err
}

func (d *ioDir) Open(path string, o OpenOptions) (File, Dir, error) {
	if d.closed.Load() {
		return nil, nil, EBADF
	}
	end, err := findToOpen(d.fs, d.start(), path, o)
	switch {
	case err != nil:
		return nil, nil, err
	case !end.found:
		return nil, nil, EROFS
	}
	switch d.fs.fileType(end.node) {
	case TypeDirectory:
		return nil, &ioDir{fs: d.fs, node: end.node}, nil
	case TypeRegular:
		if o.Write || o.Truncate {
			return nil, nil, EROFS
		}
		file, err := d.fs.openFile(end.node)
		return file, nil, err
	}
	return nil, nil, EACCES
}

func (d *ioDir) Stat(path string, follow bool) (Stat, error) {
	node, err := d.find(path, follow)
	if err != nil {
		return Stat{}, err
	}
	return d.fs.stat(node.path, node.info), nil
}

func (d *ioDir) ReadLink(path string) (string, error) {
	node, err := d.find(path, false)
	if err != nil {
		return "", err
	}
	if d.fs.fileType(node) != TypeSymbolicLink {
		return "", EINVAL
	}
	return d.fs.target(node)
}

func (d *ioDir) Sync() error { return nil }

func (d *ioDir) Close() error {
	if d.closed.Swap(true) {
		return EBADF
	}
	return nil
}
