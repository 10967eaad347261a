package wasip1

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Whatever a guest does to a read-only mount, and with the same folder mounted writable elsewhere: it stays as it is.
func TestReadOnlyIsSoThroughEveryFunction(t *testing.T) {
	w := newWorld(t, true)
	memory := sampleMemory(t)
	mapped := fstest.MapFS{"file": {Data: []byte("mount")}, "dir/inner": {}, "filelink": {Data: []byte("file"), Mode: fs.ModeSymlink}}
	for name, dir := range map[string]Dir{
		"host": ReadOnly(openHost(t, w.mount)), "memory": ReadOnly(memory), "map": NewFS(mapped), "embed": NewFS(embedded),
		"read-only map": ReadOnly(NewFS(mapped)),
	} {
		t.Run(name, func(t *testing.T) {
			file, folder := "file", "dir"
			if name == "embed" {
				file, folder = "errno.go", "."
			}
			g := newGuest(t, dir, openHost(t, t.TempDir()), NewMemFS().Root())
			before, host, stat := treeOf(t, dir), listing(t, w.mount), statOfPath(t, dir, file)
			for _, path := range []string{file, "filelink", folder, folder + "/new", "new", ".", "./" + file} {
				g.tryToChange(t, path, file)
			}
			require.Equal(t, before, treeOf(t, dir))
			require.Equal(t, host, listing(t, w.mount))
			require.Equal(t, stat, statOfPath(t, dir, file))
			for fd := range uint32(2) {
				require.Empty(t, g.entries(t, firstMount+1+fd, 4096))
			}
		})
	}
}

func statOfPath(t testing.TB, dir Dir, path string) Stat {
	t.Helper()
	stat, err := dir.Stat(path, true)
	require.NoError(t, err)
	stat.Accessed = 0
	return stat
}

// tryToChange tries all that changes something, with the mounts that follow the first as the other place.
func (g *guest) tryToChange(t *testing.T, path, file string) {
	t.Helper()
	refused := func(what string, errno Errno) {
		t.Helper()
		require.NotEqual(t, Success, errno, "%s %s", what, path)
	}
	for lookup := range uint32(2) {
		for how := range uint32(16) {
			for _, rights := range []Rights{0, toRead, toWrite, toRead | toWrite, RightWrite, RightSetSize, RightAllocate, allRights} {
				if fd, errno := g.openLooking(firstMount, lookup, path, how, rights); errno == Success {
					g.tryToChangeOpen(t, fd)
					require.Equal(t, Success, g.FdClose(fd))
				}
			}
		}
		for flags := range uint32(16) {
			if flags != 0 {
				refused("times", g.on(path, func(at, n uint32) Errno {
					return g.PathFilestatSetTimes(firstMount, lookup, at, n, 1, 1, flags)
				}))
			}
		}
	}
	for to := range uint32(3) {
		to += firstMount
		refused("rename", g.rename(firstMount, path, to, "moved"))
		refused("link", g.link(firstMount, path, to, "linked"))
		refused("link the file", g.link(firstMount, file, to, "linked"))
		if to != firstMount {
			fd, errno := g.open(to, "source", openCreate, toRead|toWrite)
			require.Equal(t, Success, errno)
			require.Equal(t, Success, g.FdClose(fd))
			refused("rename to", g.rename(to, "source", firstMount, path))
			refused("link to", g.link(to, "source", firstMount, path))
			require.Equal(t, Success, g.unlink(to, "source"))
		}
	}
	refused("symlink", g.symlink(file, firstMount, path))
	refused("mkdir", g.mkdir(firstMount, path))
	refused("unlink", g.unlink(firstMount, path))
	refused("rmdir", g.on(path, func(at, n uint32) Errno { return g.PathRemoveDirectory(firstMount, at, n) }))
}

// tryToChangeOpen tries all that changes what is open.
func (g *guest) tryToChangeOpen(t *testing.T, fd uint32) {
	t.Helper()
	list, count := g.vector(g.text(bufferAt, "changed"))
	g.FdFdstatSetFlags(fd, uint32(FlagAppend))
	for name, errno := range map[string]Errno{
		"write": g.FdWrite(fd, list, count, resultAt), "pwrite": g.FdPwrite(fd, list, count, 0, resultAt),
		"size": g.FdFilestatSetSize(fd, 1), "longer": g.FdFilestatSetSize(fd, 1<<20), "allocate": g.FdAllocate(fd, 0, 1<<20),
		"times": g.FdFilestatSetTimes(fd, 1, 1, setAccessed|setModified), "now": g.FdFilestatSetTimes(fd, 0, 0, setModifiedNow),
		"rights": g.FdFdstatSetRights(fd, uint64(allRights), uint64(allRights)),
	} {
		require.NotEqual(t, Success, errno, name)
	}
	g.FdSync(fd)
	g.FdDatasync(fd)
	if fd, errno := g.open(fd, "created", openCreate, toRead|toWrite); errno == Success {
		t.Errorf("created in %d", fd)
	}
}

