package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// result is what a user sees of the command.
type result struct {
	status         int
	stdout, stderr string
}

func execute(stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	status := run(args, strings.NewReader(stdin), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// fixture is the path of a guest in testdata.
func fixture(name string) string { return filepath.Join("..", "..", "testdata", name) }

// write puts a module into a file of its own.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
	return path
}

// requireFailure wants the status and the parts in the message, in that order, and nothing on stdout.
func requireFailure(t *testing.T, r result, status int, parts ...string) {
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

func TestHelpIsPrintedToStdout(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}} {
		r := execute("", args...)
		require.Equal(t, result{success, overview(), ""}, r, args)
	}
	for _, cmd := range commands() {
		require.Contains(t, overview(), "\n  "+cmd.name+" ")
		for _, args := range [][]string{{"help", cmd.name}, {cmd.name, "-h"}, {cmd.name, "--help"}} {
			r := execute("", args...)
			require.Equal(t, success, r.status, args)
			require.Empty(t, r.stderr, args)
			require.True(t, strings.HasPrefix(r.stdout, "wasmer-go "+cmd.name), "%v: %s", args, r.stdout)
			for option := range cmd.options {
				require.Contains(t, r.stdout, "-"+option+" ", args)
			}
		}
	}
	require.Equal(t, execute("", "help", "run"), execute("", "run", "nosuch.wasm", "-h"), "after FILE")
}

func TestNoCommandPrintsTheOverviewToStderr(t *testing.T) {
	require.Equal(t, result{misuse, "", overview()}, execute(""))
}

func TestWrongUsage(t *testing.T) {
	simple := fixture("simple.wasm")
	for name, test := range map[string]struct {
		args  []string
		parts []string
	}{
		"unknown command":           {[]string{"rum"}, []string{`there is no command "rum"`, "wasmer-go help"}},
		"empty command":             {[]string{""}, []string{`there is no command ""`}},
		"file in place of command":  {[]string{simple}, []string{"there is no command", "wasmer-go run " + simple}},
		"help on unknown command":   {[]string{"help", "rum"}, []string{`there is no command "rum"`, "wasmer-go help\n"}},
		"help on two commands":      {[]string{"help", "run", "inspect"}, []string{`unexpected "inspect"`}},
		"argument of version":       {[]string{"version", "x"}, []string{"version: takes no argument", `"x"`}},
		"run without file":          {[]string{"run"}, []string{"run: FILE is missing", "wasmer-go help run"}},
		"inspect without file":      {[]string{"inspect", "--json"}, []string{"inspect: FILE is missing"}},
		"validate without file":     {[]string{"validate", "--"}, []string{"validate: FILE is missing"}},
		"wat2wasm without file":     {[]string{"wat2wasm"}, []string{"wat2wasm: FILE is missing"}},
		"empty file name":           {[]string{"run", ""}, []string{"name of the file is empty"}},
		"two files":                 {[]string{"validate", "a", "b"}, []string{`unexpected "b" after "a"`}},
		"arguments without invoke":  {[]string{"run", simple, "1"}, []string{`unexpected "1"`, "arguments follow --invoke NAME"}},
		"unknown option":            {[]string{"run", simple, "--frob"}, []string{`there is no option "--frob"`}},
		"option of another command": {[]string{"validate", "--json", simple}, []string{`there is no option "--json"`}},
		"negative number too early": {[]string{"run", simple, "-1"}, []string{`there is no option "-1"`}},
		"option without value":      {[]string{"run", simple, "--invoke"}, []string{"--invoke lacks its value"}},
		"option with needless one":  {[]string{"inspect", "--json=yes", simple}, []string{"--json=yes takes no value"}},
		"option given twice":        {[]string{"wat2wasm", "-o", "a", "-o", "b", simple}, []string{"-o is given twice"}},
		"unknown compiler": {
			[]string{"run", simple, "--compiler", "gcc", "--invoke", "sum", "1", "2"},
			[]string{`there is no compiler "gcc"`, available()},
		},
		"empty output": {[]string{"wat2wasm", fixture("fac.wat"), "-o", ""}, []string{"name of the file to write is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			requireFailure(t, execute("", test.args...), misuse, test.parts...)
		})
	}
}

func TestUnreadableFileFailsEveryCommand(t *testing.T) {
	directory := t.TempDir()
	missing := filepath.Join(directory, "missing.wasm")
	for _, command := range []string{"run", "inspect", "validate", "wat2wasm"} {
		r := execute("", command, missing)
		require.Equal(t, result{failure, "", "wasmer-go: " + missing + ": no such file or directory\n"}, r, command)
		requireFailure(t, execute("", command, directory), failure, directory+": is a directory")
	}
	var stderr bytes.Buffer
	status := run([]string{"run", "-"}, brokenPipe{}, io.Discard, &stderr)
	require.Equal(t, failure, status)
	require.Equal(t, "wasmer-go: stdin: broken\n", stderr.String())
}

type brokenPipe struct{}

