package wasip1

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Guests and the host do anything at the same time; what was counted is right in the end.
func TestMemFSConcurrently(t *testing.T) {
	m := NewMemFS()
	m.MaxBytes, m.MaxNodes = 64*chunkSize, 100
	var wait sync.WaitGroup
	for worker := range uint64(8) {
		wait.Go(func() {
			worker := memWorker{t: t, random: rand.New(rand.NewPCG(worker, 6)), fs: m, dir: m.Root()}
			for range 2000 {
				worker.step()
			}
			worker.finish()
		})
	}
	wait.Wait()
	requireConsistent(t, m)
}

type memWorker struct {
	t      *testing.T
	random *rand.Rand
	fs     *MemFS
	dir    Dir
	files  []File
}

func (w *memWorker) path() string {
	names := []string{"a", "b", "c", "a/b", "b/c", "c/a/b", "a/../b", "b/a/c"}
	return names[w.random.IntN(len(names))]
}

// step does something whose success depends on the others; only the error numbers can be checked.
func (w *memWorker) step() {
	path, other := w.path(), w.path()
	var err error
	switch w.random.IntN(12) {
	case 0:
		err = w.dir.MakeDir(path)
	case 1:
		err = w.dir.RemoveDir(path)
	case 2:
		err = w.dir.Unlink(path)
	case 3:
		err = w.dir.Rename(path, w.dir, other)
	case 4:
		err = w.dir.Link(path, w.dir, other)
	case 5:
		err = w.dir.Symlink(other, path)
	case 6:
		_, err = w.dir.Stat(path, true)
	case 7:
		err = w.list()
	case 8:
		err = fs.WalkDir(w.fs, ".", func(_ string, entry fs.DirEntry, _ error) error {
			_, _ = entry.Info()
			return nil
		})
	case 9:
		err = w.open(path)
	default:
		err = w.use()
	}
	if errno := errnoOf(err); errno == EIO || errno == EBADF {
		w.t.Errorf("unexpected %v", err)
	}
}

func (w *memWorker) list() error {
	entries, err := w.dir.Entries()
	if err != nil {
		return err
	}
	defer entries.Close()
	for {
		if _, err := entries.Next(); err != nil {
			return notEnd(err)
		}
	}
}

func notEnd(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func (w *memWorker) open(path string) error {
	file, dir, err := w.dir.Open(path, toCreate)
	if file != nil {
		w.files = append(w.files, file)
	}
	if dir != nil {
		err = dir.Close()
	}
	return err
}

func (w *memWorker) use() (err error) {
	if len(w.files) == 0 {
		return nil
	}
	file, p := w.files[w.random.IntN(len(w.files))], make([]byte, w.random.IntN(chunkSize))
	offset := int64(w.random.IntN(8 * chunkSize))
	switch w.random.IntN(6) {
	case 0:
		_, err = file.WriteAt(p, offset)
	case 1:
		_, err = file.Append(p)
	case 2:
		err = file.SetSize(offset)
	case 3:
		err = file.Allocate(0, offset)
	case 4:
		_, err = file.ReadAt(p, offset)
	default:
		err = w.files[0].Close()
		w.files = w.files[1:]
	}
	return notEnd(err)
}

func (w *memWorker) finish() {
	for _, file := range w.files {
		if err := file.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// What is appended at the same time is all there.
func TestMemFSAppendConcurrently(t *testing.T) {
	m := NewMemFS()
	file := memOpen(t, m.Root(), "file", toCreate)
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for range 1000 {
				if n, err := file.Append([]byte(memName(worker) + "\n")); n != 2 || err != nil {
					t.Error(n, err)
				}
			}
		})
	}
	wait.Wait()
	text := memRead(t, file)
	for worker := range 4 {
		require.Equal(t, 1000, strings.Count(text, memName(worker)+"\n"))
	}
}

// FuzzMemFS gives any paths to a MemFS: nothing panics, nothing leads outside, and what was counted is right.
func FuzzMemFS(f *testing.F) {
	for _, path := range []string{
		"file", "dir/nested/inner", "link", "dirlink/nested", "loop", "outside/x", "dir/up", "./dir//../new/", "../x", "/x",
		"\xff", "a\x00b", strings.Repeat("x/", 50), strings.Repeat("n", 256), "",
	} {
		f.Add(path, "dir/new")
		f.Add("new", path)
	}
	f.Fuzz(func(t *testing.T, path, other string) {
		m, outer := memSample(t)
		root := memOpenDir(t, outer, "dir")
		_ = root.Symlink(other, path)
		_ = root.MakeDir(path)
		_ = opening(other, toCreate)(root)
		_ = root.Link(path, root, other)
		_ = root.Rename(path, root, other)
		_, _ = root.ReadLink(other)
		inside, err := root.Stat(path, true)
		if err == nil {
			require.Contains(t, inodesIn(m), inside.Inode)
		}
		_ = root.Unlink(other)
		_ = root.RemoveDir(path)
		require.NoError(t, root.Close())
		data, err := m.ReadFile("file")
		require.NoError(t, err, "it is outside")
		require.Equal(t, "data", string(data))
		requireConsistent(t, m)
	})
}

// inodesIn are those of dir, and of what is in it.
func inodesIn(m *MemFS) (inodes []uint64) {
	var add func(n *memNode)
	add = func(n *memNode) {
		inodes = append(inodes, n.inode)
		for _, entry := range n.entries.byName {
			add(entry.node)
		}
	}
	add(m.root.entries.get("dir").node)
	return inodes
}
