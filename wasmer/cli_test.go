package wasmer_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// cliResult is what a user sees of the command.
type cliResult struct {
	status         int
	stdout, stderr string
}

func cliExecute(stdin string, args ...string) cliResult {
	var stdout, stderr bytes.Buffer
	status := wasmer.RunCLI(background, args, strings.NewReader(stdin), &stdout, &stderr)
	return cliResult{status, stdout.String(), stderr.String()}
}

func cliCompilers() []string {
	var names []string
	for _, compiler := range wasmer.Compilers() {
		names = append(names, compiler.String())
	}
	return names
}

// cliFixture is the path of a guest in testdata.
func cliFixture(name string) string { return filepath.Join("..", "testdata", name) }

// cliWrite puts a module into a file of its own.
func cliWrite(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
	return path
}

// requireCLIFailure wants the status and the parts in the message, in that order, and nothing on stdout.
func requireCLIFailure(t *testing.T, r cliResult, status int, parts ...string) {
	t.Helper()
	require.Equal(t, status, r.status, r.stderr)
	require.Empty(t, r.stdout)
	require.True(t, strings.HasPrefix(r.stderr, "wasmer-go: "), r.stderr)
	require.Equal(t, 1, strings.Count(r.stderr, "wasmer-go: "), "one message: %s", r.stderr)
	require.True(t, strings.HasSuffix(r.stderr, "\n"), r.stderr)
	require.NotContains(t, r.stderr, "wasmer: ")
	rest := r.stderr
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		require.True(t, found, "want %q in order in:\n%s", part, r.stderr)
		rest = after
	}
}

func TestCLIHelpIsPrintedToStdout(t *testing.T) {
	overview := cliExecute("", "help")
	require.Equal(t, cliResult{0, overview.stdout, ""}, overview)
	require.Equal(t, overview, cliExecute("", "-h"))
	require.Equal(t, overview, cliExecute("", "--help"))
	require.Equal(t, cliResult{2, "", overview.stdout}, cliExecute(""), "no command")
	for command, options := range map[string]string{
		"run":     "dir env inherit-env invoke compiler cache trust-embedded key timeout cost-limit metering stats log-level stub-unknown profile perf-map O target cpu canonicalize-nans verify-ir dump-ir compile-threads",
		"compile": "o format compiler O target cpu canonicalize-nans verify-ir dump-ir compile-threads metering key",
		"inspect": "json", "validate": "", "wat2wasm": "o", "completion": "", "version": "", "help": "",
	} {
		require.Contains(t, overview.stdout, "\n  "+command+" ")
		for _, args := range [][]string{{"help", command}, {command, "-h"}, {command, "--help"}} {
			r := cliExecute("", args...)
			require.Zero(t, r.status, args)
			require.Empty(t, r.stderr, args)
			require.True(t, strings.HasPrefix(r.stdout, "wasmer-go "+command), "%v: %s", args, r.stdout)
			for option := range strings.FieldsSeq(options) {
				require.Contains(t, r.stdout, "-"+option+" ", args)
			}
			for line := range strings.Lines(r.stdout) {
				require.LessOrEqual(t, len(line), 100, line)
			}
		}
	}
	require.Equal(t, cliExecute("", "help", "run"), cliExecute("", "run", cliFixture("simple.wasm"), "-h"), "after FILE")
}

