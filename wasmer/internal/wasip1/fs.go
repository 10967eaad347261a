package wasip1

import "time"

// Dir is an open directory of a file system. What lies beneath it can be reached through it, and nothing else: a path
// that leads outside, by "..", as an absolute path or through a symbolic link, is EPERM. Paths are relative, separated by
// slashes, without NUL, and not empty; "." is the directory itself. A trailing slash demands a directory. Errors are
// an Errno, or anything that errnoOf knows. Instances of several guests share a Dir, so it is safe for concurrent use.
//
// Symbolic links in the middle of a path are followed always, one at its end only where follow says so.
type Dir interface {
	// Open opens what is at the path. Either the file or the directory is not nil.
	Open(path string, o OpenOptions) (File, Dir, error)
	Stat(path string, follow bool) (Stat, error)
	SetTimes(path string, follow bool, times Times) error
	MakeDir(path string) error
	RemoveDir(path string) error
	// Unlink removes what is not a directory.
	Unlink(path string) error
	// Rename moves to another directory of the same file system, or is EXDEV.
	Rename(path string, to Dir, newPath string) error
	// Link makes a hard link in a directory of the same file system, or is EXDEV. It does not follow a link at the
	// end of path.
	Link(path string, to Dir, newPath string) error
	// Symlink refuses an absolute target with EPERM.
	Symlink(target, path string) error
	ReadLink(path string) (string, error)
	// Entries starts to read the directory from its beginning, without "." and "..". Each reader is used by one
	// goroutine at a time.
	Entries() (Entries, error)
	Sync() error
	Close() error
}

// Entries reads the entries of a directory one by one, in bounded memory.
type Entries interface {
	// Next is io.EOF after the last one.
	Next() (Entry, error)
	Close() error
}

// Entry is an entry of a directory.
type Entry struct {
	Name  string
	Type  FileType
	Inode uint64
}

// OpenOptions says how to open.
type OpenOptions struct {
	// Read and Write say what the file is to be used for.
	Read, Write bool
	// Follow follows a symbolic link at the end of the path; without it that is ELOOP.
	Follow bool
	// Directory refuses all but directories with ENOTDIR. A directory can be opened without it, but not to write: EISDIR.
	Directory bool
	// Create makes a file that is not there; Exclusive refuses one that is with EEXIST; Truncate empties it.
	Create, Exclusive, Truncate bool
}

// File is an open file. Regular files have no position of their own; other ones, such as pipes and terminals, are
// streams and implement io.Reader and io.Writer besides. It is safe for concurrent use.
type File interface {
	Stat() (Stat, error)
	SetTimes(times Times) error
	// ReadAt and WriteAt are those of io, with the difference that fewer bytes than asked for are no error;
	// reading is io.EOF at the end.
	ReadAt(p []byte, offset int64) (int, error)
	WriteAt(p []byte, offset int64) (int, error)
	// Append writes to the end of the file, wherever that is by now.
	Append(p []byte) (int, error)
	SetSize(size int64) error
	// Allocate makes room for n bytes at the offset, with a file that is at least so long.
	Allocate(offset, n int64) error
	// Sync writes what is only in memory to the disk; the data alone, or the times and such as well.
	Sync(dataOnly bool) error
	Close() error
}

// Stat is what is known of a file.
type Stat struct {
	Device, Inode uint64
	Type          FileType
	Links, Size   uint64
	// Accessed, Modified and Changed are in nanoseconds since 1970.
	Accessed, Modified, Changed int64
}

// Times are those to be set; a nil one stays as it is.
type Times struct {
	Accessed, Modified *time.Time
}

// FileType is the kind of a file.
//
// See https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md#filetype
type FileType uint8

// The kinds of files.
const (
	TypeUnknown FileType = iota
	TypeBlockDevice
	TypeCharacterDevice
	TypeDirectory
	TypeRegular
	TypeSocketDatagram
	TypeSocketStream
	TypeSymbolicLink
)
