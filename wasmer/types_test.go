package wasmer_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

func TestTypesPrintAsInTheTextFormat(t *testing.T) {
	for typ, want := range map[wasmer.ValueType]string{
		wasmer.ValueTypeI32: "i32", wasmer.ValueTypeI64: "i64", wasmer.ValueTypeF32: "f32", wasmer.ValueTypeF64: "f64",
		wasmer.ValueTypeV128: "v128", wasmer.ValueTypeFuncRef: "funcref", wasmer.ValueTypeExternRef: "externref",
		wasmer.ValueTypeExnRef: "exnref", wasmer.TypeVoid: "void", 1: "ValueType(0x1)",
	} {
		require.Equal(t, want, typ.String())
	}
	for kind, want := range []string{"function", "table", "memory", "global", "tag"} {
		require.Equal(t, want, wasmer.ExternKind(kind).String())
	}
	i32, i64 := wasmer.TypeI32, wasmer.TypeI64
	function := wasmer.FunctionType{Params: []wasmer.ValueType{i32, i64}, Results: []wasmer.ValueType{i32}}
	limits := wasmer.Limits{Min: 1, Max: 2, HasMax: true}
	for want, typ := range map[string]fmt.Stringer{
		"(func)":                                wasmer.FunctionType{},
		"(func (param i32 i64) (result i32))":   function,
		"(tag (param i32))":                     wasmer.ExternType{Kind: wasmer.ExternTag, Function: wasmer.FunctionType{Params: []wasmer.ValueType{i32}}},
		"(func (result i64))":                   wasmer.ExternType{Function: wasmer.FunctionType{Results: []wasmer.ValueType{i64}}},
		"(memory 1 2)":                          wasmer.ExternType{Kind: wasmer.ExternMemory, Memory: wasmer.MemoryType{Limits: limits}},
		"(memory 1 2 shared)":                   wasmer.ExternType{Kind: wasmer.ExternMemory, Memory: wasmer.MemoryType{Limits: wasmer.Limits{Min: 1, Max: 2, HasMax: true, Shared: true}}},
		"(memory 3)":                            wasmer.ExternType{Kind: wasmer.ExternMemory, Memory: wasmer.MemoryType{Limits: wasmer.Limits{Min: 3}}},
		"(table 1 2 funcref)":                   wasmer.ExternType{Kind: wasmer.ExternTable, Table: wasmer.TableType{Element: wasmer.ValueTypeFuncRef, Limits: limits}},
		"(global i64)":                          wasmer.ExternType{Kind: wasmer.ExternGlobal, Global: wasmer.GlobalType{Value: i64}},
		"(global (mut i64))":                    wasmer.ExternType{Kind: wasmer.ExternGlobal, Global: wasmer.GlobalType{Value: i64, Mutable: true}},
		"1 2":                                   limits,
		"wasmer shop.price(i64) (i64,i64)":      stringer("wasmer " + wasmer.Frame{Module: "shop", Function: "price", Type: wasmer.FunctionType{Params: []wasmer.ValueType{i64}, Results: []wasmer.ValueType{i64, i64}}}.String()),
		"cranelift singlepass llvm Compiler(9)": stringer(fmt.Sprint(wasmer.Cranelift, wasmer.Singlepass, wasmer.LLVM, wasmer.Compiler(9))),
	} {
		require.Equal(t, want, typ.String())
	}
}

type stringer string

func (s stringer) String() string { return string(s) }

func TestFunctionTypesAreEqualByParametersAndResults(t *testing.T) {
	i32, i64 := wasmer.TypeI32, wasmer.TypeI64
	a := wasmer.FunctionType{Params: []wasmer.ValueType{i32}, Results: []wasmer.ValueType{i64}}
	require.True(t, a.Equal(wasmer.FunctionType{Params: []wasmer.ValueType{i32}, Results: []wasmer.ValueType{i64}}))
	require.True(t, wasmer.FunctionType{}.Equal(wasmer.FunctionType{Params: []wasmer.ValueType{}}))
	for _, b := range []wasmer.FunctionType{
		{},
		{Params: []wasmer.ValueType{i64}, Results: []wasmer.ValueType{i32}},
		{Params: []wasmer.ValueType{i32, i64}},
		{Results: []wasmer.ValueType{i32, i64}},
		{Params: []wasmer.ValueType{i32, i32}, Results: []wasmer.ValueType{i64}},
	} {
		require.False(t, a.Equal(b), b.String())
	}
}

// provider exports a table that holds a function of the type: it gives back its first parameter's low bits.
func provider(params wasmtest.CollidingParams) string {
	return fmt.Sprintf(`(module (table (export "table") 1 funcref) (elem (i32.const 0) func $f)
		(func $f (export "f") %s) (func (export "ok") (result i32) i32.const 42))`, params)
}

