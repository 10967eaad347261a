package wasip1

import (
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
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

// operations on a sample, and what is wrong with them.
func TestMemFSErrors(t *testing.T) {
	long, longest := strings.Repeat("n", 256), strings.Repeat("a/", 2049)
	mkdir := func(path string) func(Dir) error { return func(d Dir) error { return d.MakeDir(path) } }
	rmdir := func(path string) func(Dir) error { return func(d Dir) error { return d.RemoveDir(path) } }
	unlink := func(path string) func(Dir) error { return func(d Dir) error { return d.Unlink(path) } }
	symlink := func(target, path string) func(Dir) error {
		return func(d Dir) error { return d.Symlink(target, path) }
	}
	link := func(path, to string) func(Dir) error { return func(d Dir) error { return d.Link(path, d, to) } }
	rename := func(path, to string) func(Dir) error { return func(d Dir) error { return d.Rename(path, d, to) } }
	readlink := func(path string) func(Dir) error {
		return func(d Dir) error {
			_, err := d.ReadLink(path)
			return err
		}
	}
	for name, test := range map[string]struct {
		do   func(Dir) error
		want error
	}{
		"an empty path":                         {stating("", true), ENOENT},
		"an absolute path":                      {stating("/file", true), EPERM},
		"a path with NUL":                       {stating("file\x00", true), EINVAL},
		"a name of 256 bytes":                   {stating(long, true), ENAMETOOLONG},
		"a new name of 256 bytes":               {mkdir(long), ENAMETOOLONG},
		"a new name of 255 bytes":               {mkdir(long[1:]), nil},
		"a path of 4098 bytes":                  {stating(longest, true), ENAMETOOLONG},
		"the directory itself":                  {stating(".", true), nil},
		"above the directory":                   {stating("..", true), EPERM},
		"above the directory and back":          {stating("../dir", true), EPERM},
		"up and down within":                    {stating("dir/../dir/nested/../nested", true), nil},
		"up too far":                            {stating("dir/../..", true), EPERM},
		"up from a file":                        {stating("file/..", true), ENOTDIR},
		"up from nothing":                       {stating("missing/..", true), ENOENT},
		"up from a link's directory":            {stating("dirlink/../file", true), nil},
		"a link that leads up within":           {stating("dir/up", true), nil},
		"dots and slashes":                      {stating(".//./dir///nested/./", true), nil},
		"a file's dot":                          {stating("file/.", true), ENOTDIR},
		"a file with a slash":                   {stating("file/", true), ENOTDIR},
		"a link to a file with a slash":         {stating("link/", false), ENOTDIR},
		"a link to a directory with a slash":    {stating("dirlink/", false), nil},
		"beneath a file":                        {stating("file/x", true), ENOTDIR},
		"beneath nothing":                       {stating("missing/x", true), ENOENT},
		"a dangling link":                       {stating("dangling", true), ENOENT},
		"a dangling link itself":                {stating("dangling", false), nil},
		"a link to itself":                      {stating("loop", true), ELOOP},
		"a link to itself on the way":           {stating("loop/x", false), ELOOP},
		"a link that leads outside":             {stating("outside", true), EPERM},
		"a link that leads outside on the way":  {stating("outside/x", false), EPERM},
		"a link that leads outside itself":      {stating("outside", false), nil},
		"open nothing":                          {opening("missing", toChange), ENOENT},
		"open a directory to write":             {opening("dir", toChange), EISDIR},
		"open a directory to truncate":          {opening("dir", OpenOptions{Read: true, Truncate: true}), EISDIR},
		"open a directory":                      {opening("dir", OpenOptions{Read: true}), nil},
		"open a file as a directory":            {opening("file", OpenOptions{Directory: true}), ENOTDIR},
		"open a file with a slash":              {opening("file/", OpenOptions{Read: true}), ENOTDIR},
		"open a link unfollowed":                {opening("link", OpenOptions{Read: true}), ELOOP},
		"open a link unfollowed as a directory": {opening("dirlink", OpenOptions{Directory: true}), ELOOP},
		"open a link with a slash":              {opening("dirlink/", OpenOptions{Directory: true}), nil},
		"open a link":                           {opening("dirlink", OpenOptions{Directory: true, Follow: true}), nil},
		"create what is there":                  {opening("file", toCreate), nil},
		"create a directory":                    {opening("dir", toCreate), EISDIR},
		"create a directory to read":            {opening("dir", OpenOptions{Read: true, Create: true}), EISDIR},
		"create with a slash":                   {opening("new/", toCreate), EISDIR},
		"create a file with a slash":            {opening("file/", toCreate), EISDIR},
		"create the directory itself":           {opening("./", toCreate), EISDIR},
		"create beneath nothing":                {opening("missing/new", toCreate), ENOENT},
		"create beneath a file":                 {opening("file/new", toCreate), ENOTDIR},
		"create through a dangling link":        {opening("dangling", toCreate), nil},
		"create through a link unfollowed":      {opening("dangling", OpenOptions{Write: true, Create: true}), ELOOP},
		"create through a link outside":         {opening("outside", toCreate), EPERM},
		"create and open as a directory":        {opening("new", OpenOptions{Create: true, Directory: true}), EINVAL},
		"create exclusively what is there":      {opening("file", OpenOptions{Write: true, Create: true, Exclusive: true}), EEXIST},
		"create exclusively a directory":        {opening("dir", OpenOptions{Create: true, Exclusive: true}), EEXIST},
		"create exclusively a link": {
			opening("dangling", OpenOptions{Create: true, Exclusive: true, Follow: true}), EEXIST,
		},
		"make a directory":                      {mkdir("new"), nil},
		"make a directory with a slash":         {mkdir("new/"), nil},
		"make a directory that is there":        {mkdir("dir"), EEXIST},
		"make a directory of a file":            {mkdir("file"), EEXIST},
		"make a directory of a link":            {mkdir("dangling"), EEXIST},
		"make the directory itself":             {mkdir("."), EEXIST},
		"make a directory beneath nothing":      {mkdir("missing/new"), ENOENT},
		"make a directory beneath a file":       {mkdir("file/new"), ENOTDIR},
		"make a directory outside":              {mkdir("../new"), EPERM},
		"remove a directory":                    {rmdir("empty"), nil},
		"remove a directory with a slash":       {rmdir("empty/"), nil},
		"remove a directory with entries":       {rmdir("dir"), ENOTEMPTY},
		"remove a directory that is a file":     {rmdir("file"), ENOTDIR},
		"remove a directory that is a link":     {rmdir("dirlink"), ENOTDIR},
		"remove a directory through a link":     {rmdir("dirlink/"), ENOTDIR},
		"remove no directory":                   {rmdir("missing"), ENOENT},
		"remove the directory itself":           {rmdir("."), EINVAL},
		"remove the directory above":            {rmdir("dir/.."), ENOTEMPTY},
		"unlink a file":                         {unlink("file"), nil},
		"unlink a link":                         {unlink("loop"), nil},
		"unlink nothing":                        {unlink("missing"), ENOENT},
		"unlink nothing with a slash":           {unlink("missing/"), ENOENT},
		"unlink a file with a slash":            {unlink("file/"), ENOTDIR},
		"unlink a link with a slash":            {unlink("dirlink/"), ENOTDIR},
		"unlink a directory":                    {unlink("empty"), EISDIR},
		"unlink a directory with a slash":       {unlink("empty/"), EISDIR},
		"unlink the directory itself":           {unlink("."), EISDIR},
		"symlink":                               {symlink("x", "new"), nil},
		"symlink to an absolute path":           {symlink("/etc", "new"), EPERM},
		"symlink to nothing":                    {symlink("", "new"), ENOENT},
		"symlink to too long a path":            {symlink(longest[:4096], "new"), ENAMETOOLONG},
		"symlink to a long path":                {symlink(longest[:4095], "new"), nil},
		"symlink to NUL":                        {symlink("a\x00", "new"), EINVAL},
		"symlink where something is":            {symlink("x", "file"), EEXIST},
		"symlink where something is with slash": {symlink("x", "dir/"), EEXIST},
		"symlink with a slash":                  {symlink("x", "new/"), ENOENT},
		"link":                                  {link("file", "new"), nil},
		"link a link":                           {link("dangling", "new"), nil},
		"link a directory":                      {link("dir", "new"), EPERM},
		"link nothing":                          {link("missing", "new"), ENOENT},
		"link a file with a slash":              {link("file/", "new"), ENOTDIR},
		"link where something is":               {link("file", "link"), EEXIST},
		"link with a slash":                     {link("file", "new/"), ENOENT},
		"read a link":                           {readlink("link"), nil},
		"read a link that is a file":            {readlink("file"), EINVAL},
		"read a link with a slash":              {readlink("dirlink/"), EINVAL},
		"read no link":                          {readlink("missing"), ENOENT},
		"rename":                                {rename("file", "dir/new"), nil},
		"rename nothing":                        {rename("missing", "new"), ENOENT},
		"rename nothing onto itself":            {rename("missing", "missing"), ENOENT},
		"rename beneath nothing":                {rename("file", "missing/new"), ENOENT},
		"rename a file onto a file":             {rename("file", "dir/nested/inner"), nil},
		"rename a file onto itself":             {rename("file", "./file"), nil},
		"rename a file onto a link":             {rename("file", "link"), nil},
		"rename a file onto a directory":        {rename("file", "empty"), EISDIR},
		"rename a file with a slash":            {rename("file/", "new"), ENOTDIR},
		"rename a file to a new directory":      {rename("file", "new/"), ENOTDIR},
		"rename a link with a slash":            {rename("dirlink/", "new"), ENOTDIR},
		"rename a directory":                    {rename("dir/", "new/"), nil},
		"rename a directory onto an empty one":  {rename("dir", "empty"), nil},
		"rename a directory onto a full one":    {rename("empty", "dir"), ENOTEMPTY},
		"rename a directory onto a file":        {rename("empty", "file"), ENOTDIR},
		"rename a directory into itself":        {rename("dir", "dir/new"), EINVAL},
		"rename a directory beneath itself":     {rename("dir", "dirlink/nested/new"), EINVAL},
		"rename a directory onto its parent":    {rename("dir/nested", "dir"), ENOTEMPTY},
		"rename a file onto its directory":      {rename("dir/nested/inner", "dir"), ENOTEMPTY},
		"rename the directory itself":           {rename(".", "new"), EBUSY},
		"rename onto the directory itself":      {rename("dir", "."), EBUSY},
		"rename to outside":                     {rename("file", "../new"), EPERM},
		"rename to too long a name":             {rename("file", long), ENAMETOOLONG},
	} {
		t.Run(name, func(t *testing.T) {
			m, root := memSample(t)
			err := test.do(root)
			if test.want == nil {
				require.NoError(t, err)
			} else {
				require.Equal(t, test.want, err)
			}
			require.NoError(t, root.Close())
			requireConsistent(t, m)
		})
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
		"allocate without writing":    {func() (int, error) { return 0, reader.Allocate(9) }, EBADF},
		"read at a negative offset":   {func() (int, error) { return reader.ReadAt(p, -1) }, EINVAL},
		"write at a negative offset":  {func() (int, error) { return writer.WriteAt(p, -1) }, EINVAL},
		"set a negative size":         {func() (int, error) { return 0, writer.SetSize(-1) }, EINVAL},
		"allocate a negative size":    {func() (int, error) { return 0, writer.Allocate(-1) }, EINVAL},
		"read past the end":           {func() (int, error) { return reader.ReadAt(p, 1<<40) }, io.EOF},
		"write at a huge offset":      {func() (int, error) { return writer.WriteAt(p, 1<<60) }, EFBIG},
		"write past the last offset":  {func() (int, error) { return writer.WriteAt(p, math.MaxInt64) }, EFBIG},
		"write where all room ends":   {func() (int, error) { return writer.WriteAt(p, defaultMaxBytes) }, ENOSPC},
		"set a huge size":             {func() (int, error) { return 0, writer.SetSize(1 << 60) }, EFBIG},
		"allocate a huge size":        {func() (int, error) { return 0, writer.Allocate(1 << 60) }, ENOSPC},
		"allocate more than there is": {func() (int, error) { return 0, writer.Allocate(defaultMaxBytes) }, ENOSPC},
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
