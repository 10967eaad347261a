package gojs

import (
	"errors"
	"io"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// descriptor is an open file, directory or stream.
type descriptor struct {
	file wasip1.File
	dir  wasip1.Dir
	// input and output are those of a stream.
	input  *input
	output io.Writer

	readable, writable bool
	// appends says that writes go to the end of the file.
	appends bool
	// position is where the next read or write without a place of its own begins.
	position int64
}

// files are the descriptors of a guest by their numbers, nil where none is open.
type files struct{ open []*descriptor }

// maxFiles bounds how many files a guest has open.
const maxFiles = 1024

func newFiles(h *Host) files {
	return files{[]*descriptor{
		{input: &h.stdin, readable: true},
		{output: &h.stdout, writable: true},
		{output: &h.stderr, writable: true},
	}}
}

// find is the descriptor of a number.
func (f *files) find(fd int64) (*descriptor, error) {
	if fd < 0 || fd >= int64(len(f.open)) || f.open[fd] == nil {
		return nil, errnoError("EBADF")
	}
	return f.open[fd], nil
}

// add gives a descriptor the lowest free number.
func (f *files) add(d *descriptor) (int, error) {
	for fd, other := range f.open {
		if other == nil {
			f.open[fd] = d
			return fd, nil
		}
	}
	if len(f.open) >= maxFiles {
		return 0, errors.Join(errnoError("EMFILE"), d.close())
	}
	f.open = append(f.open, d)
	return len(f.open) - 1, nil
}

func (f *files) remove(fd int64) error {
	d, err := f.find(fd)
	if err != nil {
		return err
	}
	f.open[fd] = nil
	return d.close()
}

func (f *files) close() {
	for _, d := range f.open {
		if d != nil {
			_ = d.close()
		}
	}
	f.open = nil
}

// close leaves the streams of the host open.
func (d *descriptor) close() error {
	switch {
	case d.file != nil:
		return d.file.Close()
	case d.dir != nil:
		return d.dir.Close()
	}
	return nil
}

func (d *descriptor) stat() (wasip1.Stat, error) {
	switch {
	case d.file != nil:
		return d.file.Stat()
	case d.dir != nil:
		return d.dir.Stat(".", true)
	}
	return wasip1.Stat{}, nil // a pipe
}

// newDescriptor is what Dir.Open has opened.
func newDescriptor(file wasip1.File, dir wasip1.Dir, o wasip1.OpenOptions, appends bool) *descriptor {
	d := &descriptor{file: file, dir: dir, readable: o.Read, writable: o.Write, appends: appends}
	if reader, ok := file.(io.Reader); ok {
		d.input = &input{reader: reader}
	}
	if writer, ok := file.(io.Writer); ok {
		d.output = writer
	}
	return d
}

// readAt reads from a regular file; a negative offset stands for the position.
func (d *descriptor) readAt(p []byte, offset int64) (int, error) {
	if offset >= 0 {
		return endIsZero(d.file.ReadAt(p, offset))
	}
	n, err := endIsZero(d.file.ReadAt(p, d.position))
	d.position += int64(n)
	return n, err
}

// endIsZero makes the end of a file a read of 0 bytes.
func endIsZero(n int, err error) (int, error) {
	if n > 0 || errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// writeAt writes to a regular file; a negative offset stands for the position.
func (d *descriptor) writeAt(p []byte, offset int64) (n int, err error) {
	switch {
	case d.appends:
		n, err = d.file.Append(p)
	case offset >= 0:
		return d.file.WriteAt(p, offset)
	default:
		n, err = d.file.WriteAt(p, d.position)
	}
	d.position += int64(n)
	return n, err
}