// A guest that has a folder writable and read only can change it, but not by way of the latter.
func TestTheSameFolderWritableAndReadOnly(t *testing.T) {
	w := newWorld(t, false)
	g := newGuest(t, ReadOnly(openHost(t, w.mount)), openHost(t, w.mount))
	const writable = firstMount + 1
	require.NotEqual(t, Success, g.link(firstMount, "file", writable, "linked"))
	require.NotEqual(t, Success, g.rename(firstMount, "file", writable, "moved"))
	require.NotEqual(t, Success, g.link(writable, "file", firstMount, "linked"))
	require.NotEqual(t, Success, g.rename(writable, "file", firstMount, "moved"))
	fd, errno := g.open(firstMount, "file", 0, toRead)
	require.Equal(t, Success, errno)
	other, errno := g.open(writable, "file", 0, toRead|toWrite)
	require.Equal(t, Success, errno)
	require.Equal(t, Success, g.write(other, "through the other"))
	// A number that was a writable file's does not make what it stands for now writable.
	require.Equal(t, Success, g.FdRenumber(fd, other))
	require.NotEqual(t, Success, g.write(other, "x"))
	require.NotEqual(t, Success, g.FdFilestatSetSize(other, 0))
	require.Equal(t, Success, g.FdRenumber(firstMount, writable))
	require.Equal(t, EROFS, g.mkdir(writable, "x"))
	require.Equal(t, "through the other", g.readFile(t, writable, "file"))
}

// What was opened to read only cannot be written, in a writable mount either; nor can rights that were given up come back.
func TestRightsThatWereGivenUpStayLost(t *testing.T) {
	for name, dir := range map[string]Dir{"host": openHost(t, newWorld(t, false).mount), "memory": sampleMemory(t)} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, dir)
			fd, errno := g.open(firstMount, "file", 0, toRead)
			require.Equal(t, Success, errno)
			g.tryToChangeOpen(t, fd)
			require.Equal(t, "mount", g.readFile(t, firstMount, "file"))
			both, errno := g.open(firstMount, "file", 0, toRead|toWrite)
			require.Equal(t, Success, errno)
			require.Equal(t, Success, g.FdFdstatSetRights(both, uint64(toRead&fileRights), 0))
			g.tryToChangeOpen(t, both)
			require.Equal(t, Success, g.FdFdstatSetRights(firstMount, uint64(RightOpen|RightPathFilestat), uint64(RightRead|RightOpen)))
			require.Equal(t, ENOTCAPABLE, g.FdFdstatSetRights(firstMount, uint64(allRights), 0))
			require.Equal(t, ENOTCAPABLE, g.mkdir(firstMount, "new"))
			_, errno = g.open(firstMount, "new", openCreate, allRights)
			require.Equal(t, ENOTCAPABLE, errno)
			_, errno = g.open(firstMount, "file", openTruncate, allRights)
			require.Equal(t, ENOTCAPABLE, errno)
			fd, errno = g.open(firstMount, "file", 0, allRights)
			require.Equal(t, Success, errno)
			g.tryToChangeOpen(t, fd)
			again, errno := g.open(firstMount, ".", openDirectory, allRights)
			require.Equal(t, Success, errno)
			require.Equal(t, ENOTCAPABLE, g.mkdir(again, "new"))
			_, errno = g.open(again, "file", openTruncate, allRights)
			require.Equal(t, ENOTCAPABLE, errno)
		})
	}
}

// The links that the kernel resolves by itself lead nowhere.
func TestMagicLinksAreNotFollowed(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	file, err := os.OpenFile(secret, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	folder, err := os.Open(filepath.Dir(secret))
	require.NoError(t, err)
	defer folder.Close()
	for name, dir := range map[string]Dir{"writable": openHost(t, "/proc"), "read only": ReadOnly(openHost(t, "/proc"))} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, dir)
			for _, self := range []string{"self", "thread-self", "self/task/../../self", filepath.Base(mustReadlink(t, "/proc/self"))} {
				for _, path := range []string{
					"/root", "/root/", "/root/etc", "/root/nothing", "/cwd", "/cwd/errno.go", "/exe", fdPath(file), fdPath(folder), fdPath(folder) + "/secret",
					fdPath(folder) + "/nothing", fdPath(folder) + "/", "/task/../root", "/task/../root/etc",
				} {
					_, errno := g.stat(firstMount, self+path)
					require.Contains(t, []Errno{EPERM, ENOENT}, errno, self+path)
					for lookup := range uint32(2) {
						for _, how := range []uint32{0, openDirectory, openTruncate, openCreate} {
							_, errno := g.openLooking(firstMount, lookup, self+path, how, toRead)
							require.Contains(t, []Errno{EPERM, ENOENT, ELOOP, EISDIR, EROFS}, errno, "%s %b %b", self+path, lookup, how)
						}
					}
				}
			}
			g.readPipe(t)
		})
	}
	data, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.Equal(t, "secret", string(data))
}

// readPipe tries to read a pipe of the process by its link, whose target is no path.
func (g *guest) readPipe(t *testing.T) {
	t.Helper()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	defer writer.Close()
	for lookup := range uint32(2) {
		_, errno := g.openLooking(firstMount, lookup, "self"+fdPath(reader), 0, toRead)
		require.Contains(t, []Errno{ENOENT, ELOOP, EPERM}, errno)
	}
}

func fdPath(file *os.File) string { return fmt.Sprint("/fd/", file.Fd()) }

func mustReadlink(t testing.TB, path string) string {
	t.Helper()
	buffer := make([]byte, 100)
	n, err := unix.Readlink(path, buffer)
	require.NoError(t, err)
	return string(buffer[:n])
}
