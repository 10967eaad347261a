package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// cliGuest makes a program of WASI. $write writes to a file descriptor, $copy reads one to its end and writes that to
// stdout; the guest may use the memory from 1000 on.
func cliGuest(start string) string {
	return `(module
	(import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "path_open"
		(func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
	(memory (export "memory") 1)
	(func $must (param $errno i32) (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))
	(func $write (param $fd i32) (param $at i32) (param $n i32)
		(i32.store (i32.const 0) (local.get $at))
		(i32.store (i32.const 4) (local.get $n))
		(call $must (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
	(func $copy (param $fd i32)
		(loop $more
			(i32.store (i32.const 0) (i32.const 1000))
			(i32.store (i32.const 4) (i32.const 256))
			(call $must (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
			(if (i32.load (i32.const 8)) (then
				(call $write (i32.const 1) (i32.const 1000) (i32.load (i32.const 8)))
				(br $more)))))
	(func $five (export "five") (result i32) (call $write (i32.const 1) (i32.const 16) (i32.const 3)) (i32.const 5))
	(data (i32.const 16) "hi\n")
	` + start + `)`
}

var (
	cliEcho = cliGuest(`(func (export "_start")
		(call $must (call $args_sizes_get (i32.const 100) (i32.const 104)))
		(call $must (call $args_get (i32.const 200) (i32.const 1000)))
		(call $write (i32.const 1) (i32.const 1000) (i32.load (i32.const 104))))`)
	cliEnv = cliGuest(`(func (export "_start")
		(call $must (call $environ_sizes_get (i32.const 100) (i32.const 104)))
		(call $must (call $environ_get (i32.const 200) (i32.const 1000)))
		(call $write (i32.const 2) (i32.const 1000) (i32.load (i32.const 104))))`)
	cliCat   = cliGuest(`(func (export "_start") (call $copy (i32.const 0)))`)
	cliHello = cliGuest(`(func (export "_start") (drop (call $five)))`)
	cliExit  = func(code string) string {
		return cliGuest(`(func (export "_start") (drop (call $five)) (call $proc_exit (i32.const ` + code + `)) unreachable)`)
	}
	// cliOpen shows the name of a folder of so many letters, and a file in it, which it opens with these flags and rights.
	cliOpen = func(letters, flags, rights string) string {
		return cliGuest(`(data (i32.const 32) "file")
			(func (export "_start")
				(call $must (call $fd_prestat_dir_name (i32.const 3) (i32.const 1000) (i32.const ` + letters + `)))
				(call $write (i32.const 1) (i32.const 1000) (i32.const ` + letters + `))
				(call $must (call $path_open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 4) (i32.const ` + flags + `)
					(i64.const ` + rights + `) (i64.const 0) (i32.const 0) (i32.const 100)))
				(call $copy (i32.load (i32.const 100))))`)
	}
	// cliSleep sleeps for 20 seconds.
	cliSleep = cliGuest(`(func (export "_start")
		(call $write (i32.const 1) (i32.const 16) (i32.const 3))
		(i32.store (i32.const 1016) (i32.const 1))
		(i64.store (i32.const 1024) (i64.const 20_000_000_000))
		(call $must (call $poll_oneoff (i32.const 1000) (i32.const 1100) (i32.const 1) (i32.const 8))))`)
	cliForever = `(module (func (export "_start") (loop $l (br $l))))`
)

