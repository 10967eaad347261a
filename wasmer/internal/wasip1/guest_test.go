package wasip1

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// guest makes calls as a guest does: all that it passes lies in its memory.
type guest struct {
	Call
}

// Where a guest keeps what it passes, and the size of its memory.
const (
	resultAt  = 64
	vectorAt  = 128
	pathAt    = 0x2000
	newPathAt = 0x4000
	bufferAt  = 0x8000
	guestSize = 0x10000

	firstMount = 3
)

// newGuest makes a guest that is closed with the test. Its mounts are the directories, from firstMount on.
func newGuest(t testing.TB, mounts ...Dir) *guest {
	t.Helper()
	var config Config
	for _, dir := range mounts {
		config.Preopens = append(config.Preopens, Preopen{Guest: "/", Dir: dir})
	}
	return newGuestOf(t, t.Context(), config)
}

func newGuestOf(t testing.TB, ctx context.Context, config Config) *guest {
	t.Helper()
	system := NewSystem(config)
	process := system.NewProcess(nil)
	t.Cleanup(func() {
		process.Close()
		_ = system.Close()
	})
	return &guest{Call{Process: process, Memory: make([]byte, guestSize), Context: ctx}}
}

func openHost(t testing.TB, folder string) Dir {
	t.Helper()
	dir, err := OpenHost(folder)
	require.NoError(t, err)
	return dir
}

// text puts a text into the memory, for functions that take its place and its length.
func (g *guest) text(at uint32, text string) (offset, n uint32) {
	return at, uint32(copy(g.Memory[at:], text))
}

func (g *guest) result() uint32 { return binary.LittleEndian.Uint32(g.Memory[resultAt:]) }

// vector describes a buffer as the only one of a list.
func (g *guest) vector(offset, n uint32) (list, count uint32) {
	binary.LittleEndian.PutUint32(g.Memory[vectorAt:], offset)
	binary.LittleEndian.PutUint32(g.Memory[vectorAt+4:], n)
	return vectorAt, 1
}

const (
	toRead  = RightRead | RightSeek | RightReaddir | RightFilestat
	toWrite = RightWrite | RightSeek | RightSetSize | RightAllocate | RightSetTimes
)

// open follows a link at the end.
func (g *guest) open(dir uint32, path string, how uint32, rights Rights) (uint32, Errno) {
	return g.openLooking(dir, lookupFollow, path, how, rights)
}

func (g *guest) openLooking(dir, lookup uint32, path string, how uint32, rights Rights) (uint32, Errno) {
	at, n := g.text(pathAt, path)
	errno := g.PathOpen(dir, lookup, at, n, how, uint64(rights), uint64(allRights), 0, resultAt)
	return g.result(), errno
}

// openDirectory opens a directory with all rights, which must succeed.
func (g *guest) openDirectory(t testing.TB, dir uint32, path string) uint32 {
	t.Helper()
	fd, errno := g.open(dir, path, openDirectory, allRights&^toWrite)
	require.Equal(t, Success, errno, path)
	return fd
}

// stat gives the inode.
func (g *guest) stat(dir uint32, path string) (uint64, Errno) {
	at, n := g.text(pathAt, path)
	errno := g.PathFilestatGet(dir, lookupFollow, at, n, bufferAt)
	return binary.LittleEndian.Uint64(g.Memory[bufferAt+8:]), errno
}

func (g *guest) read(fd uint32) (string, Errno) {
	list, count := g.vector(bufferAt, guestSize-bufferAt)
	errno := g.FdRead(fd, list, count, resultAt)
	if errno != Success {
		return "", errno
	}
	return string(g.Memory[bufferAt:][:g.result()]), Success
}

func (g *guest) write(fd uint32, text string) Errno {
	list, count := g.vector(g.text(bufferAt, text))
	return g.FdWrite(fd, list, count, resultAt)
}

// readFile gives what a file holds that must be there.
func (g *guest) readFile(t testing.TB, dir uint32, path string) string {
	t.Helper()
	fd, errno := g.open(dir, path, 0, toRead)
	require.Equal(t, Success, errno, path)
	text, errno := g.read(fd)
	require.Equal(t, Success, errno, path)
	require.Equal(t, Success, g.FdClose(fd))
	return text
}

// on calls a function that takes a path.
func (g *guest) on(path string, call func(at, n uint32) Errno) Errno {
	return call(g.text(pathAt, path))
}

// between calls a function that takes two paths.
func (g *guest) between(path, newPath string, call func(at, n, newAt, newN uint32) Errno) Errno {
	at, n := g.text(pathAt, path)
	newAt, newN := g.text(newPathAt, newPath)
	return call(at, n, newAt, newN)
}

