package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestWASIErrorsNameTheSetting(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	mounts := func(list ...wasmer.Mount) wasmer.WASIConfig { return wasmer.WASIConfig{Mounts: list} }
	for name, test := range map[string]struct {
		config wasmer.WASIConfig
		want   []string
	}{
		"empty argument":           {wasmer.WASIConfig{Args: []string{"a", ""}}, []string{"Args[1]", "empty"}},
		"NUL in an argument":       {wasmer.WASIConfig{Args: []string{"a", "b\x00c"}}, []string{"Args[1]", `"b\x00c"`, "NUL"}},
		"empty key":                {wasmer.WASIConfig{Env: map[string]string{"": "x"}}, []string{"Env", "empty key"}},
		"equals sign in a key":     {wasmer.WASIConfig{Env: map[string]string{"A=B": "x"}}, []string{"Env", `"A=B"`}},
		"NUL in a key":             {wasmer.WASIConfig{Env: map[string]string{"A\x00": "x"}}, []string{"Env", `"A\x00"`, "NUL"}},
		"NUL in a value":           {wasmer.WASIConfig{Env: map[string]string{"A": "\x00"}}, []string{`Env["A"]`, "NUL"}},
		"nil *os.File as Stdin":    {wasmer.WASIConfig{Stdin: (*os.File)(nil)}, []string{"Stdin", "nil *os.File"}},
		"nil buffer as Stdout":     {wasmer.WASIConfig{Stdout: (*bytes.Buffer)(nil)}, []string{"Stdout", "nil *bytes.Buffer"}},
		"nil Buffer as Stderr":     {wasmer.WASIConfig{Stderr: (*wasmer.Buffer)(nil)}, []string{"Stderr", "nil *wasmer.Buffer"}},
		"nil reader as Random":     {wasmer.WASIConfig{Random: (*strings.Reader)(nil)}, []string{"Random", "nil *strings.Reader"}},
		"nil listener":             {wasmer.WASIConfig{Listeners: []net.Listener{nil}}, []string{"Listeners[0]"}},
		"typed nil listener":       {wasmer.WASIConfig{Listeners: []net.Listener{(*net.TCPListener)(nil)}}, []string{"Listeners[0]"}},
		"nil connection":           {wasmer.WASIConfig{Conns: []net.Conn{nil}}, []string{"Conns[0]"}},
		"typed nil connection":     {wasmer.WASIConfig{Conns: []net.Conn{(*net.UnixConn)(nil)}}, []string{"Conns[0]"}},
		"missing folder":           {mounts(wasmer.Mount{Guest: "/a", Host: filepath.Join(dir, "none")}), []string{"Mounts[0]", `"/a"`, "no such file"}},
		"file for a folder":        {mounts(wasmer.Mount{Guest: "/a", Host: file}), []string{"Mounts[0]", `"/a"`, "folder"}},
		"file of os.DirFS":         {mounts(wasmer.Mount{Guest: "/a", FS: os.DirFS(file)}), []string{"Mounts[0]", `"/a"`, "folder"}},
		"os.DirFS of no folder":    {mounts(wasmer.Mount{Guest: "/a", FS: os.DirFS("")}), []string{"Mounts[0]", `"/a"`}},
		"neither Host nor FS":      {mounts(wasmer.Mount{Guest: "/", Host: dir}, wasmer.Mount{Guest: "/a"}), []string{"Mounts[1]", `"/a"`, "Host", "FS"}},
		"both Host and FS":         {mounts(wasmer.Mount{Guest: "/a", Host: dir, FS: fstest.MapFS{}}), []string{"Mounts[0]", `"/a"`, "Host", "FS"}},
		"typed nil FS":             {mounts(wasmer.Mount{Guest: "/a", FS: (*wasmer.MemFS)(nil)}), []string{"Mounts[0]", `"/a"`, "FS"}},
		"typed nil FS beside Host": {mounts(wasmer.Mount{Guest: "/a", Host: dir, FS: (*wasmer.MemFS)(nil)}), []string{"Mounts[0]", `"/a"`, "FS"}},
		"empty Guest":              {mounts(wasmer.Mount{Host: dir}), []string{"Mounts[0].Guest", "empty"}},
		"NUL in Guest":             {mounts(wasmer.Mount{Guest: "/\x00", Host: dir}), []string{"Mounts[0].Guest", "NUL"}},
		"Guest leads upwards":      {mounts(wasmer.Mount{Guest: "a/../..", Host: dir}), []string{"Mounts[0].Guest", "upwards"}},
		"same Guest twice":         {mounts(wasmer.Mount{Guest: "/a", Host: dir}, wasmer.Mount{Guest: "/a", FS: fstest.MapFS{}}), []string{"Mounts[1].Guest", "Mounts[0]"}},
		"same Guest, not cleaned": {
			mounts(wasmer.Mount{Guest: "/a/b", Host: dir}, wasmer.Mount{Guest: "/", Host: dir}, wasmer.Mount{Guest: "/a//c/../b/", Host: dir}),
			[]string{"Mounts[2].Guest", "Mounts[0]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			wasi := wasmer.NewWASI(test.config)
			for _, part := range test.want {
				require.ErrorContains(t, wasi.Err(), part)
			}
			_, err := wasmer.Instantiate(background, compileEmpty(t), wasmer.NewImports().WASI(wasi))
			require.ErrorIs(t, err, wasi.Err(), "whatever instantiates reports it")
			require.NoError(t, wasi.Close())
			require.ErrorIs(t, wasi.Err(), wasmer.ErrClosed)
		})
	}
}

