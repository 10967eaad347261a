package wasip1

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// swapping exchanges two names of a folder all the time until the returned function is called, which leaves them as they were.
func swapping(t *testing.T, folder, one, other string) (stop func()) {
	t.Helper()
	one, other = filepath.Join(folder, one), filepath.Join(folder, other)
	ended, done := make(chan struct{}), make(chan error)
	exchange := func() error { return unix.Renameat2(unix.AT_FDCWD, one, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE) }
	if err := errors.Join(exchange(), exchange()); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		t.Skip("the file system cannot exchange names")
	}
	go func() {
		runtime.LockOSThread()
		for {
			select {
			case <-ended:
				done <- nil
				return
			default:
				if err := errors.Join(exchange(), exchange()); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(ended)
		require.NoError(t, <-done)
	})
}

// raceWorld is a world with what is swapped for one another:
//
//	dir, which holds inner    linked, a link to ../outside, which holds inner too
//	file                      upfile, a link to ../secret
//	pipe                      a named pipe
//
// The guest may do with them what it likes.
func raceWorld(t *testing.T) world {
	t.Helper()
	w := newWorld(t, true)
	require.NoError(t, os.Symlink("../outside", filepath.Join(w.mount, "linked")))
	require.NoError(t, os.Symlink("dir", filepath.Join(w.mount, "inside")))
	require.NoError(t, unix.Mkfifo(filepath.Join(w.mount, "pipe"), 0o600))
	return w
}

func TestSwappedNamesDoNotLeadOut(t *testing.T) {
	for name, pair := range map[string][2]string{
		"folder and link out": {"dir", "linked"}, "file and link out": {"file", "upfile"}, "folder and absolute link": {"dir", "absdir"},
		"folder and file": {"dir", "file"}, "link in and link out": {"inside", "linked"}, "folder and link upwards": {"dir", "up"},
		"deep folder and link out": {"dir/sub", "dir/sub/../../linked"},
	} {
		t.Run(name, func(t *testing.T) {
			w := raceWorld(t)
			before := w.outside(t)
			inodes := inodesOf(t, w)
			stop := swapping(t, w.mount, pair[0], pair[1])
			defer stop()
			g := newGuest(t, openHost(t, w.mount))
			for n := range tries(2_000) {
				g.race(t, []string{pair[0], pair[1]}[n%2], inodes)
			}
			stop()
			require.Equal(t, before, w.outside(t))
		})
	}
}

// inodesOf are those outside of the mount.
func inodesOf(t testing.TB, w world) map[uint64]string {
	t.Helper()
	inodes := map[uint64]string{}
	for _, path := range []string{"", "secret", "outside", "outside/inner", "outside/empty", "outside/dir", "outside/dir/secret"} {
		var stat unix.Stat_t
		require.NoError(t, unix.Stat(filepath.Join(w.base, path), &stat))
		inodes[stat.Ino] = path
	}
	return inodes
}

// race does what a guest can with a name that is being swapped.
func (g *guest) race(t *testing.T, name string, outside map[uint64]string) {
	t.Helper()
	inner := name + "/inner"
	for _, path := range []string{name, inner, name + "/", name + "/.", name + "/../outside", name + "/../secret"} {
		if inode, errno := g.stat(firstMount, path); errno == Success {
			require.NotContains(t, outside, inode, path)
		}
		for _, how := range []uint32{0, openDirectory, openCreate} {
			fd, errno := g.open(firstMount, path, how, toRead)
			if errno != Success {
				continue
			}
			require.Equal(t, Success, g.FdFilestatGet(fd, bufferAt))
			require.NotContains(t, outside, binary.LittleEndian.Uint64(g.Memory[bufferAt+8:]), path)
			if text, errno := g.read(fd); errno == Success {
				require.Contains(t, []string{"mount", ""}, text)
			} else {
				require.NotContains(t, g.entries(t, fd, 4096), "secret")
			}
			require.Equal(t, Success, g.FdClose(fd))
		}
	}
	if fd, errno := g.open(firstMount, inner, openTruncate, toRead|toWrite); errno == Success {
		g.write(fd, "mount")
		g.FdClose(fd)
	}
	g.change(name)
}

// change makes, moves and removes in a folder that may be another one each time.
func (g *guest) change(name string) {
	made, moved := name+"/made", name+"/moved"
	g.mkdir(firstMount, made)
	g.rename(firstMount, made, firstMount, moved)
	g.on(moved, func(at, n uint32) Errno { return g.PathRemoveDirectory(firstMount, at, n) })
	g.symlink("x", firstMount, made)
	g.unlink(firstMount, made)
	g.link(firstMount, name+"/inner", firstMount, made)
	g.unlink(firstMount, made)
	g.on(name, func(at, n uint32) Errno {
		return g.PathFilestatSetTimes(firstMount, lookupFollow, at, n, 1, 1, setAccessed|setModified)
	})
	g.on(name+"/inner", func(at, n uint32) Errno {
		return g.PathFilestatSetTimes(firstMount, lookupFollow, at, n, 1, 1, setAccessed|setModified)
	})
	for _, left := range []string{made, moved} {
		g.unlink(firstMount, left)
		g.on(left, func(at, n uint32) Errno { return g.PathRemoveDirectory(firstMount, at, n) })
	}
}

