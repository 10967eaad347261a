package wasmer_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// background is the context of tests that are not about contexts.
var background = context.Background()

// noContext stands for background wherever a call takes a context.
var noContext context.Context

// eachCompiler runs a test for every compiler of the build.
func eachCompiler(t *testing.T, test func(t *testing.T, engine *wasmer.Engine)) {
	t.Helper()
	for _, compiler := range wasmer.Compilers() {
		t.Run(compiler.String(), func(t *testing.T) {
			engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler})
			require.NoError(t, err)
			defer func() { require.NoError(t, engine.Close()) }()
			test(t, engine)
		})
	}
}

// compile compiles a module, binary or text, and closes it with the test.
func compile[T string | []byte](t testing.TB, engine *wasmer.Engine, source T) *wasmer.Module {
	t.Helper()
	module, err := engine.Compile(background, []byte(source))
	require.NoError(t, err)
	t.Cleanup(func() { _ = module.Close() })
	return module
}

// instantiate compiles and instantiates with Exports filled in, and closes the instance with the test.
func instantiate[T string | []byte](t testing.TB, engine *wasmer.Engine, source T, imports *wasmer.Imports) *wasmer.Instance {
	t.Helper()
	instance, err := compile(t, engine, source).InstantiateWithImports(imports)
	require.NoError(t, err)
	t.Cleanup(func() { _ = instance.Close() })
	return instance
}

// function finds an exported function.
func function(t testing.TB, instance *wasmer.Instance, name string) *wasmer.Function {
	t.Helper()
	f, err := instance.Function(name)
	require.NoError(t, err)
	return f
}

// call calls an exported function, which must succeed and give one result.
func call(t testing.TB, instance *wasmer.Instance, name string, args ...any) wasmer.Value {
	t.Helper()
	values, err := function(t, instance, name).Call(background, args...)
	require.NoError(t, err)
	require.Len(t, values, 1)
	return values[0]
}

