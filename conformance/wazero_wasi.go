package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"io"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasi"
)

// Start has wazero's real clocks and randomness, which are not its defaults.
func (wazeroEngine) Start(ctx context.Context, p wasi.Program, stdout, stderr io.Writer) (uint32, error) {
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(true))
	defer runtime.Close(context.WithoutCancel(ctx))
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, runtime); err != nil {
		return 0, err
	}
	module, err := runtime.CompileModule(ctx, p.Wasm)
	if err != nil {
		return 0, err
	}
	mounts := wazero.NewFSConfig()
	for _, m := range p.Mounts {
		mounts = mounts.WithDirMount(m.Host, m.Guest)
	}
	config := wazero.NewModuleConfig().WithArgs(p.Args...).WithStdout(stdout).WithStderr(stderr).WithFSConfig(mounts).
		WithSysWalltime().WithSysNanotime().WithSysNanosleep().WithRandSource(rand.Reader)
	for key, value := range p.Env {
		config = config.WithEnv(key, value)
	}
	_, err = runtime.InstantiateModule(ctx, module, config)
	var exit *sys.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return exit.ExitCode(), nil
	}
	return 0, err
}
