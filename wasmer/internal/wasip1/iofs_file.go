package wasip1

import (
	"errors"
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
	base := &ioFile{fs: f, node: n, file: file}
	if reader, ok := file.(io.ReaderAt); ok {
		return &ioReaderAtFile{base, reader}, nil
	}
	if seeker, ok := file.(io.Seeker); ok {
		return &ioSeekerFile{base, seeker}, nil
	}
	return &ioForwardFile{ioFile: base}, nil
}

// ioFile is what the files have in common. Its lock is for what the file system's own cannot do at the same time.
type ioFile struct {
	unchangingFile
	fs     *ioFS
	node   ioNode
	mu     sync.Mutex
	file   fs.File
	closed bool
}

// alone does something with the open file.
func (f *ioFile) alone(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return EBADF
	}
	return do()
}

func (f *ioFile) Stat() (stat Stat, err error) {
	err = f.alone(func() error {
		info, err := f.file.Stat()
		if err == nil {
			stat = f.fs.stat(f.node.path, info)
		}
		return err
	})
	return stat, err
}

func (f *ioFile) Sync(bool) error { return nil }

func (f *ioFile) Close() error {
	return f.alone(func() error {
		f.closed = true
		return f.file.Close()
	})
}

// ioReaderAtFile reads at any offset by itself.
type ioReaderAtFile struct {
	*ioFile
	reader io.ReaderAt
}

func (f *ioReaderAtFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, EINVAL
	}
	n, err := partly(f.reader.ReadAt(p, offset))
	return n, f.orEnd(err, offset)
}

// orEnd makes the end of the file of what some file systems, such as embed.FS, say of offsets past it.
func (f *ioFile) orEnd(err error, offset int64) error {
	if errors.Is(err, fs.ErrInvalid) && offset >= f.node.info.Size() {
		return io.EOF
	}
	return err
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
	*ioFile
	seeker io.Seeker
}

func (f *ioSeekerFile) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, EINVAL
	}
	err = f.alone(func() error {
		if _, err := f.seeker.Seek(offset, io.SeekStart); err != nil {
			return f.orEnd(err, offset)
		}
		n, err = readSome(f.file, p)
		return err
	})
	return n, err
}

// ioForwardFile can only read on, as files in a ZIP archive. To go back it opens the file anew, and to go forward it reads
// what lies between, which it does not keep: reading in order costs nothing more, each step back as much as reading
// the file up to there.
type ioForwardFile struct {
	*ioFile
	position int64
}

func (f *ioForwardFile) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, EINVAL
	}
	err = f.alone(func() error {
		if err := f.seek(offset); err != nil {
			return err
		}
		n, err = readSome(f.file, p)
		f.position += int64(n)
		return err
	})
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