func TestReadBytes(t *testing.T) {
	data, err := wasmer.ReadBytes(wasmtest.Path(t, "simple.wasm"))
	require.NoError(t, err)
	require.Equal(t, wasmtest.Fixture(t, "simple.wasm"), data)
	_, err = wasmer.ReadBytes(filepath.Join(t.TempDir(), "none.wasm"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestFirstProgramOfTheReadme(t *testing.T) {
	bytes, err := wasmer.ReadBytes(wasmtest.Path(t, "simple.wasm"))
	require.NoError(t, err)
	require.True(t, wasmer.Validate(bytes))
	instance, err := wasmer.NewInstance(bytes)
	require.NoError(t, err)
	defer instance.Close()
	sum := instance.Exports["sum"]
	result, err := sum(5, 37)
	require.NoError(t, err)
	require.Equal(t, "42", result.String())
	require.EqualValues(t, 42, result.ToI32())
	result, err = sum(2147483647, 1)
	require.NoError(t, err)
	require.EqualValues(t, -2147483648, result.ToI32())
	_, ok := instance.Exports["missing"]
	require.False(t, ok)
	_, ok = instance.Exports["memory"]
	require.False(t, ok, "only functions are in the map")
}

func TestModuleTellsNameImportsAndExports(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module $described
			(import "env" "f" (func (param i32 i64) (result f32)))
			(import "other" "m" (memory 1 5))
			(import "other" "t" (table 2 funcref))
			(import "" "" (global (mut f64)))
			(table (export "table") 3 9 externref)
			(global (export "constant") i64 (i64.const 1))
			(memory (export "memory") 7)
			(func (export "\u{1f439}") (param i32) (result i64 f32 f64) unreachable))`)
		require.Equal(t, "described", module.Name())
		require.Same(t, engine, module.Engine())
		var imports, exports []string
		for _, imp := range module.Imports() {
			imports = append(imports, imp.Module+"."+imp.Name+" "+imp.Type.String())
		}
		for _, export := range module.Exports() {
			exports = append(exports, export.Name+" "+export.Type.String())
		}
		require.Equal(t, []string{
			"env.f (func (param i32 i64) (result f32))",
			"other.m (memory 1 5)",
			"other.t (table 2 funcref)",
			". (global (mut f64))",
		}, imports)
		require.Equal(t, []string{
			"table (table 3 9 externref)",
			"constant (global i64)",
			"memory (memory 7)",
			"\U0001f439 (func (param i32) (result i64 f32 f64))",
		}, exports)
		module.Exports()[0].Name = "changed"
		require.Equal(t, "table", module.Exports()[0].Name, "the list is the caller's own")
	})
}

func TestArtifactsRunAsTheModuleTheyWereMadeFrom(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, wasmtest.Fixture(t, "traps.wasm"))
		artifact, err := module.Serialize()
		require.NoError(t, err)
		require.NoError(t, module.Close())
		again, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: engine.Compiler()})
		require.NoError(t, err)
		defer again.Close()
		for _, engine := range []*wasmer.Engine{engine, again} {
			input := bytes.Clone(artifact)
			loaded, err := engine.Deserialize(background, input)
			require.NoError(t, err)
			clear(input) // the module keeps nothing of the bytes
			require.Equal(t, module.Name(), loaded.Name())
			require.Equal(t, module.Exports(), loaded.Exports())
			instance, err := loaded.Instantiate()
			require.NoError(t, err)
			require.EqualValues(t, 42, call(t, instance, "ok").ToI32())
			_, err = instance.Exports["unreachable"]()
			var trap *wasmer.Trap
			require.ErrorAs(t, err, &trap)
			require.Equal(t, []string{"inner", "middle", "outer"}, frameNames(trap))
			second, err := loaded.Serialize()
			require.NoError(t, err)
			require.Equal(t, artifact, second)
			require.NoError(t, loaded.Close())
			require.EqualValues(t, 42, call(t, instance, "ok").ToI32(), "instances outlive their module")
			require.NoError(t, instance.Close())
		}
	})
}

func TestDeserializeModuleUsesTheDefaultEngine(t *testing.T) {
	module, err := wasmer.Compile(wasmtest.Fixture(t, "simple.wasm"))
	require.NoError(t, err)
	artifact, err := module.Serialize()
	require.NoError(t, err)
	loaded, err := wasmer.DeserializeModule(artifact)
	require.NoError(t, err)
	instance, err := loaded.InstantiateWithImports(nil)
	require.NoError(t, err)
	require.EqualValues(t, 3, call(t, instance, "sum", 1, 2).ToI32())
}

func TestForeignArtifactsAreRefused(t *testing.T) {
	artifacts := map[wasmer.Compiler][]byte{}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		artifact, err := compile(t, engine, wasmtest.Fixture(t, "fac.wasm")).Serialize()
		require.NoError(t, err)
		artifacts[engine.Compiler()] = artifact
		for name, input := range map[string][]byte{
			"nil": nil, "empty": {}, "a module": wasmtest.Fixture(t, "fac.wasm"), "text": []byte("(module)"),
			"zeros": make([]byte, 4096), "wasmer's own format": []byte("wasmer-universal\x00\x00\x00\x00"),
			"without the envelope": artifact[bytes.Index(artifact, []byte("fac")):],
			"doubled":              append(bytes.Clone(artifact), artifact...), "one byte more": append(bytes.Clone(artifact), 0),
		} {
			refusedArtifact(t, engine, input, name)
		}
	})
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for compiler, artifact := range artifacts {
			if compiler != engine.Compiler() {
				refusedArtifact(t, engine, artifact, compiler.String())
			}
		}
	})
}

func TestDamagedArtifactsAreRefused(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		artifact, err := compile(t, engine, wasmtest.Fixture(t, "fac.wasm")).Serialize()
		require.NoError(t, err)
		random := rand.New(rand.NewPCG(3, 4))
		for n := range 300 {
			refusedArtifact(t, engine, artifact[:min(n, len(artifact)-1)], "truncated at the start")
			refusedArtifact(t, engine, artifact[:random.IntN(len(artifact))], "truncated")
			damaged := bytes.Clone(artifact)
			damaged[random.IntN(len(damaged))] ^= 1 << random.IntN(8)
			refusedArtifact(t, engine, damaged, "one bit flipped")
			damaged = bytes.Clone(artifact)
			damaged[n%len(damaged)]++
			refusedArtifact(t, engine, damaged, "a byte of the head changed")
		}
		loaded, err := engine.Deserialize(background, artifact)
		require.NoError(t, err, "the engine stays usable")
		require.NoError(t, loaded.Close())
	})
}

func refusedArtifact(t *testing.T, engine *wasmer.Engine, artifact []byte, what string) {
	t.Helper()
	module, err := engine.Deserialize(background, artifact)
	require.ErrorIs(t, err, wasmer.ErrIncompatible, what)
	require.Nil(t, module, what)
}

func TestInputsThatAreNoModules(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		reject := func(input []byte, parts ...string) {
			t.Helper()
			module, err := engine.Compile(background, input)
			require.Error(t, err)
			require.Nil(t, module)
			require.NotContains(t, err.Error(), "internal error")
			require.NoError(t, module.Close())
			require.Error(t, engine.Validate(input))
			for _, part := range parts {
				require.ErrorContains(t, err, part)
			}
		}
		reject(nil, "empty")
		reject([]byte{}, "empty")
		reject([]byte{0}, "magic")
		reject([]byte("\x00asm"))
		reject([]byte("\x00asm\x02\x00\x00\x00"), "version")
		reject([]byte("\xff\xfe\xfd"), "neither")
		reject([]byte("\x7fELF\x02\x01\x01\x00"), "magic")
		whole := wasmtest.Fixture(t, "numeric.wasm")
		random := rand.New(rand.NewPCG(5, 6))
		for range 200 {
			n := random.IntN(len(whole)-9) + 9
			if engine.Validate(whole[:n]) != nil { // a cut between sections can be a module
				reject(whole[:n])
			}
			damaged := append([]byte(nil), whole...)
			for range 4 {
				damaged[8+random.IntN(len(damaged)-8)] = byte(random.Uint32())
			}
			if engine.Validate(damaged) != nil {
				reject(damaged)
			}
			noise := make([]byte, random.IntN(100)+1)
			for i := range noise {
				noise[i] = byte(random.Uint32())
			}
			reject(append(noise, 0))
			reject(append([]byte("\x00asm\x01\x00\x00\x00\x01"), noise...))
		}
		compile(t, engine, whole)
		_, err := engine.Compile(background, []byte("\x00asm\x0d\x00\x01\x00"))
		require.ErrorIs(t, err, wasmer.ErrUnsupported)
		require.ErrorContains(t, err, "component")
		_, err = engine.Compile(background, []byte(`(module (memory i64 1))`))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "internal error")
	})
}

func TestTextFormatIsTranslated(t *testing.T) {
	binary, err := wasmer.Wat2Wasm(`(module (func (export "f") (result i32) i32.const 7))`)
	require.NoError(t, err)
	require.Equal(t, "\x00asm\x01\x00\x00\x00", string(binary[:8]))
	same, err := wasmer.Wat2Wasm(string(binary))
	require.NoError(t, err)
	require.Equal(t, binary, same)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		require.EqualValues(t, 7, call(t, instantiate(t, engine, binary, nil), "f").ToI32())
	})
}

func TestValidateAgreesWithCompile(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(wasmtest.Path(t, "README.md")), "*.wasm"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.Size() > 1<<20 {
				continue // Go's own programs take seconds to compile
			}
			data, err := wasmer.ReadBytes(file)
			require.NoError(t, err)
			require.NoError(t, engine.Validate(data), file)
			compile(t, engine, data)
		}
		require.Error(t, engine.Validate([]byte(`(module (func (result i32)))`)))
	})
}
