package wasmer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// wasiGuest compiles a program of testdata/wasi.
func wasiGuest(t testing.TB, engine *wasmer.Engine, name string) *wasmer.Module {
	t.Helper()
	return compile(t, engine, wasmtest.Fixture(t, "wasi/"+name+".wasm"))
}

// wasiInstance instantiates a guest with what its configuration says, closed with the test.
func wasiInstance(t testing.TB, module *wasmer.Module, config wasmer.WASIConfig) *wasmer.Instance {
	t.Helper()
	wasi := wasmer.NewWASI(config)
	require.NoError(t, wasi.Err())
	t.Cleanup(func() { _ = wasi.Close() })
	instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().WASI(wasi).Emscripten())
	require.NoError(t, err)
	t.Cleanup(func() { _ = instance.Close() })
	return instance
}

// outcome is what a command leaves behind.
type outcome struct {
	stdout, stderr string
	code           uint32
}

// runCommand runs a command to its end, which must be an exit.
func runCommand(t testing.TB, module *wasmer.Module, config wasmer.WASIConfig, args ...string) outcome {
	t.Helper()
	config.Args = append([]string{"guest"}, args...)
	stdout, stderr := config.Capture()
	err := wasiInstance(t, module, config).Start(background)
	result := outcome{stdout: stdout.String(), stderr: stderr.String()}
	if err != nil {
		var exit *wasmer.ExitError
		require.ErrorAs(t, err, &exit, "%s%s", stdout, stderr)
		result.code = exit.Code
	}
	return result
}

// wasiFolder is a folder with a file, a folder with a file and an empty folder, and a symbolic link.
func wasiFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub", "deep"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "one.txt"), []byte("one\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "numbers"), []byte("1\n2\n"), 0o644))
	require.NoError(t, os.Symlink("one.txt", filepath.Join(dir, "link")))
	return dir
}

// commandTest is a run of a command that sees wasiFolder as its root.
type commandTest struct {
	name, guest, stdin string
	args               []string
	env                map[string]string
	want               outcome
}

func (test *commandTest) run(t *testing.T, module *wasmer.Module) {
	got := runCommand(t, module, wasmer.WASIConfig{
		Env: test.env, Stdin: strings.NewReader(test.stdin),
		Mounts: []wasmer.Mount{{Guest: "/", Host: wasiFolder(t), ReadOnly: true}},
	}, test.args...)
	require.Equal(t, test.want, got)
}

func TestWASICommands(t *testing.T) {
	tests := []commandTest{
		{name: "the smallest command", guest: "hello", want: outcome{stdout: "hello, wasi\n"}},
		{name: "exit with 0", guest: "exit", args: []string{"0"}},
		{name: "exit with 42", guest: "exit", args: []string{"42"}, want: outcome{code: 42}},
		{
			name: "arguments and environment", guest: "env", args: []string{"b c", "ä"}, env: map[string]string{"Z": "1=2", "A": ""},
			want: outcome{stdout: "arg 0: guest\narg 1: b c\narg 2: ä\nA=\nZ=1=2\n"},
		},
		{name: "cat copies stdin", guest: "cat", stdin: "typed", want: outcome{stdout: "typed"}},
		{
			name: "cat copies files and stdin", guest: "cat", args: []string{"one.txt", "-", "/sub/numbers", "link"}, stdin: "typed\n",
			want: outcome{stdout: "one\ntyped\n1\n2\none\n"},
		},
		{
			name: "cat goes on after what is missing", guest: "cat", args: []string{"none", "one.txt"},
			want: outcome{stdout: "one\n", stderr: "cat: none: No such file or directory\n", code: 1},
		},
		{name: "cat reads no folder", guest: "cat", args: []string{"sub"}, want: outcome{stderr: "cat: sub: Is a directory\n", code: 1}},
		{name: "ls lists a folder", guest: "ls", args: []string{"/"}, want: outcome{stdout: "l 7 /link\nf 4 /one.txt\nd - /sub\n"}},
		{name: "ls lists a tree", guest: "ls", args: []string{"-R", "/"}, want: outcome{stdout: "l 7 /link\nf 4 /one.txt\nd - /sub\nd - /sub/deep\nf 4 /sub/numbers\n"}},
		{
			name: "ls lists the working folder", guest: "ls", want: outcome{stdout: "l 7 ./link\nf 4 ./one.txt\nd - ./sub\n"},
		},
		{name: "ls finds no folder", guest: "ls", args: []string{"/none"}, want: outcome{stderr: "ls: /none: No such file or directory\n", code: 1}},
		{name: "sort sorts lines", guest: "sort", stdin: "b\na\n\nä\nB", want: outcome{stdout: "\nB\na\nb\nä\n"}},
		{name: "echo copies stdin", guest: "echo", stdin: "typed", want: outcome{stdout: "typed"}},
		{name: "C++ counts words", guest: "words", stdin: "b a\nc b a  b", want: outcome{stdout: "3 b\n2 a\n1 c\n"}},
		{name: "Rust reads a file", guest: "system", args: []string{"read", "/sub/numbers"}, want: outcome{stdout: "1\n2\n"}},
		{name: "Rust reads a variable", guest: "system", args: []string{"env", "A"}, env: map[string]string{"A": "b"}, want: outcome{stdout: "b\n"}},
		{
			name: "Rust finds no variable", guest: "system", args: []string{"env", "A"},
			want: outcome{stderr: "system: environment variable not found\n", code: 1},
		},
		{
			name: "Zig reads files", guest: "read", args: []string{"one.txt", "sub/numbers"},
			want: outcome{stdout: "hello, zig\narg 1: one.txt: 4 bytes\none\narg 2: sub/numbers: 4 bytes\n1\n2\n"},
		},
		{name: "Zig finds no file", guest: "read", args: []string{"none"}, want: outcome{stderr: "error: FileNotFound\n", code: 1}},
		{name: "Emscripten allocates twice", guest: "emscripten"},
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		modules := map[string]*wasmer.Module{}
		for _, test := range tests {
			if modules[test.guest] == nil {
				modules[test.guest] = wasiGuest(t, engine, test.guest)
			}
			t.Run(test.name, func(t *testing.T) { test.run(t, modules[test.guest]) })
		}
	})
}

