package wasmer_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// secret is a key for artifacts.
var secret = []byte("a secret of 24 bytes....")

// ways are how an artifact can come back: each gives the module, or why not.
var ways = map[string]func(t testing.TB, engine *wasmer.Engine, artifact []byte) (*wasmer.Module, error){
	"bytes": func(_ testing.TB, engine *wasmer.Engine, artifact []byte) (*wasmer.Module, error) {
		return engine.Deserialize(background, artifact)
	},
	"file": func(t testing.TB, engine *wasmer.Engine, artifact []byte) (*wasmer.Module, error) {
		name := filepath.Join(t.TempDir(), "artifact")
		require.NoError(t, os.WriteFile(name, artifact, 0o600))
		return engine.DeserializeFile(background, name)
	},
	"unsafe": func(_ testing.TB, engine *wasmer.Engine, artifact []byte) (*wasmer.Module, error) {
		return engine.UnsafeDeserialize(background, artifact)
	},
}

func newEngine(t testing.TB, config wasmer.EngineConfig) *wasmer.Engine {
	t.Helper()
	engine, err := wasmer.NewEngine(config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

func serialize(t testing.TB, module *wasmer.Module) []byte {
	t.Helper()
	artifact, err := module.Serialize()
	require.NoError(t, err)
	return artifact
}

func TestArtifactsComeBackEachWay(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, wasmtest.Fixture(t, "traps.wasm"))
		artifact := serialize(t, module)
		for way, load := range ways {
			loaded, err := load(t, engine, artifact)
			require.NoError(t, err, way)
			require.Equal(t, module.Exports(), loaded.Exports(), way)
			require.Equal(t, module.CustomSections("name"), loaded.CustomSections("name"), way)
			instance, err := loaded.Instantiate()
			require.NoError(t, err, way)
			require.EqualValues(t, 42, call(t, instance, "ok").ToI32(), way)
			_, err = instance.Exports["unreachable"]()
			var trap *wasmer.Trap
			require.ErrorAs(t, err, &trap, way)
			require.Equal(t, wasmer.TrapUnreachable, trap.Code, way)
			require.Equal(t, []string{"inner", "middle", "outer"}, frameNames(trap), way)
			require.Equal(t, artifact, serialize(t, loaded), way)
			require.NoError(t, loaded.Close(), way)
			require.EqualValues(t, 42, call(t, instance, "ok").ToI32(), way)
			require.NoError(t, instance.Close(), way)
		}
	})
}

func TestSerializeToReplacesAFileAsAWhole(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		folder := t.TempDir()
		name := filepath.Join(folder, "module.artifact")
		first := compile(t, engine, `(module (func (export "f") (result i32) i32.const 1))`)
		second := compile(t, engine, `(module (func (export "f") (result i32) i32.const 2) (memory 1) (data (i32.const 0) "more"))`)
		require.NoError(t, first.SerializeTo(name))
		written, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, serialize(t, first), written)
		loaded, err := engine.DeserializeFile(background, name)
		require.NoError(t, err)
		require.NoError(t, second.SerializeTo(name))
		again, err := engine.DeserializeFile(background, name)
		require.NoError(t, err)
		// What the file held before is still mapped.
		for want, module := range map[int32]*wasmer.Module{1: loaded, 2: again} {
			instance, err := module.Instantiate()
			require.NoError(t, err)
			require.EqualValues(t, want, call(t, instance, "f").ToI32())
			require.NoError(t, instance.Close())
			require.NoError(t, module.Close())
		}
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o133, "%v", info.Mode())
		require.Error(t, first.SerializeTo(folder))
		pipe := filepath.Join(t.TempDir(), "pipe")
		require.NoError(t, syscall.Mkfifo(pipe, 0o600))
		require.ErrorContains(t, first.SerializeTo(pipe), "not a regular file")
		require.ErrorIs(t, first.SerializeTo(filepath.Join(folder, "none", "module")), fs.ErrNotExist)
		files, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Len(t, files, 1, "nothing is left of what failed")
		require.NoError(t, first.Close())
		require.ErrorIs(t, first.SerializeTo(name), wasmer.ErrClosed)
		require.ErrorIs(t, (*wasmer.Module)(nil).SerializeTo(name), wasmer.ErrClosed)
	})
}

