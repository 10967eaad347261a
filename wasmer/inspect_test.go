package wasmer_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// section is one of a binary: id, size, contents.
func section(id byte, contents []byte) []byte {
	return append(binary.AppendUvarint([]byte{id}, uint64(len(contents))), contents...)
}

// custom is a custom section.
func custom(name, contents string) []byte {
	return section(0, append(append(binary.AppendUvarint(nil, uint64(len(name))), name...), contents...))
}

// wasmOf is a binary of these sections.
func wasmOf(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

const described = `(module $described
	(type $f (func (param i32 funcref) (result externref)))
	(import "env" "f" (func (type $f))) (import "other" "m" (memory 1 5)) (import "other" "t" (table 2 funcref))
	(import "" "" (global (mut f64))) (import "env" "\u{1f439}" (global externref))
	(table (export "table") 3 9 externref) (global (export "constant") i64 (i64.const 1)) (memory $own (export "memory") 7)
	(export "again" (func 0)) (export "others" (memory 0)) (export "g" (global 0))
	(func (export "\u{1f439}") (param i32) (result i64 f32 f64) unreachable) (start $s) (func $s))`

func TestInspectTellsWhatAModuleDoes(t *testing.T) {
	compiled := func(t *testing.T, engine *wasmer.Engine, wasm []byte) {
		info, err := wasmer.Inspect(wasm)
		require.NoError(t, err)
		module := compile(t, engine, wasm)
		require.Equal(t, module.Name(), info.Name())
		require.Equal(t, len(module.Imports()), len(info.Imports()))
		for n, want := range module.Imports() {
			got := info.Imports()[n]
			require.Equal(t, want.Module, got.Module)
			require.Equal(t, want.Name, got.Name)
			require.True(t, want.Type.Equal(got.Type), "%s, not %s", got.Type, want.Type)
		}
		require.Equal(t, len(module.Exports()), len(info.Exports()))
		for n, want := range module.Exports() {
			require.Equal(t, want.Name, info.Exports()[n].Name)
			require.True(t, want.Type.Equal(info.Exports()[n].Type), "%s, not %s", info.Exports()[n].Type, want.Type)
		}
		for _, name := range info.CustomSectionNames() {
			if len(name) < 7 || name[:7] != ".debug_" {
				require.Equal(t, module.CustomSections(name), info.CustomSections(name), name)
			}
		}
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		compiled(t, engine, []byte(described))
		binary, err := wasmer.Wat2Wasm(described)
		require.NoError(t, err)
		compiled(t, engine, binary)
		compiled(t, engine, wasmOf())
		if hasExceptions(engine) {
			compiled(t, engine, []byte(`(module (import "env" "e" (tag (param i64))) (tag (export "own") (param i32 f64)) (export "e" (tag 0))
				(func (export "f") (param exnref) unreachable) (global (export "g") (mut exnref) (ref.null exn)))`))
		}
		files, err := filepath.Glob(filepath.Join(filepath.Dir(wasmtest.Path(t, "README.md")), "*.wasm"))
		require.NoError(t, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			if len(data) < 1<<20 {
				compiled(t, engine, data)
			}
		}
	})
	info, err := wasmer.Inspect([]byte(described))
	require.NoError(t, err)
	require.Equal(t, described, string(info.Bytes()))
	require.Equal(t, "(func (param i32 funcref) (result externref))", info.Imports()[0].Type.String())
	info.Imports()[0].Name = "changed"
	info.Exports()[0].Name = "changed"
	require.Equal(t, "f", info.Imports()[0].Name, "the list is the caller's own")
	require.Equal(t, "table", info.Exports()[0].Name)
}

func TestInspectFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.wat")
	require.NoError(t, os.WriteFile(file, []byte(described), 0o600))
	info, err := wasmer.InspectFile(file)
	require.NoError(t, err)
	require.Equal(t, "described", info.Name())
	info, err = wasmer.InspectFile(wasmtest.Path(t, "simple.wasm"))
	require.NoError(t, err)
	require.Equal(t, wasmtest.Fixture(t, "simple.wasm"), info.Bytes())
	require.NotEmpty(t, info.Exports())
	_, err = wasmer.InspectFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte("(module"), 0o600))
	_, err = wasmer.InspectFile(file)
	require.ErrorAs(t, err, new(*wasmer.CompileError))
}