func compileEmpty(t testing.TB) *wasmer.Module {
	t.Helper()
	module, err := wasmer.Compile([]byte("(module)"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = module.Close() })
	return module
}

func TestWASIClosedOrNilIsErrClosed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		closed := wasmer.NewWASI(wasmer.WASIConfig{})
		require.NoError(t, closed.Close())
		require.NoError(t, closed.Close())
		var none *wasmer.WASI
		require.NoError(t, none.Close())
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		for _, wasi := range []*wasmer.WASI{closed, none} {
			require.ErrorIs(t, wasi.Err(), wasmer.ErrClosed)
			_, err := wasmer.Instantiate(background, module, wasmer.NewImports().WASI(wasi))
			require.ErrorIs(t, err, wasmer.ErrClosed)
		}
		later := wasmer.NewWASI(wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", Host: wasiFolder(t)}}})
		imports := wasmer.NewImports().WASI(later)
		p := &probe{instantiateFrom(t, module, imports), t, background}
		file, errno := p.open(3, "one.txt", 0)
		require.Zero(t, errno)
		require.NoError(t, later.Close())
		_, err := wasmer.Instantiate(background, module, imports)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.Equal(t, "one\n", p.readAll(file, 100), "what is open stays open")
		_, errno = p.open(3, "one.txt", 0)
		require.NotZero(t, errno)
		require.EqualValues(t, 4, len(p.random(4)))
	})
}

func TestWASIGivesNothingByDefault(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		p := probeOf(t, engine, wasmer.WASIConfig{})
		require.Empty(t, p.strings("args"))
		require.Empty(t, p.strings("environ"))
		for fd := range 10 {
			require.Equal(t, errnoBadf, p.errno("fd_prestat_get", fd, 0), "fd %d", fd)
		}
		data, errno := p.read(0, 10)
		require.Zero(t, errno)
		require.Empty(t, data)
		for fd := 1; fd <= 2; fd++ {
			n, errno := p.write(fd, "ab", "", "cde")
			require.Zero(t, errno)
			require.Equal(t, 5, n)
		}
		_, errno = p.write(0, "x")
		require.Equal(t, errnoBadf, errno)
		_, errno = p.read(1, 1)
		require.Equal(t, errnoBadf, errno)
		for _, fd := range []int{0, 1, 2, 3, 4, -1, math.MaxInt32} {
			_, errno := p.open(fd, "etc/passwd", 0)
			require.NotZero(t, errno, "fd %d", fd)
			require.NotZero(t, p.errno("sock_accept", fd, 0, 0))
		}
		before := time.Now().Add(-time.Millisecond)
		now := time.Unix(0, int64(p.clock(clockRealtime)))
		require.WithinRange(t, now, before, time.Now().Add(time.Millisecond))
		require.NotEqual(t, p.random(32), p.random(32))
	})
}

func TestWASIArgumentsAndEnvironment(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		args := []string{"program", "ä b", "a=b", strings.Repeat("x", 5000)}
		config := wasmer.WASIConfig{Args: args, Env: map[string]string{"Z": "", "A": "1=2", "ä": "\n"}}
		p := probeOf(t, engine, config)
		args[0], config.Env["new"] = "changed", "later"
		require.Equal(t, []string{"program", "ä b", "a=b", strings.Repeat("x", 5000)}, p.strings("args"))
		require.Equal(t, []string{"A=1=2", "Z=", "ä=\n"}, p.strings("environ"))
		require.Equal(t, errnoFault, p.errno("args_sizes_get", pastMemory-3, 0))
		require.Equal(t, errnoFault, p.errno("args_get", pastMemory-15, 0))
		require.Equal(t, errnoFault, p.errno("args_get", 0, pastMemory-100))
	})
}

