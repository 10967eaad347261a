package gojs_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/gojs"
)

// guest is the program of testdata/guest, built once.
var guest = sync.OnceValues(func() ([]byte, error) { return build("./testdata/guest") })

// build builds a Go program for GOOS=js.
func build(dir string) ([]byte, error) {
	folder, err := os.MkdirTemp("", "gojs")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "guest.wasm")
	command := exec.Command("go", "build", "-o", file, dir)
	command.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return nil, &buildError{err, output}
	}
	return os.ReadFile(file)
}

type buildError struct {
	err    error
	output []byte
}

func (e *buildError) Error() string { return e.err.Error() + "\n" + string(e.output) }

func TestMain(m *testing.M) {
	goroutines := runtime.NumGoroutine()
	code := m.Run()
	close(testsEnded)
	if left := waitForGoroutines(goroutines + 2); code == 0 && left > 0 { // Go starts some of its own
		fmt.Fprintf(os.Stderr, "FAIL: %d goroutines after all tests, %d before\n", left, goroutines)
		code = 1
	}
	os.Exit(code)
}

// waitForGoroutines waits until there are at most so many; else it gives their number.
func waitForGoroutines(most int) (left int) {
	for range 200 {
		if runtime.NumGoroutine() <= most {
			return 0
		}
		time.Sleep(10 * time.Millisecond)
	}
	return runtime.NumGoroutine()
}

// modules are the guest as each compiler makes it.
var modules sync.Map

func moduleOf(t testing.TB, compiler wasmer.Compiler) *wasmer.Module {
	t.Helper()
	needsGo(t)
	wasm, err := guest()
	require.NoError(t, err)
	once, _ := modules.LoadOrStore(compiler, sync.OnceValues(func() (*wasmer.Module, error) {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler})
		if err != nil {
			return nil, err
		}
		return engine.Compile(context.Background(), wasm)
	}))
	module, err := once.(func() (*wasmer.Module, error))()
	require.NoError(t, err)
	return module
}

func needsGo(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the guests are built with the go command, which is missing: ", err)
	}
}

// onEachCompiler runs a test once for each compiler of the build.
func onEachCompiler(t *testing.T, test func(t *testing.T, module *wasmer.Module)) {
	for _, compiler := range wasmer.Compilers() {
		t.Run(compiler.String(), func(t *testing.T) { test(t, moduleOf(t, compiler)) })
	}
}

// result is what a program did.
type result struct {
	stdout, stderr string
	err            error
}

// run runs one of the guest's programs.
func run(ctx context.Context, module *wasmer.Module, config wasmer.WASIConfig, args ...string) result {
	var stdout, stderr bytes.Buffer
	if config.Stdout == nil {
		config.Stdout = &stdout
	}
	config.Stderr = &stderr
	config.Args = append([]string{"guest"}, args...)
	err := gojs.Run(ctx, module, config)
	return result{stdout.String(), stderr.String(), err}
}