// user imports that table and calls what is in it as a function of the type.
func user(params wasmtest.CollidingParams) string {
	return fmt.Sprintf(`(module (type $t (func %s)) (import "provider" "table" (table 1 funcref))
		(func (export "forge") (call_indirect (type $t) %s (i32.const 0))))`, params, params.Constants())
}

func requireCollision[T any](t *testing.T, value *T, err error) {
	t.Helper()
	require.ErrorIs(t, err, wasmer.ErrSignatureCollision)
	params, _ := wasmtest.Collision()
	require.ErrorContains(t, err, fmt.Sprintf("%#x", wasmtest.SignatureHash(params)))
	require.Nil(t, value, "nothing is callable")
}

func TestCollidingTypesInOneModule(t *testing.T) {
	a, b := wasmtest.Collision()
	require.NotEqual(t, a, b)
	require.Equal(t, wasmtest.SignatureHash(a), wasmtest.SignatureHash(b))
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, text := range []string{
			fmt.Sprintf(`(module (func %s) (func %s))`, a, b),
			fmt.Sprintf(`(module (import "env" "f" (func %s)) (func %s))`, a, b),
			fmt.Sprintf(`(module (type (func %s)) (type (func %s)))`, a, b),
			fmt.Sprintf(`(module (func (call $g %[3]s)) (func $f %[1]s) (func $g %[2]s))`, a, b, b.Constants()),
		} {
			require.ErrorIs(t, engine.Validate([]byte(text)), wasmer.ErrSignatureCollision)
			module, err := engine.Compile(background, []byte(text))
			require.ErrorIs(t, err, wasmer.ErrSignatureCollision)
			require.Nil(t, module)
			require.False(t, wasmer.Validate([]byte(text)))
		}
		for _, params := range []wasmtest.CollidingParams{a, b} {
			instance := instantiate(t, engine, provider(params), nil)
			require.EqualValues(t, 42, call(t, instance, "ok").ToI32(), "each alone is fine, and the engine stays usable")
		}
	})
}

func TestCollidingTypesInModulesOfOneStore(t *testing.T) {
	a, b := wasmtest.Collision()
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		other, err := wasmer.NewEngine(wasmer.EngineConfig{})
		require.NoError(t, err)
		defer other.Close()
		artifact, err := compile(t, engine, user(b)).Serialize()
		require.NoError(t, err)
		loaded, err := engine.Deserialize(background, artifact)
		require.NoError(t, err)
		defer loaded.Close()
		for name, module := range map[string]*wasmer.Module{
			"compiled": compile(t, engine, user(b)), "of another engine": compile(t, other, user(b)), "loaded": loaded,
		} {
			store, err := wasmer.NewStore(engine)
			require.NoError(t, err)
			first, err := store.Instantiate(background, "provider", compile(t, engine, provider(a)), nil)
			require.NoError(t, err)
			instance, err := store.Instantiate(background, "user", module, nil)
			requireCollision(t, instance, err)
			require.Nil(t, store.Instance("user"), name)
			instance, err = store.Instantiate(background, "", module, wasmer.NewImports().Instance("provider", first))
			requireCollision(t, instance, err)
			instance, err = wasmer.Instantiate(background, module, wasmer.NewImports().Instance("provider", first))
			requireCollision(t, instance, err)

			require.EqualValues(t, 42, call(t, first, "ok").ToI32(), "the store stays usable")
			honest, err := store.Instantiate(background, "user", compile(t, engine, user(a)), nil)
			require.NoError(t, err)
			_, err = function(t, honest, "forge").Call(background)
			require.NoError(t, err)
			require.NoError(t, store.Close())
		}
	})
}

// hostOf makes a Go function of the type.
func hostOf(params wasmtest.CollidingParams, called *int) any {
	var in []reflect.Type
	for _, p := range params {
		in = append(in, map[string]reflect.Type{"i32": reflect.TypeFor[int32](), "i64": reflect.TypeFor[int64]()}[p])
	}
	return reflect.MakeFunc(reflect.FuncOf(in, nil, false), func([]reflect.Value) []reflect.Value {
		*called++
		return nil
	}).Interface()
}