// wasiMounts are writable file systems of each kind, empty.
func wasiMounts(t testing.TB) map[string]wasmer.Mount {
	return map[string]wasmer.Mount{
		"a folder":         {Guest: "/data", Host: t.TempDir()},
		"a folder as root": {Guest: "/", Host: t.TempDir()},
		"a MemFS":          {Guest: "/data", FS: wasmer.NewMemFS()},
	}
}

func TestWASIGuestChangesFiles(t *testing.T) {
	transcript := string(wasmtest.Fixture(t, "wasi/fsops.txt"))
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		fsops, ls := wasiGuest(t, engine, "fsops"), wasiGuest(t, engine, "ls")
		for name, mount := range wasiMounts(t) {
			t.Run(name, func(t *testing.T) {
				if mount.Host != "" && runtime.GOOS != "linux" {
					t.Skip("the transcript has the errors of Linux")
				}
				config := wasmer.WASIConfig{Mounts: []wasmer.Mount{mount}}
				got := runCommand(t, fsops, config, mount.Guest)
				require.Equal(t, transcript, got.stdout)
				require.Equal(t, outcome{stdout: transcript}, got)
				require.Equal(t, outcome{}, runCommand(t, ls, config, mount.Guest), "it takes away what it made")
			})
		}
	})
}

func TestWASIGuestCopiesFiles(t *testing.T) {
	content := make([]byte, 1<<20+1)
	rand.NewChaCha8([32]byte{}).Read(content)
	source := fstest.MapFS{"tree/empty": {}, "tree/sub/big": {Data: content}}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		cp, copyfile := wasiGuest(t, engine, "cp"), wasiGuest(t, engine, "copyfile")
		ls, cat, rust := wasiGuest(t, engine, "ls"), wasiGuest(t, engine, "cat"), wasiGuest(t, engine, "system")
		for name, mount := range wasiMounts(t) {
			t.Run(name, func(t *testing.T) {
				mount.Guest = "/target"
				config := wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/source", FS: source}, mount}}
				require.Zero(t, runCommand(t, cp, config, "-r", "/source/tree", "/target/copy"))
				require.Zero(t, runCommand(t, copyfile, config, "/target/copy/sub/big", "/target/big"))
				require.Zero(t, runCommand(t, rust, config, "write", "/target/rust", "rusty"))
				require.Equal(t, "f 1048577 /target/big\nd - /target/copy\nf 0 /target/copy/empty\nd - /target/copy/sub\n"+
					"f 1048577 /target/copy/sub/big\nf 5 /target/rust\n", runCommand(t, ls, config, "-R", "/target").stdout)
				got := runCommand(t, cat, config, "/target/rust", "/target/big")
				require.Equal(t, outcome{stdout: "rusty" + string(content)}, got)
				require.Equal(t, outcome{stderr: "copyfile: /source/new: Read-only file system\n", code: 1},
					runCommand(t, copyfile, config, "/target/big", "/source/new"))
			})
		}
	})
}

func TestWASIGuestMovesManyBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	lines := make([]string, 200_000)
	for i := range lines {
		lines[i] = fmt.Sprintf("%020d", random.Int64())
	}
	input := strings.Join(lines, "\n") + "\n"
	slices.Sort(lines)
	sorted := strings.Join(lines, "\n") + "\n"
	sum := func(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) } // what differs is too long to be shown
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		echo, sort, writes := wasiGuest(t, engine, "echo"), wasiGuest(t, engine, "sort"), wasiGuest(t, engine, "writes")
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"at once":      func(r io.Reader) io.Reader { return r },
			"in bits":      iotest.HalfReader,
			"with the end": iotest.DataErrReader,
		} {
			t.Run(name, func(t *testing.T) {
				got := runCommand(t, echo, wasmer.WASIConfig{Stdin: reader(strings.NewReader(input))})
				require.Equal(t, sum(input), sum(got.stdout))
				got = runCommand(t, sort, wasmer.WASIConfig{Stdin: reader(strings.NewReader(input))})
				require.Equal(t, sum(sorted), sum(got.stdout))
			})
		}
		got := runCommand(t, writes, wasmer.WASIConfig{}, "10000")
		require.Equal(t, strings.Repeat("one line, written on its own\n", 10_000), got.stdout)
	})
}

