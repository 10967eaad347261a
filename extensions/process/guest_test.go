package process_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/extensions/process"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// TestMain fails if goroutines are left.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for range 500 {
		if runtime.NumGoroutine() <= before+4 { // Go's own, for cleanups and the collector
			os.Exit(code)
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "FAIL: after all tests:", runtime.NumGoroutine(), "goroutines,", before, "before")
	os.Exit(1)
}

const imports = `
	(import "wasmedge_process" "wasmedge_process_set_prog_name" (func $name (param i32 i32)))
	(import "wasmedge_process" "wasmedge_process_add_arg" (func $arg (param i32 i32)))
	(import "wasmedge_process" "wasmedge_process_add_env" (func $env (param i32 i32 i32 i32)))
	(import "wasmedge_process" "wasmedge_process_add_stdin" (func $stdin (param i32 i32)))
	(import "wasmedge_process" "wasmedge_process_set_timeout" (func $timeout (param i32)))
	(import "wasmedge_process" "wasmedge_process_run" (func $run (result i32)))
	(import "wasmedge_process" "wasmedge_process_get_exit_code" (func $code (result i32)))
	(import "wasmedge_process" "wasmedge_process_get_stdout_len" (func $stdout_len (result i32)))
	(import "wasmedge_process" "wasmedge_process_get_stdout" (func $stdout (param i32)))
	(import "wasmedge_process" "wasmedge_process_get_stderr_len" (func $stderr_len (result i32)))
	(import "wasmedge_process" "wasmedge_process_get_stderr" (func $stderr (param i32)))`

// program is a guest that runs commands: each string is a line in its memory, of which the host writes where it is. It returns
// the exit code, and puts what came out behind the last of its pages, and the lengths to 0 and 4.
const program = `(module ` + imports + `
	(memory (export "memory") 2)
	(func (export "name") (param i32 i32) (call $name (local.get 0) (local.get 1)))
	(func (export "arg") (param i32 i32) (call $arg (local.get 0) (local.get 1)))
	(func (export "env") (param i32 i32 i32 i32)
		(call $env (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
	(func (export "stdin") (param i32 i32) (call $stdin (local.get 0) (local.get 1)))
	(func (export "timeout") (param i32) (call $timeout (local.get 0)))
	(func (export "output") (result i32)
		(local $out i32)
		(local.set $out (i32.mul (memory.size) (i32.const 65536)))
		(i32.store (i32.const 0) (call $stdout_len))
		(i32.store (i32.const 4) (call $stderr_len))
		(drop (memory.grow (i32.div_u
			(i32.add (i32.add (call $stdout_len) (call $stderr_len)) (i32.const 65535)) (i32.const 65536))))
		(call $stdout (local.get $out))
		(call $stderr (i32.add (local.get $out) (call $stdout_len)))
		(local.get $out))
	(func (export "run") (result i32)
		(if (i32.ne (call $run) (call $code)) (then unreachable))
		(call $code)))`

// guest is an instance of program.
type guest struct {
	*wasmer.Instance
	t testing.TB
}

func newGuest(t testing.TB, module *process.Module) *guest {
	t.Helper()
	return &guest{hostile.Instantiate(t, program, wasmer.NewImports().Add(module)), t}
}

// in is the guest in a subtest.
func (g *guest) in(t testing.TB) *guest { return &guest{g.Instance, t} }

func (g *guest) call(name string, arguments ...any) []wasmer.Value {
	g.t.Helper()
	function, err := g.Function(name)
	require.NoError(g.t, err)
	values, err := function.Call(g.t.Context(), arguments...)
	require.NoError(g.t, err)
	return values
}

// give passes strings to a function, as places and lengths.
func (g *guest) give(name string, texts ...string) {
	g.t.Helper()
	var arguments []any
	place := uint64(8)
	for _, text := range texts {
		require.NoError(g.t, g.Memory.WriteString(place, text))
		arguments = append(arguments, int32(place), len(text))
		place += uint64(len(text))
	}
	g.call(name, arguments...)
}

func (g *guest) prepare(command ...string) {
	g.t.Helper()
	g.give("name", command[0])
	for _, argument := range command[1:] {
		g.give("arg", argument)
	}
}

// run runs a command.
func (g *guest) run(command ...string) (code int32, stdout, stderr string) {
	g.t.Helper()
	g.prepare(command...)
	code = g.call("run")[0].ToI32()
	stdout, stderr = g.output()
	return code, stdout, stderr
}

func (g *guest) output() (stdout, stderr string) {
	g.t.Helper()
	place := uint64(uint32(g.call("output")[0].ToI32()))
	for n, text := range []*string{&stdout, &stderr} {
		length, err := g.Memory.ReadUint32Le(4 * uint64(n))
		require.NoError(g.t, err)
		*text, err = g.Memory.ReadString(place, uint64(length))
		require.NoError(g.t, err)
		place += uint64(length)
	}
	return stdout, stderr
}

func denied(name string) string {
	return strings.ReplaceAll(`Permission denied: Command "X" is not in the white list. Please use --allow-command=X or `+
		"--allow-command-all to add \"X\" command into the white list.\n", "X", name)
}
