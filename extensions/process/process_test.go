package process_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/extensions/process"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestF126ProcessRunsAllowedCommands(t *testing.T) {
	g := newGuest(t, process.New(process.Config{Commands: []string{"echo", "cat", "sh"}}))
	for _, test := range []struct {
		name           string
		command        []string
		stdin          string
		code           int32
		stdout, stderr string
	}{
		{name: "arguments", command: []string{"echo", "one", "", "t w o"}, stdout: "one  t w o\n"},
		{name: "nothing that was before", command: []string{"echo"}, stdout: "\n"},
		{name: "input", command: []string{"cat"}, stdin: "zero\x00and more\n", stdout: "zero\x00and more\n"},
		{name: "errors", command: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}, code: 3, stdout: "out\n", stderr: "err\n"},
		{name: "a signed exit code", command: []string{"sh", "-c", "exit 255"}, code: -1},
		{name: "a signal", command: []string{"sh", "-c", "kill -TERM $$"}, code: process.NotRun, stderr: "process: signal: terminated\n"},
		{name: "no environment of the host", command: []string{"sh", "-c", "echo $HOME$WASMER_GO_SECRET"}, stdout: "\n"},
		{name: "not allowed", command: []string{"ls"}, code: process.NotRun, stderr: denied("ls")},
		{name: "not allowed with a path", command: []string{"/bin/echo"}, code: process.NotRun, stderr: denied("/bin/echo")},
		{name: "no name", command: []string{""}, code: process.NotRun, stderr: denied("")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("WASMER_GO_SECRET", "secret")
			g := g.in(t)
			if test.stdin != "" { // in two parts
				g.give("stdin", test.stdin[:3])
				g.give("stdin", test.stdin[3:])
			}
			code, stdout, stderr := g.run(test.command...)
			require.Equal(t, test.code, code, stderr)
			require.Equal(t, test.stdout, stdout)
			require.Equal(t, test.stderr, stderr)
		})
	}
}

func TestNothingIsAllowedByDefault(t *testing.T) {
	g := newGuest(t, process.New(process.Config{}))
	code, stdout, stderr := g.run("true")
	require.EqualValues(t, process.NotRun, code)
	require.Empty(t, stdout)
	require.Equal(t, denied("true"), stderr)
}

func TestF075ProcessIsAllowedMoreLater(t *testing.T) {
	module := process.New(process.Config{Commands: []string{"true"}})
	g := newGuest(t, module)
	run := func(name string) int32 {
		code, _, _ := g.run(name)
		return code
	}
	require.Zero(t, run("true"))
	module.Allow([]string{"false"}, false)
	require.EqualValues(t, process.NotRun, run("true"))
	require.EqualValues(t, 1, run("false"))
	module.Allow(nil, true)
	require.Zero(t, run("true"))
	code, _, stderr := g.run("no such command")
	require.EqualValues(t, process.NotRun, code)
	require.Contains(t, stderr, "executable file not found")
	module.Allow(nil, false)
	require.EqualValues(t, process.NotRun, run("true"))
}

func TestCommandsGetAllowedVariables(t *testing.T) {
	print := []string{"sh", "-c", "echo $A$B$LD_PRELOAD"}
	for name, test := range map[string]struct {
		config process.Config
		want   string
	}{
		"none":  {process.Config{}, "\n"},
		"named": {process.Config{Variables: []string{"B"}}, "b\n"},
		"all":   {process.Config{AllVariables: true}, "ab\n"},
	} {
		t.Run(name, func(t *testing.T) {
			test.config.Commands = []string{"sh"}
			g := newGuest(t, process.New(test.config))
			g.give("env", "A", "a")
			g.give("env", "B", "b")
			g.give("env", "B=", "not a name")
			_, stdout, stderr := g.run(print...)
			require.Equal(t, test.want, stdout, stderr)
			_, stdout, _ = g.run(print...)
			require.Equal(t, "\n", stdout, "they are for one command")
		})
	}
}

// The place that a guest's PATH names is not one that commands are looked for in.
func TestGuestsDoNotChooseWhereCommandsAre(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"true", "wasmer-go-own"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho own\n"), 0o700))
	}
	g := newGuest(t, process.New(process.Config{Commands: []string{"true", "wasmer-go-own", "pwd"}, AllVariables: true, Dir: dir}))
	for _, name := range []string{"true", "wasmer-go-own"} {
		g.give("env", "PATH", dir)
		_, stdout, _ := g.run(name)
		require.Empty(t, stdout)
	}
	real, err := filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	_, stdout, _ := g.run("pwd")
	require.Equal(t, real+"\n", stdout)
}

func TestCommandsEndWhenTheirTimeIsOver(t *testing.T) {
	g := newGuest(t, process.New(process.Config{Commands: []string{"sh", "true"}}))
	for _, milliseconds := range []int32{0, 30} {
		g.call("timeout", milliseconds)
		// What it has started holds its output open.
		code, _, _ := g.run("sh", "-c", "sleep 1000 & sleep 1000")
		require.EqualValues(t, process.TimedOut, code)
	}
	code, _, _ := g.run("true")
	require.Zero(t, code, "the timeout was for one command")
}

