package gojs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestFiles(t *testing.T) {
	for _, program := range []string{"files", "directories", "links"} {
		for _, guest := range []string{"/", "/deep/down"} {
			t.Run(program+" in "+guest, func(t *testing.T) {
				onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
					config := wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: guest, Host: t.TempDir()}}}
					got := run(t.Context(), module, config, program, guest)
					require.NoError(t, got.err, got.stderr)
					require.Equal(t, "ok\n", got.stdout)
				})
			})
		}
	}
}

func TestFilesOfTheHost(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	dir := t.TempDir()
	config := wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/data", Host: dir}}}
	got := run(t.Context(), module, config, "write", "/data/file", "content")
	require.Equal(t, "<nil>\n", got.stdout)
	data, err := os.ReadFile(filepath.Join(dir, "file"))
	require.NoError(t, err)
	require.Equal(t, "content", string(data))
}

func TestMounts(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	files := func(names ...string) fstest.MapFS {
		fsys := fstest.MapFS{}
		for _, name := range names {
			fsys[name] = &fstest.MapFile{Data: []byte(name)}
		}
		return fsys
	}
	apart := []wasmer.Mount{{Guest: "/a", FS: files("f")}, {Guest: "/b/c", FS: files("g", "d/h")}}
	nested := append([]wasmer.Mount{{Guest: "/", FS: files("f", "a/hidden", "ab/f")}}, apart...)
	for _, test := range []struct {
		name   string
		mounts []wasmer.Mount
		env    map[string]string
		args   []string
		want   string
	}{
		{name: "nothing", args: []string{"list", "/", "/tmp"}, want: "[] <nil>\n[] open /tmp: No such file or directory\n"},
		{name: "mount points", mounts: apart, args: []string{"list", "/", "/b", "/b/c", "/a/"},
			want: "[a b] <nil>\n[c] <nil>\n[d g] <nil>\n[f] <nil>\n"},
		{name: "the longest path", mounts: nested, args: []string{"cat", "/f", "/a/f", "/ab/f", "/b/c/d/h", "/a/hidden"},
			want: "f <nil>\nf <nil>\nab/f <nil>\nd/h <nil>\n open /a/hidden: No such file or directory\n"},
		{name: "from one to the other", mounts: nested, args: []string{"cat", "/a/../f", "a/.././b/c/g", "/../../f"},
			want: "f <nil>\ng <nil>\nf <nil>\n"},
		{name: "back and forth in one", mounts: nested, args: []string{"cat", "/b/c/d/../g", "/b/c/d/../../c/g", "/b/c/absent/../g"},
			want: "g <nil>\ng <nil>\n open /b/c/absent/../g: No such file or directory\n"},
		{name: "a folder to start in", mounts: nested, env: map[string]string{"PWD": "/b/c"}, args: []string{"cat", "g", "../../f"},
			want: "g <nil>\nf <nil>\n"},
		{name: "files are no directories", mounts: apart, args: []string{"cat", "/a/f/", "/a/f/.", "/a"},
			want: " open /a/f/: Not a directory\n open /a/f/.: Not a directory\n read /a: Is a directory\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := run(t.Context(), module, wasmer.WASIConfig{Mounts: test.mounts, Env: test.env}, test.args...)
			require.NoError(t, got.err, got.stderr)
			require.Equal(t, test.want, got.stdout)
		})
	}
}

// The files of a MemFS are there for the host and for the next guest.
func TestFilesInMemory(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	memory := wasmer.NewMemFS()
	config := wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", FS: memory}}}
	for _, args := range [][]string{{"files", "/"}, {"directories", "/"}, {"links", "/"}, {"write", "/file", "content"}} {
		got := run(t.Context(), module, config, args...)
		require.NoError(t, got.err, got.stderr)
	}
	data, err := memory.ReadFile("file")
	require.NoError(t, err)
	require.Equal(t, "content", string(data))
	require.Equal(t, "content <nil>\n", run(t.Context(), module, config, "cat", "/file").stdout)
}

func TestReadOnlyMounts(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600))
	memory := wasmer.NewMemFS()
	require.NoError(t, memory.WriteFile("file", []byte("content")))
	for name, mount := range map[string]wasmer.Mount{
		"a folder":      {Guest: "/", Host: dir, ReadOnly: true},
		"a file system": {Guest: "/", FS: fstest.MapFS{"file": {Data: []byte("content")}}},
		"os.DirFS":      {Guest: "/", FS: os.DirFS(dir)},
		"a MemFS":       {Guest: "/", FS: memory, ReadOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t.Context(), module, wasmer.WASIConfig{Mounts: []wasmer.Mount{mount}}, "refused", "/")
			require.NoError(t, got.err, got.stderr)
			require.Equal(t, "content\n", got.stdout)
		})
	}
}

func TestNothingOutsideIsReached(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	dir := t.TempDir()
	inside := filepath.Join(dir, "inside")
	require.NoError(t, os.Mkdir(inside, 0o700))
	secret := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	require.NoError(t, os.Symlink("../secret", filepath.Join(inside, "relative")))
	require.NoError(t, os.Symlink(secret, filepath.Join(inside, "absolute")))
	require.NoError(t, os.Symlink("..", filepath.Join(inside, "up")))
	config := wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/m", Host: inside}}}
	got := run(t.Context(), module, config,
		"cat", "/m/../secret", "/m/relative", "/m/absolute", "/m/up/secret", secret, "/m/up/inside/../../secret")
	require.NoError(t, got.err, got.stderr)
	require.NotContains(t, strings.ReplaceAll(got.stdout, "/secret:", ""), "secret <nil>")
	require.Equal(t, 6, strings.Count(got.stdout, " open "), got.stdout)
}

func TestFileDescriptorsAreBounded(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	config := wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", FS: fstest.MapFS{"file": {}}}}}
	got := run(t.Context(), module, config, "descriptors", "/file")
	require.NoError(t, got.err, got.stderr)
	require.Equal(t, "1021\n", got.stdout)
}

// A program that copies much leaves buffers behind faster than it collects them.
func TestSpentBuffersAreGivenUp(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	file := &fstest.MapFile{Data: []byte(strings.Repeat("x", 1<<20))}
	config := wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", FS: fstest.MapFS{"file": file}}}}
	got := run(t.Context(), module, config, "buffers", "/file")
	require.NoError(t, got.err, got.stderr)
	require.Equal(t, "ok\n", got.stdout)
}
