package conformance

import (
	"context"
	"errors"
	"io"

	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasi"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func (e wasmerEngine) Start(ctx context.Context, p wasi.Program, stdout, stderr io.Writer) (exitCode uint32, err error) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: e.compiler, Tiering: e.tiering, StackSize: p.StackSize})
	if err != nil {
		return 0, err
	}
	defer engine.Close()
	module, err := e.compile(ctx, engine, p.Wasm)
	if err != nil {
		return 0, err
	}
	defer module.Close()
	config := wasmer.WASIConfig{Args: p.Args, Env: p.Env, Stdout: stdout, Stderr: stderr}
	for _, m := range p.Mounts {
		config.Mounts = append(config.Mounts, wasmer.Mount{Guest: m.Guest, Host: m.Host})
	}
	w := wasmer.NewWASI(config)
	defer func() { err = errors.Join(err, w.Close()) }()
	instance, err := wasmer.Instantiate(ctx, module, wasmer.NewImports().WASI(w))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	err = instance.Start(ctx)
	var exit *wasmer.ExitError
	if errors.As(err, &exit) {
		return exit.Code, nil
	}
	return 0, err
}