func TestCLIWrongUsage(t *testing.T) {
	simple := cliFixture("simple.wasm")
	for name, test := range map[string]struct {
		args  []string
		parts []string
	}{
		"unknown command":          {[]string{"rum"}, []string{`there is no command "rum"; is "run" meant?`, "wasmer-go help"}},
		"empty command":            {[]string{""}, []string{`there is no command ""`}},
		"file in place of command": {[]string{simple}, []string{"there is no command", "wasmer-go run " + simple}},
		"help on unknown command":  {[]string{"help", "rum"}, []string{`there is no command "rum"`, "wasmer-go help\n"}},
		"help on two commands":     {[]string{"help", "run", "inspect"}, []string{`unexpected "inspect"`}},
		"argument of version":      {[]string{"version", "x"}, []string{"version: takes no argument", `"x"`}},
		"run without file":         {[]string{"run"}, []string{"run: FILE is missing", "wasmer-go help run"}},
		"inspect without file":     {[]string{"inspect", "--json"}, []string{"inspect: FILE is missing"}},
		"validate without file":    {[]string{"validate", "--"}, []string{"validate: FILE is missing"}},
		"wat2wasm without file":    {[]string{"wat2wasm"}, []string{"wat2wasm: FILE is missing"}},
		"empty file name":          {[]string{"run", ""}, []string{"name of the file is empty"}},
		"two files":                {[]string{"validate", "a", "b"}, []string{`unexpected "b" after "a"`}},
		"arguments without invoke": {
			[]string{"run", simple, "1"},
			[]string{`unexpected "1" after the file`, "no _start", "arguments follow --invoke NAME"},
		},
		"unknown option":           {[]string{"run", simple, "--frob"}, []string{`there is no option "--frob"`}},
		"unknown option, misspelt": {[]string{"run", "--compilr", "llvm", simple}, []string{`"--compilr"; is "--compiler" meant?`}},
		"option of the guest":      {[]string{"run", "--verbose", simple}, []string{`"--verbose"; options of the guest follow FILE`}},
		"unknown shell":            {[]string{"completion", "tcsh"}, []string{"bash, fish, zsh"}},
		"no shell":                 {[]string{"completion"}, []string{"SHELL is missing"}},
		"env without a name":       {[]string{"run", "--env", "=v", simple}, []string{`--env "=v" has no name`}},
		"empty env":                {[]string{"run", "--env=", simple}, []string{`--env "" has no name`}},
		"dir without a folder":     {[]string{"run", "--dir", ":/x", simple}, []string{`--dir ":/x" lacks the path`}},
		"dir without the guest's":  {[]string{"run", "--dir", ".:", simple}, []string{`--dir ".:" lacks the path`}},
		"dir with too many colons": {[]string{"run", "--dir", ".:/x:rw", simple}, []string{"--dir .:/x:rw has too many colons"}},
		"dir that leads upwards": {
			[]string{"run", "--dir", "../testdata", simple},
			[]string{"cannot lead upwards; give it another: --dir ../testdata:/testdata"},
		},
		"two folders for one path": {
			[]string{"run", "--dir", ".:/x", "--dir", "..:/x/", simple},
			[]string{`--dir ..:/x/: there is another folder for the path "/x"`},
		},
		"timeout of nothing":        {[]string{"run", "--timeout", "0", simple}, []string{`--timeout "0" is no time`}},
		"timeout that is no time":   {[]string{"run", "--timeout", "soon", simple}, []string{`--timeout "soon" is no time`}},
		"timeout without end":       {[]string{"run", "--timeout", "1e300", simple}, []string{`--timeout "1e300" is no time`}},
		"timeout that is not one":   {[]string{"run", "--timeout", "nan", simple}, []string{`--timeout "nan" is no time`}},
		"option of another command": {[]string{"validate", "--json", simple}, []string{`there is no option "--json"`}},
		"negative number too early": {[]string{"run", simple, "-1"}, []string{`there is no option "-1"`}},
		"option without value":      {[]string{"run", simple, "--invoke"}, []string{"--invoke lacks its value"}},
		"option with needless one":  {[]string{"inspect", "--json=yes", simple}, []string{"--json=yes takes no value"}},
		"option given twice":        {[]string{"wat2wasm", "-o", "a", "-o", "b", simple}, []string{"-o is given twice"}},
		"unknown compiler": {
			[]string{"run", simple, "--compiler", "gcc", "--invoke", "sum", "1", "2"},
			[]string{`there is no compiler "gcc"`, "this build has ", strings.Join(cliCompilers(), ", ")},
		},
		"empty output": {[]string{"wat2wasm", cliFixture("fac.wat"), "-o", ""}, []string{"name of the file to write is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			requireCLIFailure(t, cliExecute("", test.args...), 2, test.parts...)
		})
	}
}

func TestCLIUnreadableFileFailsEveryCommand(t *testing.T) {
	directory := t.TempDir()
	missing := filepath.Join(directory, "missing.wasm")
	for _, command := range []string{"run", "inspect", "validate", "wat2wasm"} {
		requireCLIFailure(t, cliExecute("", command, missing), 1, missing+": no such file or directory\n", "Hint: ")
		requireCLIFailure(t, cliExecute("", command, directory), 1, directory+": is a directory\n", "Hint: ", "--dir")
	}
	var stderr bytes.Buffer
	status := wasmer.RunCLI(background, []string{"run", "-"}, brokenPipe{}, io.Discard, &stderr)
	require.Equal(t, 1, status)
	require.Equal(t, "wasmer-go: stdin: broken\n", stderr.String())
}

func TestCLIMissingFileIsLookedForUnderOtherNames(t *testing.T) {
	folder := filepath.Dir(cliWrite(t, "server.wasm", ""))
	for name, near := range map[string]string{"serve.wasm": "server.wasm", "server": "server.wasm", "server.was": "server.wasm"} {
		requireCLIFailure(t, cliExecute("", "run", filepath.Join(folder, name)), 1,
			"no such file", "Hint: is "+filepath.Join(folder, near)+" meant?\n")
	}
	require.NotContains(t, cliExecute("", "run", filepath.Join(folder, "database.wasm")).stderr, "meant")
	t.Chdir(folder)
	requireCLIFailure(t, cliExecute("", "run", "server"), 1, "Hint: is server.wasm meant?\n")
}

type brokenPipe struct{}

