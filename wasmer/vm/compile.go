package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Compile compiles a module in binary or text format ahead of time, by the options of Config.Engine, and gives it in the format
// Config.Output. Any VM that is configured in the same way loads it without compiling. The VM's state does not matter, and stays.
func (v *VM) Compile(ctx context.Context, wasm []byte) ([]byte, error) {
	module, err := v.compile(ctx, wasm)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	if v.config.Output == Native {
		return module.Serialize()
	}
	return module.Embed(wasm)
}

// CompileFile is Compile for files. The output is written under another name first, so that it is there as a whole or not at all.
func (v *VM) CompileFile(ctx context.Context, input, output string) error {
	wasm, err := readSource(input)
	if err != nil {
		return err
	}
	module, err := v.compile(ctx, wasm)
	if err != nil {
		return err
	}
	defer module.Close()
	if v.config.Output == Native {
		return module.SerializeTo(output)
	}
	universal, err := module.Embed(wasm)
	if err != nil {
		return err
	}
	return writeFile(output, universal)
}

func (v *VM) compile(ctx context.Context, wasm []byte) (*wasmer.Module, error) {
	if err := v.ready("Compile"); err != nil {
		return nil, err
	}
	if wasmer.IsArtifact(wasm) {
		return nil, fmt.Errorf("vm: Compile: %w: the input is compiled already", wasmer.ErrUnsupported)
	}
	return v.engine.Compile(ctx, wasm)
}

// writeFile replaces a file by one with the data.
func writeFile(name string, data []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(data)
	if err == nil {
		err = file.Chmod(0o644)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	return err
}
