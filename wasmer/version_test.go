package wasmer_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

func TestVersionsAreThoseOfTheArchive(t *testing.T) {
	manifest, err := os.ReadFile(filepath.Join(filepath.Dir(wasmtest.Path(t, "README.md")), "..", "Cargo.toml"))
	require.NoError(t, err)
	own := regexp.MustCompile(`(?m)^version = "(.*)"`).FindSubmatch(manifest)
	require.NotNil(t, own)
	require.Equal(t, string(own[1]), wasmer.Version().String())
	engine := regexp.MustCompile(`(?m)^wasmer = .*"=([0-9.]+)"`).FindSubmatch(manifest)
	require.NotNil(t, engine)
	require.Equal(t, string(engine[1]), wasmer.EngineVersion().String())
	require.Equal(t, wasmer.VersionInfo{Major: 7, Minor: 4, Patch: 2}, wasmer.EngineVersion())
	require.Regexp(t, `^(x86_64|aarch64)-`, wasmer.Target())
	require.NotEmpty(t, wasmer.BuildID())
}

func TestVersionsHaveParts(t *testing.T) {
	require.Equal(t, "1.2.3", wasmer.VersionInfo{Major: 1, Minor: 2, Patch: 3}.String())
	require.Equal(t, "1.0.0-rc.1", wasmer.VersionInfo{Major: 1, Pre: "rc.1"}.String())
}

func TestCompilersOfTheBuild(t *testing.T) {
	compilers := wasmer.Compilers()
	require.NotEmpty(t, compilers)
	require.True(t, wasmer.Available(wasmer.DefaultCompiler))
	for _, compiler := range []wasmer.Compiler{wasmer.Cranelift, wasmer.Singlepass, wasmer.LLVM, 9} {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler})
		if !wasmer.Available(compiler) {
			require.NotContains(t, compilers, compiler)
			require.ErrorIs(t, err, wasmer.ErrUnsupported)
			require.Nil(t, engine)
			require.NoError(t, engine.Close(), "the value of a failed constructor can be closed")
			continue
		}
		require.NoError(t, err)
		require.Contains(t, compilers, compiler)
		require.Equal(t, compiler, engine.Compiler())
		require.NoError(t, engine.Close())
		require.NoError(t, engine.Close())
	}
	order := []wasmer.Compiler{wasmer.Cranelift, wasmer.LLVM, wasmer.Singlepass}
	order = slices.DeleteFunc(order, func(compiler wasmer.Compiler) bool { return !wasmer.Available(compiler) })
	require.Equal(t, order, compilers)
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(t, err)
	require.Equal(t, order[0], engine.Compiler(), "the default is the first of the build")
	require.NoError(t, engine.Close())
	for _, config := range []wasmer.EngineConfig{{CompileThreads: -1}, {MaxCallDepth: -1}} {
		_, err := wasmer.NewEngine(config)
		require.ErrorContains(t, err, "must lie between 0 and")
	}
}
