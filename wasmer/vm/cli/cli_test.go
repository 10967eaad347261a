package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm/cli"
)

const fib = "../../../testdata/fib.wasm"

type tool = func(ctx context.Context, args []string, stdin *strings.Reader) (status int, stdout, stderr string)

// with makes a tool whose streams are strings.
func with(f func(context.Context, []string, *strings.Reader, *bytes.Buffer, *bytes.Buffer) int) tool {
	return func(ctx context.Context, args []string, stdin *strings.Reader) (int, string, string) {
		var stdout, stderr bytes.Buffer
		status := f(ctx, args, stdin, &stdout, &stderr)
		return status, stdout.String(), stderr.String()
	}
}

var (
	run = with(func(ctx context.Context, args []string, in *strings.Reader, out, err *bytes.Buffer) int {
		return cli.Run(ctx, append([]string{"wasmedge"}, args...), in, out, err)
	})
	compile = with(func(ctx context.Context, args []string, in *strings.Reader, out, err *bytes.Buffer) int {
		return cli.Compile(ctx, append([]string{"wasmedgec"}, args...), in, out, err)
	})
	unified = with(func(ctx context.Context, args []string, in *strings.Reader, out, err *bytes.Buffer) int {
		return cli.Unified(ctx, append([]string{"wasmedge"}, args...), in, out, err)
	})
	background = context.Background()
)

// requireRun requires a status and output.
func requireRun(t *testing.T, tool tool, status int, out string, args ...string) (stderr string) {
	t.Helper()
	got, stdout, stderr := tool(background, args, strings.NewReader(""))
	require.Equal(t, status, got, stderr)
	require.Equal(t, out, stdout)
	return stderr
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

const numbers = `(module
	(func (export "all") (param i32 i64 f32 f64) (result f64 f32 i64 i32) (local.get 3) (local.get 2) (local.get 1) (local.get 0))
	(func (export "trap") unreachable) (func (export "loop") (loop (br 0)))
	(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))) (memory 1))`

func TestF132F135ReactorsAreCalledWithArguments(t *testing.T) {
	require.Empty(t, requireRun(t, run, 0, "89\n", "--reactor", fib, "fib", "10"))
	requireRun(t, run, 0, "89\n", fib, "fib", "10")
	file := write(t, "numbers.wat", numbers)
	requireRun(t, run, 0, "-2.5\n1.5\n18446744073709551615\n4294967295\n", file, "all", "-1", "-1", "1.5", "-2.5")
	requireRun(t, run, 0, "0\n0\n18446744073709551615\n4294967295\n", file, "all", "4294967295", "18446744073709551615", "0", "0")
	require.Equal(t, "A function name is required when reactor mode is enabled.\n", requireRun(t, run, 1, "", fib))
	require.Contains(t, requireRun(t, run, 134, "", file, "nobody"), "wasm function not found, Code: 0x05")
	require.Contains(t, requireRun(t, run, 134, "", fib, "fib", "1", "2"), "function signature mismatch, Code: 0x83")
	require.Contains(t, requireRun(t, run, 134, "", fib, "fib"), "function signature mismatch")
	require.Contains(t, requireRun(t, run, 1, "", fib, "fib", "4294967296"), "is no i32")
	stderr := requireRun(t, run, 134, "", file, "trap")
	require.Contains(t, stderr, "[error] execution failed: unreachable, Code: 0x89\n")
	require.Contains(t, stderr, "When executing function name: \"trap\"\n")
}

func TestF132CommandsEndWithTheirStatus(t *testing.T) {
	env := "../../../testdata/wasi/env.wasm"
	requireRun(t, run, 0, "arg 0: env.wasm\nLANG=C\nNAME=a=b\n", "--env", "LANG=C", "--env=NAME=a=b", env)
	exit := write(t, "exit.wat", `(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
		(func (export "_start") (call $exit (i32.const 42))) (func (export "f") (result i32) (i32.const 7)))`)
	requireRun(t, run, 42, "", exit)
	requireRun(t, run, 0, "7\n", "--reactor", exit, "f")
	aborts := write(t, "trap.wat", `(module (func (export "_start") unreachable))`)
	require.Contains(t, requireRun(t, run, 134, "", aborts), "unreachable")
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "hello.txt"), []byte("hello\n"), 0o600))
	requireRun(t, run, 0, "hello\n", "--dir", "/data:"+folder+":readonly", "../../../testdata/wasi/cat.wasm", "/data/hello.txt")
	status, stdout, _ := run(background, []string{"--", "../../../testdata/wasi/cat.wasm"}, strings.NewReader("from stdin"))
	require.Equal(t, 0, status)
	require.Equal(t, "from stdin", stdout)
}

