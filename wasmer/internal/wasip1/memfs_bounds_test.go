package wasip1

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// heap is how much memory is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// What is written, anywhere, in pieces of any size, is what is read; what is cut off is zero when the file grows again.
func TestMemFSContents(t *testing.T) {
	m := NewMemFS()
	file := memOpen(t, m.Root(), "file", toCreate)
	random := rand.New(rand.NewPCG(1, 2))
	var want []byte
	grow := func(size int) {
		if size > len(want) {
			want = append(want, make([]byte, size-len(want))...)
		}
	}
	for range 3000 {
		offset := random.IntN(5 * chunkSize)
		p := bytes.Repeat([]byte{byte(random.Uint32())}, random.IntN(1<<random.IntN(18)))
		switch random.IntN(8) {
		case 0:
			require.NoError(t, file.SetSize(int64(offset)))
			grow(offset)
			want = want[:offset:offset]
		case 1:
			require.NoError(t, file.Allocate(0, int64(offset)))
			grow(offset)
		case 2:
			n, err := file.Append(p)
			require.NoError(t, err)
			require.Equal(t, len(p), n)
			want = append(want, p...)
			if len(want) > 8*chunkSize {
				require.NoError(t, file.SetSize(0))
				want = nil
			}
		case 3:
			got := make([]byte, len(p)+1)
			n, err := file.ReadAt(got, int64(offset))
			if offset >= len(want) {
				require.Equal(t, io.EOF, err)
				continue
			}
			require.NoError(t, err)
			require.True(t, bytes.Equal(want[offset:min(len(want), offset+len(got))], got[:n]))
		default:
			n, err := file.WriteAt(p, int64(offset))
			require.NoError(t, err)
			require.Equal(t, len(p), n)
			if len(p) > 0 {
				grow(offset + len(p))
				copy(want[offset:], p)
			}
		}
		stat, err := file.Stat()
		require.NoError(t, err)
		require.Equal(t, uint64(len(want)), stat.Size)
	}
	require.True(t, string(want) == memRead(t, file))
	requireConsistent(t, m)
	require.NoError(t, file.SetSize(0))
	require.Zero(t, m.bytes.used)
}

func TestMemFSMaxBytes(t *testing.T) {
	m := NewMemFS()
	m.MaxBytes = 4 * chunkSize
	root := m.Root()
	require.NoError(t, m.WriteFile("full", make([]byte, m.MaxBytes)), "all of it can be used")
	require.ErrorIs(t, m.WriteFile("other", []byte{1}), systemErrors()[ENOSPC])
	require.Equal(t, ENOSPC, root.Symlink("target", "link"))

	full := memOpen(t, root, "full", toChange)
	require.NoError(t, root.Unlink("full"))
	require.Equal(t, ENOSPC, root.Symlink("target", "link"), "it is open still")
	require.NoError(t, full.Close())
	require.Zero(t, m.bytes.used)

	file := memOpen(t, root, "other", toChange)
	n, err := file.WriteAt(make([]byte, m.MaxBytes), 10)
	require.NoError(t, err)
	require.Equal(t, int(m.MaxBytes)-10, n, "what there is room for")
	require.NoError(t, file.SetSize(1))
	require.Equal(t, int64(blockSize), m.bytes.used)
	require.NoError(t, file.Allocate(0, m.MaxBytes))
	require.Equal(t, m.MaxBytes, m.bytes.used)
	requireConsistent(t, m)
}

func TestMemFSMaxNodes(t *testing.T) {
	m := NewMemFS()
	m.MaxNodes = 3
	root := m.Root()
	require.NoError(t, root.MakeDir("dir"))
	require.NoError(t, root.Symlink("x", "link"))
	file := memOpen(t, root, "file", toCreate)
	for name, err := range map[string]error{
		"file":    opening("new", toCreate)(root),
		"dir":     root.MakeDir("new"),
		"link":    root.Link("file", root, "new"),
		"symlink": root.Symlink("x", "new"),
	} {
		require.Equal(t, ENOSPC, err, name)
	}
	require.NoError(t, root.Unlink("file"))
	require.Equal(t, ENOSPC, root.MakeDir("new"), "the file is open still")
	require.NoError(t, file.Close())
	require.NoError(t, root.MakeDir("new"))
	require.NoError(t, root.Rename("new", root, "dir"), "which makes one less")
	require.NoError(t, root.MakeDir("new"))
	requireConsistent(t, m)
}