func TestCommandsEndWithTheirCall(t *testing.T) {
	dir := t.TempDir()
	for name, end := range map[string]func(*guest, context.CancelFunc){
		"context": func(_ *guest, cancel context.CancelFunc) { cancel() },
		"close":   func(g *guest, _ context.CancelFunc) { require.NoError(g.t, g.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, process.New(process.Config{Commands: []string{"sh"}}))
			started := filepath.Join(dir, name)
			g.prepare("sh", "-c", fmt.Sprintf("echo $$ > %s.new; mv %[1]s.new %[1]s; sleep 1000", started))
			function, err := g.Function("run")
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			async := function.CallAsync(ctx)
			require.Eventually(t, func() bool {
				_, err := os.Stat(started)
				return err == nil
			}, time.Minute, time.Millisecond)
			end(g, cancel)
			_, err = async.Result()
			if name == "context" {
				require.ErrorIs(t, err, context.Canceled)
			} else {
				require.ErrorIs(t, err, wasmer.ErrClosed)
			}
			pid, err := os.ReadFile(started)
			require.NoError(t, err)
			require.NoDirExists(t, filepath.Join("/proc", strings.TrimSpace(string(pid))), "the command was killed, and waited for")
		})
	}
}

func TestWhatCommandsLeaveRunningIsKilled(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer reader.Close()
	g := newGuest(t, process.New(process.Config{Commands: []string{"sh"}}))
	code, stdout, stderr := g.run("sh", "-c", "exec 3>"+pipe+"; sleep 1000 >/dev/null 2>&1 & echo left")
	require.Zero(t, code, stderr)
	require.Equal(t, "left\n", stdout)
	require.NoError(t, reader.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = reader.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "nobody has the pipe open any more")
}

func TestOutputIsBounded(t *testing.T) {
	g := newGuest(t, process.New(process.Config{Commands: []string{"sh"}, MaxOutput: 1000}))
	for _, stream := range []string{"1", "2"} {
		code, stdout, stderr := g.run("sh", "-c", "while true; do echo 123456789 >&"+stream+"; done")
		require.EqualValues(t, process.TooMuchOutput, code)
		require.Equal(t, strings.Repeat("123456789\n", 100), stdout+stderr)
	}
	code, stdout, _ := g.run("sh", "-c", "for i in 0 1 2 3 4 5 6 7 8 9; do printf %100d $i; done")
	require.Zero(t, code)
	require.Len(t, stdout, 1000)
}

func TestInputIsBounded(t *testing.T) {
	g := newGuest(t, process.New(process.Config{Commands: []string{"cat"}, MaxInput: 1000}))
	function, err := g.Function("stdin")
	require.NoError(t, err)
	for _, length := range []int32{985, 65536, -1} {
		_, err = function.Call(t.Context(), 0, length)
		require.ErrorIs(t, err, process.ErrInput)
	}
	_, err = function.Call(t.Context(), 0, 984)
	require.NoError(t, err)
	for _, name := range []string{"name", "arg", "stdin"} {
		function, err = g.Function(name)
		require.NoError(t, err)
		_, err = function.Call(t.Context(), 0, 0)
		require.ErrorIs(t, err, process.ErrInput, name)
	}
	function, err = g.Function("env")
	require.NoError(t, err)
	_, err = function.Call(t.Context(), 0, 0, 0, 0)
	require.ErrorIs(t, err, process.ErrInput)
	g.call("run")
	g.prepare("cat")
	g.give("stdin", strings.Repeat("x", 900))
	_, stdout, _ := g.run("cat")
	require.Len(t, stdout, 900, "the next command has room again")
}

func TestCommandsThatReadNothing(t *testing.T) {
	g := newGuest(t, process.New(process.Config{Commands: []string{"true"}}))
	require.NoError(t, g.Memory.Grow(15))
	g.call("stdin", 0, 1_000_000)
	code, _, stderr := g.run("true")
	require.Zero(t, code, stderr)
}

func TestGuestsPrepareCommandsForThemselves(t *testing.T) {
	module := process.New(process.Config{Commands: []string{"echo", "cat"}})
	one, other := newGuest(t, module), newGuest(t, module)
	one.give("arg", "of one")
	one.give("stdin", "of one")
	_, stdout, _ := other.run("echo", "of the other")
	require.Equal(t, "of the other\n", stdout)
	stdout, _ = one.output()
	require.Empty(t, stdout)
	_, stdout, _ = one.run("echo")
	require.Equal(t, "of one\n", stdout)
	stdout, _ = other.output()
	require.Equal(t, "of the other\n", stdout)
}

func TestPooledGuestsKnowNothingOfEachOther(t *testing.T) {
	module, err := wasmer.Compile([]byte(program))
	require.NoError(t, err)
	defer module.Close()
	imports := wasmer.NewImports().Add(process.New(process.Config{Commands: []string{"echo"}}))
	pool, err := wasmer.NewPool(t.Context(), module, imports, wasmer.PoolConfig{MaxLive: 1})
	require.NoError(t, err)
	defer pool.Close()
	for range 3 {
		instance, err := pool.Get(t.Context())
		require.NoError(t, err)
		g := &guest{instance, t}
		stdout, stderr := g.output()
		require.Empty(t, stdout+stderr)
		_, stdout, _ = g.run("echo", "secret")
		require.Equal(t, "secret\n", stdout)
		g.give("arg", "secret")
		require.NoError(t, pool.Put(instance))
	}
}

func TestHostileGuests(t *testing.T) {
	hostile.Fuzz(t, hostile.Config{
		Program: program,
		Imports: wasmer.NewImports().Add(process.New(process.Config{Commands: []string{"true"}, MaxInput: 100_000})),
		Data:    []string{"true", "sh", "-c", "A", "LD_PRELOAD"},
		Check: func(name string, results []uint64) error {
			if code := int32(results[0]); name == "wasmedge_process_run" && code != 0 && code != process.NotRun && code != process.TimedOut {
				return fmt.Errorf("exit code %d", code)
			}
			return nil
		},
		Refused: func(_ string, err error) error {
			if errors.Is(err, wasmer.ErrOutOfBounds) || errors.Is(err, process.ErrInput) || errors.Is(err, wasmer.ErrClosed) {
				return nil
			}
			return err
		},
	})
}
