package wasip1

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// manyEntries is how many entries a large folder has.
func manyEntries() int {
	if testing.Short() {
		return 5_000
	}
	return min(200_000, max(20_000, tries(200_000)))
}

// largeFolders are folders with that many entries, and what changes what lies in them.
func largeFolders(t *testing.T, n int) map[string]largeFolder {
	t.Helper()
	host, memory := t.TempDir(), NewMemFS()
	for i := range n {
		name := entryName(i)
		require.NoError(t, memory.WriteFile(name, nil))
		file, err := os.Create(filepath.Join(host, name))
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	return map[string]largeFolder{
		"host": {
			openHost(t, host), n,
			func(name string) error { return os.WriteFile(filepath.Join(host, name), nil, 0o600) },
			func(name string) error { return os.Remove(filepath.Join(host, name)) },
		},
		"memory": {
			memory.Root(), n,
			func(name string) error { return memory.WriteFile(name, nil) },
			func(name string) error { return memory.Root().Unlink(name) },
		},
	}
}

type largeFolder struct {
	dir         Dir
	n           int
	add, remove func(name string) error
}

func entryName(i int) string { return fmt.Sprintf("entry-%07d", i) }

// entrySize is what a name of entryName takes in the buffer.
const entrySize = direntSize + 13

func TestLargeFoldersAreReadToTheEnd(t *testing.T) {
	for name, folder := range largeFolders(t, manyEntries()) {
		sizes := []uint32{direntSize + 256, 300, 4096, 100_000, 1 << 20, uint32(folder.n+10) * entrySize}
		g := newGuest(t, folder.dir)
		for _, size := range sizes {
			t.Run(fmt.Sprint(name, " in steps of ", size), func(t *testing.T) {
				g.Memory = make([]byte, bufferAt+size)
				fd := g.openDirectory(t, firstMount, ".")
				seen, heap := make([]byte, folder.n), heapInUse()
				g.eachEntry(t, fd, size, func(name []byte) {
					i, err := strconv.Atoi(strings.TrimPrefix(string(name), "entry-"))
					require.NoError(t, err)
					if seen[i]++; i%(folder.n/4) == 0 {
						require.Less(t, heapInUse()-heap, int64(4<<20))
					}
				})
				require.Equal(t, bytes.Repeat([]byte{1}, folder.n), seen)
			})
		}
	}
}

func heapInUse() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// requireOnce checks that each of the n first entries is there exactly once.
func requireOnce(t *testing.T, names []string, n int) {
	t.Helper()
	seen := map[string]int{}
	for _, name := range names {
		seen[name]++
	}
	for i := range n {
		if name := entryName(i); seen[name] != 1 {
			require.Equal(t, 1, seen[name], "%s among %d", name, len(names))
		}
	}
}

// What is there all the time is read once, whatever else comes and goes meanwhile.
func TestFoldersThatChangeWhileTheyAreRead(t *testing.T) {
	for name, folder := range largeFolders(t, manyEntries()/4) {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, folder.dir)
			ended, done := make(chan struct{}), make(chan error)
			go func() { done <- folder.change(ended) }()
			stop := sync.OnceFunc(func() {
				close(ended)
				require.NoError(t, <-done)
			})
			defer stop()
			for _, size := range []uint32{300, 4096, guestSize - bufferAt} {
				requireOnce(t, g.entries(t, firstMount, size), folder.n)
			}
			stop()
		})
	}
}

// change adds entries and removes them again.
func (f largeFolder) change(ended <-chan struct{}) error {
	const others = 500
	for i := 0; ; i++ {
		select {
		case <-ended:
			return nil
		default:
		}
		name := fmt.Sprint("other-", i%others)
		change := f.add
		if i/others%2 == 1 {
			change = f.remove
		}
		if err := change(name); err != nil {
			return err
		}
	}
}

// A guest may go back to any cookie that it was given, and finds there what it found before as long as nothing changes.
func TestCookiesLeadBack(t *testing.T) {
	for name, folder := range largeFolders(t, manyEntries()/2) {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, folder.dir)
			names := append([]string{".", ".."}, g.entries(t, firstMount, guestSize-bufferAt)...)
			require.Len(t, names, folder.n+2)
			random := rand.New(rand.NewPCG(1, 17))
			cookie := uint64(0)
			for range 300 {
				switch random.IntN(4) {
				case 0:
					cookie = random.Uint64N(uint64(len(names)))
				case 1:
					cookie -= min(cookie, random.Uint64N(10_000))
				default:
					cookie = min(cookie+random.Uint64N(100), uint64(len(names)-1))
				}
				require.Equal(t, Success, g.FdReaddir(firstMount, bufferAt, direntSize+256, cookie, resultAt))
				next, n := binary.LittleEndian.Uint64(g.Memory[bufferAt:]), binary.LittleEndian.Uint32(g.Memory[bufferAt+16:])
				require.Equal(t, names[cookie], string(g.Memory[bufferAt+direntSize:][:n]))
				require.Equal(t, cookie+1, next)
			}
			require.Equal(t, Success, g.FdReaddir(firstMount, bufferAt, 1024, uint64(len(names)), resultAt))
			require.Zero(t, g.result())
		})
	}
}

// Buffers that do not hold even one entry are filled with as much of it as there is room for.
func TestBuffersSmallerThanAnEntry(t *testing.T) {
	g := newGuest(t, sampleMemory(t))
	require.Equal(t, Success, g.FdReaddir(firstMount, bufferAt, direntSize+256, 2, resultAt))
	want := string(g.Memory[bufferAt:][:direntSize+4])
	for size := range uint32(direntSize + 4) {
		clear(g.Memory[bufferAt:])
		require.Equal(t, Success, g.FdReaddir(firstMount, bufferAt, size, 2, resultAt))
		require.Equal(t, size, g.result())
		require.Equal(t, want[:size], string(g.Memory[bufferAt:][:size]))
		require.Zero(t, g.Memory[bufferAt+size])
	}
}