func TestInspectFindsCustomSections(t *testing.T) {
	binary, err := wasmer.Wat2Wasm(`(module $named (func (export "f")) (memory 1) (data "x"))`)
	require.NoError(t, err)
	types := section(1, []byte{1, 0x60, 0, 0})
	wasm := wasmOf(custom("a", "first"), types, custom(".debug_early", "1"), custom("", "no name"), section(3, []byte{1, 0}),
		custom("a", "second"), section(10, []byte{1, 2, 0, 0x0b}), custom(".debug_info", "dwarf"), custom("a", ""), custom(".debug_info", "more"),
		custom("\U0001f439", "hamster"), custom("a", "\x00\xff"))
	info, err := wasmer.Inspect(wasm)
	require.NoError(t, err)
	require.Equal(t, []string{"a", ".debug_early", "", "a", ".debug_info", "a", ".debug_info", "\U0001f439", "a"}, info.CustomSectionNames())
	require.Equal(t, [][]byte{[]byte("first"), []byte("second"), {}, []byte("\x00\xff")}, info.CustomSections("a"))
	require.Equal(t, [][]byte{[]byte("dwarf"), []byte("more")}, info.CustomSections(".debug_info"))
	require.Equal(t, [][]byte{[]byte("no name")}, info.CustomSections(""))
	require.Empty(t, info.CustomSections("none"))
	info.CustomSections("a")[0][0] = 'X'
	require.Equal(t, "first", string(info.CustomSections("a")[0]), "the caller's own")
	info.CustomSectionNames()[0] = "changed"
	require.Equal(t, "a", info.CustomSectionNames()[0])
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, wasm)
		require.Equal(t, info.CustomSections("a"), module.CustomSections("a"))
		require.Equal(t, info.CustomSections(""), module.CustomSections(""))
		require.Equal(t, info.CustomSections(".debug_early"), module.CustomSections(".debug_early"))
		require.Empty(t, module.CustomSections(".debug_info"), "is not kept")
	})
	info, err = wasmer.Inspect(binary)
	require.NoError(t, err)
	require.Equal(t, []string{"name"}, info.CustomSectionNames())
	require.Equal(t, "named", info.Name())
}

// The start function must leave no trace among the custom sections.
func TestCustomSectionsOfAModuleWithAStartFunction(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, text := range []string{`(module (func) (start 0))`, `(module (func) (func) (start 1) (@custom "x" "y"))`} {
			info, err := wasmer.Inspect([]byte(text))
			require.NoError(t, err)
			module := compile(t, engine, text)
			artifact, err := module.Serialize()
			require.NoError(t, err)
			loaded, err := engine.Deserialize(background, artifact)
			require.NoError(t, err)
			defer loaded.Close()
			for _, module := range []*wasmer.Module{module, loaded} {
				for _, name := range []string{"", "-", "--", "x"} {
					require.Equal(t, info.CustomSections(name), module.CustomSections(name), "%s: %q", text, name)
				}
			}
		}
	})
}

func TestInspectLooksAtWhatIsNotValid(t *testing.T) {
	for name, text := range map[string]string{
		"body":           `(module (import "env" "f" (func (param i32))) (func (export "f") (result i32) (i64.const 1)))`,
		"empty stack":    `(module (import "env" "f" (func (param i32))) (func (export "f") drop))`,
		"unknown local":  `(module (import "env" "f" (func (param i32))) (func (export "f") (local.set 100 (i32.const 1))))`,
		"unknown callee": `(module (import "env" "f" (func (param i32))) (func (export "f") (call 100)))`,
		"twice exported": `(module (import "env" "f" (func (param i32))) (func (export "f") (export "f")))`,
		"limits":         `(module (import "env" "f" (func (param i32))) (func (export "f")) (memory 2 1))`,
		"start":          `(module (import "env" "f" (func (param i32))) (func (export "f")) (start 0))`,
	} {
		info, err := wasmer.Inspect([]byte(text))
		require.NoError(t, err, name)
		require.Equal(t, "f", info.Imports()[0].Name)
		require.Equal(t, "f", info.Exports()[0].Name)
		eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
			require.ErrorAs(t, engine.Validate(info.Bytes()), new(*wasmer.CompileError), name)
		})
	}
	// What no compiler of this build knows can be looked at too.
	for _, guest := range featureGuests {
		_, err := wasmer.Inspect([]byte(guest.text))
		require.NoError(t, err, guest.text)
	}
	info, err := wasmer.Inspect([]byte(`(module (type $s (struct)) (type $a (array i8)) (import "a" "b" (func (param (ref $s) (ref null $a) i31ref anyref (ref extern))))
		(memory (export "m") i64 1 2) (table (export "t") i64 1 externref) (global (export "g") eqref (ref.null eq)))`))
	require.NoError(t, err)
	require.Len(t, info.Imports()[0].Type.Function.Params, 5)
	for _, export := range info.Exports() {
		require.NotEmpty(t, export.Type.String())
	}
	require.Equal(t, "(memory 1 2)", info.Exports()[0].Type.String())
}

