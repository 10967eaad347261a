package wasip1

import (
	"archive/zip"
	"bytes"
	"embed"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

//go:embed errno.go
var embedded embed.FS

// ioText is longer than any buffer here.
var ioText = strings.Repeat("All that glisters is not gold. ", 10_000)

// ioMap has links, which fstest.MapFS can read.
func ioMap() fstest.MapFS {
	link := func(target string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
	}
	return fstest.MapFS{
		"file":       {Data: []byte("data"), ModTime: time.Unix(5, 6)},
		"long":       {Data: []byte(ioText)},
		"dir/inner":  {Data: []byte("inner")},
		"dir/up":     link("../file"),
		"link":       link("file"),
		"dirlink":    link("dir"),
		"loop":       link("loop"),
		"outside":    link("../x"),
		"absolute":   link("/etc/passwd"),
		"device":     {Mode: fs.ModeDevice | fs.ModeCharDevice},
		"pipe":       {Mode: fs.ModeNamedPipe},
		"irregular":  {Mode: fs.ModeIrregular},
		"dir/nested": {Mode: fs.ModeDir},
	}
}

func TestNewFSUnchangeable(t *testing.T) {
	requireUnchangeable(t, NewFS(ioMap()))
}

func TestNewFSErrors(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(Dir) error
		want error
	}{
		"a file":                     {stating("file", true), nil},
		"the directory itself":       {stating(".", true), nil},
		"up and down":                {stating("dir/../dir/nested/../inner", true), nil},
		"a link":                     {stating("dir/up", true), nil},
		"a link on the way":          {stating("dirlink/inner", true), nil},
		"a link with a slash":        {stating("dirlink/", false), nil},
		"an empty path":              {stating("", true), ENOENT},
		"nothing":                    {stating("missing", true), ENOENT},
		"up from nothing":            {stating("missing/../file", true), ENOENT},
		"an absolute path":           {stating("/file", true), EPERM},
		"above":                      {stating("..", true), EPERM},
		"above from within":          {stating("dir/../../x", true), EPERM},
		"a link outside":             {stating("outside", true), EPERM},
		"a link to an absolute path": {stating("absolute", true), EPERM},
		"a link outside itself":      {stating("outside", false), nil},
		"a link to itself":           {stating("loop", true), ELOOP},
		"beneath a file":             {stating("file/x", true), ENOTDIR},
		"a file with a slash":        {stating("file/", true), ENOTDIR},
		"no UTF-8":                   {stating("\xff", true), EILSEQ},
		"open a link unfollowed":     {opening("link", OpenOptions{Read: true}), ELOOP},
		"open a link":                {opening("link", OpenOptions{Read: true, Follow: true}), nil},
		"open a link outside":        {opening("outside", OpenOptions{Read: true, Follow: true}), EPERM},
		"open a directory":           {opening("dir", OpenOptions{Read: true}), nil},
		"open a file as a directory": {opening("file", OpenOptions{Directory: true}), ENOTDIR},
		"open a device":              {opening("device", OpenOptions{Read: true}), EACCES},
		"open a pipe":                {opening("pipe", OpenOptions{Read: true}), EACCES},
		"open something else":        {opening("irregular", OpenOptions{Read: true}), EACCES},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.do(NewFS(ioMap()))
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			require.Equal(t, test.want, errnoOf(err))
		})
	}
}

func TestNewFSStat(t *testing.T) {
	root := NewFS(ioMap())
	file, err := root.Stat("file", true)
	require.NoError(t, err)
	at := time.Unix(5, 6).UnixNano()
	want := Stat{Device: file.Device, Inode: file.Inode, Type: TypeRegular, Links: 1, Size: 4, Accessed: at, Modified: at, Changed: at}
	require.Equal(t, want, file)
	opened, err := memOpen(t, root, "link", OpenOptions{Read: true, Follow: true}).Stat()
	require.NoError(t, err)
	require.Equal(t, file, opened, "it is the same file by another name")
	again, err := memOpenDir(t, root, "dir").Stat("./nested/../inner", true)
	require.NoError(t, err)
	inner, err := root.Stat("dir/inner", true)
	require.NoError(t, err)
	require.Equal(t, inner, again)
	require.NotZero(t, inner.Inode)
	require.Zero(t, inner.Modified, "it is not known")

	types := map[string]FileType{
		"device": TypeCharacterDevice, "pipe": TypeUnknown, "link": TypeSymbolicLink, "dir": TypeDirectory, ".": TypeDirectory,
	}
	for path, want := range types {
		stat, err := root.Stat(path, false)
		require.NoError(t, err)
		require.Equal(t, want, stat.Type, path)
	}
	target, err := root.ReadLink("dir/up")
	require.NoError(t, err)
	require.Equal(t, "../file", target)
	_, err = root.ReadLink("file")
	require.Equal(t, EINVAL, err)
}

