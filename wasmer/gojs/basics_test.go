package gojs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/gojs"
)

func TestPrograms(t *testing.T) {
	for _, test := range []struct {
		name           string
		args           []string
		config         wasmer.WASIConfig
		stdout, stderr string
	}{
		{name: "arguments and environment", args: []string{"args", "a b", "ü"},
			config: wasmer.WASIConfig{Env: map[string]string{"B": "2", "A": "1=1", "EMPTY": ""}},
			stdout: `["guest" "args" "a b" "ü"] ["A=1=1" "B=2" "EMPTY="]` + "\n"},
		{name: "both outputs", args: []string{"streams"}, stdout: "to stdout\n", stderr: "to stderr\nfrom the runtime\n"},
		{name: "timers", args: []string{"timers"}, stdout: "ok\n"},
		{name: "a thousand goroutines", args: []string{"goroutines"}, stdout: "499500\n"},
		{name: "a growing heap", args: []string{"heap"}, stdout: "64\n"},
		{name: "exit with 0", args: []string{"exit", "0"}},
		{name: "no input", args: []string{"length"}, stdout: "0\n"},
		{name: "input a byte at a time", args: []string{"copy"},
			config: wasmer.WASIConfig{Stdin: iotest.OneByteReader(strings.NewReader("some bytes"))}, stdout: "some bytes"},
		{name: "the process", args: []string{"process"}, stdout: "1 0 -1 -1 -1 -1 [] / js\n"},
		{name: "what lies in a clock's zone", args: []string{"zone"},
			config: wasmer.WASIConfig{Now: func() time.Time { return time.Unix(0, 0).In(time.FixedZone("", 2*3600)) }},
			stdout: "1970-01-01T02:00:00+02:00\n"},
		{name: "values", args: []string{"values"}, stdout: "ok\n"},
		{name: "objects", args: []string{"objects"}, stdout: "ok\n"},
		{name: "arrays", args: []string{"arrays"}, stdout: "ok\n"},
		{name: "arrays of bytes", args: []string{"bytes"}, stdout: "ok\n"},
		{name: "functions", args: []string{"functions"}, stdout: "ok\n"},
		{name: "callbacks", args: []string{"callbacks"}, stdout: "ok\n"},
		{name: "JavaScript errors", args: []string{"errors"}, stdout: "ok\n"},
		{name: "constructors", args: []string{"constructors"}, stdout: "ok\n"},
		{name: "garbage", args: []string{"collected"}, stdout: "ok\n"},
		{name: "a missing function that the guest gets over", args: []string{"caught"},
			stdout: "syscall/js: Value.Call: property alert is not a function, got undefined\n"},
		{name: "a released function", args: []string{"released"}, stderr: "call to released function\n"},
		{name: "the console", args: []string{"console"}, stdout: "a 1.5 true null undefined 1,x,2 [object Object]\n",
			stderr: "NaN -Infinity 1e+21 1e-7 -0.000001 123456789012345680000\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
				if test.config.Stdin != nil {
					test.config.Stdin = iotest.OneByteReader(strings.NewReader("some bytes"))
				}
				got := run(t.Context(), module, test.config, test.args...)
				require.NoError(t, got.err, got.stderr)
				require.Equal(t, test.stdout, got.stdout)
				require.Equal(t, test.stderr, got.stderr)
			})
		})
	}
}

func TestNoArguments(t *testing.T) {
	onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
		var stdout bytes.Buffer
		require.NoError(t, gojs.Run(t.Context(), module, wasmer.WASIConfig{Stdout: &stdout}))
		require.Equal(t, "0 arguments, environment: \n", stdout.String())
	})
}

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		args   []string
		code   uint32
		stderr string
	}{
		{[]string{"exit", "1"}, 1, ""},
		{[]string{"exit", "255"}, 255, ""},
		{[]string{"exit", "-1"}, 0xffffffff, ""},
		{[]string{"panic"}, 2, "panic: no way out\n\ngoroutine 1 [running]:"},
		{[]string{"deadlock"}, 2, "fatal error: all goroutines are asleep - deadlock!"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
				got := run(t.Context(), module, wasmer.WASIConfig{}, test.args...)
				var exit *wasmer.ExitError
				require.ErrorAs(t, got.err, &exit)
				require.Equal(t, test.code, exit.Code)
				require.Contains(t, got.stderr, test.stderr)
			})
		})
	}
}

func TestStdinIsReadWhole(t *testing.T) {
	const size = 2 << 20
	onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
		for range 5 {
			got := run(t.Context(), module, wasmer.WASIConfig{Stdin: strings.NewReader(strings.Repeat("x", size))}, "length")
			require.NoError(t, got.err)
			require.Equal(t, fmt.Sprintln(size), got.stdout)
		}
	})
}

