package gojs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/gojs"
)

func TestContextEndsGuests(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		config wasmer.WASIConfig
	}{
		{name: "that sleep", args: []string{"sleep", "1h"}},
		{name: "that wait for input", args: []string{"length"}, config: wasmer.WASIConfig{Stdin: silent{}}},
		{name: "that wait for input and timers", args: []string{"waiting"}, config: wasmer.WASIConfig{Stdin: silent{}}},
		{name: "that wait for output", args: []string{"streams"}, config: wasmer.WASIConfig{Stdout: silent{}}},
		{name: "that call the host all the time", args: []string{"spin"}},
		{name: "that make long strings", args: []string{"hoard", "join"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				start := time.Now()
				got := run(ctx, module, test.config, test.args...)
				require.ErrorIs(t, got.err, wasmer.ErrInterrupted)
				require.ErrorIs(t, got.err, context.DeadlineExceeded)
				require.Less(t, time.Since(start), 20*time.Second)
			})
		})
	}
}

// silent never has anything, nor takes anything, as long as the tests run.
type silent struct{}

var testsEnded = make(chan struct{})

func (silent) Read([]byte) (int, error)  { <-testsEnded; return 0, io.EOF }
func (silent) Write([]byte) (int, error) { <-testsEnded; return 0, io.EOF }

// What was read for a guest that ended meanwhile is there for the next one.
func TestInputOfEndedGuests(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	reader, writer := io.Pipe()
	var stdout bytes.Buffer
	host, err := gojs.New(wasmer.WASIConfig{Args: []string{"guest", "copy"}, Stdin: reader, Stdout: &stdout})
	require.NoError(t, err)
	defer host.Close()
	start := func(ctx context.Context) error {
		instance, err := wasmer.Instantiate(ctx, module, gojs.Imports())
		require.NoError(t, err)
		defer instance.Close()
		return host.Start(ctx, instance)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, start(ctx), wasmer.ErrInterrupted)
	go func() {
		_, _ = writer.Write([]byte("for whoever reads"))
		_ = writer.Close()
	}()
	require.NoError(t, start(t.Context()))
	require.Equal(t, "for whoever reads", stdout.String())
}

func TestGuestsShareAHost(t *testing.T) {
	onEachCompiler(t, func(t *testing.T, module *wasmer.Module) {
		const guests = 8
		imports := gojs.Imports()
		defer imports.Close()
		var stdout bytes.Buffer
		for _, program := range []string{"goroutines", "callbacks", "values", "timers"} {
			stdout.Reset()
			host, err := gojs.New(wasmer.WASIConfig{Args: []string{"guest", program}, Stdout: &stdout})
			require.NoError(t, err)
			var wait sync.WaitGroup
			errs := make([]error, guests)
			for i := range guests {
				wait.Go(func() {
					instance, err := wasmer.Instantiate(t.Context(), module, imports)
					if err == nil {
						defer instance.Close()
						err = host.Start(t.Context(), instance)
					}
					errs[i] = err
				})
			}
			wait.Wait()
			for _, err := range errs {
				require.NoError(t, err)
			}
			require.Len(t, strings.Split(strings.TrimSpace(stdout.String()), "\n"), guests)
			require.NoError(t, host.Close())
		}
	})
}

func TestFunctionsOfTheUser(t *testing.T) {
	needsGo(t)
	wasm, err := build("./testdata/exports")
	require.NoError(t, err)
	for _, compiler := range wasmer.Compilers() {
		t.Run(compiler.String(), func(t *testing.T) {
			engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler})
			require.NoError(t, err)
			defer engine.Close()
			module, err := engine.Compile(t.Context(), wasm)
			require.NoError(t, err)
			defer module.Close()

			var link *wasmer.LinkError
			require.ErrorAs(t, gojs.Run(t.Context(), module, wasmer.WASIConfig{}), &link)
			require.Len(t, link.Imports, 1)
			require.Equal(t, "twice", link.Imports[0].Name)

			imports := gojs.Imports().Function("twice", func(c *wasmer.Caller, x int32) (int32, error) {
				add, err := c.Function("add")
				if err != nil {
					return 0, err
				}
				sum, err := add.Call(c.Context(), x, x)
				if err != nil {
					return 0, err
				}
				return sum[0].ToI32(), nil
			})
			var stdout bytes.Buffer
			host, err := gojs.New(wasmer.WASIConfig{Stdout: &stdout})
			require.NoError(t, err)
			defer host.Close()
			instance, err := wasmer.Instantiate(t.Context(), module, imports)
			require.NoError(t, err)
			defer instance.Close()
			require.NoError(t, host.Start(t.Context(), instance))
			require.Equal(t, fmt.Sprintln(42), stdout.String())
		})
	}
}
