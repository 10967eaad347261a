package wasmer_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// escapeFolders are a folder to mount, with links of all kinds that lead out of it, and a file beside it.
func escapeFolders(t *testing.T) (mount, secret string) {
	t.Helper()
	base := t.TempDir()
	mount, secret = filepath.Join(base, "mount"), filepath.Join(base, "secret")
	require.NoError(t, os.MkdirAll(filepath.Join(mount, "dir"), 0o755))
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(mount, "file"), []byte("inside"), 0o600))
	for name, target := range map[string]string{
		"absolute": secret, "relative": "../secret", "folder": base, "up": "..", "chain": "up/secret", "slash": "/", "dir/upup": "../..",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(mount, name)))
	}
	return mount, secret
}

// Programs see nothing but what is mounted, whatever they are asked for.
func TestWASIGuestsStayInTheirMounts(t *testing.T) {
	mount, secret := escapeFolders(t)
	sources := []string{
		"../secret", "/../secret", "//../secret", "/../../../../../.." + secret, "dir/../../secret", "absolute", "relative", "folder/secret",
		"up/secret", "up/mount/file", "chain", "slash" + secret, "dir/upup/secret", "./relative", "/relative", secret, "../mount/file",
	}
	config := map[string]wasmer.WASIConfig{
		"writable":  {Mounts: []wasmer.Mount{{Guest: "/", Host: mount}}},
		"read only": {Mounts: []wasmer.Mount{{Guest: "/", Host: mount, ReadOnly: true}}},
		"os.DirFS":  {Mounts: []wasmer.Mount{{Guest: "/", FS: os.DirFS(mount)}}},
		"relative":  {Mounts: []wasmer.Mount{{Guest: ".", Host: mount}}},
		"files of Go": {Mounts: []wasmer.Mount{{Guest: "/", FS: fstest.MapFS{
			"file": {Data: []byte("inside")}, "relative": {Data: []byte("../secret"), Mode: os.ModeSymlink},
		}}}},
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		cat, cp := wasiGuest(t, engine, "cat"), wasiGuest(t, engine, "cp")
		for name, config := range config {
			require.Equal(t, outcome{stdout: "inside"}, runCommand(t, cat, config, "file"), name)
			for _, source := range sources {
				read := runCommand(t, cat, config, source)
				require.EqualValues(t, 1, read.code, "%s: %s", name, source)
				require.Empty(t, read.stdout, "%s: %s", name, source)
				require.EqualValues(t, 1, runCommand(t, cp, config, "file", source).code, "%s: %s", name, source)
				require.EqualValues(t, 1, runCommand(t, cp, config, source, "copy").code, "%s: %s", name, source)
			}
		}
	})
	for path, want := range map[string]string{secret: "secret", filepath.Join(mount, "file"): "inside"} {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(data))
	}
	beside, err := os.ReadDir(filepath.Dir(secret))
	require.NoError(t, err)
	require.Len(t, beside, 2)
}