// A program goes on while it waits for input.
func TestWaitingForInput(t *testing.T) {
	onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
		reader, writer := io.Pipe()
		output := &notifier{text: "ticking", reached: make(chan struct{})}
		go func() {
			<-output.reached
			_, _ = writer.Write([]byte("late"))
			_ = writer.Close()
		}()
		got := run(t.Context(), module, wasmer.WASIConfig{Stdin: reader, Stdout: output}, "waiting")
		require.NoError(t, got.err, got.stderr)
		require.Equal(t, "ticking\n\"late\" after ticks: true\n", output.String())
	})
}

// notifier tells when it was written a text.
type notifier struct {
	bytes.Buffer
	text    string
	reached chan struct{}
}

func (n *notifier) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(n.text)) {
		close(n.reached)
	}
	return n.Buffer.Write(p)
}

func TestStreamsThatFail(t *testing.T) {
	broken := errors.New("broken")
	onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
		got := run(t.Context(), module, wasmer.WASIConfig{Stdin: iotest.ErrReader(broken)}, "length")
		require.Contains(t, got.stderr, "panic: read /dev/stdin: I/O error")
		got = run(t.Context(), module, wasmer.WASIConfig{
			Stdin: strings.NewReader("x"), Stdout: writerFunc(func([]byte) (int, error) { return 0, io.ErrClosedPipe }),
		}, "copy")
		require.Contains(t, got.stderr, "panic: write /dev/stdout: Broken pipe")
	})
}

// A reader that panics does so on the goroutine that runs the guest, where it can be recovered from.
func TestStreamsThatPanic(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	require.PanicsWithValue(t, "reader", func() {
		run(t.Context(), module, wasmer.WASIConfig{Stdin: readerFunc(func([]byte) (int, error) { panic("reader") })}, "length")
	})
	require.PanicsWithValue(t, "writer", func() {
		run(t.Context(), module, wasmer.WASIConfig{Stdout: writerFunc(func([]byte) (int, error) { panic("writer") })}, "streams")
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestDeterministic(t *testing.T) {
	onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
		config := wasmer.WASIConfig{Deterministic: true}
		first, second := run(t.Context(), module, config, "random"), run(t.Context(), module, config, "random")
		require.NoError(t, first.err, first.stderr)
		require.Equal(t, first.stdout, second.stdout)

		start := time.Now()
		got := run(t.Context(), module, config, "clock") // it sleeps for an hour
		require.NoError(t, got.err, got.stderr)
		require.Equal(t, "2022-01-01T00:00:00Z Local true\n", got.stdout)
		require.Less(t, time.Since(start), time.Minute)
	})
}

func TestRandom(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	got := run(t.Context(), module, wasmer.WASIConfig{Random: readerFunc(func(p []byte) (int, error) {
		for i := range p {
			p[i] = 7
		}
		return len(p), nil
	})}, "random")
	require.NoError(t, got.err, got.stderr)
	require.NotEqual(t, run(t.Context(), module, wasmer.WASIConfig{}, "random").stdout,
		run(t.Context(), module, wasmer.WASIConfig{}, "random").stdout)

	broken := errors.New("no more")
	got = run(t.Context(), module, wasmer.WASIConfig{Random: iotest.ErrReader(broken)}, "random")
	require.ErrorIs(t, got.err, broken)
	require.ErrorContains(t, got.err, "Random")
}

func TestMissingProperties(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	for _, name := range []string{"document", "alert", "window"} {
		got := run(t.Context(), module, wasmer.WASIConfig{}, name)
		var exit *wasmer.ExitError
		require.ErrorAs(t, got.err, &exit)
		require.EqualValues(t, 2, exit.Code)
		require.ErrorContains(t, got.err, "the host has no JavaScript property globalThis."+name)
	}
	got := run(t.Context(), module, wasmer.WASIConfig{}, "panic")
	require.NotContains(t, got.err.Error(), "JavaScript")
}

func TestNoNetwork(t *testing.T) {
	needsGo(t)
	wasm, err := build("./testdata/http")
	require.NoError(t, err)
	compilers := wasmer.Compilers()
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compilers[len(compilers)-1]}) // it is a large program
	require.NoError(t, err)
	defer engine.Close()
	module, err := engine.Compile(t.Context(), wasm)
	require.NoError(t, err)
	defer module.Close()
	var stdout bytes.Buffer
	require.NoError(t, gojs.Run(t.Context(), module, wasmer.WASIConfig{Stdout: &stdout}))
	require.Regexp(t, `^Get "http://example.com/": dial tcp: lookup example.com.*\n$`, stdout.String())
}