func TestCLIRunsPrograms(t *testing.T) {
	t.Setenv("WASMER_GO_CLI_SET", "yes")
	for name, test := range map[string]struct {
		guest          string
		before, after  string
		stdin          string
		stdout, stderr string
		status         int
	}{
		"a program without imports":    {guest: `(module (func (export "_start")))`},
		"stdin is copied to stdout":    {guest: cliCat, stdin: strings.Repeat("0123456789", 100), stdout: strings.Repeat("0123456789", 100)},
		"stdin is empty":               {guest: cliCat},
		"no arguments":                 {guest: cliEcho, stdout: "app.wasm\x00"},
		"arguments":                    {guest: cliEcho, after: "a b c", stdout: "app.wasm\x00a\x00b\x00c\x00"},
		"options belong to the guest":  {guest: cliEcho, after: "--help --dir x -v", stdout: "app.wasm\x00--help\x00--dir\x00x\x00-v\x00"},
		"also --invoke":                {guest: cliEcho, after: "--invoke five", stdout: "app.wasm\x00--invoke\x00five\x00"},
		"after --":                     {guest: cliEcho, after: "-- --help", stdout: "app.wasm\x00--help\x00"},
		"after -- there may be others": {guest: cliEcho, after: "-- a -- b", stdout: "app.wasm\x00a\x00--\x00b\x00"},
		"after options and --":         {guest: cliEcho, before: "--env A=1 --", after: "a", stdout: "app.wasm\x00a\x00"},
		"no environment":               {guest: cliEnv},
		"a variable":                   {guest: cliEnv, before: "--env A=b=c", stderr: "A=b=c\x00"},
		"an empty variable":            {guest: cliEnv, before: "--env A=", stderr: "A=\x00"},
		"a variable given twice":       {guest: cliEnv, before: "--env A=1 --env=A=2", stderr: "A=2\x00"},
		"an inherited variable":        {guest: cliEnv, before: "--env WASMER_GO_CLI_SET", stderr: "WASMER_GO_CLI_SET=yes\x00"},
		"a variable that is not set":   {guest: cliEnv, before: "--env WASMER_GO_CLI_UNSET"},
		"the environment":              {guest: cliEnv, before: "--inherit-env", stderr: "WASMER_GO_CLI_SET=yes\x00"},
		"a variable set anew":          {guest: cliEnv, before: "--inherit-env --env WASMER_GO_CLI_SET=no", stderr: "WASMER_GO_CLI_SET=no\x00"},
		"exit with 0":                  {guest: cliExit("0"), stdout: "hi\n"},
		"exit with 3":                  {guest: cliExit("3"), stdout: "hi\n", status: 3},
		"exit with 255":                {guest: cliExit("255"), stdout: "hi\n", status: 255},
		"exit with 256":                {guest: cliExit("256"), stdout: "hi\n", stderr: "app.wasm: exited with 256, which cannot be", status: 1},
		"exit with -1":                 {guest: cliExit("-1"), stdout: "hi\n", stderr: "exited with 4294967295", status: 1},
		"exit while it is made": {
			guest: cliGuest(`(func $f (call $proc_exit (i32.const 4))) (start $f) (func (export "_start"))`), status: 4,
		},
		"trap": {
			guest: cliGuest(`(func $boom (export "_start") unreachable)`), status: 134,
			stderr: "app.wasm: calling \"_start\": module[] function[boom] failed: wasm error: unreachable\nwasm stack trace:\n\t.boom()\n\t\t0x",
		},
		"output before a trap": {
			guest: cliGuest(`(func (export "_start") (drop (call $five)) unreachable)`), status: 134,
			stdout: "hi\n", stderr: "wasm error: unreachable",
		},
		"a function of a program": {guest: cliHello, before: "--invoke five", stdout: "hi\n5\n"},
		"exit of a function": {
			guest: cliGuest(`(func (export "f") (call $proc_exit (i32.const 7)))`), after: "--invoke f", status: 7,
		},
		"a library": {
			guest: cliGuest(`(func (export "_initialize")) (func (export "f") (param i64))`), status: 1,
			stderr: "there is no _start to run\nFunctions for --invoke:\n  \"five\"  (func (result i32))\n  \"f\"     (func (param i64))\n",
		},
		"a library is initialized before a call": {
			guest: `(module (global $g (mut i32) (i32.const 1)) (func (export "_initialize") (global.set $g (i32.const 2)))
				(func (export "f") (result i32) (global.get $g)))`, after: "--invoke f", stdout: "2\n",
		},
		"the older name of WASI": {
			guest: `(module (import "wasi_unstable" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
				(func (export "_start") (call $exit (i32.const 6))))`, status: 6,
		},
		"a function of WASI of another type": {
			guest: `(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i64))) (func (export "_start")))`, status: 1,
			stderr: `imports of another type:
  function  "wasi_snapshot_preview1"  "proc_exit"  (func (param i64))  is given as function  (func (param i32))`,
		},
		"a stub that is not called": {
			guest:  `(module (import "host" "f" (func)) (func (export "_start")))`,
			before: "--stub-unknown",
		},
		"a stub that is called at the start": {
			guest:  `(module (import "host" "missing" (func $f)) (start $f) (func (export "_start")))`,
			before: "--stub-unknown", stderr: "missing", status: 134,
		},
		"a stub that is called": {
			guest:  `(module (import "host" "missing" (func $f)) (func (export "_start") (call $f)))`,
			before: "--stub-unknown", stderr: "missing", status: 134,
		},
		"a time that is not over": {guest: cliHello, before: "--timeout 1m", stdout: "hi\n"},
		"a time that is over": {
			guest: cliSleep, before: "--timeout 0.3", status: 124, stdout: "hi\n",
			stderr: "app.wasm: stopped: 300ms are over (--timeout)\n",
		},
		"a folder that is missing": {
			guest: cliHello, before: "--dir ./none", status: 1, stderr: "--dir ./none: no such file or directory\nHint: ",
		},
		"a folder that is a file": {
			guest: cliHello, before: "--dir main_test.go", status: 1, stderr: "--dir main_test.go: not a folder\nHint: ",
		},
	} {
		for _, compiler := range cliCompilers() {
			t.Run(name+" "+compiler, func(t *testing.T) {
				args := append([]string{"run", "--compiler", compiler}, strings.Fields(test.before)...)
				args = append(append(args, cliWrite(t, "app.wasm", test.guest)), strings.Fields(test.after)...)
				r := cliExecute(test.stdin, args...)
				require.Equal(t, test.status, r.status, r.stderr)
				require.Equal(t, test.stdout, r.stdout)
				require.Contains(t, r.stderr, test.stderr)
				require.Equal(t, test.stderr == "", r.stderr == "", r.stderr)
			})
		}
	}
}

