package wasip1

import "io"

// ReadOnly is the directory without any way to change what lies beneath: that is EROFS.
func ReadOnly(d Dir) Dir {
	if d, ok := d.(*readOnlyDir); ok {
		return d
	}
	return &readOnlyDir{within: within{d}}
}

// readOnlyDir has the methods of unchanging, and what is not among these of the directory that it stands for.
type readOnlyDir struct {
	unchanging
	within
}

type within struct{ Dir }

func (d *readOnlyDir) Open(path string, o OpenOptions) (File, Dir, error) {
	if err := d.openError(path, o); err != nil {
		return nil, nil, err
	}
	// What is there by now may be another thing than what was looked at.
	o.Create, o.Write, o.Truncate = false, false, false
	file, dir, err := d.within.Open(path, o)
	switch {
	case err != nil:
		return nil, nil, err
	case dir != nil:
		return nil, ReadOnly(dir), nil
	}
	return readOnlyOf(file), nil, nil
}

// openError is EROFS for what would change something; what is wrong with the path goes first.
func (d *readOnlyDir) openError(path string, o OpenOptions) error {
	if !o.Create && !o.Write && !o.Truncate {
		return nil
	}
	if o.Create && o.Directory {
		return EINVAL
	}
	stat, err := d.Stat(path, o.Follow && !(o.Create && o.Exclusive))
	switch {
	case o.Create && err != nil && errnoOf(err) == ENOENT:
		return EROFS
	case err != nil:
		return err
	case o.Create && o.Exclusive:
		return EEXIST
	case stat.Type == TypeDirectory:
		return EISDIR
	case stat.Type != TypeSymbolicLink && (o.Write || o.Truncate):
		return EROFS
	}
	return nil
}

// readOnlyOf keeps a stream one.
func readOnlyOf(file File) File {
	readOnly := readOnlyFile{withinFile: withinFile{file}}
	if stream, ok := file.(io.ReadWriter); ok {
		return &readOnlyStream{readOnly, stream}
	}
	return &readOnly
}

type readOnlyFile struct {
	unchangingFile
	withinFile
}

type withinFile struct{ File }

type readOnlyStream struct {
	readOnlyFile
	io.Reader
}

func (*readOnlyStream) Write([]byte) (int, error) { return 0, EROFS }

// unchanging refuses all changes of a directory.
type unchanging struct{}

func (unchanging) SetTimes(string, bool, Times) error { return EROFS }
func (unchanging) MakeDir(string) error               { return EROFS }
func (unchanging) RemoveDir(string) error             { return EROFS }
func (unchanging) Unlink(string) error                { return EROFS }
func (unchanging) Rename(string, Dir, string) error   { return EROFS }
func (unchanging) Link(string, Dir, string) error     { return EROFS }
func (unchanging) Symlink(string, string) error       { return EROFS }

// unchangingFile refuses all changes of a file.
type unchangingFile struct{}

func (unchangingFile) SetTimes(Times) error               { return EROFS }
func (unchangingFile) WriteAt([]byte, int64) (int, error) { return 0, EROFS }
func (unchangingFile) Append([]byte) (int, error)         { return 0, EROFS }
func (unchangingFile) SetSize(int64) error                { return EROFS }
func (unchangingFile) Allocate(int64, int64) error        { return EROFS }
