package wasmer_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// seed adds the small guests of testdata, and prefixes of them.
func seed(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(wasmtest.Path(f, "README.md")), pattern))
		require.NoError(f, err)
		require.NotEmpty(f, files)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(f, err)
			if len(data) < 64<<10 {
				f.Add(data)
				f.Add(data[:len(data)/2])
			}
		}
	}
	f.Add([]byte(nil))
	f.Add([]byte("\x00asm"))
	f.Add([]byte("\x00asm\x01\x00\x00\x00"))
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x04\x01\x02\x00\x0b" +
		"\x00\x0a\x04name\x00\x03\x02a\x00")) // its name ends with NUL
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x01\x05\x01\x60\x01\x74\x00")) // (type (func (param nullexnref)))
	f.Add([]byte("(module"))
	f.Add([]byte(strings.Repeat("(", 1000)))
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	for _, text := range fuzzedTexts {
		wasm, err := wasmer.Wat2Wasm(text)
		require.NoError(f, err)
		f.Add(wasm)
	}
}

// fuzzedTexts have what the guests of testdata lack.
var fuzzedTexts = []string{
	`(module (func (export "f") (param v128) (result v128) (i32x4.add (local.get 0) (v128.const i32x4 1 2 3 4))))`,
	`(module (table (export "t") 1 4 funcref) (elem declare func $f) (func $f (export "f") (result i32 i64 f32 f64)
		(drop (table.grow (ref.func $f) (i32.const 1))) (i32.const 1) (i64.const 2) (f32.const 3) (f64.const 4)))`,
	`(module (global $g (export "g") (mut i64) (i64.const 1)) (data $d "abc") (memory 1) (func (export "f")
		(memory.init $d (i32.const 0) (i32.const 0) (i32.const 3)) (data.drop $d) (global.set $g (i64.const 2))))`,
	`(module (tag $t (param i32)) (func (export "f") (result i32) (block $h (result i32) (try_table (result i32)
		(catch $t $h) (throw $t (i32.const 7))))))`,
	`(module (func $a (param i32) (result i32) (return_call $b (local.get 0))) (func $b (param i32) (result i32) (return_call $a (local.get 0))))`,
	`(module (import "a" "f" (func (param externref funcref) (result externref))) (import "a" "g" (global i32))
		(import "a" "t" (table 1 funcref)) (import "a" "m" (memory 1)))`,
	`(module (func (param i32) (result i32) (local i64 f32) (block (br_table 0 0 (local.get 0))) (select (i32.const 1) (i32.const 2) (local.get 0))))`,
}

func enginesForFuzz(f *testing.F) []*wasmer.Engine {
	f.Helper()
	var engines []*wasmer.Engine
	for _, compiler := range wasmer.Compilers() {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, CompileThreads: 1})
		require.NoError(f, err)
		f.Cleanup(func() { _ = engine.Close() })
		engines = append(engines, engine)
	}
	return engines
}

// requireRefusal sees that an error is one that a module may be refused with.
func requireRefusal(t *testing.T, engine *wasmer.Engine, err error) {
	t.Helper()
	if !errors.As(err, new(*wasmer.CompileError)) && !errors.Is(err, wasmer.ErrUnsupported) && !errors.Is(err, wasmer.ErrSignatureCollision) {
		t.Fatalf("%v: %v", engine.Compiler(), err)
	}
}

func FuzzValidate(f *testing.F) {
	seed(f, "*.wasm", "*.wat")
	engines := enginesForFuzz(f)
	f.Fuzz(func(t *testing.T, wasm []byte) {
		for _, engine := range engines {
			if err := engine.Validate(wasm); err != nil {
				requireRefusal(t, engine, err)
			}
		}
	})
}

func FuzzCompile(f *testing.F) {
	seed(f, "*.wasm")
	engines := enginesForFuzz(f)
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if len(wasm) > 32<<10 {
			return
		}
		for _, engine := range engines {
			invalid := engine.Validate(wasm)
			module, err := engine.Compile(background, wasm)
			// A compiler may give up on a valid module, but says so; none accepts an invalid one.
			if (invalid == nil) != (err == nil) && !errors.Is(err, wasmer.ErrUnsupported) {
				t.Fatalf("%v: Validate says %v, Compile %v", engine.Compiler(), invalid, err)
			}
			if err != nil {
				requireRefusal(t, engine, err)
				require.Nil(t, module)
				continue
			}
			instantiateStubbed(t, module)
			artifact, err := module.Serialize()
			require.NoError(t, err)
			loaded, err := engine.Deserialize(background, artifact)
			require.NoError(t, err)
			require.Equal(t, module.Exports(), loaded.Exports())
			require.Equal(t, module.Imports(), loaded.Imports())
			require.NoError(t, loaded.Close())
			require.NoError(t, module.Close())
		}
	})
}

