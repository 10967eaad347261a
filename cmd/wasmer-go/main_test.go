//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "wasmer-go")
	if err == nil {
		binary = filepath.Join(folder, "wasmer-go")
		var output []byte
		if output, err = exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, output)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// fixture is the path of a guest in testdata.
func fixture(name string) string { return filepath.Join("..", "..", "testdata", name) }

// write puts a guest into a file of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guest.wat")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
	return path
}

// streaming makes a guest of WASI that writes "ready\n" and goes on as the text says. $copy writes what it reads.
func streaming(text string) string {
	return `(module
	(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
	(memory (export "memory") 1)
	(data (i32.const 16) "ready\n")
	(func $write (param $at i32) (param $n i32)
		(i32.store (i32.const 0) (local.get $at))
		(i32.store (i32.const 4) (local.get $n))
		(if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
	(func $copy
		(loop $more
			(i32.store (i32.const 0) (i32.const 1000))
			(i32.store (i32.const 4) (i32.const 1000))
			(if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
			(if (i32.load (i32.const 8)) (then
				(call $write (i32.const 1000) (i32.load (i32.const 8)))
				(br $more)))))
	(func $sleep
		(i32.store (i32.const 1016) (i32.const 1))
		(i64.store (i32.const 1024) (i64.const 60_000_000_000))
		(drop (call $poll_oneoff (i32.const 1000) (i32.const 1100) (i32.const 1) (i32.const 8))))
	(func (export "_start") (call $write (i32.const 16) (i32.const 6)) ` + text + `))`
}

const forever = `(loop $l (br $l))`

func TestStatusIsThatOfTheCommand(t *testing.T) {
	for name, test := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"success":      {[]string{"run", fixture("simple.wasm"), "--invoke", "sum", "-5", "47"}, 0, "42\n", ""},
		"exit":         {[]string{"run", write(t, streaming("")), "ignored"}, 0, "ready\n", ""},
		"trap":         {[]string{"run", fixture("traps.wasm"), "--invoke", "unreachable"}, 134, "", "\ttraps.inner()"},
		"overflow":     {[]string{"run", fixture("traps.wasm"), "--invoke", "stack_overflow"}, 134, "", "call stack exhausted"},
		"time over":    {[]string{"run", "--timeout", "0.2", write(t, streaming(forever))}, 124, "ready\n", "200ms are over"},
		"invalid":      {[]string{"validate", "-"}, 1, "", "stdin: empty input"},
		"wrong usage":  {[]string{"run"}, 2, "", "FILE is missing"},
		"no arguments": {nil, 2, "", "Commands:"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			command := exec.Command(binary, test.args...)
			command.Stdout, command.Stderr = &stdout, &stderr
			_ = command.Run()
			require.Equal(t, test.status, command.ProcessState.ExitCode(), "%s", &stderr)
			require.Equal(t, test.stdout, stdout.String())
			require.Contains(t, stderr.String(), test.stderr)
		})
	}
}

// start runs a guest until it is ready.
func start(t *testing.T, command *exec.Cmd) (stdout io.Reader, stdin io.WriteCloser) {
	t.Helper()
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	if command.Stderr == nil {
		command.Stderr = &bytes.Buffer{}
	}
	stdout, err = command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	timer := time.AfterFunc(30*time.Second, func() { _ = command.Process.Kill() })
	t.Cleanup(func() { timer.Stop() })
	ready := make([]byte, len("ready\n"))
	_, err = io.ReadFull(stdout, ready)
	require.NoError(t, err, "%v", command.Stderr)
	require.Equal(t, "ready\n", string(ready))
	return stdout, stdin
}

func TestSignalsStopTheGuest(t *testing.T) {
	for name, text := range map[string]string{"that computes": forever, "that sleeps": "(call $sleep)", "that reads": "(call $copy)"} {
		for signal, status := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
			t.Run(name+" "+signal.String(), func(t *testing.T) {
				command := exec.Command(binary, "run", write(t, streaming(text)))
				start(t, command)
				require.NoError(t, command.Process.Signal(signal))
				_ = command.Wait()
				require.Equal(t, status, command.ProcessState.ExitCode(), "%v", command.ProcessState)
			})
		}
	}
}

// The first signal stops the guest; a second one ends the process, if it is still there.
func TestASecondSignalEndsTheProcess(t *testing.T) {
	var stderr bytes.Buffer
	command := exec.Command(binary, "run", write(t, streaming(forever)))
	command.Stderr = &stderr
	start(t, command)
	require.NoError(t, command.Process.Signal(syscall.SIGINT))
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		require.ErrorIs(t, err, os.ErrProcessDone)
	}
	_ = command.Wait()
	require.Contains(t, []int{130, 143}, command.ProcessState.ExitCode(), "%v %s", command.ProcessState, &stderr)
}

func TestAnIgnoredSignalStaysIgnored(t *testing.T) {
	command := exec.Command("sh", "-c", `trap "" INT; exec "$0" "$@"`, binary, "run", write(t, streaming("(call $sleep)")))
	start(t, command)
	require.NoError(t, command.Process.Signal(syscall.SIGINT))
	time.Sleep(50 * time.Millisecond)
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	_ = command.Wait()
	require.Equal(t, 143, command.ProcessState.ExitCode(), "%v", command.ProcessState)
}

func TestPipesCarryTheGuestsStreams(t *testing.T) {
	command := exec.Command(binary, "run", write(t, streaming("(call $copy)")))
	stdout, stdin := start(t, command)
	answer := make([]byte, 4)
	for _, word := range []string{"one\n", "two\n"} {
		_, err := io.WriteString(stdin, word)
		require.NoError(t, err)
		_, err = io.ReadFull(stdout, answer)
		require.NoError(t, err)
		require.Equal(t, word, string(answer))
	}
	large := strings.Repeat("0123456789", 100_000)
	go func() {
		_, _ = io.WriteString(stdin, large)
		_ = stdin.Close()
	}()
	rest, err := io.ReadAll(stdout)
	require.NoError(t, err)
	require.True(t, large == string(rest), "got %d bytes", len(rest))
	require.NoError(t, command.Wait())
}

// As other programs do that write to a pipe which nobody reads any more.
func TestAClosedPipeEndsTheProcess(t *testing.T) {
	command := exec.Command(binary, "run", write(t, streaming(`(loop $l (call $write (i32.const 16) (i32.const 6)) (br $l))`)))
	stdout, _ := start(t, command)
	require.NoError(t, stdout.(io.Closer).Close())
	_ = command.Wait()
	status := command.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, status.Signaled() && status.Signal() == syscall.SIGPIPE, "%v", command.ProcessState)
}