func (brokenPipe) Read([]byte) (int, error)  { return 0, errors.New("broken") }
func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	for _, args := range [][]string{
		{"version"}, {"help"}, {"inspect", fixture("fac.wat")}, {"wat2wasm", fixture("fac.wat"), "-o", "-"},
		{"run", fixture("fac.wat"), "--invoke", "fac", "1"},
	} {
		var stderr bytes.Buffer
		require.Equal(t, failure, run(args, nil, brokenPipe{}, &stderr), args)
		require.Equal(t, "wasmer-go: stdout: broken\n", stderr.String(), args)
	}
	require.Equal(t, success, run([]string{"validate", fixture("fac.wat")}, nil, brokenPipe{}, io.Discard))
}

func TestBrokenModuleFailsEveryCommandThatReadsIt(t *testing.T) {
	simple, err := os.ReadFile(fixture("simple.wasm"))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		content string
		// translates says that wat2wasm, which does not validate, takes it.
		translates bool
		parts      []string
	}{
		"empty":         {"", false, []string{"stdin: empty input"}},
		"neither":       {"\xff\xfe\x00", false, []string{"stdin: neither a WebAssembly binary", "nor text"}},
		"truncated":     {string(simple[:100]), true, []string{"stdin: unexpected end-of-file (at offset 0x"}},
		"bad section":   {"\x00asm\x01\x00\x00\x00\x7f\x00", true, []string{"stdin: malformed section id", "(at offset 0x"}},
		"component":     {"\x00asm\x0d\x00\x01\x00", false, []string{"stdin: ", "component"}},
		"text syntax":   {"(module\n  (func i32.ad))", false, []string{"stdin: unknown operator", "stdin:2:9"}},
		"text unclosed": {"(module", false, []string{"stdin: expected `)`", "stdin:1:8"}},
		"text invalid": {
			"(module (func $f (result i32) i64.const 1))", true,
			[]string{"stdin: function[0] f: end: type mismatch: expected i32, found i64 (at offset 0x", "binary made by wat2wasm"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, command := range []string{"run", "inspect", "validate"} {
				r := execute(test.content, command, "-")
				if command == "inspect" && name == "text invalid" {
					require.Equal(t, success, r.status, "it does not validate either")
					continue
				}
				requireFailure(t, r, failure, test.parts...)
			}
			r := execute(test.content, "wat2wasm", "-")
			if test.translates {
				require.Equal(t, success, r.status, r.stderr)
			} else {
				requireFailure(t, r, failure, test.parts...)
			}
		})
	}
}

func TestControlCharactersOfModulesDoNotReachTheTerminal(t *testing.T) {
	const evil = "\x1b[31m\u202e"
	text := `(module (func $boom (export "\1b[31m\u{202e}") unreachable))`
	wasm, err := wasmer.Wat2Wasm(text)
	require.NoError(t, err)
	renamed := strings.Replace(string(wasm), "boom", "b\x1b[m", 1)
	for _, r := range []result{
		execute(text, "inspect", "-"),
		execute(text, "run", "-"),
		execute(text, "run", "-", "--invoke", evil),
		execute(text, "run", "-", "--invoke", evil, "1"),
		execute(renamed, "run", "-", "--invoke", evil),
		execute("(module "+evil+")", "validate", "-"),
		execute("", evil),
		execute("", "validate", evil),
	} {
		require.NotEmpty(t, r.stdout+r.stderr)
		require.NotContains(t, r.stdout+r.stderr, "\x1b")
		require.NotContains(t, r.stdout+r.stderr, "\u202e")
	}
}

func TestVersionTellsWhatThisIsMadeOf(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		r := execute("", arg)
		require.Equal(t, success, r.status)
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

func TestBinaryExitsWithTheStatus(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "wasmer-go")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)

	for name, test := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"success": {[]string{"run", fixture("simple.wasm"), "--invoke", "sum", "-5", "47"}, 0, "42\n", ""},
		"trap":    {[]string{"run", fixture("traps.wasm"), "--invoke", "unreachable"}, 1, "", "\tat inner"},
		"stack overflow": {
			[]string{"run", fixture("traps.wasm"), "--invoke", "stack_overflow"}, 1, "", "call stack exhausted",
		},
		"invalid":      {[]string{"validate", "-"}, 1, "", "stdin: empty input"},
		"wrong usage":  {[]string{"run"}, 2, "", "FILE is missing"},
		"no arguments": {nil, 2, "", "Commands:"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := exec.Command(binary, test.args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if test.status != 0 {
				var exit *exec.ExitError
				require.ErrorAs(t, err, &exit)
			}
			require.Equal(t, test.status, cmd.ProcessState.ExitCode(), "%s", &stderr)
			require.Equal(t, test.stdout, stdout.String())
			require.Contains(t, stderr.String(), test.stderr)
		})
	}

	t.Run("SIGINT ends an endless guest", func(t *testing.T) {
		cmd := exec.Command(binary, "run", fixture("loop.wasm"), "--invoke", "forever")
		require.NoError(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			require.Fail(t, "forever has ended", "%v", err)
		case <-time.After(300 * time.Millisecond): // enough for the guest to begin
		}
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			require.NoError(t, cmd.Process.Kill())
			require.Fail(t, "SIGINT did not end it")
		}
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		require.True(t, status.Signaled() && status.Signal() == syscall.SIGINT, "%v", cmd.ProcessState)
	})
}
