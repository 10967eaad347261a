package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// source is a module, before it is compiled and after.
type source struct {
	// wasm is in binary or text format; nil for what was compiled before.
	wasm []byte

	mu sync.Mutex
	// module is what was made of it. Only what the VM has made is closed with it.
	module  *wasmer.Module
	owned   bool
	dropped bool
}

// readSource reads a file. What is wrong with it is a *fs.PathError, with the code of a wrong path or of a failure to read.
func readSource(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		return data, nil
	}
	code := wasmer.ErrorCode(0x21) // read error
	if pathError, ok := err.(*fs.PathError); ok && pathError.Op == "open" {
		code = 0x20 // invalid path
	}
	return nil, &codedError{fmt.Errorf("vm: %w", err), code}
}

// open makes a source of a binary, text or artifact. The bytes are kept.
func (v *VM) open(ctx context.Context, data []byte) (*source, error) {
	if !wasmer.IsArtifact(data) {
		if _, err := wasmer.Inspect(data); err != nil {
			return nil, err
		}
		return &source{wasm: data}, nil
	}
	if v.config.WebAssemblyOnly {
		return nil, ErrMachineCode
	}
	if v.config.ForceBaseline {
		info, err := wasmer.InspectArtifact(data)
		if err == nil && info.Compiler != wasmer.Singlepass.String() {
			return nil, fmt.Errorf("vm: %w: the artifact was compiled by %s, which ForceBaseline rules out", wasmer.ErrUnsupported, info.Compiler)
		}
	}
	module, err := v.engine.Deserialize(ctx, data)
	if errors.Is(err, wasmer.ErrIncompatible) {
		if engine := v.engineFor(data); engine != nil {
			module, err = engine.Deserialize(ctx, data)
		}
	}
	if err != nil {
		return nil, err
	}
	return &source{module: module, owned: true}, nil
}

// engineFor gives an engine with the options that an artifact was made with; nil if there is none to be had.
func (v *VM) engineFor(artifact []byte) *wasmer.Engine {
	info, err := wasmer.InspectArtifact(artifact)
	if err != nil {
		return nil
	}
	config := adapted(v.options, info)
	key := fmt.Sprint(config.Compiler, config.OptLevel, config.CanonicalizeNaNs, config.Features, config.Memories)
	v.mu.Lock()
	defer v.mu.Unlock()
	if engine := v.others[key]; engine != nil || v.closed {
		return engine
	}
	engine, err := wasmer.NewEngine(config)
	if err != nil {
		return nil
	}
	if v.others == nil {
		v.others = map[string]*wasmer.Engine{}
	}
	v.others[key] = engine
	return engine
}

// openModule makes a source of a module, which stays its owner's.
func (v *VM) openModule(module *wasmer.Module) (*source, error) {
	if module == nil {
		return nil, fmt.Errorf("vm: the module is nil: %w", wasmer.ErrClosed)
	}
	// What Tiered has compiled does not stay code of Singlepass, if it is any.
	if compiler := module.Engine().Compiler(); v.config.ForceBaseline && compiler != wasmer.Singlepass {
		return nil, fmt.Errorf("vm: %w: the module was compiled by %v, which ForceBaseline rules out", wasmer.ErrUnsupported, compiler)
	}
	return &source{module: module}, nil
}

// validate checks the module without compiling it. What was compiled has been checked before.
func (s *source) validate(engine *wasmer.Engine) error {
	if s.wasm == nil {
		return nil
	}
	return engine.Validate(s.wasm)
}

// compile makes the module, or gives that which it has made.
func (s *source) compile(ctx context.Context, engine *wasmer.Engine) (*wasmer.Module, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.dropped:
		return nil, fmt.Errorf("vm: Instantiate: %w: another module was loaded", ErrChanged)
	case s.module != nil:
		return s.module, nil
	}
	module, err := engine.Compile(ctx, s.wasm)
	if err == nil {
		s.module, s.owned = module, true
	}
	return module, err
}

// drop closes the module, if it is the VM's.
func (s *source) drop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = true
	if s.owned {
		_ = s.module.Close()
	}
}