func TestWASIGuestHasTheTime(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		clocks, sleep, rust := wasiGuest(t, engine, "clocks"), wasiGuest(t, engine, "sleep"), wasiGuest(t, engine, "system")
		now := func() time.Time { return time.Unix(1_234_567_890, 999_999_999) }
		require.Equal(t, outcome{stdout: "1234567890\n"}, runCommand(t, clocks, wasmer.WASIConfig{Now: now}, "1000"))
		for name, guest := range map[string]struct {
			module *wasmer.Module
			args   []string
		}{
			"nanosleep": {sleep, []string{"30"}},
			"poll":      {sleep, []string{"30", "poll"}},
			"Rust":      {rust, []string{"sleep", "30"}},
		} {
			t.Run(name, func(t *testing.T) {
				require.Equal(t, outcome{stdout: "30\n"}, runCommand(t, guest.module, wasmer.WASIConfig{Deterministic: true}, guest.args...))
				start := time.Now()
				got := runCommand(t, guest.module, wasmer.WASIConfig{}, guest.args...)
				require.GreaterOrEqual(t, time.Since(start), 30*time.Millisecond)
				var measured int
				_, err := fmt.Sscan(got.stdout, &measured)
				require.NoError(t, err, "%+v", got)
				require.GreaterOrEqual(t, measured, 30)
			})
		}
	})
}

func TestWASIGuestServesHTTP(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := wasiGuest(t, engine, "httpd")
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer listener.Close()
		config := wasmer.WASIConfig{Args: []string{"httpd", "4", "3"}, Listeners: []net.Listener{listener}}
		config.Mounts = []wasmer.Mount{{Guest: "/", FS: wasmer.NewMemFS()}} // comes before, as 3
		_, stderr := config.Capture()
		instance := wasiInstance(t, module, config)
		ended := make(chan error, 1)
		go func() { ended <- instance.Start(background) }()
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
		for _, request := range []struct {
			method, path string
			body         int
		}{{"GET", "/", 0}, {"POST", "/a?b=c", 5}, {"PUT", "/big", 300_000}} {
			r, err := http.NewRequest(request.method, "http://"+listener.Addr().String()+request.path, bytes.NewReader(make([]byte, request.body)))
			require.NoError(t, err)
			response, err := client.Do(r)
			require.NoError(t, err, "%s", stderr)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, fmt.Sprintf("%s %s %d\n", request.method, request.path, request.body), string(body))
		}
		require.NoError(t, <-ended, "%s", stderr)
	})
}

func TestWASIGuestTraps(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, test := range map[string]struct {
			args   []string
			stderr string
		}{
			"abort":  {nil, "abort: giving up\n"},
			"system": {[]string{"panic"}, "\nthread 'main' (1) panicked at system.rs:26:22:\nas asked\n"},
		} {
			config := wasmer.WASIConfig{Args: append([]string{"guest"}, test.args...)}
			_, stderr := config.Capture()
			err := wasiInstance(t, wasiGuest(t, engine, name), config).Start(background)
			require.ErrorIs(t, err, wasmer.TrapUnreachable)
			require.Contains(t, stderr.String(), test.stderr)
			if name == "abort" {
				var trap *wasmer.Trap
				require.ErrorAs(t, err, &trap)
				require.Equal(t, "__original_main", trap.Frames[0].Function)
			}
		}
	})
}

func TestWASIReactorIsCalledAgainAndAgain(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		config := wasmer.WASIConfig{}
		stdout, _ := config.Capture()
		instance := wasiInstance(t, wasiGuest(t, engine, "reactor"), config)
		require.EqualValues(t, 42, call(t, instance, "add", 50, -8).ToI32())
		for range 3 {
			require.Empty(t, run(t, instance, "greet"))
		}
		require.Equal(t, "greeting 1\ngreeting 2\ngreeting 3\n", stdout.String())
	})
}

func TestWASIGuestIsStoppedWhileItWaits(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, command := range map[string][]string{
			"for input":        {"cat"},
			"asleep":           {"sleep", "60000"},
			"in poll":          {"sleep", "60000", "poll"},
			"for a connection": {"httpd", "3", "1"},
		} {
			t.Run(name, func(t *testing.T) {
				config := wasmer.WASIConfig{Args: command, Listeners: []net.Listener{listener}}
				requireStopped(t, wasiGuest(t, engine, command[0]), config)
			})
		}
	})
}

// requireStopped runs a command that waits, with nobody typing at it, until a context ends it.
func requireStopped(t *testing.T, module *wasmer.Module, config wasmer.WASIConfig) {
	t.Helper()
	input, typed := io.Pipe()
	defer typed.Close()
	config.Stdin = input
	instance := wasiInstance(t, module, config)
	ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := instance.Start(ctx)
	require.ErrorIs(t, err, wasmer.ErrInterrupted)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), 10*time.Second)
}
