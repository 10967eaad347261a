package wasip1

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// requireUnchangeable tries all that would change a directory with a file and a subdirectory dir that holds inner.
func requireUnchangeable(t *testing.T, d Dir) {
	t.Helper()
	now := time.Unix(1, 0)
	for name, err := range map[string]error{
		"mkdir":          d.MakeDir("new"),
		"rmdir":          d.RemoveDir("dir"),
		"unlink":         d.Unlink("file"),
		"rename":         d.Rename("file", d, "new"),
		"link":           d.Link("file", d, "new"),
		"symlink":        d.Symlink("file", "new"),
		"times":          d.SetTimes("file", true, Times{Modified: &now}),
		"create":         opening("new", toCreate)(d),
		"create to read": opening("new", OpenOptions{Read: true, Create: true})(d),
		"write":          opening("file", toChange)(d),
		"truncate":       opening("file", OpenOptions{Read: true, Truncate: true})(d),
	} {
		require.Equal(t, EROFS, err, name)
	}
	for name, test := range map[string]struct{ err, want error }{
		"open to create what is there": {opening("file", OpenOptions{Read: true, Create: true})(d), nil},
		"create what is there anew":    {opening("file", OpenOptions{Write: true, Create: true, Exclusive: true})(d), EEXIST},
		"write nothing":                {opening("missing", toChange)(d), ENOENT},
		"write a directory":            {opening("dir", toChange)(d), EISDIR},
		"write outside":                {opening("../x", toCreate)(d), EPERM},
		"read":                         {opening("file", OpenOptions{Read: true})(d), nil},
	} {
		require.Equal(t, test.want, test.err, name)
	}
	file := memOpen(t, d, "file", OpenOptions{Read: true})
	require.Equal(t, "data", memRead(t, file))
	_, writing := file.WriteAt([]byte("x"), 0)
	_, appending := file.Append([]byte("x"))
	for name, err := range map[string]error{
		"write": writing, "append": appending, "times": file.SetTimes(Times{}), "size": file.SetSize(0), "allocate": file.Allocate(0, 1),
	} {
		require.Equal(t, EROFS, err, name)
	}
}

func TestReadOnly(t *testing.T) {
	m, root := memSample(t)
	require.NoError(t, m.WriteFile("dir/file", []byte("data")))
	require.NoError(t, m.MkdirAll("dir/dir"))
	d := ReadOnly(root)
	require.Same(t, d, ReadOnly(d))
	requireUnchangeable(t, d)
	requireUnchangeable(t, memOpenDir(t, d, "dir"))
	require.Equal(t, ELOOP, opening("link", OpenOptions{Write: true})(d))
	require.Equal(t, EROFS, opening("dangling", toCreate)(d))
	require.Equal(t, EEXIST, opening("dangling", OpenOptions{Create: true, Exclusive: true, Follow: true})(d))
	require.Equal(t, EROFS, d.Rename("file", root, "new"))
	require.Equal(t, EXDEV, root.Rename("file", d, "new"))
}

// streamDir holds nothing but a stream.
type streamDir struct {
	Dir
	stream streamFile
}

func (d streamDir) Open(string, OpenOptions) (File, Dir, error) { return d.stream, nil, nil }

type streamFile struct {
	File
	*bytes.Buffer
}

func TestReadOnlyStream(t *testing.T) {
	stream := streamFile{Buffer: bytes.NewBufferString("in")}
	file, _, err := ReadOnly(streamDir{stream: stream}).Open("pipe", OpenOptions{Read: true})
	require.NoError(t, err)
	all, err := io.ReadAll(file.(io.Reader))
	require.NoError(t, err)
	require.Equal(t, "in", string(all))
	n, err := file.(io.Writer).Write([]byte("out"))
	require.Equal(t, EROFS, err)
	require.Zero(t, n+stream.Len())
}
