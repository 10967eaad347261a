package wasmer

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// code are the options that compilers have.
func (c *EngineConfig) code() ffi.CodeOptions {
	return ffi.CodeOptions{
		OptLevel: uint32(c.OptLevel), Threads: uint32(c.CompileThreads),
		Triple: c.Target.Triple, CPU: c.Target.CPU,
		CanonicalizeNaNs: c.CanonicalizeNaNs, VerifyIR: c.VerifyIR, DumpIR: c.DumpIR,
		MaxFunctionSize: uint64(c.MaxFunctionSize), MaxMemory: uint64(c.MaxCompileMemory),
	}
}

// openDump makes the folder, and notes where it is whatever becomes the current one.
func (c *EngineConfig) openDump() error {
	if c.DumpIR == "" {
		return nil
	}
	folder, err := filepath.Abs(c.DumpIR)
	if err == nil {
		err = os.MkdirAll(folder, 0o777)
	}
	if err != nil {
		return fmt.Errorf("wasmer: engine: EngineConfig.DumpIR: %w", err)
	}
	c.DumpIR = folder
	return nil
}