func TestWASIConfigInherit(t *testing.T) {
	t.Setenv("WASMER_GO_INHERITED", "yes=1")
	inherited := wasmer.WASIConfig{}.Inherit()
	require.Equal(t, os.Args, inherited.Args)
	require.Equal(t, "yes=1", inherited.Env["WASMER_GO_INHERITED"])
	require.Same(t, os.Stdin, inherited.Stdin)
	require.Same(t, os.Stdout, inherited.Stdout)
	require.Same(t, os.Stderr, inherited.Stderr)
	require.Empty(t, inherited.Mounts)
	inherited.Args[0] = "changed"
	require.NotEqual(t, "changed", os.Args[0])

	config := wasmer.WASIConfig{
		Args: []string{"a"}, Env: map[string]string{"A": "B"}, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &bytes.Buffer{},
	}
	require.Equal(t, config, config.Inherit(), "what is set stays")
	kept := wasmer.WASIConfig{Args: []string{}, Env: map[string]string{}}.Inherit()
	require.Empty(t, kept.Args)
	require.Empty(t, kept.Env)
}

func TestWASIConfigCapture(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		config := wasmer.WASIConfig{}
		stdout, stderr := config.Capture()
		p := probeOf(t, engine, config)
		p.write(1, "out", "put")
		p.write(2, "error")
		require.Equal(t, "output", stdout.String())
		require.Equal(t, []byte("error"), stderr.Bytes())
		require.Equal(t, 6, stdout.Len())
		stdout.Bytes()[0] = 'X'
		var first [3]byte
		_, err := io.ReadFull(stdout, first[:])
		require.NoError(t, err)
		require.Equal(t, "out", string(first[:]))
		p.write(1, "!")
		require.Equal(t, "put!", stdout.String())
		stdout.Reset()
		require.Zero(t, stdout.Len())
		_, err = stdout.Read(first[:])
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestWASIInstancesHaveDescriptorsOfTheirOwn(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		wasi := newWASI(t, wasmer.WASIConfig{Mounts: []wasmer.Mount{
			{Guest: "/data/", FS: wasmer.NewMemFS()}, {Guest: ".", Host: wasiFolder(t), ReadOnly: true},
		}, Deterministic: true})
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		var group sync.WaitGroup
		for n := range 8 {
			p := newProbe(t, module, wasi)
			group.Go(func() {
				for round := range 20 {
					file, errno := p.open(3, fmt.Sprint("file", n), 1)
					require.Zero(t, errno)
					require.Equal(t, 5, file)
					_, errno = p.write(file, fmt.Sprint(n, ".", round, ";"))
					require.Zero(t, errno)
					require.EqualValues(t, 1000*(round+1), p.clock(clockMonotonic), "each has a clock of its own")
					require.Zero(t, p.errno("fd_close", file))
					require.Equal(t, errnoBadf, p.errno("fd_close", file))
				}
			})
		}
		group.Wait()
		p := newProbe(t, module, wasi)
		require.Zero(t, p.errno("fd_prestat_get", 3, 0))
		require.EqualValues(t, len("/data"), p.u32(4))
		require.Zero(t, p.errno("fd_prestat_dir_name", 3, probeData, 5))
		require.Equal(t, "/data", string(p.get(probeData, 5)))
		require.Zero(t, p.errno("fd_prestat_get", 4, 0))
		require.EqualValues(t, 1, p.u32(4))
		require.Equal(t, errnoBadf, p.errno("fd_prestat_get", 5, 0))
		for n := range 8 {
			file, errno := p.open(3, fmt.Sprint("file", n), 0)
			require.Zero(t, errno)
			require.Equal(t, fmt.Sprint(n, ".", 19, ";"), p.readAll(file, 100))
		}
		_, errno := p.open(4, "new", 1)
		require.Equal(t, errnoRofs, errno)
		require.Zero(t, p.errno("fd_close", 3))
		other := newProbe(t, module, wasi)
		_, errno = other.open(3, "file0", 0)
		require.Zero(t, errno, "closing a preopened directory is the guest's own matter")
	})
}