// forwardFS, seekingFS and unlistedFS hide what the files of an FS can do.
type (
	forwardFS  struct{ fs.FS }
	seekingFS  struct{ fs.FS }
	unlistedFS struct{ fs.FS }
)

type bareFile struct{ fs.File }

type seekingFile struct {
	fs.File
	io.Seeker
}

func (f forwardFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	return bareFile{file}, err
}

func (f seekingFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	seeker, _ := file.(io.Seeker)
	return seekingFile{file, seeker}, err
}

func (f unlistedFS) Open(name string) (fs.File, error) { return forwardFS(f).Open(name) }

func (f unlistedFS) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.FS, name) }

func ioZip(t *testing.T) fs.FS {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, text := range map[string]string{"file": "data", "long": ioText, "dir/inner": "inner"} {
		file, err := w.Create(name)
		require.NoError(t, err)
		_, err = file.Write([]byte(text))
		require.NoError(t, err)
	}
	header := &zip.FileHeader{Name: "link"}
	header.SetMode(fs.ModeSymlink | 0o777)
	_, err := w.CreateHeader(header)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	r, err := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	require.NoError(t, err)
	return r
}

// Whatever files can do, they are read at any offset, by several goroutines at once.
func TestNewFSReadAt(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "long"), []byte(ioText), 0o600))
	for name, fsys := range map[string]fs.FS{
		"by offset": ioMap(), "seeking": seekingFS{ioMap()}, "forward": forwardFS{ioMap()}, "zip": ioZip(t), "folder": os.DirFS(folder),
	} {
		t.Run(name, func(t *testing.T) {
			file := memOpen(t, NewFS(fsys), "long", OpenOptions{Read: true})
			require.True(t, ioText == memRead(t, file))
			done := make(chan error)
			for worker := range 3 {
				go func() {
					done <- readBackwards(file, 100+worker)
				}()
			}
			for range 3 {
				require.NoError(t, <-done)
			}
			_, err := file.ReadAt(make([]byte, 10), int64(len(ioText)))
			require.Equal(t, io.EOF, err)
			_, err = file.ReadAt(make([]byte, 10), 1<<40)
			require.Equal(t, io.EOF, err)
			_, err = file.ReadAt(make([]byte, 10), -1)
			require.Equal(t, EINVAL, err)
			stat, err := file.Stat()
			require.NoError(t, err)
			require.Equal(t, uint64(len(ioText)), stat.Size)
			require.NoError(t, file.Close())
		})
	}
}