func TestCLIRunsGuestsOfCompilers(t *testing.T) {
	t.Setenv("WASMER_GO_CLI_SET", "yes")
	t.Chdir("..")
	fib, err := os.ReadFile("testdata/fib.wat")
	require.NoError(t, err)
	cache := t.TempDir() // of the guests made by Go, which are large
	for _, test := range []struct {
		args           string
		stdin          string
		stdout, stderr string
		status         int
	}{
		{args: "testdata/wasip1_hello.wasm one --two", stdout: "arg wasip1_hello.wasm\narg one\narg --two\n"},
		{args: "--env A=1 testdata/wasip1_hello.wasm", stdout: "arg wasip1_hello.wasm\nenv A=1\n"},
		{args: "--env A=1 --env WASMER_GO_CLI_SET testdata/wasi/env.wasm", stdout: "arg 0: env.wasm\nA=1\nWASMER_GO_CLI_SET=yes\n"},
		{args: "testdata/wasi/cat.wasm", stdin: "typed", stdout: "typed"},
		{args: "--dir . testdata/wasi/cat.wasm testdata/fib.wat", stdout: string(fib)},
		{args: "--dir testdata:/t:ro testdata/wasi/cat.wasm /t/fib.wat", stdout: string(fib)},
		{args: "testdata/wasi/cat.wasm testdata/fib.wat", stderr: "cat: testdata/fib.wat: ", status: 1},
		{args: "--dir testdata:/t:ro testdata/wasi/copyfile.wasm /t/fib.wat /t/new", stderr: "Read-only file system", status: 1},
		{args: "testdata/wasi/exit.wasm 77", status: 77},
		{args: "testdata/wasi/abort.wasm", stderr: "wasm error: unreachable\nwasm stack trace:\n\t.__original_main() i32\n", status: 134},
		{args: "--timeout 0.3 testdata/wasi/sleep.wasm 20000", stderr: "300ms are over", status: 124},
		{args: "testdata/wasi/reactor.wasm --invoke add 40 2", stdout: "42\n"},
	} {
		t.Run(test.args, func(t *testing.T) {
			r := cliExecute(test.stdin, append([]string{"run", "--cache", cache}, strings.Fields(test.args)...)...)
			require.Equal(t, test.status, r.status, r.stderr)
			require.Equal(t, test.stdout, r.stdout)
			require.Contains(t, r.stderr, test.stderr)
		})
	}
}