func (brokenPipe) Read([]byte) (int, error)  { return 0, errors.New("broken") }
func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestCLIOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	for _, args := range [][]string{
		{"version"}, {"help"}, {"inspect", cliFixture("fac.wat")}, {"wat2wasm", cliFixture("fac.wat"), "-o", "-"},
		{"run", cliFixture("fac.wat"), "--invoke", "fac", "1"}, {"completion", "bash"},
	} {
		var stderr bytes.Buffer
		require.Equal(t, 1, wasmer.RunCLI(background, args, nil, brokenPipe{}, &stderr), args)
		require.Equal(t, "wasmer-go: stdout: broken\n", stderr.String(), args)
	}
	require.Equal(t, 0, wasmer.RunCLI(background, []string{"validate", cliFixture("fac.wat")}, nil, brokenPipe{}, io.Discard))
}

func TestCLIBrokenModuleFailsEveryCommandThatReadsIt(t *testing.T) {
	simple, err := os.ReadFile(cliFixture("simple.wasm"))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		content string
		// translates says that wat2wasm, which does not validate, takes it.
		translates bool
		parts      []string
	}{
		"empty":         {"", false, []string{"stdin: empty input", "Hint: "}},
		"neither":       {"\xff\xfe\x00", false, []string{"stdin: neither a WebAssembly binary", "nor text"}},
		"truncated":     {string(simple[:100]), true, []string{"stdin: unexpected end-of-file (at offset 0x"}},
		"bad section":   {"\x00asm\x01\x00\x00\x00\x7f\x00", true, []string{"stdin: malformed section id", "(at offset 0x"}},
		"program":       {"\x7fELF\x02\x01\x01\x00", false, []string{"stdin: neither a WebAssembly binary", "Hint: it is a program of this"}},
		"web page":      {"<!DOCTYPE html>", false, []string{"stdin: ", "Hint: it is a page of the web"}},
		"component":     {"\x00asm\x0d\x00\x01\x00", false, []string{"stdin: ", "component"}},
		"text syntax":   {"(module\n  (func i32.ad))", false, []string{"stdin: unknown operator", "stdin:2:9"}},
		"text unclosed": {"(module", false, []string{"stdin: expected `)`", "stdin:1:8"}},
		"text invalid": {
			`(module (func (export "_start")) (func $f (result i32) i64.const 1))`, true,
			[]string{"stdin: function[1] f: end: type mismatch: expected i32, found i64 (at offset 0x", "binary made by wat2wasm"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, command := range []string{"run", "inspect", "validate"} {
				r := cliExecute(test.content, command, "-")
				if command == "inspect" && name == "text invalid" {
					require.Equal(t, 0, r.status, "it does not validate either")
					continue
				}
				requireCLIFailure(t, r, 1, test.parts...)
			}
			r := cliExecute(test.content, "wat2wasm", "-")
			if test.translates {
				require.Equal(t, 0, r.status, r.stderr)
			} else {
				requireCLIFailure(t, r, 1, test.parts...)
			}
		})
	}
}

func TestCLIControlCharactersOfModulesDoNotReachTheTerminal(t *testing.T) {
	const evil = "\x1b[31m\u202e"
	text := `(module (func $boom (export "\1b[31m\u{202e}") unreachable))`
	wasm, err := wasmer.Wat2Wasm(text)
	require.NoError(t, err)
	renamed := strings.Replace(string(wasm), "boom", "b\x1b[m", 1)
	for _, r := range []cliResult{
		cliExecute(text, "inspect", "-"),
		cliExecute(text, "run", "-"),
		cliExecute(text, "run", "-", "--invoke", evil),
		cliExecute(text, "run", "-", "--invoke", evil, "1"),
		cliExecute(renamed, "run", "-", "--invoke", evil),
		cliExecute("(module "+evil+")", "validate", "-"),
		cliExecute("", evil),
		cliExecute("", "validate", evil),
	} {
		require.NotEmpty(t, r.stdout+r.stderr)
		require.NotContains(t, r.stdout+r.stderr, "\x1b")
		require.NotContains(t, r.stdout+r.stderr, "\u202e")
	}
}

func TestCLIVersionTellsWhatThisIsMadeOf(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		r := cliExecute("", arg)
		require.Equal(t, 0, r.status)
		require.Empty(t, r.stderr)
		var words []string
		for line := range strings.Lines(r.stdout) {
			words = append(words, strings.Fields(line)[0])
		}
		require.Equal(t, []string{"wasmer-go", "wasmer", "target", "compilers", "go"}, words)
		for _, part := range []string{
			wasmer.Version().String(), wasmer.EngineVersion().String(), wasmer.Target(), runtime.Version(),
		} {
			require.Contains(t, r.stdout, "  "+part+"\n")
		}
		for _, c := range wasmer.Compilers() {
			require.Contains(t, r.stdout, c.String())
		}
	}
}