// A file that takes a link's place after it was looked at stays as it is.
func TestSwappedNamesDoNotMakeReadOnlyMountsWritable(t *testing.T) {
	w := raceWorld(t)
	require.NoError(t, os.Symlink("dir/inner", filepath.Join(w.mount, "toinner")))
	g := newGuest(t, ReadOnly(openHost(t, w.mount)))
	for _, other := range []string{"upfile", "toinner", "dangling"} {
		stop := swapping(t, w.mount, "file", other)
		for range tries(20_000) {
			for _, lookup := range []uint32{0, lookupFollow} {
				at, n := g.text(pathAt, "file")
				for _, how := range []uint32{openTruncate, openTruncate | openCreate} {
					if g.PathOpen(firstMount, lookup, at, n, how, uint64(toRead|toWrite), 0, 0, resultAt) == Success {
						fd := g.result()
						g.write(fd, "changed")
						g.FdFilestatSetSize(fd, 0)
						g.FdClose(fd)
					}
				}
			}
		}
		stop()
		for _, file := range []string{"file", "dir/inner"} {
			data, err := os.ReadFile(filepath.Join(w.mount, file))
			require.NoError(t, err)
			require.Equal(t, "mount", string(data), "%s swapped with %s", file, other)
		}
		require.NoFileExists(t, filepath.Join(w.mount, "missing"))
	}
}

// Nobody waits for the other end of a pipe that takes a folder's or a file's place.
func TestSwappedPipesAreNotWaitedFor(t *testing.T) {
	for _, name := range []string{"dir", "file", "inside"} {
		t.Run(name, func(t *testing.T) {
			w := raceWorld(t)
			stop := swapping(t, w.mount, name, "pipe")
			g, done := newGuest(t, openHost(t, w.mount)), make(chan struct{})
			go func() {
				defer close(done)
				for n := range tries(50_000) {
					fd, errno := g.open(firstMount, []string{name, name + "/inner", name + "/sub"}[n%3], 0, toRead)
					if errno == Success {
						g.FdClose(fd)
					}
				}
			}()
			select {
			case <-done:
				stop()
			case <-time.After(10 * time.Second):
				stop()
				peer, err := os.OpenFile(filepath.Join(w.mount, "pipe"), os.O_RDWR, 0)
				require.NoError(t, err)
				defer peer.Close()
				<-done
				t.Error("a pipe was waited for")
			}
		})
	}
}

// A folder that is moved out of the mount while it is open does not take the guest with it.
func TestMovedFoldersLeadNowhereElse(t *testing.T) {
	w := newWorld(t, true)
	g := newGuest(t, openHost(t, w.mount))
	dir, sub := g.openDirectory(t, firstMount, "dir"), g.openDirectory(t, firstMount, "dir/sub")
	require.NoError(t, os.Rename(filepath.Join(w.mount, "dir"), filepath.Join(w.base, "outside", "moved")))
	require.NoError(t, os.Symlink("../../secret", filepath.Join(w.base, "outside", "moved", "new")))
	for _, fd := range []uint32{dir, sub} {
		for _, path := range []string{
			"..", "../..", "../inner", "../nothing", "../secret", "../../secret", "../../mount/file", "up", "up/inner", "upup/secret",
			"new", "out/inner", "../moved", "../moved/inner", "../sub/../../inner", "sub/../../inner",
		} {
			_, errno := g.stat(fd, path)
			require.Contains(t, []Errno{EPERM, ENOENT}, errno, path)
			_, errno = g.open(fd, path, 0, toRead)
			require.Contains(t, []Errno{EPERM, ENOENT}, errno, path)
			if !strings.HasPrefix(path, "..") {
				continue
			}
			_, errno = g.open(fd, path, openCreate, toRead|toWrite)
			require.Equal(t, EPERM, errno, path)
			require.Equal(t, EPERM, g.rename(firstMount, "file", fd, path+"/x"), path)
		}
	}
	// What lies beneath is the folder's still.
	require.Equal(t, "mount", g.readFile(t, dir, "inner"))
	require.Equal(t, "mount", g.readFile(t, dir, "sub/deep"))
	require.Equal(t, "mount", g.readFile(t, sub, "deep"))
	require.Equal(t, "mount", g.readFile(t, dir, "sub/../inner"))
	_, errno := g.stat(firstMount, "dir")
	require.Equal(t, ENOENT, errno)
}

// While a folder moves in and out of the mount, what is above it stays out of reach.
func TestMovingFoldersLeadNowhereElse(t *testing.T) {
	w := newWorld(t, true)
	require.NoError(t, os.Mkdir(filepath.Join(w.base, "outside", "dir", "sub"), 0o755))
	inodes := inodesOf(t, w)
	delete(inodes, inodeOfPath(t, filepath.Join(w.base, "outside/dir"))) // it is let in
	delete(inodes, inodeOfPath(t, filepath.Join(w.base, "outside/dir/secret")))
	stop := swapping(t, w.base, "mount/dir", "outside/dir")
	defer stop()
	g := newGuest(t, openHost(t, w.mount))
	for range tries(20_000) {
		for _, path := range []string{"dir/..", "dir/../inner", "dir/sub/../..", "dir/sub/../../inner", "dir/../../secret", "dir/up/inner"} {
			if inode, errno := g.stat(firstMount, path); errno == Success {
				require.NotContains(t, inodes, inode, path)
			}
		}
		if fd, errno := g.open(firstMount, "dir", openDirectory, toRead|RightOpen|RightPathFilestat); errno == Success {
			for _, path := range []string{"..", "../inner", "sub/../..", "sub/../../inner"} {
				_, errno := g.stat(fd, path)
				require.Contains(t, []Errno{EPERM, ENOENT}, errno, path)
			}
			require.Equal(t, Success, g.FdClose(fd))
		}
	}
}

func inodeOfPath(t testing.TB, path string) uint64 {
	t.Helper()
	var stat unix.Stat_t
	require.NoError(t, unix.Stat(path, &stat))
	return stat.Ino
}