func TestF132WhatCannotBeRunIsAFailure(t *testing.T) {
	invalid := write(t, "bad.wat", `(module (func (result i32)))`)
	imports := write(t, "imports.wat", `(module (import "nobody" "f" (func)))`)
	for want, args := range map[string][]string{
		"invalid path, Code: 0x20":         {"no such file.wasm"},
		"type mismatch, Code: 0x41":        {invalid},
		"unknown import, Code: 0x62":       {imports},
		"invalid wasm grammar, Code: 0x39": {write(t, "text.txt", "hello")},
		"the name of a file is missing":    {},
		"is not NAME=VALUE":                {"--env", "X", fib},
		"is not GUEST:HOST[:readonly]":     {"--dir", "a:b:c:d", fib},
		"no such file or directory":        {"--dir", "/x:/no/such/folder", fib},
		"unknown option --nonsense":        {"--nonsense", fib},
		"unknown option -x":                {"-x", fib},
		"--env takes a value":              {"--env"},
		"--reactor takes no value":         {"--reactor=1", fib},
		"--gas-limit is given twice":       {"--gas-limit", "1", "--gas-limit=2", fib},
		"--gas-limit \"x\" is no number":   {"--gas-limit", "x", fib},
		"--time-limit \"-1\" is no number": {"--time-limit", "-1", fib},
		"unsupported":                      {"--allow-af-unix", fib},
	} {
		status, stdout, stderr := run(background, args, strings.NewReader(""))
		require.Equal(t, 1, status, want)
		require.Empty(t, stdout)
		require.Contains(t, stderr, want)
	}
}

func TestF135LimitsAndStatistics(t *testing.T) {
	file := write(t, "numbers.wat", numbers)
	require.Contains(t, requireRun(t, run, 134, "", "--gas-limit", "1000", fib, "fib", "20"), "cost limit exceeded, Code: 0x03")
	requireRun(t, run, 0, "1\n", "--memory-page-limit", "3", file, "grow", "2")
	requireRun(t, run, 0, "4294967295\n", "--memory-page-limit", "3", file, "grow", "3")
	require.Contains(t, requireRun(t, run, 134, "", "--time-limit", "30", file, "loop"), "execution interrupted, Code: 0x07")

	require.NotContains(t, requireRun(t, run, 0, "10946\n", fib, "fib", "20"), "Statistics")
	stderr := requireRun(t, run, 0, "10946\n", "--enable-instruction-count", fib, "fib", "20")
	require.Contains(t, stderr, "[info]\n ====================  Statistics  ====================\n")
	require.Contains(t, stderr, "instructions count: 229851\n Gas costs: 0\n")
	require.Contains(t, stderr, "execution time: 0 ns\n")
	require.Contains(t, requireRun(t, run, 0, "10946\n", "--enable-gas-measuring", fib, "fib", "20"), "count: 0\n Gas costs: 229851\n")
	require.Regexp(t, regexp.MustCompile(`Total execution time: [1-9]`), requireRun(t, run, 0, "10946\n", "--enable-time-measuring", fib, "fib", "20"))
	all := requireRun(t, run, 0, "10946\n", "--enable-all-statistics", fib, "fib", "20")
	require.Contains(t, all, "count: 229851\n Gas costs: 229851\n")
}

func TestF135EachProposalHasAnOption(t *testing.T) {
	for option, source := range map[string]string{
		"--disable-import-export-mut-globals": `(global (export "g") (mut i32) (i32.const 0))`,
		"--disable-non-trap-float-to-int":     `(func (drop (i32.trunc_sat_f32_s (f32.const 0))))`,
		"--disable-sign-extension-operators":  `(func (drop (i32.extend8_s (i32.const 0))))`,
		"--disable-multi-value":               `(func (result i32 i32) (i32.const 0) (i32.const 0))`,
		"--disable-bulk-memory":               `(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))`,
		"--disable-reference-types":           `(func (param externref))`,
		"--disable-simd":                      `(func (drop (v128.const i32x4 0 0 0 0)))`,
		"--enable-multi-memory":               `(memory 1) (memory 1)`,
		"--enable-extended-const":             `(global i32 (i32.add (i32.const 1) (i32.const 1)))`,
		"--enable-threads":                    `(memory 1 1 shared)`,
	} {
		file := write(t, "proposal.wat", `(module (func (export "_start")) `+source+`)`)
		off, on := []string{option, file}, []string{file}
		if strings.HasPrefix(option, "--enable") {
			off, on = on, off
			requireRun(t, run, 0, "", "--enable-all", file)
		}
		requireRun(t, run, 0, "", on...)
		if option != "--disable-import-export-mut-globals" { // part of all since
			require.Contains(t, requireRun(t, run, 1, "", off...), "[error]", option)
		}
	}
	if !wasmer.SupportedFeatures(wasmer.DefaultCompiler).Has(wasmer.FeatureTailCall) {
		require.Contains(t, requireRun(t, run, 1, "", "--enable-tail-call", fib, "fib", "1"), "unsupported")
	}
}

func TestF135ForcedBaselineAndForbiddenPlugins(t *testing.T) {
	requireRun(t, run, 0, "89\n", "--force-interpreter", fib, "fib", "10")
	const name = "cli-test"
	if wasmer.FindPlugin(name) == nil { // it stays: tests may run several times
		require.NoError(t, wasmer.RegisterPlugin(wasmer.PluginConfig{
			Name: name, Modules: map[string]func() (wasmer.HostModule, error){"cli_test": func() (wasmer.HostModule, error) {
				return wasmer.NewImports().Namespace("cli_test").Function("f", func() int32 { return 7 }), nil
			}},
		}))
	}
	file := write(t, "plugin.wat", `(module (import "cli_test" "f" (func $f (result i32))) (export "f" (func $f)))`)
	requireRun(t, run, 0, "7\n", file, "f")
	require.Contains(t, requireRun(t, run, 1, "", "--forbidden-plugin", name, file, "f"), "unknown import")
}