// instantiateStubbed gives a module what it imports, as far as it can be made by the host, and instantiates it.
func instantiateStubbed(t *testing.T, module *wasmer.Module) {
	imports := wasmer.NewImports()
	defer imports.Close()
	for _, want := range module.Imports() {
		imports.Namespace(want.Module)
		if want.Type.Kind != wasmer.ExternFunction {
			continue // missing
		}
		if stub := stubs[want.Type.Function.String()]; stub != nil {
			imports.Function(want.Name, stub)
		}
	}
	for _, export := range module.Exports() {
		if export.Type.Memory.Min > 1000 || export.Type.Table.Min > 100_000 {
			return
		}
	}
	instance, err := module.InstantiateWithImports(imports)
	if err != nil {
		var trap *wasmer.Trap
		if !errors.As(err, new(*wasmer.LinkError)) && !errors.As(err, &trap) && !errors.Is(err, wasmer.ErrResource) &&
			!errors.Is(err, wasmer.ErrSignatureCollision) {
			t.Fatalf("%v: %v", module.Engine().Compiler(), err)
		}
		return
	}
	for _, export := range module.Exports() {
		switch export.Type.Kind {
		case wasmer.ExternFunction:
			f, err := instance.Function(export.Name)
			require.NoError(t, err)
			require.True(t, f.Type().Equal(export.Type.Function))
		case wasmer.ExternMemory:
			memory, err := instance.ExportedMemory(export.Name)
			require.NoError(t, err)
			require.EqualValues(t, memory.Size(), len(memory.Data()))
		}
	}
	require.NoError(t, instance.Close())
}

// stubs are host functions by their type.
var stubs = func() map[string]any {
	out := map[string]any{}
	for _, stub := range []any{
		func() {}, func(int32) {}, func(int32, int32) {}, func(int32, int32, int32) {}, func(int64) {}, func(float64) {},
		func() int32 { return 1 }, func() int64 { return 1 }, func() float32 { return 1 }, func() float64 { return 1 },
		func(x int32) int32 { return x }, func(x int64) int64 { return x }, func(x float32) float32 { return x },
		func(x float64) float64 { return x }, func(a, b int32) int32 { return a + b }, func(a, b, c int32) int32 { return a + b + c },
		func(a, b, c, d int32) int32 { return a + b + c + d }, func(a int32, b int64, c float32, d float64) float64 { return d },
		func(a, b, c, d, e, f, g, h int32) {},
	} {
		params, results := wasmTypes(stub)
		typ := wasmer.FunctionType{}
		for _, name := range params {
			typ.Params = append(typ.Params, valueTypeNamed[name])
		}
		for _, name := range results {
			typ.Results = append(typ.Results, valueTypeNamed[name])
		}
		out[typ.String()] = stub
	}
	return out
}()

var valueTypeNamed = map[string]wasmer.ValueType{
	"i32": wasmer.ValueTypeI32, "i64": wasmer.ValueTypeI64, "f32": wasmer.ValueTypeF32, "f64": wasmer.ValueTypeF64,
}

// Artifacts are machine code: what was changed in any way must not be loaded.
func FuzzDeserialize(f *testing.F) {
	engines := enginesForFuzz(f)
	known := map[string]bool{}
	var artifacts [][]byte
	for _, engine := range engines {
		for _, name := range []string{"simple.wasm", "traps.wasm", "two_memories.wasm"} {
			module, err := engine.Compile(background, wasmtest.Fixture(f, name))
			require.NoError(f, err)
			artifact, err := module.Serialize()
			require.NoError(f, err)
			require.NoError(f, module.Close())
			known[string(artifact)] = true
			artifacts = append(artifacts, artifact)
			f.Add(artifact, uint32(0), []byte{})
			f.Add(artifact, uint32(len(artifact)/2), []byte{0})
			f.Add(artifact[:len(artifact)/2], uint32(12), []byte{0xff, 0xff, 0xff, 0xff})
		}
	}
	f.Add([]byte(nil), uint32(0), []byte(nil))
	f.Add([]byte("WASMERGO"), uint32(8), []byte("\x01\x00\x00\x00\xff\xff\xff\xff"))
	refuse := func(t *testing.T, artifact []byte) {
		if known[string(artifact)] {
			return
		}
		for _, engine := range engines {
			module, err := engine.Deserialize(background, artifact)
			require.ErrorIs(t, err, wasmer.ErrIncompatible)
			require.Nil(t, module)
		}
	}
	f.Fuzz(func(t *testing.T, artifact []byte, at uint32, patch []byte) {
		refuse(t, artifact)
		for _, artifact := range artifacts { // most of the artifact stays, so that the deeper checks are reached
			artifact = bytes.Clone(artifact)
			copy(artifact[int(at)%len(artifact):], patch)
			refuse(t, artifact)
			refuse(t, artifact[:int(at)%len(artifact)])
		}
	})
}
