package wasmer

import (
	"context"
	"errors"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// artifactSection is the name of the custom sections that hold compiled code.
const artifactSection = "wasmer-go.artifact"

// Embed puts the compiled code into a custom section of the module that it was made from, given in binary or text format, and
// returns the module with it, in binary format: universal WebAssembly, which any engine runs as before, and which
// Engine.Compile of an engine that trusts it needs not compile. See EngineConfig.TrustEmbeddedCode. Code that is embedded
// already stays, unless it was made as this was, so that a module can have code for several machines and versions. For another
// module it fails with ErrIncompatible.
//
// See https://webassembly.github.io/spec/core/appendix/custom.html
func (m *Module) Embed(wasm []byte) ([]byte, error) {
	ptr, err := m.use()
	if err != nil {
		return nil, err
	}
	defer m.handle.release()
	out, err := ptr.Embed(wasm)
	return out, translate("embed", err)
}

// trustsEmbedded says whether code that is found inside a module may be used at all.
func (c *EngineConfig) trustsEmbedded() bool { return c.TrustEmbeddedCode || len(c.ArtifactKey) > 0 }

// loadEmbedded loads code that is embedded in the module; nil if there is none that this engine can use.
func (e *Engine) loadEmbedded(ctx context.Context, wasm []byte) (*Module, error) {
	artifacts, err := ffi.Embedded(wasm)
	if err != nil {
		return nil, nil // what is wrong with the module comes out when it is compiled
	}
	for _, artifact := range artifacts {
		module, err := e.Deserialize(ctx, artifact)
		if !errors.Is(err, ErrIncompatible) {
			return module, err
		}
	}
	return nil, nil
}

// optimizeEmbedded has a module that came with code of the first tier optimized, which it can be: other than an artifact alone it
// came with what to compile.
func (e *Engine) optimizeEmbedded(module *Module, wasm []byte) *Module {
	if e.tiering == nil || module == nil || module.Tier() == TierOptimized {
		return module
	}
	if key, err := e.CacheKey(wasm); err == nil { // else the engine was closed, and the module with it
		e.tiering.optimize(module, key, wasm)
	}
	return module
}