func (g *guest) mkdir(dir uint32, path string) Errno {
	return g.on(path, func(at, n uint32) Errno { return g.PathCreateDirectory(dir, at, n) })
}

func (g *guest) unlink(dir uint32, path string) Errno {
	return g.on(path, func(at, n uint32) Errno { return g.PathUnlinkFile(dir, at, n) })
}

func (g *guest) rename(dir uint32, path string, newDir uint32, newPath string) Errno {
	return g.between(path, newPath, func(at, n, newAt, newN uint32) Errno {
		return g.PathRename(dir, at, n, newDir, newAt, newN)
	})
}

func (g *guest) link(dir uint32, path string, newDir uint32, newPath string) Errno {
	return g.between(path, newPath, func(at, n, newAt, newN uint32) Errno {
		return g.PathLink(dir, 0, at, n, newDir, newAt, newN)
	})
}

func (g *guest) symlink(target string, dir uint32, path string) Errno {
	return g.between(target, path, func(at, n, newAt, newN uint32) Errno {
		return g.PathSymlink(at, n, dir, newAt, newN)
	})
}

// entries are the names that a directory holds beside "." and "..", read into a buffer of a size.
func (g *guest) entries(t testing.TB, dir, size uint32) (names []string) {
	t.Helper()
	g.eachEntry(t, dir, size, func(name []byte) { names = append(names, string(name)) })
	return names
}

func (g *guest) eachEntry(t testing.TB, dir, size uint32, do func(name []byte)) {
	t.Helper()
	for cookie, used := uint64(0), size; used == size; {
		require.Equal(t, Success, g.FdReaddir(dir, bufferAt, size, cookie, resultAt))
		used = g.result()
		for data := g.Memory[bufferAt:][:used]; len(data) >= direntSize; {
			next, n := binary.LittleEndian.Uint64(data), int(binary.LittleEndian.Uint32(data[16:]))
			if len(data) < direntSize+n {
				break
			}
			if name := data[direntSize:][:n]; string(name) != "." && string(name) != ".." {
				do(name)
			}
			cookie, data = next, data[direntSize+n:]
		}
	}
}

// tries scales a number of attempts: WASMER_GO_SOAK=long is for the full one.
func tries(full int) int {
	switch {
	case os.Getenv("WASMER_GO_SOAK") == "long":
		return full
	case testing.Short():
		return full / 100
	}
	return full / 10
}

// silent is a reader that never brings anything.
func silent(t testing.TB) io.Reader {
	t.Helper()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = writer.Close()
		_ = reader.Close()
	})
	return reader
}

func listening(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// connected is one end of a connection on which nothing comes.
func connected(t *testing.T) net.Conn {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() {
		_ = near.Close()
		_ = far.Close()
	})
	return near
}

// sampleMemory is a MemFS with what the worlds have.
func sampleMemory(t testing.TB) Dir {
	t.Helper()
	m := NewMemFS()
	require.NoError(t, m.MkdirAll("dir/sub"))
	require.NoError(t, m.MkdirAll("empty"))
	for _, file := range []string{"file", "dir/inner", "dir/sub/deep"} {
		require.NoError(t, m.WriteFile(file, []byte("mount")))
	}
	for name, target := range linksOut("") {
		if target[0] != '/' {
			require.NoError(t, m.Root().Symlink(target, name))
		}
	}
	return m.Root()
}

// linksOut are symbolic links of all kinds that the host has made.
func linksOut(base string) map[string]string {
	return map[string]string{
		"absolute": base + "/outside/inner", "absdir": base + "/outside", "absin": base + "/mount/file", "slashroot": "/",
		"up": "..", "updot": "../.", "upslash": "../", "upfile": "../secret", "updir": "../outside", "updirslash": "../outside/",
		"uponward": "../outside/dir/../inner", "back": "../mount/file", "backdir": "../mount/dir",
		"chain1": "chain2", "chain2": "dir/../chain3", "chain3": "updir",
		"dangling": "missing", "danglingout": "../nothing", "danglingdir": "../outside/nothing",
		"loop": "loop", "ping": "pong", "pong": "ping/", "loopout": "../mount/loopout",
		"self": ".", "selfup": "self/..", "through": "dir/sub/../../..", "throughfile": "dir/sub/../../../secret",
		"dirlink": "dir", "dirslash": "dir/", "filelink": "file", "fileslash": "file/",
		"dir/up": "..", "dir/upup": "../..", "dir/upsecret": "../../secret", "dir/sub/out": "../../../outside",
		"dir/viachain": "../chain1", "dir/viaabs": "../absdir/inner", "long": strings.Repeat("dir/../", 8) + "../secret",
	}
}
