package wasmer_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// cliEntries are the files of a cache.
func cliEntries(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	return files
}

// cliConstant is a library whose function f gives a number.
func cliConstant(n string) string {
	return `(module (func (export "f") (result i32) (i32.const ` + n + `)))`
}

func TestCLICacheKeepsCompiledModules(t *testing.T) {
	for _, compiler := range cliCompilers() {
		t.Run(compiler, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "not", "there", "yet")
			run := func(module string) cliResult {
				return cliExecute(module, "run", "--cache", folder, "--compiler", compiler, "-", "--invoke", "f")
			}
			require.Equal(t, cliResult{0, "1\n", ""}, run(cliConstant("1")))
			entries := cliEntries(t, folder)
			require.Len(t, entries, 1)
			first, err := os.ReadFile(entries[0])
			require.NoError(t, err)

			require.Equal(t, cliResult{0, "1\n", ""}, run(cliConstant("1")))
			require.Equal(t, entries, cliEntries(t, folder))
			require.Equal(t, cliResult{0, "2\n", ""}, run(cliConstant("2")))
			require.Len(t, cliEntries(t, folder), 2, "each module has its entry")

			// That an entry is used shows if it is another module's with this one's key.
			other := cliEntries(t, folder)[0]
			if other == entries[0] {
				other = cliEntries(t, folder)[1]
			}
			second, err := os.ReadFile(other)
			require.NoError(t, err)
			key := first[len(first)-sha256.Size:]
			forged := append(bytes.Clone(second[:len(second)-sha256.Size]), key...)
			require.NoError(t, os.WriteFile(entries[0], forged, 0o666))
			require.Equal(t, cliResult{0, "2\n", ""}, run(cliConstant("1")))

			for name, content := range map[string][]byte{
				"empty": {}, "truncated": first[:len(first)/2], "another module's": second,
				"no artifact": append([]byte("nothing"), key...), "only a key": key,
				"damaged": append(append(bytes.Clone(first[:len(first)/2]), first[len(first)/2]^1), first[len(first)/2+1:]...),
			} {
				require.NoError(t, os.WriteFile(entries[0], content, 0o666))
				require.Equal(t, cliResult{0, "1\n", ""}, run(cliConstant("1")), name)
				replaced, err := os.ReadFile(entries[0])
				require.NoError(t, err)
				require.Equal(t, cliResult{0, "1\n", ""}, run(cliConstant("1")), name)
				require.Equal(t, key, replaced[len(replaced)-sha256.Size:], name)
				require.Len(t, replaced, len(first), name)
			}
			require.Len(t, cliEntries(t, folder), 2, "nothing is left over")
		})
	}
}

func TestCLICacheTellsCompilersApart(t *testing.T) {
	folder := t.TempDir()
	for _, compiler := range cliCompilers() {
		require.Equal(t, 0, cliExecute(cliHello, "run", "--cache", folder, "--compiler", compiler, "-").status)
	}
	require.Len(t, cliEntries(t, folder), len(cliCompilers()))
}

func TestCLISecondRunEndsAsTheFirst(t *testing.T) {
	folder := t.TempDir()
	for name, module := range map[string]string{
		"output": cliHello, "exit": cliExit("9"), "trap": cliGuest(`(func $boom (export "_start") (drop (call $five)) unreachable)`),
		"missing imports": `(module (import "a" "b" (func)) (func (export "_start")))`,
	} {
		first := cliExecute(module, "run", "--cache", folder, "-")
		require.Equal(t, first, cliExecute(module, "run", "--cache", folder, "-"), name)
		require.Equal(t, first, cliExecute(module, "run", "-"), name)
	}
	require.Len(t, cliEntries(t, folder), 4)
	require.Equal(t, 1, cliExecute("(module", "run", "--cache", folder, "-").status)
	require.Len(t, cliEntries(t, folder), 4, "what does not compile has no entry")
}

func TestCLICacheThatCannotBeWrittenIsAWarning(t *testing.T) {
	file := cliWrite(t, "file", "")
	requireWarned := func(folder string) {
		t.Helper()
		r := cliExecute(cliConstant("7"), "run", "--cache", folder, "-", "--invoke", "f")
		require.Equal(t, 0, r.status, r.stderr)
		require.Equal(t, "7\n", r.stdout)
		require.True(t, strings.HasPrefix(r.stderr, "wasmer-go: warning: --cache "+folder+": "), r.stderr)
		require.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
	}
	requireWarned(file)
	requireWarned(filepath.Join(file, "folder"))

	// An entry that is a folder cannot be replaced.
	folder := t.TempDir()
	require.Equal(t, 0, cliExecute(cliConstant("7"), "run", "--cache", folder, "-", "--invoke", "f").status)
	entry := cliEntries(t, folder)[0]
	require.NoError(t, os.Remove(entry))
	require.NoError(t, os.MkdirAll(filepath.Join(entry, "x"), 0o777))
	requireWarned(folder)
	require.Len(t, cliEntries(t, folder), 1, "the temporary file is gone")
}
