package wasip1

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// world is a folder with a mount, and with what a guest must not reach beside it. The same lies in both under names that are
// different, except for what has the name inner.
type world struct {
	base, mount, readOnly string
}

// newWorld makes a world in which the outside is there or not. A guest cannot tell which.
func newWorld(t testing.TB, outside bool) world {
	t.Helper()
	base := t.TempDir()
	w := world{base: base, mount: filepath.Join(base, "mount"), readOnly: filepath.Join(base, "readonly")}
	for _, folder := range []string{w.mount, w.readOnly} {
		makeTree(t, folder, "dir/sub/", "empty/", "file", "dir/inner", "dir/sub/deep")
		for name, target := range linksOut(base) {
			require.NoError(t, os.Symlink(target, filepath.Join(folder, name)))
		}
	}
	if outside {
		makeTree(t, base, "outside/empty/", "outside/inner", "outside/dir/secret", "secret")
	}
	return w
}

func makeTree(t testing.TB, folder string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		full := filepath.Join(folder, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		if strings.HasSuffix(path, "/") {
			require.NoError(t, os.MkdirAll(full, 0o755))
		} else {
			require.NoError(t, os.WriteFile(full, []byte(filepath.Base(folder)), 0o644))
		}
	}
}

// pathsOut lead out of the mount of a world, however much of it is there.
func pathsOut(base string) []string {
	return []string{
		"..", "../", "../.", "../..", "../secret", "../nothing", "..//secret", "./../secret", ".//..//secret", "../outside/inner",
		"../mount", "../mount/file", "../mount/../secret", "dir/../../secret", "dir/../..", "dir/sub/../../../secret",
		"self/../secret", "self/self/..", "dirlink/../../secret", "dirslash/../../nothing", "/", "//", "/.", "/..", "/etc/passwd",
		base, base + "/secret", base + "/nothing", base + "/mount/file", "absdir/inner", "absdir/nothing", "slashroot/etc",
		"up/secret", "up/nothing", "up/mount/file", "updot/secret", "upslash/secret", "updir/inner", "updir/nothing", "updir/dir/secret",
		"updirslash/inner", "chain1/inner", "chain1/nothing", "backdir/inner", "through/secret", "selfup/secret",
		"dir/upup/secret", "dir/up/../secret", "dir/sub/out/inner", "dir/sub/out/nothing", "dir/viachain/inner",
		"dirlink/upup/secret", "dirlink/sub/out/inner", "upfile/x", strings.Repeat("self/", 7) + "../secret",
		strings.Repeat("dir/../", 8) + "../secret", strings.Repeat("../", 1000) + "etc",
	}
}

// linkNames are links to the outside that are only reached if they are followed.
var linkNames = []string{
	"absolute", "absdir", "absin", "slashroot", "up", "updot", "upslash", "upfile", "updir", "updirslash", "uponward", "back", "backdir",
	"chain1", "chain2", "chain3", "danglingout", "danglingdir", "loopout", "selfup", "through", "throughfile", "dir/upup",
	"dir/upsecret", "dir/sub/out", "dir/viachain", "dir/viaabs", "long", "dirlink/upsecret", "dir/../upfile", "./updir",
}

func TestNoPathLeadsOutOfAHostFolder(t *testing.T) {
	w := newWorld(t, true)
	before := w.outside(t)
	for name, folder := range map[string]func() (*guest, string){
		"writable":  func() (*guest, string) { return newGuest(t, openHost(t, w.mount)), w.mount },
		"read only": func() (*guest, string) { return newGuest(t, ReadOnly(openHost(t, w.mount))), w.mount },
	} {
		t.Run(name, func(t *testing.T) {
			g, folder := folder()
			for _, path := range pathsOut(w.base) {
				requireOut(t, g, path, true)
			}
			for _, path := range linkNames {
				requireOut(t, g, path, false)
			}
			require.NotEmpty(t, listing(t, folder))
			require.Equal(t, before, w.outside(t))
		})
	}
}