func TestCLIFoldersAreGivenToTheGuest(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "a:b"), 0o777))
	for _, name := range []string{"file", "a:b/file"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(" "+name), 0o666))
	}
	t.Chdir(folder)
	const read, write = "2", "66"
	const none, truncate = "0", "8"
	for _, test := range []struct {
		dir, guest, stdout string
		status             int
	}{
		{".", cliOpen("1", none, read), ". file", 0},
		{".:/", cliOpen("1", none, read), "/ file", 0},
		{".:/data", cliOpen("5", none, read), "/data file", 0},
		{".:/data:ro", cliOpen("5", none, read), "/data file", 0},
		{folder + ":/d", cliOpen("2", none, read), "/d file", 0},
		{"a:b::/d", cliOpen("2", none, read), "/d a:b/file", 0},
		{".:/d:ro", cliOpen("2", truncate, write), "/d", 69}, // EROFS
		{".:ro", cliOpen("1", truncate, write), ".", 69},
	} {
		t.Run(test.dir, func(t *testing.T) {
			file := cliWrite(t, "app.wat", test.guest)
			require.Equal(t, cliResult{test.status, test.stdout, ""}, cliExecute("", "run", "--dir", test.dir, file))
		})
	}
	absolute := cliExecute("", "run", "--dir", folder, cliWrite(t, "app.wat", cliOpen("1", none, read)))
	require.Equal(t, 37, absolute.status, "ENAMETOOLONG: the path is that of the host")

	second := cliWrite(t, "app.wat", strings.ReplaceAll(cliOpen("2", none, read), "(i32.const 3)", "(i32.const 4)"))
	require.Equal(t, cliResult{0, "/b a:b/file", ""}, cliExecute("", "run", "--dir", ".:/a", "--dir", "a:b::/b", second))

	require.Equal(t, 0, cliExecute("", "run", "--dir", ".", cliWrite(t, "app.wat", cliOpen("1", truncate, write))).status)
	content, err := os.ReadFile("file")
	require.NoError(t, err)
	require.Empty(t, content, "what is not ro may be changed")
}

func TestCLIModuleFromStdinHasNoStdin(t *testing.T) {
	require.Equal(t, cliResult{0, "", ""}, cliExecute(cliCat, "run", "-"))
	require.Equal(t, cliResult{0, "-\x00a\x00", ""}, cliExecute(cliEcho, "run", "-", "a"))
}

func TestCLINilStreams(t *testing.T) {
	require.Equal(t, 0, wasmer.RunCLI(background, []string{"run", cliWrite(t, "cat.wat", cliCat)}, nil, nil, nil))
	require.Equal(t, 3, wasmer.RunCLI(background, []string{"run", cliWrite(t, "exit.wat", cliExit("3"))}, nil, nil, nil))
	require.Equal(t, 2, wasmer.RunCLI(background, nil, nil, nil, nil))
}

// What a guest writes arrives while it waits for input.
func TestCLIStreamsAreNotGathered(t *testing.T) {
	guest := cliWrite(t, "app.wat", cliGuest(`(func (export "_start")
		(drop (call $five)) (call $copy (i32.const 0)) (drop (call $five)))`))
	input, typed := io.Pipe()
	shown, output := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- wasmer.RunCLI(background, []string{"run", guest}, input, output, io.Discard)
		_ = output.Close()
	}()
	answer := make([]byte, 3)
	for _, word := range []string{"one", "two"} {
		_, err := io.ReadFull(shown, answer)
		require.NoError(t, err)
		_, err = typed.Write([]byte(word))
		require.NoError(t, err)
	}
	require.NoError(t, typed.Close())
	rest, err := io.ReadAll(shown)
	require.NoError(t, err)
	require.Equal(t, "twohi\n", string(rest))
	require.Equal(t, 0, <-status)
}

