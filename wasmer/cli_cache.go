package wasmer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// cliCache is a module's entry in a folder of compiled modules. An entry is the artifact, with its key after it: a file that
// got another's name is not taken for it. What does not load is compiled anew and replaced.
type cliCache struct {
	engine *Engine
	folder string
	key    [sha256.Size]byte
}

// newCLICache gives nil, which holds nothing, if there is no folder.
func newCLICache(folder string, wasm []byte, engine *Engine) *cliCache {
	if folder == "" {
		return nil
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "%v\n%v\n%v\n%v\n%v\n%v\n", engine.Compiler(), engine.Memories(), Version(), EngineVersion(), Target(), BuildID())
	metering := engine.config.Metering
	metering.Limit = 0 // it is not part of the code
	fmt.Fprintf(digest, "%v\n", metering)
	fmt.Fprintf(digest, "%v\n%q\n%v\n", engine.config.OptLevel, engine.config.Target, engine.config.CanonicalizeNaNs)
	digest.Write(wasm)
	cache := &cliCache{engine: engine, folder: folder}
	digest.Sum(cache.key[:0])
	return cache
}

func (c *cliCache) path() string {
	return filepath.Join(c.folder, hex.EncodeToString(c.key[:])+".wasmer")
}

// load gives nil if there is no entry that can be used.
func (c *cliCache) load(ctx context.Context) *Module {
	if c == nil {
		return nil
	}
	module := c.find(ctx)
	c.engine.account.cached(module != nil)
	return module
}

func (c *cliCache) find(ctx context.Context) *Module {
	data, err := os.ReadFile(c.path())
	if err != nil {
		return nil
	}
	artifact, ok := bytes.CutSuffix(data, c.key[:])
	if !ok {
		return nil
	}
	module, err := c.engine.Deserialize(ctx, artifact)
	if err != nil {
		return nil
	}
	return module
}

// store writes the entry under another name first: others see all of it, or nothing.
func (c *cliCache) store(module *Module) error {
	if c == nil {
		return nil
	}
	artifact, err := module.Serialize()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(c.folder, "new-*")
	if err != nil {
		return err
	}
	_, err = file.Write(append(artifact, c.key[:]...))
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), c.path())
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