// requireOut tries all functions on a path that leads out; one that only does so when it is followed is not made use of by
// functions that do not follow it.
func requireOut(t *testing.T, g *guest, path string, always bool) {
	t.Helper()
	refused := func(what string, errno Errno) {
		t.Helper()
		require.Contains(t, []Errno{EPERM, EROFS}, errno, "%s %q", what, path)
	}
	for how := range uint32(16) {
		if how&openDirectory != 0 && how != openDirectory || how&openExclusive != 0 {
			continue
		}
		for _, rights := range []Rights{toRead, toWrite, toRead | toWrite, allRights &^ toWrite} {
			_, errno := g.open(firstMount, path, how, rights)
			require.Equal(t, EPERM, errno, "open %q with %b", path, how)
		}
	}
	_, errno := g.stat(firstMount, path)
	require.Equal(t, EPERM, errno, "stat %q", path)
	refused("times", g.on(path, func(at, n uint32) Errno {
		return g.PathFilestatSetTimes(firstMount, lookupFollow, at, n, 1, 1, setAccessed|setModified)
	}))
	_, errno = g.openLooking(firstMount, 0, path, 0, toRead)
	if !always {
		require.Equal(t, ELOOP, errno, "open %q itself", path)
		return
	}
	require.Equal(t, EPERM, errno, "open %q itself", path)
	_, errno = g.open(firstMount, path, openCreate|openExclusive, toRead)
	require.Equal(t, EPERM, errno, "create %q", path)
	for _, name := range []string{"file", "empty", "dirlink", "missing"} {
		refused("rename to", g.rename(firstMount, name, firstMount, path))
		refused("rename from", g.rename(firstMount, path, firstMount, name))
		refused("link from", g.link(firstMount, path, firstMount, name))
	}
	refused("link to", g.link(firstMount, "file", firstMount, path))
	refused("symlink", g.symlink("x", firstMount, path))
	refused("mkdir", g.mkdir(firstMount, path))
	refused("unlink", g.unlink(firstMount, path))
	refused("rmdir", g.on(path, func(at, n uint32) Errno { return g.PathRemoveDirectory(firstMount, at, n) }))
	refused("readlink", g.on(path, func(at, n uint32) Errno {
		return g.PathReadlink(firstMount, at, n, bufferAt, 4096, resultAt)
	}))
}

func TestOddPathsHaveTheirErrors(t *testing.T) {
	for name, dir := range map[string]Dir{"host": openHost(t, newWorld(t, true).mount), "memory": sampleMemory(t)} {
		g := newGuest(t, dir)
		for path, want := range map[string]Errno{
			"": ENOENT, "\x00": EINVAL, "file\x00": EINVAL, "../secret\x00": EINVAL, "missing/../file": ENOENT, "file/": ENOTDIR,
			"file/.": ENOTDIR, "file/..": ENOTDIR, "file/../file": ENOTDIR, "filelink/": ENOTDIR, "loop": ELOOP, "loop/": ELOOP,
			"loop/x": ELOOP, "ping": ELOOP, "dangling": ENOENT, "dangling/": ENOENT, "dangling/x": ENOENT, ".": Success, "./": Success,
			"dir/..": Success, "dir/../": Success, "dir//": Success, "dirlink/": Success, "dirlink/.": Success,
			strings.Repeat("n", 255): ENOENT, strings.Repeat("n", 256): ENAMETOOLONG, strings.Repeat("n", 256) + "/x": ENAMETOOLONG,
			strings.Repeat("a/", 2048): ENOENT, strings.Repeat("a/", 2049): ENAMETOOLONG, "../" + strings.Repeat("n", 256): EPERM,
		} {
			_, errno := g.stat(firstMount, path)
			require.Equal(t, want.Error(), errno.Error(), "%s: %.40q", name, path)
		}
		for _, name := range []string{"ä", "\u0061\u0308", "日本", "\U0001F980", "…", "․․", "\u2215etc", "．．", "-", " ", "\n", "con"} {
			require.Equal(t, Success, g.mkdir(firstMount, name), "%q", name)
			require.Contains(t, g.entries(t, firstMount, 4096), name)
			require.Equal(t, EPERM, g.mkdir(firstMount, name+"/../../x"), "%q", name)
		}
	}
}

func TestNoPathLeadsOutOfOtherFileSystems(t *testing.T) {
	mapped := fstest.MapFS{
		"file": {}, "dir/inner": {}, "dir/sub/deep": {}, "empty": {Mode: fs.ModeDir | 0o755}, "dir/sub": {Mode: fs.ModeDir | 0o755},
	}
	for name, target := range linksOut("/base") {
		mapped[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink}
	}
	for name, dir := range map[string]Dir{
		"memory": sampleMemory(t), "read-only memory": ReadOnly(sampleMemory(t)), "map": NewFS(mapped), "read-only map": ReadOnly(NewFS(mapped)),
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, dir)
			before := treeOf(t, dir)
			for _, path := range pathsOut("/base") {
				if !strings.HasPrefix(path, "abs") && !strings.HasPrefix(path, "slashroot") {
					requireOut(t, g, path, true)
				}
			}
			for _, path := range linkNames {
				if !strings.HasPrefix(path, "abs") && path != "slashroot" && path != "dir/viaabs" {
					requireOut(t, g, path, false)
				}
			}
			require.Equal(t, before, treeOf(t, dir))
		})
	}
}