func TestFilesThatAreNoArtifacts(t *testing.T) {
	engine := newEngine(t, wasmer.EngineConfig{})
	folder := t.TempDir()
	_, err := engine.DeserializeFile(background, filepath.Join(folder, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = engine.DeserializeFile(background, folder)
	require.ErrorContains(t, err, "not a regular file")
	for content, want := range map[string]string{
		"": "empty", "WASMERGO": "truncated", "\x00asm\x01\x00\x00\x00": "not an artifact", "WASMERGO\x02\x00\x00\x00": "older",
		"WASMERGO\xff\x00\x00\x00": "newer",
	} {
		name := filepath.Join(folder, "file")
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		_, err := engine.DeserializeFile(background, name)
		require.ErrorIs(t, err, wasmer.ErrIncompatible)
		require.ErrorContains(t, err, want)
	}
	_, err = (*wasmer.Engine)(nil).DeserializeFile(background, folder)
	require.Error(t, err)
}

func TestArtifactsOfOtherEnginesAreRefusedWithTheReason(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		text := `(module (memory 1) (func (export "f") (result i32) i32.const 7))`
		artifact := serialize(t, compile(t, engine, text))
		configs := map[string]wasmer.EngineConfig{
			"its code does not count":               {Metering: wasmer.Metering{Mode: finestMode(engine.Compiler())}},
			"which EngineConfig.Features":           {Features: wasmer.NewFeatures()},
			"made without a key":                    {ArtifactKey: secret},
			"this engine is for " + foreignTriple(): {Target: wasmer.CodeTarget{Triple: foreignTriple()}},
			"(EngineConfig.Memories)":               {Memories: otherMemories(engine)},
		}
		if engine.Compiler() != wasmer.Singlepass {
			configs["EngineConfig.CanonicalizeNaNs"] = wasmer.EngineConfig{CanonicalizeNaNs: true}
			configs["EngineConfig.OptLevel"] = wasmer.EngineConfig{OptLevel: wasmer.OptNone}
		}
		for reason, config := range configs {
			other := engineOf(t, engine, config)
			for way, load := range ways {
				if way == "unsafe" && len(config.ArtifactKey) > 0 {
					continue
				}
				_, err := load(t, other, artifact)
				require.ErrorIs(t, err, wasmer.ErrIncompatible, way)
				require.ErrorContains(t, err, reason, way)
			}
		}
		for _, compiler := range wasmer.Compilers() {
			if compiler != engine.Compiler() {
				_, err := newEngine(t, wasmer.EngineConfig{Compiler: compiler}).Deserialize(background, artifact)
				require.ErrorContains(t, err, fmt.Sprintf("compiled by %v, this engine uses %v", engine.Compiler(), compiler))
			}
		}
		// An artifact that says it is of another version is one for the reader too.
		info, err := wasmer.InspectArtifact(artifact)
		require.NoError(t, err)
		at := bytes.Index(artifact, []byte(info.Version))
		artifact[at]++
		_, err = engine.Deserialize(background, artifact)
		require.ErrorContains(t, err, "damaged")
	})
}

// otherMemories is the kind that the engine does not have.
func otherMemories(engine *wasmer.Engine) wasmer.Memories {
	if engine.Memories() == wasmer.BoundedMemories {
		return wasmer.ReservedMemories
	}
	return wasmer.BoundedMemories
}

// foreignTriple is another architecture than this machine's.
func foreignTriple() string {
	if runtime.GOARCH == "amd64" {
		return "aarch64-unknown-linux-gnu"
	}
	return "x86_64-unknown-linux-gnu"
}

func TestKeysDecideWhoseArtifactsAreLoaded(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		given := bytes.Clone(secret)
		keyed := engineOf(t, engine, wasmer.EngineConfig{ArtifactKey: given})
		clear(given) // the engine keeps a copy
		same := engineOf(t, engine, wasmer.EngineConfig{ArtifactKey: secret})
		other := engineOf(t, engine, wasmer.EngineConfig{ArtifactKey: []byte("another one of 24 bytes.")})
		with, without := serialize(t, compile(t, keyed, `(module)`)), serialize(t, compile(t, engine, `(module)`))
		for _, way := range []string{"bytes", "file"} {
			load := ways[way]
			loaded, err := load(t, same, with)
			require.NoError(t, err, way)
			require.Equal(t, with, serialize(t, loaded))
			require.NoError(t, loaded.Close())
			for _, refused := range []struct {
				engine   *wasmer.Engine
				artifact []byte
				reason   string
			}{
				{other, with, "another key"}, {engine, with, "no EngineConfig.ArtifactKey"}, {same, without, "without a key"},
			} {
				_, err := load(t, refused.engine, refused.artifact)
				require.ErrorIs(t, err, wasmer.ErrIncompatible, way)
				require.ErrorContains(t, err, refused.reason, way)
			}
		}
		info, err := wasmer.InspectArtifact(with)
		require.NoError(t, err)
		require.True(t, info.Keyed)
		for _, n := range []int{1, 15} {
			_, err := wasmer.NewEngine(wasmer.EngineConfig{ArtifactKey: secret[:n]})
			require.ErrorContains(t, err, "16 or more")
		}
	})
}

