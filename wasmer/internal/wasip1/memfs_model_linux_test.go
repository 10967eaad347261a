package wasip1

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Random operations do the same to a MemFS as to a folder of Linux: each succeeds there, or has the same error number, and in
// the end the trees are the same.
func TestMemFSModel(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := NewMemFS()
			model := newModel(t, seed, m.Root(), openKernelDir(t, t.TempDir()))
			for range 1500 {
				model.step()
			}
			model.finish()
			requireConsistent(t, m)
		})
	}
}

// model does each operation twice.
type model struct {
	t      *testing.T
	random *rand.Rand
	dirs   []dirPair
	files  []filePair
	log    []string
	// anyErrno takes one error for another.
	anyErrno bool
}

type dirPair struct {
	dir    Dir
	kernel *kernelDir
}

type filePair struct{ file, kernel File }

func newModel(t *testing.T, seed uint64, dir Dir, kernel *kernelDir) *model {
	return &model{t: t, random: rand.New(rand.NewPCG(seed, 5)), dirs: []dirPair{{dir, kernel}}}
}

// path is a random one among few names, so that most lead somewhere.
func (m *model) path() string {
	names := []string{"a", "b", "c", "a", "b", "c", "d", ".", ".."}
	path := names[m.random.IntN(len(names))]
	for range m.random.IntN(4) {
		path += strings.Repeat("/", 1+m.random.IntN(9)/8) + names[m.random.IntN(len(names))]
	}
	return path + strings.Repeat("/", m.random.IntN(7)/6)
}

func (m *model) chance(n int) bool { return m.random.IntN(n) == 0 }

// compare wants the same error. What leads outside is not done to the folder; it must be an error. log tells of it.
func (m *model) compare(outside bool, got error, kernel func() error, format string, args ...any) bool {
	m.t.Helper()
	m.log = append(m.log, fmt.Sprintf(format, args...))
	if outside {
		require.Error(m.t, got, m.log)
		return false
	}
	want := kernel()
	if errnoOf(got) != errnoOf(want) && !(m.anyErrno && got != nil && want != nil) {
		require.Failf(m.t, "unlike Linux", "got %v, want %v, after\n%s", got, want, strings.Join(m.log, "\n"))
	}
	return got == nil
}

func (m *model) step() {
	d, to := m.dirs[m.random.IntN(len(m.dirs))], m.dirs[m.random.IntN(len(m.dirs))]
	path, other, follow := m.path(), m.path(), m.chance(2)
	outside := d.kernel.leadsOutside(m.t, path, false)
	both := outside || to.kernel.leadsOutside(m.t, other, false)
	switch m.random.IntN(11) {
	case 0:
		m.compare(outside, d.dir.MakeDir(path), func() error { return d.kernel.MakeDir(path) }, "mkdir %s", path)
	case 1:
		m.compare(outside, d.dir.RemoveDir(path), func() error { return d.kernel.RemoveDir(path) }, "rmdir %s", path)
	case 2:
		m.compare(outside, d.dir.Unlink(path), func() error { return d.kernel.Unlink(path) }, "unlink %s", path)
	case 3, 4:
		m.compare(both, d.dir.Rename(path, to.dir, other),
			func() error { return d.kernel.Rename(path, to.kernel, other) }, "rename %s %s", path, other)
	case 5:
		m.compare(both, d.dir.Link(path, to.dir, other),
			func() error { return d.kernel.Link(path, to.kernel, other) }, "link %s %s", path, other)
	case 6:
		m.compare(outside, d.dir.Symlink(other, path),
			func() error { return d.kernel.Symlink(other, path) }, "symlink %s %s", other, path)
	case 7:
		m.stat(d, path, follow)
	case 8, 9:
		m.open(d, path, follow)
	default:
		m.use()
	}
}

func (m *model) stat(d dirPair, path string, follow bool) {
	got, err := d.dir.Stat(path, follow)
	var want Stat
	same := m.compare(d.kernel.leadsOutside(m.t, path, follow), err, func() (err error) {
		want, err = d.kernel.Stat(path, follow)
		return err
	}, "stat %s %t", path, follow)
	if !same {
		return
	}
	require.Equal(m.t, want.Type, got.Type)
	if want.Type != TypeDirectory { // whose links and size each file system counts in its own way
		require.Equal(m.t, [...]uint64{want.Links, want.Size}, [...]uint64{got.Links, got.Size}, path)
	}
}