func TestWASIClocksSleepYieldAndRandomAreReplaced(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var slept []time.Duration
		yields, failure := 0, error(nil)
		wall, other := time.Unix(12, 34), 5*time.Second
		p := probeOf(t, engine, wasmer.WASIConfig{
			Now: func() time.Time { return wall }, Monotonic: func() time.Duration { return other },
			Sleep: func(ctx context.Context, d time.Duration) error {
				require.NoError(t, ctx.Err())
				slept = append(slept, d)
				return failure
			},
			Yield: func() { yields++ }, Random: iotest.OneByteReader(strings.NewReader("random bytes")),
		})
		require.EqualValues(t, 12_000_000_034, p.clock(clockRealtime))
		wall = wall.Add(time.Second)
		require.EqualValues(t, 13_000_000_034, p.clock(clockRealtime))
		require.EqualValues(t, 5_000_000_000, p.clock(clockMonotonic))
		require.Equal(t, errnoInval, p.errno("clock_time_get", 4, 0, 0))
		require.Equal(t, errnoFault, p.errno("clock_time_get", 0, 0, pastMemory-7))
		require.Zero(t, p.errno("sched_yield"))
		require.Equal(t, 1, yields)
		require.Equal(t, "random", string(p.random(6)))
		require.Empty(t, p.random(0))
		require.Equal(t, errnoIO, p.errno("random_get", probeData, 7), "only six are left")
		events := p.poll(clockSubscription(1, clockMonotonic, time.Hour, 0), clockSubscription(2, clockMonotonic, time.Minute, 0))
		require.Equal(t, []event{{userdata: 2}}, events)
		p.poll(clockSubscription(1, clockMonotonic, 8*time.Second, 1))
		p.poll(clockSubscription(1, clockRealtime, 20*time.Second, 1))
		require.Equal(t, []time.Duration{time.Minute, 3 * time.Second, 7*time.Second - 34}, slept)
		failure = fs.ErrPermission
		p.subscribe(clockSubscription(1, clockMonotonic, time.Hour, 0))
		require.Equal(t, 2, p.errno("poll_oneoff", 0, probeData, 1, resultAddress), "EACCES is what the error says")
		failure = errors.New("any")
		require.Equal(t, errnoIO, p.errno("poll_oneoff", 0, probeData, 1, resultAddress))
	})
}

func TestWASIDeterministicRunsAreEqual(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		wasi := newWASI(t, wasmer.WASIConfig{Deterministic: true, Stdin: strings.NewReader("")})
		transcript := func() (lines []string) {
			p := newProbe(t, module, wasi)
			note := func(v any) { lines = append(lines, fmt.Sprint(v)) }
			for range 3 {
				note(p.random(20))
				note(p.clock(clockRealtime))
				note(p.clock(clockMonotonic))
				note(p.poll(clockSubscription(1, clockMonotonic, time.Hour, 0)))
				note(p.poll(clockSubscription(1, clockRealtime, 290*365*24*time.Hour, 1)))
				note(p.poll(clockSubscription(1, clockMonotonic, time.Hour, 0), readSubscription(2, 0)))
				require.Zero(t, p.errno("clock_res_get", clockMonotonic, resultAddress))
				note(p.u64(resultAddress))
			}
			return lines
		}
		start := time.Now()
		first := transcript()
		require.Equal(t, first, transcript())
		require.NotEqual(t, first[0], first[6], "the same only from run to run")
		require.Less(t, time.Since(start), 5*time.Second, "sleeping takes no time")
	})
}

// Input that comes late takes no time of the guest's clock, which would differ from run to run.
func TestWASIDeterministicClockWaitsForInput(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var clocks []uint64
		for _, delay := range []time.Duration{5 * time.Millisecond, 30 * time.Millisecond} {
			input, typed := io.Pipe()
			p := probeOf(t, engine, wasmer.WASIConfig{Deterministic: true, Stdin: input})
			time.AfterFunc(delay, func() { _, _ = io.WriteString(typed, "typed") })
			require.Len(t, p.poll(readSubscription(1, 0)), 1)
			clocks = append(clocks, p.clock(clockMonotonic))
			require.NoError(t, typed.Close())
		}
		require.Equal(t, clocks[0], clocks[1])
	})
}

func TestWASICloseLeavesFileSystemsOfTheHost(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		files := wasmer.NewMemFS()
		module := compile(t, engine, probeText("wasi_snapshot_preview1"))
		for n := range 3 {
			wasi := wasmer.NewWASI(wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", FS: files}}})
			p := newProbe(t, module, wasi)
			_, errno := p.open(3, fmt.Sprint("file", n), 1)
			require.Zero(t, errno)
			require.NoError(t, wasi.Close())
			require.NoError(t, p.Close())
		}
		entries, err := files.ReadDir(".")
		require.NoError(t, err)
		require.Len(t, entries, 3)
	})
}
