package conformance

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bytecodealliance/wasmtime-go/v39"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasi"
)

// Start writes the output to files first, which is all that wasmtime's Go API can capture it with.
func (wasmtimeEngine) Start(ctx context.Context, p wasi.Program, stdout, stderr io.Writer) (exitCode uint32, err error) {
	folder, err := os.MkdirTemp("", "wasmer-go-wasmtime")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	outputs := map[string]io.Writer{filepath.Join(folder, "stdout"): stdout, filepath.Join(folder, "stderr"): stderr}
	config, err := wasmtimeWASI(p, folder)
	if err != nil {
		return 0, err
	}
	exitCode, err = startWasmtime(ctx, p, config)
	for path, w := range outputs {
		err = errors.Join(err, copyFile(w, path))
	}
	return exitCode, err
}

// wasmtimeStackSize bounds the stack of guests. They run on the stack of the thread, which has 8 MiB on most systems, and
// the host's functions must find room behind them.
const wasmtimeStackSize = 6 << 20

func wasmtimeWASI(p wasi.Program, folder string) (*wasmtime.WasiConfig, error) {
	config := wasmtime.NewWasiConfig()
	config.SetArgv(p.Args)
	var keys, values []string
	for key, value := range p.Env {
		keys, values = append(keys, key), append(values, value)
	}
	config.SetEnv(keys, values)
	err := errors.Join(
		config.SetStdoutFile(filepath.Join(folder, "stdout")),
		config.SetStderrFile(filepath.Join(folder, "stderr")),
	)
	for _, m := range p.Mounts {
		err = errors.Join(err, config.PreopenDir(m.Host, m.Guest,
			wasmtime.DIR_READ|wasmtime.DIR_WRITE, wasmtime.FILE_READ|wasmtime.FILE_WRITE))
	}
	return config, err
}

func startWasmtime(ctx context.Context, p wasi.Program, config *wasmtime.WasiConfig) (uint32, error) {
	settings := wasmtime.NewConfig()
	settings.SetEpochInterruption(true)
	if p.StackSize > 0 {
		settings.SetMaxWasmStack(min(p.StackSize, wasmtimeStackSize))
	}
	engine := wasmtime.NewEngineWithConfig(settings)
	defer engine.Close()
	store := wasmtime.NewStore(engine)
	defer store.Close()
	store.SetWasi(config)
	store.SetEpochDeadline(1)
	stop := context.AfterFunc(ctx, engine.IncrementEpoch)
	defer stop()

	linker := wasmtime.NewLinker(engine)
	defer linker.Close()
	if err := linker.DefineWasi(); err != nil {
		return 0, err
	}
	module, err := wasmtime.NewModule(engine, p.Wasm)
	if err != nil {
		return 0, err
	}
	defer module.Close()
	instance, err := linker.Instantiate(store, module)
	if err != nil {
		return 0, err
	}
	start := instance.GetFunc(store, "_start")
	if start == nil {
		return 0, errors.New("no _start")
	}
	_, err = start.Call(store)
	var exit *wasmtime.Error
	if errors.As(err, &exit) {
		if status, ok := exit.ExitStatus(); ok {
			return uint32(status), nil
		}
	}
	return 0, wasmtimeCause(err)
}

// wasmtimeCause leaves out where in the guest and the host it happened, which wasmtime says first.
func wasmtimeCause(err error) error {
	if err == nil {
		return nil
	}
	_, cause, ok := strings.Cut(err.Error(), "Caused by:\n")
	if !ok {
		return err
	}
	cause, _, _ = strings.Cut(strings.TrimSpace(cause), "\n")
	return errors.New(cause)
}

func copyFile(w io.Writer, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
