package wasip1

import (
	"io"
	"io/fs"
	"sync"
)

// openFile gives a file that reads at any offset, with what the file system's own can do.
func (f *ioFS) openFile(n ioNode) (File, error) {
	file, err := f.open(n)
	if err != nil {
		return nil, err
	}
	base := ioFile{fs: f, path: n.path, file: file}
	if _, ok := file.(io.ReaderAt); ok {
		return &ioReaderAtFile{base}, nil
	}
	if _, ok := file.(io.Seeker); ok {
		return &ioSeekerFile{ioFile: base}, nil
	}
	return &ioForwardFile{ioFile: base, node: n}, nil
}

// ioFile is what the files have in common.
type ioFile struct {
	unchangingFile
	fs   *ioFS
	path string
	file fs.File
}

func (f *ioFile) Stat() (Stat, error) {
	info, err := f.file.Stat()
	if err != nil {
		return Stat{}, err
	}
	return f.fs.stat(f.path, info), nil
}

func (f *ioFile) Sync(bool) error { return nil }

func (f *ioFile) Close() error { return f.file.Close() }

// ioReaderAtFile reads at any offset by itself.
type ioReaderAtFile struct{ ioFile }

func (f *ioReaderAtFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, EINVAL
	}
	return partly(f.file.(io.ReaderAt).ReadAt(p, offset))
}

// partly makes no error of one that comes with bytes: it comes again when the rest is read.
func partly(n int, err error) (int, error) {
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// readSome reads until there is something, for a reader may return without anything.
func readSome(r io.Reader, p []byte) (int, error) {
	const attempts = 100
	for range attempts {
		if n, err := r.Read(p); n > 0 || err != nil || len(p) == 0 {
			return partly(n, err)
		}
	}
	return 0, io.ErrNoProgress
}

// ioSeekerFile goes to the offset before it reads.
type ioSeekerFile struct {
	ioFile
	mu sync.Mutex
}

func (f *ioSeekerFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, EINVAL
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.file.(io.Seeker).Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	return readSome(f.file, p)
}

// ioForwardFile can only read on, as files in a ZIP archive. To go back it opens the file anew, and to go forward it reads
// what lies between, which it does not keep: reading in order costs nothing more, each step back as much as reading
// the file up to there.
type ioForwardFile struct {
	ioFile
	node     ioNode
	mu       sync.Mutex
	position int64
	closed   bool
}

func (f *ioForwardFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, EINVAL
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, EBADF
	}
	if err := f.seek(offset); err != nil {
		return 0, err
	}
	n, err := readSome(f.file, p)
	f.position += int64(n)
	return n, err
}

func (f *ioForwardFile) seek(offset int64) error {
	if offset < f.position {
		if err := f.reopen(); err != nil {
			return err
		}
	}
	skipped, err := io.CopyN(io.Discard, f.file, offset-f.position)
	f.position += skipped
	return err
}

func (f *ioForwardFile) reopen() error {
	file, err := f.fs.open(f.node)
	if err != nil {
		return err
	}
	err = f.file.Close()
	f.file, f.position = file, 0
	return err
}

func (f *ioForwardFile) Stat() (Stat, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ioFile.Stat()
}

func (f *ioForwardFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return EBADF
	}
	f.closed = true
	return f.ioFile.Close()
}