// Sizes alone take no memory.
func TestMemFSHugeSizes(t *testing.T) {
	m := NewMemFS()
	m.MaxBytes = 1 << 62
	before := heap()
	file := memOpen(t, m.Root(), "file", toCreate)
	for _, size := range []int64{1 << 40, 1 << 60, 1 << 62} {
		require.NoError(t, file.SetSize(size))
		_, err := file.WriteAt([]byte{1}, size-1)
		require.NoError(t, err)
		p := make([]byte, 8)
		n, err := file.ReadAt(p, size-2)
		require.NoError(t, err)
		require.Equal(t, []byte{0, 1}, p[:n])
	}
	require.NoError(t, file.SetSize(1<<61))
	require.Equal(t, EFBIG, file.SetSize(1<<62+1))
	require.Less(t, heap(), before+1<<20)
}

// Entries come once each, in bounded memory, and looking one up takes no longer among many.
func TestMemFSManyEntries(t *testing.T) {
	const count = 200_000
	m := NewMemFS()
	root := m.Root()
	before := heap()
	for i := range count {
		require.NoError(t, opening(memName(i), toCreate)(root))
	}
	perEntry := (heap() - before) / count
	t.Logf("%d bytes an entry", perEntry)
	require.Less(t, perEntry, uint64(500))

	entries, err := root.Entries()
	require.NoError(t, err)
	defer entries.Close()
	require.LessOrEqual(t, testing.AllocsPerRun(count-1, func() {
		_, err := entries.Next()
		require.NoError(t, err)
	}), 0.0)
	_, err = entries.Next()
	require.Equal(t, io.EOF, err)

	for i := range count {
		require.NoError(t, root.Unlink(memName(i)))
	}
	after := heap()
	require.Less(t, after, before+1<<20, "%d bytes before, %d after", before, after)
	requireConsistent(t, m)
}

// Each entry that exists throughout is given exactly once, whatever is added and removed while the directory is read.
func TestMemFSEntriesWhileChanged(t *testing.T) {
	m := NewMemFS()
	root := m.Root()
	random := rand.New(rand.NewPCG(3, 4))
	const kept, others = "kept", "other"
	for i := range 3000 {
		require.NoError(t, root.MakeDir(kept+memName(i)))
		require.NoError(t, root.MakeDir(others+memName(i)))
	}
	entries, err := root.Entries()
	require.NoError(t, err)
	seen := map[string]int{}
	for step := 0; ; step++ {
		entry, err := entries.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.Equal(t, TypeDirectory, entry.Type)
		seen[entry.Name]++
		for range 2 { // at first mostly in front, so that blocks vanish there
			_ = root.RemoveDir(others + memName(random.IntN(3000)))
		}
		if step < 5000 {
			require.NoError(t, root.MakeDir("added"+memName(step)))
		}
		if step == 100 {
			require.NoError(t, root.MakeDir("swapped"))
			require.NoError(t, root.Rename("swapped", root, kept+"2999"))
		}
	}
	for name, times := range seen {
		require.Equal(t, 1, times, name)
	}
	for i := range 3000 {
		require.Equal(t, 1, seen[kept+memName(i)])
	}
	require.NoError(t, entries.Close())
	_, err = entries.Next()
	require.Equal(t, EBADF, err)
	requireConsistent(t, m)
}

// A guest cannot keep memory that is not counted by filling directories and emptying them again.
func TestMemFSGivesBackMemory(t *testing.T) {
	m := NewMemFS()
	root := m.Root()
	before := heap()
	for d := range 50 {
		dir := memName(d)
		require.NoError(t, root.MakeDir(dir))
		for i := range 5000 {
			require.NoError(t, root.MakeDir(dir+"/"+memName(i)))
		}
		for i := range 5000 {
			require.NoError(t, root.RemoveDir(dir+"/"+memName(i)))
		}
		name := strings.Repeat("f", 100) + dir
		file := memOpen(t, root, name, toCreate)
		for chunk := range int64(1000) {
			_, err := file.WriteAt([]byte{1}, chunk*chunkSize)
			require.NoError(t, err)
		}
		require.NoError(t, file.SetSize(1))
	}
	require.Less(t, heap(), before+1<<20)
	requireConsistent(t, m)
}
