package wasmer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cliConstant is a library whose function f gives a number.
func cliConstant(n string) string {
	return `(module $constant (func (export "f") (result i32) (i32.const ` + n + `)))`
}

func TestCLICacheKeepsCompiledModules(t *testing.T) {
	for _, compiler := range cliCompilers() {
		t.Run(compiler, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "not", "there", "yet")
			run := func(module string) cliResult {
				return cliExecute(module, "run", "--cache", folder, "--compiler", compiler, "-", "--invoke", "f")
			}
			require.Equal(t, cliResult{0, "1\n", ""}, run(cliConstant("1")))
			entries := cacheFiles(t, folder)
			require.Len(t, entries, 1)
			require.Equal(t, cliResult{0, "1\n", ""}, run(cliConstant("1")))
			require.Equal(t, entries, cacheFiles(t, folder))
			require.Equal(t, cliResult{0, "2\n", ""}, run(cliConstant("2")))
			require.Len(t, cacheFiles(t, folder), 2, "each module has its entry")
		})
	}
}

func TestCLICacheTellsCompilersApart(t *testing.T) {
	folder := t.TempDir()
	for _, compiler := range cliCompilers() {
		require.Equal(t, 0, cliExecute(cliHello, "run", "--cache", folder, "--compiler", compiler, "-").status)
	}
	require.Len(t, cacheFiles(t, folder), len(cliCompilers()))
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
	require.Len(t, cacheFiles(t, folder), 4)
	require.Equal(t, 1, cliExecute("(module", "run", "--cache", folder, "-").status)
	require.Len(t, cacheFiles(t, folder), 4, "what does not compile has no entry")
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
	entry := cacheFiles(t, folder)[0]
	require.NoError(t, os.Remove(entry))
	require.NoError(t, os.MkdirAll(filepath.Join(entry, "x"), 0o777))
	requireWarned(folder)
	require.Len(t, cacheFiles(t, folder), 1, "the temporary file is gone")

	require.NoError(t, os.Chmod(folder, 0o777))
	requireWarned(folder)
}

func TestCLICacheIsListedVerifiedAndCleaned(t *testing.T) {
	folder := t.TempDir()
	require.Equal(t, cliResult{0, "0 entries, 0 bytes\n", ""}, cliExecute("", "cache", "ls", folder))
	for _, n := range []string{"1", "2", "3"} {
		require.Equal(t, 0, cliExecute(cliConstant(n), "run", "--cache", folder, "-", "--invoke", "f").status)
	}
	foreign := filepath.Join(folder, "notes.txt")
	require.NoError(t, os.WriteFile(foreign, []byte("mine"), 0o600))
	entries := cacheFiles(t, folder)
	require.Len(t, entries, 3)
	require.NoError(t, os.Chtimes(entries[1], time.Time{}, time.Now().Add(-48*time.Hour-time.Second)))

	listed := cliExecute("", "cache", "ls", folder)
	require.Equal(t, 0, listed.status)
	lines := strings.Split(listed.stdout, "\n")
	require.Len(t, lines, 5, listed.stdout)
	require.Contains(t, lines[3], "3 entries, ")
	require.Regexp(t, `^  [0-9.]+ [K]iB +48h0m  `+cliCompilers()[0]+` +constant +wasmer-go-\S+/[0-9a-f]{64}\.wasmer$`, lines[0])
	require.Contains(t, lines[0], filepath.Base(entries[1]), "what was not used for longest is first")

	whole := cliExecute("", "cache", "verify", folder)
	require.Equal(t, 0, whole.status, whole.stderr)
	require.True(t, strings.HasPrefix(whole.stdout, "3 entries, "), whole.stdout)

	data, err := os.ReadFile(entries[0])
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.WriteFile(entries[0], data, 0o600))
	swapped, err := os.ReadFile(entries[2])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(entries[1], swapped, 0o600))
	damaged := cliExecute("", "cache", "verify", folder)
	require.Equal(t, 1, damaged.status)
	require.Empty(t, damaged.stdout)
	for _, part := range []string{
		filepath.Base(entries[0]) + ": incompatible artifact: cache: damaged",
		filepath.Base(entries[1]) + ": incompatible artifact: cache: an entry of the key " + strings.TrimSuffix(filepath.Base(entries[2]), ".wasmer"),
		"2 of 3 entries, ",
	} {
		require.Contains(t, damaged.stderr, part)
	}
	require.NotContains(t, damaged.stderr, filepath.Base(entries[2])+": ")

	require.NoError(t, os.Chtimes(entries[2], time.Time{}, time.Now().Add(-time.Hour)))
	old := cliExecute("", "cache", "clean", "--older", "59m", folder)
	require.Equal(t, 0, old.status)
	require.True(t, strings.HasPrefix(old.stdout, "removed 1 entry, "), old.stdout)
	require.NoFileExists(t, entries[2])
	require.True(t, strings.HasPrefix(cliExecute("", "cache", "clean", "--max-size", "1G", folder).stdout, "removed 0 entries"))
	require.True(t, strings.HasPrefix(cliExecute("", "cache", "clean", folder).stdout, "removed 2 entries"))
	require.Empty(t, cacheFiles(t, folder))
	require.FileExists(t, foreign)
}

func TestCLICacheWrongUsage(t *testing.T) {
	folder := t.TempDir()
	for _, wrong := range [][]string{
		{"ls"},
		{"shrink", folder},
		{"ls", folder, folder},
		{"ls", "--older", "1h", folder},
		{"clean", "--older", "soon", folder},
		{"clean", "--max-size", "1T", folder},
		{"clean", "--max-size", "-1", folder},
		{"clean", "--max-size", "9999999999999999999G", folder},
		{"clean", "--max-size", "999999999999G", folder},
	} {
		require.Equal(t, 2, cliExecute("", append([]string{"cache"}, wrong...)...).status, "%q", wrong)
	}
	requireCLIFailure(t, cliExecute("", "cache", "ls", filepath.Join(folder, "none")), 1, "no such file")
	require.Empty(t, cacheFiles(t, folder))
}
