package wasip1

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// outside says all that can be seen of what lies beside the mount of a world: a change of contents, names, links and times
// shows, and so does that a file was read, unless it is in the read-only mount.
func (w world) outside(t testing.TB) []string {
	t.Helper()
	var seen []string
	require.NoError(t, filepath.WalkDir(w.base, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == w.mount {
			return fs.SkipDir
		}
		seen = append(seen, describe(t, path, !strings.HasPrefix(path, w.readOnly)))
		return nil
	}))
	return seen
}

// describe tells of everything but when a directory was read, which looking at it changes.
func describe(t testing.TB, path string, access bool) string {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	accessed := stat.Atim.Nano()
	if info.Mode().Type() != 0 || !access {
		accessed = 0
	}
	return fmt.Sprint(path, " ", info.Mode(), stat.Ino, stat.Nlink, stat.Size, accessed, stat.Mtim, stat.Ctim)
}

// listing describes a folder and everything beneath.
func listing(t testing.TB, folder string) []string {
	return world{base: folder, readOnly: folder}.outside(t)
}