func (m *model) open(d dirPair, path string, follow bool) {
	o := OpenOptions{
		Read: true, Write: m.chance(2), Follow: follow, Directory: m.chance(4),
		Create: m.chance(2), Exclusive: m.chance(4), Truncate: m.chance(8),
	}
	o.Create = o.Create && !o.Directory // which older kernels take for something else
	outside := d.kernel.leadsOutside(m.t, path, follow)
	file, dir, err := d.dir.Open(path, o)
	var kernelFile File
	var kernel Dir
	if !m.compare(outside, err, func() (err error) {
		kernelFile, kernel, err = d.kernel.Open(path, o)
		return err
	}, "open %s %+v", path, o) {
		return
	}
	if dir != nil {
		m.dirs = append(m.dirs, dirPair{dir, kernel.(*kernelDir)})
		if len(m.dirs) > 4 {
			m.closeDir(1)
		}
		return
	}
	m.files = append(m.files, filePair{file, kernelFile})
	if len(m.files) > 4 {
		m.closeFile(0)
	}
}

// use does something with an open file, which may have been unlinked by now.
func (m *model) use() {
	if len(m.files) == 0 {
		return
	}
	f := m.files[m.random.IntN(len(m.files))]
	offset, p := int64(m.random.IntN(3*chunkSize)), make([]byte, m.random.IntN(1000))
	for i := range p {
		p[i] = byte(m.random.Uint32())
	}
	switch m.random.IntN(4) {
	case 0:
		got, want := make([]byte, len(p)), make([]byte, len(p))
		n, err := f.file.ReadAt(got, offset)
		m.compare(false, notEnd(err), func() error {
			_, err := f.kernel.ReadAt(want, offset)
			return notEnd(err)
		}, "read %d %d", len(p), offset)
		require.Equal(m.t, want[:n], got[:n])
	case 1:
		// A descriptor that cannot write is EINVAL to ftruncate.
		if err := f.file.SetSize(offset); err != EBADF {
			m.compare(false, err, func() error { return f.kernel.SetSize(offset) }, "truncate %d", offset)
		}
	default:
		_, err := f.file.WriteAt(p, offset)
		m.compare(false, err, func() error {
			_, err := f.kernel.WriteAt(p, offset)
			return err
		}, "write %d %d", len(p), offset)
	}
	got, err := f.file.Stat()
	require.NoError(m.t, err)
	want, err := f.kernel.Stat()
	require.NoError(m.t, err)
	require.Equal(m.t, [...]uint64{want.Links, want.Size}, [...]uint64{got.Links, got.Size})
}

func (m *model) closeDir(i int) {
	require.NoError(m.t, errors.Join(m.dirs[i].dir.Close(), m.dirs[i].kernel.Close()))
	m.dirs = slices.Delete(m.dirs, i, i+1)
}

func (m *model) closeFile(i int) {
	require.NoError(m.t, errors.Join(m.files[i].file.Close(), m.files[i].kernel.Close()))
	m.files = slices.Delete(m.files, i, i+1)
}

// finish closes what is open and compares the trees.
func (m *model) finish() {
	for len(m.files) > 0 {
		m.closeFile(0)
	}
	root := m.dirs[0]
	require.Equal(m.t, treeOf(m.t, root.kernel), treeOf(m.t, root.dir))
	for len(m.dirs) > 0 {
		m.closeDir(0)
	}
}

// treeOf tells of all that a directory holds: paths with types, contents, and which are one file.
func treeOf(t testing.TB, dir Dir) map[string]string {
	tree, inodes := map[string]string{}, map[uint64]string{}
	var add func(dir Dir, path string)
	add = func(dir Dir, path string) {
		for _, name := range namesIn(t, dir) {
			stat, err := dir.Stat(name, false)
			require.NoError(t, err)
			at := path + "/" + name
			if first, ok := inodes[stat.Inode]; ok {
				tree[at] = "the same as " + first
				continue
			}
			inodes[stat.Inode] = at
			switch stat.Type {
			case TypeDirectory:
				tree[at] = "directory"
				below := memOpenDir(t, dir, name)
				add(below, at)
				require.NoError(t, below.Close())
			case TypeSymbolicLink:
				target, err := dir.ReadLink(name)
				require.NoError(t, err)
				tree[at] = "link to " + target
			default:
				file, _, err := dir.Open(name, OpenOptions{Read: true})
				require.NoError(t, err)
				tree[at] = memRead(t, file)
				require.NoError(t, file.Close())
			}
		}
	}
	add(dir, "")
	return tree
}

// namesIn are the names in a directory, sorted.
func namesIn(t testing.TB, dir Dir) (names []string) {
	entries, err := dir.Entries()
	require.NoError(t, err)
	for {
		entry, err := entries.Next()
		if err == io.EOF {
			slices.Sort(names)
			require.NoError(t, entries.Close())
			return names
		}
		require.NoError(t, err)
		names = append(names, entry.Name)
	}
}
