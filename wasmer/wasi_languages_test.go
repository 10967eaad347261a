package wasmer_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestAssemblyScriptGuest(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var messages bytes.Buffer
		seeds := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 2)
		imports := wasmer.NewImports().AssemblyScript(wasmer.AssemblyScriptConfig{Messages: &messages, Random: bytes.NewReader(seeds)})
		module := wasiGuest(t, engine, "host")
		instance, other := instantiateFrom(t, module, imports), instantiateFrom(t, module, imports)
		require.EqualValues(t, 42, call(t, instance, "add", 50, -8).ToI32())
		first, second := call(t, instance, "random"), call(t, instance, "random")
		require.NotEqual(t, first, second)
		require.Equal(t, first, call(t, other, "random"), "the seed is the same")
		run(t, instance, "traced", 0)
		run(t, instance, "traced", 2)
		run(t, instance, "traced", 5)
		require.ErrorIs(t, failing(t, instance, "fail"), &wasmer.ExitError{Code: 255})
		require.Equal(t, "trace: numbers\ntrace: numbers 1.5, 2.5\ntrace: numbers 1.5, 2.5, 3.5, 4.5, 5.5\n"+
			"42 is too much at host.ts:9:3\n", messages.String())
	})
}

func instantiateFrom(t testing.TB, module *wasmer.Module, imports *wasmer.Imports) *wasmer.Instance {
	t.Helper()
	instance, err := wasmer.Instantiate(background, module, imports)
	require.NoError(t, err)
	t.Cleanup(func() { _ = instance.Close() })
	return instance
}

// lineReader gives a line for each read, as a terminal does.
type lineReader struct{ lines []string }

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.lines) == 0 {
		return 0, io.EOF
	}
	line := r.lines[0]
	r.lines = r.lines[1:]
	return copy(p, line), nil
}

func TestQuickJS(t *testing.T) {
	files := fstest.MapFS{
		"main.js":      {Data: []byte(`import { twice } from "./lib/twice.js"; import * as std from "qjs:std"; print(twice(21)); std.exit(7)`)},
		"lib/twice.js": {Data: []byte(`export const twice = x => 2 * x`)},
	}
	commands := []commandTest{
		{name: "evaluates", args: []string{"-e", "console.log([3, 1, 2].sort().join())"}, want: outcome{stdout: "1,2,3\n"}},
		{
			name: "throws", args: []string{"-e", "throw new Error('thrown')"},
			want: outcome{stderr: "Error: thrown\n    at <anonymous> (<cmdline>:1:11)\n\n", code: 1},
		},
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := wasiGuest(t, engine, "qjs")
		for _, command := range commands {
			t.Run(command.name, func(t *testing.T) { command.run(t, module) })
		}
		t.Run("quits", func(t *testing.T) {
			got := runCommand(t, module, wasmer.WASIConfig{Stdin: strings.NewReader("\\q\n")})
			require.Zero(t, got.code)
			require.Empty(t, got.stderr)
			require.Contains(t, got.stdout, "qjs > ")
		})
		t.Run("evaluates lines", func(t *testing.T) {
			lines := &lineReader{[]string{"var a = [1, 2]\n", "a.map(x => x * 1000)\n", "none\n", "\\q\n"}}
			got := runCommand(t, module, wasmer.WASIConfig{Stdin: lines})
			require.Zero(t, got.code, "%+v", got)
			require.Contains(t, got.stdout, "ReferenceError: none is not defined")
			require.Contains(t, got.stdout, "1000")
			require.Contains(t, got.stdout, "2000")
		})
		t.Run("is stopped while it waits for a line", func(t *testing.T) {
			requireStopped(t, module, wasmer.WASIConfig{Args: []string{"qjs"}})
		})
		t.Run("loads modules", func(t *testing.T) {
			config := wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", FS: files}}}
			require.Equal(t, outcome{stdout: "42\n", code: 7}, runCommand(t, module, config, "main.js"))
		})
	})
}

func TestGoGuest(t *testing.T) {
	commands := []commandTest{
		{name: "counts words", args: []string{"words"}, stdin: "b a\nc b a  b", want: outcome{stdout: "2 a\n3 b\n1 c\n"}},
		{name: "lists a folder", args: []string{"list", "/"}, want: outcome{stdout: "l - link\nf 4 one.txt\nd - sub\n"}},
		{
			name: "walks a tree", args: []string{"walk", "/"},
			want: outcome{stdout: "d - /\nl - /link\nf 4 /one.txt\nd - /sub\nd - /sub/deep\nf 4 /sub/numbers\n"},
		},
		{
			name: "finds no folder", args: []string{"list", "/none"},
			want: outcome{stderr: "files: open /none: No such file or directory\n", code: 1},
		},
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := wasiGuest(t, engine, "gotest")
		for _, command := range commands {
			t.Run(command.name, func(t *testing.T) { command.run(t, module) })
		}
		t.Run("tests itself", func(t *testing.T) { runGoTests(t, module) })
	})
}

// runGoTests runs a test binary of Go, once as it passes and once as it fails.
func runGoTests(t *testing.T, module *wasmer.Module) {
	config := wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/tmp", Host: t.TempDir()}}}
	got := runCommand(t, module, config, "-test.v")
	require.Zero(t, got.code, "%+v", got)
	for _, line := range []string{
		"=== RUN   TestWords/several\n", "--- PASS: TestWords (", "    --- PASS: TestWords/several (", "--- PASS: TestWalk (",
		"--- PASS: TestListOfNothing (", "--- SKIP: TestSkipped (", "\nPASS\n",
	} {
		require.Contains(t, got.stdout, line)
	}
	config.Env = map[string]string{"FILES_FAIL": "1"}
	got = runCommand(t, module, config)
	require.EqualValues(t, 1, got.code)
	require.Regexp(t, `^--- FAIL: TestSkipped \([0-9.]+s\)\n    files_test.go:\d+: fails as asked\nFAIL\n$`, got.stdout)
}
