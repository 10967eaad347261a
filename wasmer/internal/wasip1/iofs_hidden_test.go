package wasip1

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file system that hides a folder of the host behind a type of its own does not lead out of it either.
func TestHiddenFoldersDoNotLeadOutside(t *testing.T) {
	outside, inside := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(inside, "link")))
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(inside, "file")))
	require.NoError(t, os.WriteFile(filepath.Join(inside, "own"), []byte("own"), 0o600))
	g := newGuest(t, NewFS(struct{ fs.FS }{os.DirFS(inside)}))
	for _, path := range []string{"link/secret", "link", "file", "link/absent"} {
		_, errno := g.open(firstMount, path, 0, toRead)
		require.Equal(t, EACCES, errno, path)
	}
	require.Equal(t, "own", g.readFile(t, firstMount, "own"))
}
