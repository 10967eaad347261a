package wasip1

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// memSample is a file system with a bit of everything:
//
//	file            "data"
//	dir/nested/     with the file inner
//	empty/
//	link            to file
//	dirlink         to dir
//	dangling        to missing
//	loop            to loop
//	outside         to ../..
//	dir/up          to ../file
func memSample(t testing.TB) (*MemFS, Dir) {
	t.Helper()
	m := NewMemFS()
	require.NoError(t, m.MkdirAll("dir/nested"))
	require.NoError(t, m.MkdirAll("empty"))
	require.NoError(t, m.WriteFile("file", []byte("data")))
	require.NoError(t, m.WriteFile("dir/nested/inner", []byte("inner data")))
	root := m.Root()
	links := map[string]string{
		"link": "file", "dirlink": "dir", "dangling": "missing", "loop": "loop", "outside": "../..", "dir/up": "../file",
	}
	for _, path := range slices.Sorted(maps.Keys(links)) {
		require.NoError(t, root.Symlink(links[path], path))
	}
	return m, root
}

// memOpen opens a file, which is closed with the test.
func memOpen(t testing.TB, d Dir, path string, o OpenOptions) File {
	t.Helper()
	file, _, err := d.Open(path, o)
	require.NoError(t, err)
	require.NotNil(t, file)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// memOpenDir opens a directory.
func memOpenDir(t testing.TB, d Dir, path string) Dir {
	t.Helper()
	_, dir, err := d.Open(path, OpenOptions{Directory: true})
	require.NoError(t, err)
	return dir
}

// toCreate and toChange are the options most used.
var (
	toCreate = OpenOptions{Read: true, Write: true, Create: true, Follow: true}
	toChange = OpenOptions{Read: true, Write: true, Follow: true}
)

// opening is an operation that opens.
func opening(path string, o OpenOptions) func(Dir) error {
	return func(d Dir) error {
		file, dir, err := d.Open(path, o)
		if file != nil {
			err = file.Close()
		}
		if dir != nil {
			err = dir.Close()
		}
		return err
	}
}

func stating(path string, follow bool) func(Dir) error {
	return func(d Dir) error {
		_, err := d.Stat(path, follow)
		return err
	}
}

// 40 symbolic links in a row are followed, 41 are not.
func TestMemFSLinkChain(t *testing.T) {
	m, root := memSample(t)
	require.NoError(t, root.Symlink("file", "0"))
	for i := 1; i < maxLinks; i++ {
		require.NoError(t, root.Symlink(memName(i-1), memName(i)))
	}
	_, err := m.Stat(memName(maxLinks - 1))
	require.NoError(t, err)
	require.NoError(t, root.Symlink(memName(maxLinks-1), "last"))
	_, err = root.Stat("last", true)
	require.Equal(t, ELOOP, err)
}

// A directory is a root of its own: nothing above it is reached, wherever it is moved.
func TestMemFSDirContains(t *testing.T) {
	_, root := memSample(t)
	dir := memOpenDir(t, root, "dir")
	for _, path := range []string{"..", "../file", "nested/../../file", "up"} {
		_, err := dir.Stat(path, true)
		require.Equal(t, EPERM, err, path)
	}
	nested := memOpenDir(t, dir, "nested")
	require.NoError(t, root.Rename("dir", root, "empty/moved"))
	require.NoError(t, nested.Unlink("inner"))
	_, err := root.Stat("empty/moved/nested/inner", true)
	require.Equal(t, ENOENT, err)
	_, err = nested.Stat("../..", true)
	require.Equal(t, EPERM, err)
}

func TestMemFSOtherFileSystem(t *testing.T) {
	_, a := memSample(t)
	_, b := memSample(t)
	require.Equal(t, EXDEV, a.Rename("file", b, "new"))
	require.Equal(t, EXDEV, a.Link("file", b, "new"))
	require.Equal(t, EXDEV, a.Link("file", ReadOnly(a), "new"))
	require.NoError(t, a.Rename("file", memOpenDir(t, a, "dir"), "new"))
}

func TestMemFSRemovedDirectory(t *testing.T) {
	m, root := memSample(t)
	dir := memOpenDir(t, root, "empty")
	require.NoError(t, root.RemoveDir("empty"))
	require.Equal(t, ENOENT, dir.MakeDir("new"))
	require.Equal(t, ENOENT, dir.Symlink("x", "new"))
	require.Equal(t, ENOENT, opening("new", toCreate)(dir))
	require.Equal(t, ENOENT, root.Link("file", dir, "new"))
	require.Equal(t, ENOENT, root.Rename("file", dir, "new"))
	_, err := dir.Entries()
	require.Equal(t, ENOENT, err)
	stat, err := dir.Stat(".", true)
	require.NoError(t, err)
	require.Zero(t, stat.Links)
	require.NoError(t, dir.Close())
	require.Equal(t, EBADF, dir.Close())
	require.Equal(t, EBADF, dir.MakeDir("new"))
	requireConsistent(t, m)
}

func TestMemFSUnlinkedFile(t *testing.T) {
	m, root := memSample(t)
	file := memOpen(t, root, "file", toChange)
	require.NoError(t, root.Unlink("file"))
	_, err := file.Append([]byte(" and more"))
	require.NoError(t, err)
	require.Equal(t, "data and more", memRead(t, file))
	stat, err := file.Stat()
	require.NoError(t, err)
	require.Zero(t, stat.Links)
	require.NoError(t, file.Close())
	require.Equal(t, EBADF, file.Close())
	_, err = file.ReadAt(make([]byte, 1), 0)
	require.Equal(t, EBADF, err)
	requireConsistent(t, m)
}

func TestMemFSHardLinks(t *testing.T) {
	m, root := memSample(t)
	require.NoError(t, root.Link("file", root, "dir/other"))
	a, err := root.Stat("file", true)
	require.NoError(t, err)
	b, err := root.Stat("dir/other", true)
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Equal(t, uint64(2), a.Links)
	require.NoError(t, root.Rename("file", root, "dir/other"), "both names stay")
	require.NoError(t, root.Unlink("file"))
	data, err := m.ReadFile("dir/other")
	require.NoError(t, err)
	require.Equal(t, "data", string(data))
	b, err = root.Stat("dir/other", true)
	require.NoError(t, err)
	require.Equal(t, uint64(1), b.Links)
	require.Equal(t, a.Inode, b.Inode)
	dir, err := root.Stat("dir", true)
	require.NoError(t, err)
	require.Equal(t, uint64(3), dir.Links, "its name, its dot, and the dots of nested")
}

func TestMemFSTimes(t *testing.T) {
	m := NewMemFS()
	seconds := int64(0)
	m.Now = func() time.Time {
		seconds++
		return time.Unix(seconds, 7)
	}
	root := m.Root()
	file := memOpen(t, root, "file", toCreate)
	stat := func() Stat {
		stat, err := file.Stat()
		require.NoError(t, err)
		return stat
	}
	made := stat()
	require.Equal(t, made.Modified, made.Changed)
	require.Equal(t, int64(7), made.Modified%int64(time.Second))

	_, err := file.WriteAt([]byte("x"), 0)
	require.NoError(t, err)
	written := stat()
	require.Greater(t, written.Modified, made.Modified)
	require.Equal(t, made.Accessed, written.Accessed)

	memRead(t, file)
	read := stat()
	require.Greater(t, read.Accessed, written.Modified)
	require.Equal(t, written.Modified, read.Modified)

	earlier := time.Unix(-1, 5)
	require.NoError(t, root.SetTimes("file", true, Times{Modified: &earlier}))
	set := stat()
	require.Equal(t, earlier.UnixNano(), set.Modified)
	require.Equal(t, read.Accessed, set.Accessed)
	require.Greater(t, set.Changed, read.Changed)
	require.NoError(t, file.SetTimes(Times{Accessed: &earlier}))
	require.Equal(t, earlier.UnixNano(), stat().Accessed)
}

func TestMemFSFileErrors(t *testing.T) {
	_, root := memSample(t)
	reader := memOpen(t, root, "file", OpenOptions{Read: true})
	writer := memOpen(t, root, "file", OpenOptions{Write: true})
	p := make([]byte, 8)
	for name, test := range map[string]struct {
		do   func() (int, error)
		want error
	}{
		"read without reading":        {func() (int, error) { return writer.ReadAt(p, 0) }, EBADF},
		"write without writing":       {func() (int, error) { return reader.WriteAt(p, 0) }, EBADF},
		"append without writing":      {func() (int, error) { return reader.Append(p) }, EBADF},
		"set size without writing":    {func() (int, error) { return 0, reader.SetSize(0) }, EBADF},
		"allocate without writing":    {func() (int, error) { return 0, reader.Allocate(0, 9) }, EBADF},
		"read at a negative offset":   {func() (int, error) { return reader.ReadAt(p, -1) }, EINVAL},
		"write at a negative offset":  {func() (int, error) { return writer.WriteAt(p, -1) }, EINVAL},
		"set a negative size":         {func() (int, error) { return 0, writer.SetSize(-1) }, EINVAL},
		"allocate a negative size":    {func() (int, error) { return 0, writer.Allocate(0, -1) }, EINVAL},
		"read past the end":           {func() (int, error) { return reader.ReadAt(p, 1<<40) }, io.EOF},
		"write at a huge offset":      {func() (int, error) { return writer.WriteAt(p, 1<<60) }, EFBIG},
		"write past the last offset":  {func() (int, error) { return writer.WriteAt(p, math.MaxInt64) }, EFBIG},
		"write where all room ends":   {func() (int, error) { return writer.WriteAt(p, defaultMaxBytes) }, ENOSPC},
		"set a huge size":             {func() (int, error) { return 0, writer.SetSize(1 << 60) }, EFBIG},
		"allocate a huge size":        {func() (int, error) { return 0, writer.Allocate(0, 1<<60) }, ENOSPC},
		"allocate more than there is": {func() (int, error) { return 0, writer.Allocate(0, defaultMaxBytes) }, ENOSPC},
	} {
		n, err := test.do()
		require.Equal(t, test.want, err, name)
		require.Zero(t, n, name)
	}
	n, err := reader.ReadAt(p, 1)
	require.NoError(t, err)
	require.Equal(t, "ata", string(p[:n]))
}

func TestMemFSForHost(t *testing.T) {
	m, root := memSample(t)
	require.NoError(t, fstest.TestFS(NewMemFS()))
	require.NoError(t, root.Unlink("dangling"))
	require.NoError(t, root.Unlink("loop"))
	require.NoError(t, root.Unlink("outside"))
	require.NoError(t, fstest.TestFS(m, "file", "dir/nested/inner", "link", "dirlink", "dir/up"))
	sub, err := fs.Sub(m, "dir/nested")
	require.NoError(t, err)
	require.NoError(t, fstest.TestFS(sub, "inner"))
}

func TestMemFSHostErrors(t *testing.T) {
	m, _ := memSample(t)
	m.MaxBytes = 4096
	discard := func(_ any, err error) error { return err }
	for name, test := range map[string]struct {
		err, want error
	}{
		"nothing there":           {discard(m.Open("missing")), fs.ErrNotExist},
		"no name":                 {discard(m.Open("/file")), fs.ErrInvalid},
		"a link outside":          {discard(m.Stat("outside")), fs.ErrPermission},
		"a link to itself":        {discard(m.ReadFile("loop")), syscall.ELOOP},
		"read a directory":        {discard(m.ReadFile("dir")), syscall.EISDIR},
		"list a file":             {discard(m.ReadDir("file")), syscall.ENOTDIR},
		"no link":                 {discard(m.ReadLink("file")), syscall.EINVAL},
		"write a directory":       {m.WriteFile("dir", nil), syscall.EISDIR},
		"write beneath nothing":   {m.WriteFile("missing/x", nil), fs.ErrNotExist},
		"write too much":          {m.WriteFile("file", make([]byte, 8192)), syscall.ENOSPC},
		"a directory in a file":   {m.MkdirAll("file/x/y"), syscall.ENOTDIR},
		"a directory of a file":   {m.MkdirAll("file"), syscall.ENOTDIR},
		"remove a full directory": {m.Remove("dir"), syscall.ENOTEMPTY},
		"remove nothing":          {m.Remove("missing"), fs.ErrNotExist},
	} {
		require.ErrorIs(t, test.err, test.want, name)
		var path *fs.PathError
		require.ErrorAs(t, test.err, &path, name)
	}
	require.NoError(t, m.Remove("empty"))
	file, err := m.Open("file")
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.ErrorIs(t, file.Close(), fs.ErrClosed)
}

func TestMemFSHostFile(t *testing.T) {
	m, _ := memSample(t)
	opened, err := m.Open("dirlink/nested/inner")
	require.NoError(t, err)
	defer opened.Close()
	require.NoError(t, iotest.TestReader(opened, []byte("inner data")))
	file := opened.(io.ReadSeeker)
	for _, test := range []struct {
		offset int64
		whence int
		want   string
	}{
		{6, io.SeekStart, "data"}, {-4, io.SeekEnd, "data"}, {-10, io.SeekCurrent, "inner data"}, {100, io.SeekCurrent, ""},
	} {
		_, err := file.Seek(test.offset, test.whence)
		require.NoError(t, err)
		got, err := io.ReadAll(file)
		require.NoError(t, err)
		require.Equal(t, test.want, string(got))
	}
	for _, whence := range []int{io.SeekStart, 3, -1} {
		_, err = file.Seek(-1, whence)
		require.ErrorIs(t, err, syscall.EINVAL)
	}
	info, err := opened.Stat()
	require.NoError(t, err)
	require.Equal(t, "inner", info.Name())
	require.Nil(t, info.Sys())

	dir, err := m.Open("dir")
	require.NoError(t, err)
	_, err = dir.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.EISDIR)
	entries, err := dir.(fs.ReadDirFile).ReadDir(1)
	require.NoError(t, err)
	require.NoError(t, dir.Close())
	_, err = dir.(fs.ReadDirFile).ReadDir(1)
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = entries[0].Info()
	require.NoError(t, err)
	require.Equal(t, "d nested/", fmt.Sprint(entries[0]))
	require.NoError(t, m.Remove("dir/nested/inner"))
	require.NoError(t, m.Remove("dir/nested"))
	_, err = entries[0].Info()
	require.ErrorIs(t, err, fs.ErrNotExist)
}