// stoppedBy is a cause with a status of its own.
type stoppedBy struct{ signal syscall.Signal }

func (s stoppedBy) Error() string { return s.signal.String() }
func (s stoppedBy) ExitCode() int { return 128 + int(s.signal) }

func TestCLIContextStopsTheGuest(t *testing.T) {
	guest := cliWrite(t, "app.wat", cliSleep)
	for name, test := range map[string]struct {
		cause   error
		status  int
		message string
	}{
		"SIGINT":       {stoppedBy{syscall.SIGINT}, 130, "stopped: interrupt"},
		"SIGTERM":      {stoppedBy{syscall.SIGTERM}, 143, "stopped: terminated"},
		"without more": {nil, 130, "stopped: context canceled"},
		"other cause":  {errors.New("enough"), 130, "stopped: enough"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(background)
			began := time.Now()
			var stderr bytes.Buffer
			status := wasmer.RunCLI(ctx, []string{"run", guest}, nil, writerFunc(func(data []byte) (int, error) {
				require.Equal(t, "hi\n", string(data))
				cancel(test.cause)
				return len(data), nil
			}), &stderr)
			require.Equal(t, test.status, status)
			require.Equal(t, "wasmer-go: "+guest+": "+test.message+"\n", stderr.String())
			require.Less(t, time.Since(began), 10*time.Second, "it sleeps for 20")
		})
	}
	ctx, cancel := context.WithTimeout(background, 300*time.Millisecond)
	defer cancel()
	require.Equal(t, 124, wasmer.RunCLI(ctx, []string{"run", guest}, nil, nil, nil), "the context's own deadline")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(data []byte) (int, error) { return f(data) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(data []byte) (int, error) { return f(data) }

// As the rest of the package has it.
func TestCLIPanicsOfTheStreamsGoOnInTheCaller(t *testing.T) {
	guest := cliWrite(t, "app.wat", cliHello)
	require.PanicsWithValue(t, "no paper", func() {
		wasmer.RunCLI(background, []string{"run", guest}, nil, writerFunc(func([]byte) (int, error) { panic("no paper") }), nil)
	})
	returned, ended := false, make(chan struct{})
	go func() {
		defer close(ended)
		wasmer.RunCLI(background, []string{"validate", "-"}, readerFunc(func([]byte) (int, error) {
			runtime.Goexit()
			return 0, nil
		}), nil, nil)
		returned = true
	}()
	<-ended
	require.False(t, returned, "runtime.Goexit ends the caller's goroutine")
}

func TestCLIContextStopsWhatWaitsForTheModule(t *testing.T) {
	for _, command := range []string{"run", "inspect", "validate", "wat2wasm"} {
		input, typed := io.Pipe()
		ctx, cancel := context.WithCancel(background)
		timer := time.AfterFunc(50*time.Millisecond, cancel)
		var stderr bytes.Buffer
		require.Equal(t, 130, wasmer.RunCLI(ctx, []string{command, "-"}, input, nil, &stderr), command)
		require.Equal(t, "wasmer-go: stdin: stopped: context canceled\n", stderr.String())
		timer.Stop()
		_ = typed.Close()
	}
}

// A guest that computes does not heed the context: it is left behind.
func TestCLIEndlessGuestIsLeftBehind(t *testing.T) {
	inChild(t, func(t *testing.T) {
		for _, function := range []string{"_start", "f"} {
			var stderr bytes.Buffer
			file := cliWrite(t, "app.wat", strings.ReplaceAll(cliForever, "_start", function))
			began := time.Now()
			status := wasmer.RunCLI(background, []string{"run", "--timeout", "0.5", "--invoke", function, file}, nil, nil, &stderr)
			require.Equal(t, 124, status)
			require.Contains(t, stderr.String(), "500ms are over (--timeout)\n")
			require.GreaterOrEqual(t, time.Since(began), 500*time.Millisecond)
		}
	})
}