func TestF126F135CommandsOfTheHostAreAllowedByName(t *testing.T) {
	file := write(t, "process.wat", `(module
		(import "wasmedge_process" "wasmedge_process_set_prog_name" (func $name (param i32 i32)))
		(import "wasmedge_process" "wasmedge_process_run" (func $run (result i32)))
		(memory (export "memory") 1) (data (i32.const 0) "true")
		(func (export "f") (result i32) (call $name (i32.const 0) (i32.const 4)) (call $run)))`)
	requireRun(t, run, 0, "0\n", "--allow-command", "true", file, "f")
	requireRun(t, run, 0, "0\n", "--allow-command-all", file, "f")
	requireRun(t, run, 0, "4294967295\n", "--allow-command", "ls", file, "f")
	requireRun(t, run, 0, "4294967295\n", file, "f")
}

func TestF131F133CompiledFilesAreRun(t *testing.T) {
	for name, universal := range map[string]bool{"fib.so": false, "fib.dylib": false, "fib.aot.wasm": true, "fib": true} {
		for _, level := range []string{"0", "1", "2", "3", "s", "z"} {
			out := filepath.Join(t.TempDir(), name)
			requireRun(t, compile, 0, "", "--optimize", level, "--interruptible", fib, out)
			requireRun(t, run, 0, "89\n", out, "fib", "10")
			require.Equal(t, !universal, wasmer.IsArtifact(wasmer.Must(os.ReadFile(out))))
		}
	}
	out := filepath.Join(t.TempDir(), "fib.so")
	requireRun(t, compile, 0, "", "--generic-binary", "--dump", "--enable-instruction-count", fib, out)
	require.NotEmpty(t, wasmer.Must(os.ReadDir(out+".dump")))
	require.Contains(t, requireRun(t, run, 0, "89\n", "--enable-instruction-count", out, "fib", "10"), "count: 1854")
	require.Contains(t, requireRun(t, run, 1, "", "--force-interpreter", "--enable-instruction-count", out, "fib", "10"), "unsupported")
	require.Contains(t, requireRun(t, compile, 1, "", fib), "want two")
	require.Contains(t, requireRun(t, compile, 1, "", "--optimize", "9", fib, out), "is none of 0, 1, 2, 3, s, z")
	require.Contains(t, requireRun(t, compile, 1, "", "nobody.wasm", out), "invalid path")
}

func TestF134OneCommandLineForBoth(t *testing.T) {
	out := filepath.Join(t.TempDir(), "fib.so")
	requireRun(t, unified, 0, "", "compile", fib, out)
	requireRun(t, unified, 0, "89\n", "run", out, "fib", "10")
	requireRun(t, unified, 0, "89\n", "--reactor", out, "fib", "10")
	requireRun(t, unified, 0, "wasmedge version "+wasmer.Version().String()+"\n", "--version")
	requireRun(t, unified, 0, "wasmedge run version "+wasmer.Version().String()+"\n", "run", "-v")
	for _, command := range []string{"run", "compile"} {
		status, help, _ := unified(background, []string{command, "-h"}, strings.NewReader(""))
		require.Zero(t, status)
		require.Contains(t, help, "wasmedge "+command+" [OPTIONS] WASM")
		require.Contains(t, help, "--disable-simd")
	}
	require.Equal(t, 1, cli.Unified(background, nil, nil, nil, nil))
}

func TestF132TheContextEndsTheGuest(t *testing.T) {
	file := write(t, "loop.wat", `(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
		(memory (export "memory") 1) (data (i32.const 0) "\08\00\00\00\02\00\00\00go")
		(func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100))) (loop (br 0))))`)
	ctx, cancel := context.WithCancel(background)
	var stderr bytes.Buffer
	status := cli.Run(ctx, []string{"wasmedge", file}, nil, writer(func(text string) {
		if text == "go" {
			cancel()
		}
	}), &stderr)
	require.Equal(t, 134, status)
	require.Contains(t, stderr.String(), "execution interrupted")

	var none context.Context
	status, stdout, _ := run(none, []string{"--time-limit", "60000", fib, "fib", "10"}, strings.NewReader(""))
	require.Zero(t, status)
	require.Equal(t, "89\n", stdout)
}

// writer calls a function with what is written.
type writer func(string)

func (w writer) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

func TestF127F132PluginsAreLoadedFromWhereTheyAreLookedFor(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "none.so"), []byte("no library"), 0o600))
	t.Setenv(wasmer.PluginPathEnv, folder)
	stderr := requireRun(t, run, 0, "89\n", fib, "fib", "10")
	require.Contains(t, stderr, "[warning] plug-ins\n")
	require.Contains(t, stderr, "none.so")
}