func TestCollidingTypesOfModuleAndHostFunction(t *testing.T) {
	a, b := wasmtest.Collision()
	caller := func(params wasmtest.CollidingParams) string {
		return fmt.Sprintf(`(module (import "env" "host" (func $host %s)) (table (export "table") 1 funcref)
			(elem (i32.const 0) func $host) (func (export "call") (call $host %s)))`, params, params.Constants())
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		called := 0
		store, err := wasmer.NewStore(engine)
		require.NoError(t, err)
		defer store.Close()
		imports := wasmer.NewImports().Function("host", hostOf(a, &called))
		_, err = store.Instantiate(background, "provider", compile(t, engine, caller(a)), imports)
		require.NoError(t, err)
		instance, err := store.Instantiate(background, "", compile(t, engine, user(b)), nil)
		requireCollision(t, instance, err)
		instance, err = store.Instantiate(background, "", compile(t, engine, provider(b)), nil)
		requireCollision(t, instance, err)
		require.Zero(t, called)
		_, err = function(t, store.Instance("provider"), "call").Call(background)
		require.NoError(t, err)
		require.Equal(t, 1, called)

		// A host function of the other type does not pass for an import of the one.
		_, err = wasmer.Instantiate(background, compile(t, engine, caller(b)), imports)
		var link *wasmer.LinkError
		require.ErrorAs(t, err, &link)

		// A function of one type, handed over as an import of the other.
		_, err = store.Instantiate(background, "", compile(t, engine,
			fmt.Sprintf(`(module (import "provider" "call" (func %s)))`, b)), nil)
		require.ErrorAs(t, err, &link)
	})
}

func TestCollidingTypesOfAFunctionReference(t *testing.T) {
	a, b := wasmtest.Collision()
	takes := fmt.Sprintf(`(module (type $t (func %s)) (table 1 funcref) (func (export "take") (param funcref)
		(table.set (i32.const 0) (local.get 0)) (call_indirect (type $t) %s (i32.const 0))))`, b, b.Constants())
	gives := fmt.Sprintf(`(module (import "lib" "take" (func $take (param funcref))) (elem declare func $f)
		(func $f %s) (func (export "give") (call $take (ref.func $f))))`, a)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		lib := instantiate(t, engine, takes, nil)
		instance, err := wasmer.Instantiate(background, compile(t, engine, gives), wasmer.NewImports().Instance("lib", lib))
		requireCollision(t, instance, err)
	})
}

func TestACollisionLeavesNoTypeBehind(t *testing.T) {
	a, b := wasmtest.Collision()
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store, err := wasmer.NewStore(engine)
		require.NoError(t, err)
		defer store.Close()
		// This module fails to link before anything of type a could exist in the store.
		_, err = store.Instantiate(background, "", compile(t, engine, user(a)), nil)
		var link *wasmer.LinkError
		require.ErrorAs(t, err, &link)
		_, err = store.Instantiate(background, "provider", compile(t, engine, provider(b)), nil)
		require.NoError(t, err)
	})
}

func TestALinkErrorListsEveryImportThatDoesNotFit(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		exports, err := wasmer.Instantiate(background, compile(t, engine, `(module (global (export "constant") i32 (i32.const 1))
			(table (export "large") 1 100 funcref) (memory (export "large memory") 1 100) (memory (export "unlimited") 1))`), nil)
		require.NoError(t, err)
		defer exports.Close()
		imports := wasmer.NewImports().
			Function("sum", func(int64) int32 { return 0 }).
			Function("memory", func() {}).
			Function("fits", func(_ *wasmer.Caller, _ int32) (int64, error) { return 0, nil }).
			Instance("lib", exports)
		module := compile(t, engine, `(module
			(import "env" "sum" (func (param i32 i32) (result i32)))
			(import "env" "fits" (func (param i32) (result i64)))
			(import "env" "gone" (func))
			(import "env" "memory" (memory 1))
			(import "lib" "constant" (global (mut i32)))
			(import "lib" "constant" (global i64))
			(import "lib" "constant" (global i32))
			(import "lib" "large" (table 1 10 funcref))
			(import "lib" "large" (table 1 externref))
			(import "lib" "large memory" (memory 1 10))
			(import "lib" "unlimited" (memory 1 10))
			(import "lib" "none" (memory 1))
			(import "lib" "unlimited" (memory 1)))`)
		instance, err := wasmer.Instantiate(background, module, imports)
		require.Nil(t, instance)
		var link *wasmer.LinkError
		require.ErrorAs(t, err, &link)
		var got []string
		for _, i := range link.Imports {
			given := "nothing"
			if i.Given != nil {
				given = i.Given.String()
				require.Empty(t, i.Hint)
			}
			got = append(got, fmt.Sprintf("%s.%s: %s for %s", i.Module, i.Name, given, i.Want))
			require.ErrorContains(t, err, fmt.Sprintf("import %q.%q", i.Module, i.Name))
			require.ErrorContains(t, err, fmt.Sprintf("want %s %s", i.Want.Kind, i.Want))
		}
		require.Equal(t, []string{
			"env.sum: (func (param i64) (result i32)) for (func (param i32 i32) (result i32))",
			"env.gone: nothing for (func)",
			"env.memory: (func) for (memory 1)",
			"lib.constant: (global i32) for (global (mut i32))",
			"lib.constant: (global i32) for (global i64)",
			"lib.large: (table 1 100 funcref) for (table 1 10 funcref)",
			"lib.large: (table 1 100 funcref) for (table 1 externref)",
			"lib.large memory: (memory 1 100) for (memory 1 10)",
			"lib.unlimited: (memory 1) for (memory 1 10)",
			"lib.none: nothing for (memory 1)",
		}, got)
		require.ErrorContains(t, err, `"env"."gone": missing, want function (func)`)
		require.ErrorContains(t, err, `"env"."memory": given function (func), want memory (memory 1)`)
	})
}