// With a key a file is read, not mapped: who writes into it later changes nothing.
func TestAFileWithAKeyMayChangeLater(t *testing.T) {
	engine := newEngine(t, wasmer.EngineConfig{ArtifactKey: secret})
	name := filepath.Join(t.TempDir(), "artifact")
	require.NoError(t, compile(t, engine, wasmtest.Fixture(t, "traps.wasm")).SerializeTo(name))
	loaded, err := engine.DeserializeFile(background, name)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(name, 0))
	instance, err := loaded.Instantiate()
	require.NoError(t, err)
	defer instance.Close()
	_, err = instance.Exports["unreachable"]()
	require.ErrorIs(t, err, wasmer.TrapUnreachable)
}

func TestArtifactsTellWhatTheyAre(t *testing.T) {
	wasm, err := wasmer.Wat2Wasm(`(module (func (export "f")))`)
	require.NoError(t, err)
	var digests [][32]byte
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		metered := engineOf(t, engine, wasmer.EngineConfig{Metering: wasmer.Metering{Mode: wasmer.MeteringBlock}})
		artifact := serialize(t, compile(t, metered, wasm))
		info, err := wasmer.InspectArtifact(artifact)
		require.NoError(t, err)
		require.Equal(t, wasmer.Version().String(), info.Version)
		require.Equal(t, wasmer.BuildID(), info.Build)
		require.Equal(t, engine.Compiler().String(), info.Compiler)
		require.Equal(t, wasmer.Target(), info.Target)
		require.Equal(t, engine.Features(), info.Features)
		require.Equal(t, engine.Memories(), info.Memories)
		require.True(t, info.Metered)
		require.False(t, info.Keyed)
		require.Equal(t, wasmer.OptDefault, info.OptLevel)
		require.False(t, info.CanonicalizeNaNs)
		require.Positive(t, info.Size)
		require.Less(t, info.Size, uint64(len(artifact)))
		if runtime.GOARCH == "amd64" {
			require.Contains(t, strings.Join(info.CPUFeatures, " "), "sse4.2")
		}
		digests = append(digests, info.ModuleDigest)
		_, err = wasmer.InspectArtifact(wasm)
		require.ErrorIs(t, err, wasmer.ErrIncompatible)
	})
	for _, digest := range digests {
		require.Equal(t, digests[0], digest, "one module")
	}
}

// Code that uses less than the CPU has is good for an engine that would use more.
func TestCodeForLesserCPUsIsLoaded(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		target := wasmer.GenericTarget()
		if runtime.GOARCH == "amd64" {
			target.CPU = "sse2,sse3,ssse3,sse4.1,sse4.2,popcnt,avx" // what singlepass needs
		}
		generic := engineOf(t, engine, wasmer.EngineConfig{Target: target})
		loaded, err := engine.Deserialize(background, serialize(t, compile(t, generic, `(module (func (export "f") (result i32) i32.const 7))`)))
		require.NoError(t, err)
		defer loaded.Close()
		instance, err := loaded.Instantiate()
		require.NoError(t, err)
		defer instance.Close()
		require.EqualValues(t, 7, call(t, instance, "f").ToI32())
	})
}

func TestCodeForOtherMachinesIsRefused(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		triple := foreignTriple()
		foreign := engineOf(t, engine, wasmer.EngineConfig{Target: wasmer.CodeTarget{Triple: triple}})
		artifact := serialize(t, compile(t, foreign, `(module)`))
		info, err := wasmer.InspectArtifact(artifact)
		require.NoError(t, err)
		require.Equal(t, triple, info.Target)
		_, err = engine.Deserialize(background, artifact)
		require.ErrorIs(t, err, wasmer.ErrIncompatible)
		require.ErrorContains(t, err, "compiled for "+triple)
		loaded, err := foreign.Deserialize(background, artifact)
		require.NoError(t, err)
		require.Equal(t, artifact, serialize(t, loaded))
		_, err = loaded.Instantiate()
		require.ErrorIs(t, err, wasmer.ErrUnsupported)
		require.NoError(t, loaded.Close())
	})
}

// Threads may load one file at once, and trap in its code.
func TestGoroutinesShareAFile(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		name := filepath.Join(t.TempDir(), "artifact")
		require.NoError(t, compile(t, engine, wasmtest.Fixture(t, "traps.wasm")).SerializeTo(name))
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 20 {
					loaded, err := engine.DeserializeFile(background, name)
					if err != nil {
						t.Error(err)
						return
					}
					instance, err := loaded.Instantiate()
					if err != nil {
						t.Error(err)
						return
					}
					for range 20 {
						if _, err := instance.Exports["unreachable"](); err == nil || !strings.Contains(err.Error(), "unreachable") {
							t.Errorf("got %v", err)
						}
					}
					_, _ = instance.Close(), loaded.Close()
				}
			})
		}
		group.Wait()
	})
}