// readBackwards reads pieces from the end of ioText to its beginning.
func readBackwards(file File, pieces int) error {
	p := make([]byte, 50)
	for i := range pieces {
		offset := len(ioText) - (i+1)*(len(ioText)/pieces)
		n, err := file.ReadAt(p, int64(offset))
		if err != nil {
			return err
		}
		if n == 0 || string(p[:n]) != ioText[offset:offset+n] {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// A file that can only be read on is never held in memory, however it is read.
func TestNewFSForwardMemory(t *testing.T) {
	const size = 256 << 20
	file := memOpen(t, NewFS(forwardFS{zeroFS{size}}), "zeros", OpenOptions{Read: true})
	before := heap()
	for _, offset := range []int64{size - 10, 5, size / 2} {
		n, err := file.ReadAt(make([]byte, 10), offset)
		require.NoError(t, err)
		require.Equal(t, 10, n)
	}
	require.Less(t, heap(), before+1<<20)
}

// zeroFS holds a file of zeros.
type zeroFS struct{ size int64 }

func (f zeroFS) Open(string) (fs.File, error) { return &zeroFile{left: f.size}, nil }

type zeroFile struct{ left int64 }

func (f *zeroFile) Stat() (fs.FileInfo, error) { return memInfo{stat: Stat{Type: TypeRegular}}, nil }
func (f *zeroFile) Close() error               { return nil }

func (f *zeroFile) Read(p []byte) (int, error) {
	n := min(f.left, int64(len(p)))
	f.left -= n
	if n == 0 {
		return 0, io.EOF
	}
	return int(n), nil
}

func TestNewFSEntries(t *testing.T) {
	many := fstest.MapFS{}
	var names []string
	for i := range 1000 {
		names = append(names, memName(i))
		many["dir/"+memName(i)] = &fstest.MapFile{}
	}
	slices.Sort(names)
	for name, fsys := range map[string]fs.FS{"streaming": many, "at once": unlistedFS{many}} {
		t.Run(name, func(t *testing.T) {
			dir := memOpenDir(t, NewFS(fsys), "dir")
			entries, err := dir.Entries()
			require.NoError(t, err)
			var got []string
			for {
				entry, err := entries.Next()
				if err == io.EOF {
					break
				}
				require.NoError(t, err)
				require.Equal(t, TypeRegular, entry.Type)
				stat, err := dir.Stat(entry.Name, false)
				require.NoError(t, err)
				require.Equal(t, stat.Inode, entry.Inode)
				got = append(got, entry.Name)
			}
			require.Equal(t, names, got)
			require.NoError(t, entries.Close())
			_, err = entries.Next()
			require.Equal(t, EBADF, err)
		})
	}
}

func TestNewFSClosed(t *testing.T) {
	root := NewFS(ioMap())
	require.NoError(t, root.Sync())
	file := memOpen(t, root, "file", OpenOptions{Read: true})
	require.NoError(t, file.Sync(true))
	require.NoError(t, file.Close())
	require.Equal(t, EBADF, file.Close())
	_, err := file.Stat()
	require.Equal(t, EBADF, err)
	require.NoError(t, root.Close())
	require.Equal(t, EBADF, root.Close())
	require.Equal(t, EBADF, stating("file", true)(root))
	require.Equal(t, EBADF, opening("file", OpenOptions{Read: true})(root))
	_, err = root.Entries()
	require.Equal(t, EBADF, err)
}

func TestNewFSKinds(t *testing.T) {
	archive := NewFS(ioZip(t))
	require.Equal(t, "inner", memRead(t, memOpen(t, archive, "dir/inner", OpenOptions{Read: true})))
	require.Equal(t, EACCES, opening("link", OpenOptions{Read: true, Follow: true})(archive), "which ZIP archives cannot read")
	own, err := os.ReadFile("errno.go")
	require.NoError(t, err)
	require.Equal(t, string(own), memRead(t, memOpen(t, NewFS(embedded), "errno.go", OpenOptions{Read: true})))
	m, _ := memSample(t)
	require.Equal(t, "inner data", memRead(t, memOpen(t, NewFS(m), "dirlink/nested/inner", OpenOptions{Read: true})))
}

// os.DirFS follows links to anywhere; asked in our way it is not led outside.
func TestNewFSFolder(t *testing.T) {
	outside, folder := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "dir"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "dir", "secret"), []byte("no secret"), 0o600))
	relative, err := filepath.Rel(folder, outside)
	require.NoError(t, err)
	for name, target := range map[string]string{"absolute": outside, "relative": relative, "file": filepath.Join(relative, "secret")} {
		require.NoError(t, os.Symlink(target, filepath.Join(folder, name)))
	}
	root := NewFS(os.DirFS(folder))
	for _, path := range []string{"absolute/secret", "relative/secret", "file", "dir/../relative/secret", "relative/"} {
		require.Equal(t, EPERM, opening(path, OpenOptions{Read: true, Follow: true})(root), path)
		require.Equal(t, EPERM, stating(path, true)(root), path)
	}

	dir := memOpenDir(t, root, "dir")
	require.NoError(t, os.Rename(filepath.Join(folder, "dir"), filepath.Join(folder, "moved")))
	require.NoError(t, os.Rename(filepath.Join(folder, "absolute"), filepath.Join(folder, "dir")))
	_, err = dir.Entries()
	require.Equal(t, ESTALE, err, "it is another directory now")
}

// This fails where a version of Go keeps the folder of os.DirFS, or what fs.Sub makes of it, in another way: HostFolder must
// learn it then.
func TestHostFolder(t *testing.T) {
	sub := func(fsys fs.FS, dir string) fs.FS {
		fsys, err := fs.Sub(fsys, dir)
		require.NoError(t, err)
		return fsys
	}
	for _, test := range []struct {
		fsys fs.FS
		want string
	}{
		{os.DirFS("folder"), "folder"},
		{os.DirFS("."), "."},
		{os.DirFS("a/../b/"), "a/../b/"},
		{sub(os.DirFS("/"), "etc"), "/etc"},
		{sub(os.DirFS("/top"), "a/b"), "/top" + filepath.FromSlash("/a/b")},
		{sub(sub(os.DirFS("top/.."), "a"), "b"), "top/.." + filepath.FromSlash("/a/b")},
		{sub(os.DirFS("top"), "."), "top"},
	} {
		folder, ok := HostFolder(test.fsys)
		require.True(t, ok, test.want)
		require.Equal(t, test.want, folder)
	}
	for _, fsys := range []fs.FS{nil, os.DirFS(""), ioMap(), sub(ioMap(), "dir"), embedded, forwardFS{os.DirFS("/")}, NewMemFS()} {
		_, ok := HostFolder(fsys)
		require.False(t, ok, "%T", fsys)
	}
}