func TestTheCurrentSizeOfAMemoryOrTableMustFit(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		exports := instantiate(t, engine, `(module (memory (export "memory") 1 9) (table (export "table") 1 9 funcref)
			(func (export "grow") (drop (memory.grow (i32.const 1))) (drop (table.grow (ref.null func) (i32.const 1)))))`, nil)
		for source, names := range map[string][]string{
			`(module (import "lib" "memory" (memory 2)))`:                                          {"memory"},
			`(module (import "lib" "table" (table 2 funcref)))`:                                    {"table"},
			`(module (import "lib" "memory" (memory 2)) (import "lib" "table" (table 2 funcref)))`: {"memory", "table"},
		} {
			instance, err := wasmer.Instantiate(background, compile(t, engine, source), wasmer.NewImports().Instance("lib", exports))
			require.Nil(t, instance)
			var link *wasmer.LinkError
			require.ErrorAs(t, err, &link, source)
			require.Len(t, link.Imports, len(names), source)
			for i, name := range names {
				require.Equal(t, name, link.Imports[i].Name)
				require.EqualValues(t, 2, link.Imports[i].Want.Memory.Min+link.Imports[i].Want.Table.Min)
				require.NotNil(t, link.Imports[i].Given, "expected and given type are told")
				require.EqualValues(t, 1, link.Imports[i].Given.Memory.Min+link.Imports[i].Given.Table.Min)
			}
		}
		_, err := exports.Exports["grow"]()
		require.NoError(t, err)
		instance, err := wasmer.Instantiate(background, compile(t, engine, `(module (import "lib" "memory" (memory 2))
			(import "lib" "table" (table 2 funcref)))`), wasmer.NewImports().Instance("lib", exports))
		require.NoError(t, err)
		require.NoError(t, instance.Close())
	})
}

func TestMissingImportsComeWithHints(t *testing.T) {
	imports := wasmer.NewImports().Function("print_line", func() {}).Function("log", func() {}).
		Namespace("other").Function("elsewhere", func() {})
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for imported, hint := range map[string]string{
			`"env" "print_lime"`:                         `"print_line"`,
			`"env" "printline"`:                          `"print_line"`,
			`"env" "lag"`:                                `"log"`,
			`"env" "elsewhere"`:                          `"elsewhere" is defined for module "other"`,
			`"other" "log"`:                              `"log" is defined for module "env"`,
			`"env" "entirely_different"`:                 "",
			`"go" "runtime.wasmExit"`:                    "a GOOS=js guest: build it with GOOS=wasip1",
			`"gojs" "runtime.wasmExit"`:                  "a GOOS=js guest: build it with GOOS=wasip1",
			`"wasi_snapshot_preview1" "fd_write"`:        "WASI",
			`"wasi_unstable" "fd_write"`:                 "WASI",
			`"wbg" "__wbg_log_1"`:                        "wasm-bindgen",
			`"__wbindgen_placeholder__" "__wbindgen_th"`: "wasm-bindgen",
			`"env" "emscripten_notify_memory_growth"`:    "Emscripten",
		} {
			module := compile(t, engine, fmt.Sprintf(`(module (import %s (func)))`, imported))
			_, err := wasmer.Instantiate(background, module, imports)
			var link *wasmer.LinkError
			require.ErrorAs(t, err, &link, imported)
			require.Len(t, link.Imports, 1)
			require.Nil(t, link.Imports[0].Given)
			require.Contains(t, link.Imports[0].Hint, hint, imported)
			if hint == "" {
				require.Empty(t, link.Imports[0].Hint)
			}
			require.ErrorContains(t, err, hint)
			_, err = module.Instantiate()
			require.ErrorAs(t, err, &link, "without any imports, too")
		}
	})
}
