package wasip1

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two guests do the same at random in two worlds that differ in what lies outside of their mounts. What they see is the same:
// so nothing outside is read, or even found to exist. That nothing outside is changed is looked up in the end.
func TestWhatIsOutsideMakesNoDifference(t *testing.T) {
	const each = 500
	for seed := range uint64(max(1, tries(100_000)/each)) {
		twins := []*twin{newTwin(t, seed, true), newTwin(t, seed, false)}
		before := [][]string{twins[0].world.outside(t), twins[1].world.outside(t)}
		for range each {
			require.Equal(t, twins[0].step(), twins[1].step(), "seed %d:\n%s", seed, strings.Join(twins[0].log, "\n"))
		}
		for i, twin := range twins {
			twin.Close()
			require.Equal(t, before[i], twin.world.outside(t), "seed %d:\n%s", seed, strings.Join(twin.log, "\n"))
		}
	}
}

// twin is a guest that does things at random, with a writable mount and a read-only one.
type twin struct {
	*guest
	t      *testing.T
	world  world
	random *rand.Rand
	names  []string
	log    []string
}

func newTwin(t *testing.T, seed uint64, outside bool) *twin {
	t.Helper()
	w := newWorld(t, outside)
	g := newGuest(t, openHost(t, w.mount), ReadOnly(openHost(t, w.readOnly)))
	names := []string{
		".", ".", "..", "..", "..", "", "file", "file", "file", "file", "dir", "dir", "dir", "dirlink", "dirlink", "sub", "inner", "deep", "empty", "new", "other", "secret", "outside", "mount", "nothing",
		"up", "out", "upup", "dir\xff", "ä", strings.Repeat("n", 256),
	}
	for name := range linksOut("") {
		names = append(names, filepath.Base(name))
	}
	slices.Sort(names)
	return &twin{guest: g, t: t, world: w, random: rand.New(rand.NewPCG(seed, 7)), names: names}
}

func (w *twin) pick(n uint32) uint32 { return w.random.Uint32N(n) }

// path has a few names, more often than not of what there is.
func (w *twin) path() string {
	var path strings.Builder
	if w.pick(20) == 0 {
		path.WriteString([]string{"/", "//", w.world.base + "/", w.world.mount + "/"}[w.pick(4)])
	}
	for n := range 1 + w.pick(1+w.pick(5)) {
		if n > 0 {
			path.WriteString([]string{"/", "/", "/", "//", "/./"}[w.pick(5)])
		}
		path.WriteString(w.names[w.pick(uint32(len(w.names)))])
	}
	if w.pick(8) == 0 {
		path.WriteString("/")
	}
	return path.String()
}

// directory is one of the mounts, or what may be a directory that was opened.
func (w *twin) directory() uint32 {
	if w.pick(3) == 0 {
		return firstMount + w.pick(2)
	}
	return firstMount + w.pick(uint32(len(w.table.list))-firstMount)
}

func (w *twin) how() uint32 {
	return []uint32{
		0, 0, openDirectory, openDirectory, openCreate, openTruncate, openCreate | openTruncate, openCreate | openExclusive, w.pick(16),
	}[w.pick(9)]
}

func (w *twin) rights() Rights {
	return []Rights{toRead, toRead | toWrite, allRights &^ toWrite, allRights, toWrite}[w.pick(5)]
}

// step does something, and says what came of it.
func (w *twin) step() string {
	path, newPath, dir, newDir := w.path(), w.path(), w.directory(), w.directory()
	var what, seen string
	var errno Errno
	switch w.pick(13) {
	case 0, 1, 2:
		what = "open"
		var fd uint32
		if fd, errno = w.openLooking(dir, w.pick(2), path, w.how(), w.rights()); errno == Success {
			seen = fmt.Sprint(fd)
		}
		if fd >= firstMount+8 {
			w.FdClose(fd)
		}
	case 3:
		what, errno = "stat", w.on(path, func(at, n uint32) Errno { return w.PathFilestatGet(dir, w.pick(2), at, n, bufferAt) })
		if errno == Success {
			seen = fmt.Sprint(w.Memory[bufferAt+16])
		}
	case 4:
		what, errno = "times", w.on(path, func(at, n uint32) Errno {
			return w.PathFilestatSetTimes(dir, w.pick(2), at, n, 1, 1, setAccessed|setModified)
		})
	case 5:
		what, errno = "mkdir", w.mkdir(dir, path)
	case 6:
		what, errno = "remove", w.on(path, func(at, n uint32) Errno { return w.PathRemoveDirectory(dir, at, n) })
	case 7:
		what, errno = "unlink", w.unlink(dir, path)
	case 8:
		what, errno = "rename", w.rename(dir, path, newDir, newPath)
	case 9:
		what, errno = "link", w.link(dir, path, newDir, newPath)
	case 10:
		what, errno = "symlink", w.symlink(newPath, dir, path)
	case 11:
		what, errno = "readlink", w.on(path, func(at, n uint32) Errno {
			return w.PathReadlink(dir, at, n, bufferAt, 0x4000, resultAt)
		})
		if errno == Success {
			seen = string(w.Memory[bufferAt:][:w.result()])
		}
	case 12:
		what, seen, errno = w.use(dir)
	}
	w.log = append(w.log, fmt.Sprintf("%s %d %.300q (%d %.300q): %s %.300s", what, dir, path, newDir, newPath, seen, errno))
	return strings.ReplaceAll(w.log[len(w.log)-1], w.world.base, "BASE")
}

// use does something with what is open.
func (w *twin) use(fd uint32) (what, seen string, errno Errno) {
	switch w.pick(4) {
	case 0:
		seen, errno = w.read(fd)
		return "read", seen, errno
	case 1:
		return "write", "", w.write(fd, "changed")
	case 2:
		errno = w.FdReaddir(fd, bufferAt, 0x4000, 0, resultAt)
		if errno == Success {
			names := w.entries(w.t, fd, 0x4000)
			slices.Sort(names)
			seen = fmt.Sprint(names)
		}
		return "readdir", seen, errno
	}
	if fd < firstMount+2 { // the mounts stay
		return "sync", "", w.FdSync(fd)
	}
	return "close", "", w.FdClose(fd)
}