func TestInspectRefusesWhatIsMalformed(t *testing.T) {
	whole := wasmtest.Fixture(t, "numeric.wasm")
	for name, input := range map[string][]byte{
		"nil": nil, "empty": {}, "NUL": {0}, "magic": []byte("\x00asm"), "version": []byte("\x00asm\x02\x00\x00\x00"),
		"noise": []byte("\xff\xfe\xfd"), "ELF": []byte("\x7fELF\x02\x01\x01\x00"), "text": []byte("(module"), "text 2": []byte("(module (func (foo)))"),
		"truncated": whole[:len(whole)/2], "short": whole[:len(whole)-1], "section id": wasmOf(section(99, []byte("x"))),
		"section size": append(wasmOf(), 1, 0xff, 0xff, 0xff, 0xff, 0x0f), "custom name": wasmOf(section(0, []byte{5, 'a'})),
		"custom UTF-8": wasmOf(custom("\xff\xfe", "x")), "no such function": wasmOf(section(7, []byte{1, 1, 'f', 0, 9})),
		"no such type": wasmOf(section(2, []byte{1, 0, 0, 0, 9})), "no such kind": wasmOf(section(7, []byte{1, 1, 'f', 9, 0})),
		"huge count": wasmOf(section(1, []byte{0xff, 0xff, 0xff, 0xff, 0x0f})), "trailing": wasmOf(section(1, []byte{0, 0})),
	} {
		info, err := wasmer.Inspect(input)
		require.Error(t, err, name)
		require.ErrorAs(t, err, new(*wasmer.CompileError), name)
		require.NotContains(t, err.Error(), "internal error", name)
		require.Nil(t, info, name)
	}
	_, err := wasmer.Inspect([]byte("\x00asm\x0d\x00\x01\x00"))
	require.ErrorIs(t, err, wasmer.ErrUnsupported)
	require.ErrorContains(t, err, "component")
}

// many is a module with so many functions of 40 bytes, the last of which has an invalid body if broken.
func many(functions int, broken bool) []byte {
	count := binary.AppendUvarint(nil, uint64(functions))
	body := bytes.Repeat([]byte{0x41, 0x01, 0x1a}, 12)                     // i32.const 1, drop
	entry := append(append([]byte{byte(len(body) + 2), 0}, body...), 0x0b) // no locals
	code := append(bytes.Clone(count), bytes.Repeat(entry, functions)...)
	if broken {
		copy(code[len(code)-4:], []byte{0x1a, 0x1a, 0x1a}) // drop of nothing
	}
	return wasmOf(section(1, []byte{1, 0x60, 0, 0}), section(3, append(bytes.Clone(count), make([]byte, functions)...)),
		section(7, append([]byte{2, 1, 'f', 0}, append(binary.AppendUvarint(nil, uint64(functions-1)), 1, 'g', 0, 0)...)),
		section(10, code), custom("after", "all"))
}

func TestInspectOfALargeModuleCompilesNothing(t *testing.T) {
	const functions = 900_000
	broken := many(functions, true)
	require.Greater(t, len(broken), 34<<20)
	began := time.Now()
	info, err := wasmer.Inspect(broken)
	took := time.Since(began)
	require.NoError(t, err, "a body that is not valid is not looked at")
	require.Len(t, info.Exports(), 2)
	require.Equal(t, "all", string(info.CustomSections("after")[0]))
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{}) // once: it takes seconds
	require.NoError(t, err)
	defer engine.Close()
	began = time.Now()
	var refused *wasmer.CompileError
	require.ErrorAs(t, engine.Validate(info.Bytes()), &refused)
	require.EqualValues(t, functions-1, refused.FunctionIndex)
	t.Logf("%d MiB: Inspect %v, Validate %v", len(broken)>>20, took, time.Since(began))
}

func TestInspectByManyGoroutines(t *testing.T) {
	info, err := wasmer.Inspect([]byte(described))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				own, err := wasmer.Inspect([]byte(described))
				if err != nil || own.Name() != info.Name() || len(info.Imports()) != len(own.Imports()) {
					t.Errorf("got %v, %v", own, err)
				}
				if _, err := wasmer.Inspect([]byte("(module")); !errors.As(err, new(*wasmer.CompileError)) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	wg.Wait()
}
