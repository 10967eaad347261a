package wasmer

import (
	"cmp"
	"io/fs"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// MemFS is a file system in memory that guests may change: a Mount of it is not read only. The host may read it, as an
// fs.FS, and change it at the same time; goroutines and guests may share it. Files have no permissions in it. Errors of its
// methods are *fs.PathError.
type MemFS struct {
	files *wasip1.MemFS
}

var (
	_ fs.StatFS     = (*MemFS)(nil)
	_ fs.ReadDirFS  = (*MemFS)(nil)
	_ fs.ReadFileFS = (*MemFS)(nil)
	_ fs.ReadLinkFS = (*MemFS)(nil)
)

// What guests see of a MemFS is for this library's packages only.
func init() {
	wasip1.MemFSOf = func(files fs.FS) *wasip1.MemFS { return files.(*MemFS).files }
}

// MemFSConfig are the options of a MemFS. The zero value is a good choice.
type MemFSConfig struct {
	// MaxBytes bounds what files and the targets of symbolic links take in memory, in blocks of 512 bytes, and the size of each
	// file; 0 means 1 GiB. More is ENOSPC for a guest, and EFBIG if a file is to have a larger size.
	MaxBytes int64
	// MaxNodes bounds the files, directories and links; 0 means 1,000,000. More is ENOSPC. Each takes about 300 bytes, and its name,
	// which MaxBytes does not count.
	MaxNodes int64
	// Now is the clock for the times of files; nil is time.Now.
	Now func() time.Time
}

// NewMemFS makes an empty file system.
func NewMemFS() *MemFS { return NewMemFSWithConfig(MemFSConfig{}) }

// NewMemFSWithConfig makes an empty file system with options.
func NewMemFSWithConfig(config MemFSConfig) *MemFS {
	files := wasip1.NewMemFS()
	files.MaxBytes = cmp.Or(config.MaxBytes, files.MaxBytes)
	files.MaxNodes = cmp.Or(config.MaxNodes, files.MaxNodes)
	files.Now = config.Now
	return &MemFS{files}
}

// Open opens a file or a directory for reading. It follows symbolic links, as all methods but Lstat, ReadLink and Remove do,
// but never out of the file system. A file implements io.ReaderAt and io.Seeker.
func (m *MemFS) Open(name string) (fs.File, error) { return m.files.Open(name) }

// Stat is what is known of a file.
func (m *MemFS) Stat(name string) (fs.FileInfo, error) { return m.files.Stat(name) }

// Lstat is Stat that does not follow a symbolic link.
func (m *MemFS) Lstat(name string) (fs.FileInfo, error) { return m.files.Lstat(name) }

// ReadLink is the target of a symbolic link.
func (m *MemFS) ReadLink(name string) (string, error) { return m.files.ReadLink(name) }

// ReadDir reads a directory, sorted by name.
func (m *MemFS) ReadDir(name string) ([]fs.DirEntry, error) { return m.files.ReadDir(name) }

// ReadFile reads a whole file.
func (m *MemFS) ReadFile(name string) ([]byte, error) { return m.files.ReadFile(name) }

// WriteFile makes a file with the data, or replaces what is in it. The directory must be there.
func (m *MemFS) WriteFile(name string, data []byte) error { return m.files.WriteFile(name, data) }

// MkdirAll makes a directory, and those on the way to it, as far as they are not there.
func (m *MemFS) MkdirAll(name string) error { return m.files.MkdirAll(name) }

// Remove removes a file, a symbolic link or an empty directory. Who has it open keeps it.
func (m *MemFS) Remove(name string) error { return m.files.Remove(name) }
