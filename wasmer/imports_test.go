package wasmer_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// The import example of go-ext-wasm's README, with its C function pointer.
func TestImportsProgramOfTheReadme(t *testing.T) {
	sum, csum := wasmtest.Sum()
	bytes, err := wasmer.ReadBytes(wasmtest.Path(t, "imported_function.wasm"))
	require.NoError(t, err)
	imports, err := wasmer.NewImports().Append("sum", sum, csum)
	require.NoError(t, err)
	instance, err := wasmer.NewInstanceWithImports(bytes, imports)
	require.NoError(t, err)
	defer instance.Close()
	add1 := instance.Exports["add1"]
	result, err := add1(1, 2)
	require.NoError(t, err)
	require.Equal(t, "4", fmt.Sprint(result))
	imports.Close()

	_, err = wasmer.NewInstance(bytes)
	var link *wasmer.LinkError
	require.ErrorAs(t, err, &link, "without its import it is incomplete")
	require.ErrorContains(t, err, `"env"."sum"`)
}

// answer is a module that hands through what the import env.f gives.
const answer = `(module (import "env" "f" (func $f (result i32))) (func (export "run") (result i32) (call $f)))`

func constant(n int32) func() int32 { return func() int32 { return n } }

func TestALaterDefinitionReplacesAnEarlierOne(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, answer)
		imports := wasmer.NewImports().Function("f", constant(1))
		first, err := wasmer.Instantiate(background, module, imports)
		require.NoError(t, err)
		defer first.Close()
		imports, err = imports.Append("f", constant(2), nil)
		require.NoError(t, err)
		second, err := wasmer.Instantiate(background, module, imports)
		require.NoError(t, err)
		defer second.Close()
		require.EqualValues(t, 1, call(t, first, "run").ToI32(), "instances keep what they were made with")
		require.EqualValues(t, 2, call(t, second, "run").ToI32())
	})
}

func TestNamespacesAreKeptApart(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		imports := wasmer.NewImports().Function("f", constant(1)).
			Namespace("a").Function("f", constant(2)).
			Namespace("").Function("", constant(3)).
			Namespace("env").Function("g", constant(4)).
			Namespace("\U0001f439").Function("\x00 \U0001f439", constant(5))
		instance := instantiate(t, engine, `(module
			(import "env" "f" (func $1 (result i32))) (import "a" "f" (func $2 (result i32)))
			(import "" "" (func $3 (result i32))) (import "env" "g" (func $4 (result i32)))
			(import "\u{1f439}" "\00 \u{1f439}" (func $5 (result i32)))
			(export "1" (func $1)) (export "2" (func $2)) (export "3" (func $3)) (export "4" (func $4)) (export "5" (func $5)))`, imports)
		for n := range int32(5) {
			require.Equal(t, n+1, call(t, instance, fmt.Sprint(n+1)).ToI32())
		}
	})
}

func TestImportsKeepTheirFirstError(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, answer)
		imports := wasmer.NewImports().Function("first", 5)
		_, second := imports.Append("second", "text", nil)
		require.ErrorContains(t, second, `"second"`, "Append reports its own error at once")
		imports.Function("first", constant(1)).Function("f", constant(1)).Memory("m", nil).Instance("i", nil)
		store, err := wasmer.NewStore(engine)
		require.NoError(t, err)
		defer store.Close()
		for _, make := range []func() (*wasmer.Instance, error){
			func() (*wasmer.Instance, error) { return wasmer.Instantiate(background, module, imports) },
			func() (*wasmer.Instance, error) { return module.InstantiateWithImports(imports) },
			func() (*wasmer.Instance, error) { return store.Instantiate(background, "", module, imports) },
			func() (*wasmer.Instance, error) { return wasmer.NewInstanceWithImports([]byte("(module)"), imports) },
		} {
			instance, err := make()
			require.Nil(t, instance)
			require.ErrorContains(t, err, `function "first" must be a Go function, given int`)
		}
		_, err = wasmer.NewImports().AppendMemory("m", nil)
		require.ErrorContains(t, err, `memory "m" is nil`)
		_, err = module.InstantiateWithImports(wasmer.NewImports().Instance("i", nil))
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestImportsAreUsedAgainAndClosed(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, answer)
		imports := wasmer.NewImports().Function("f", func(c *wasmer.Caller) int32 { n, _ := c.Data().(int32); return n })
		var instances []*wasmer.Instance
		for n := range int32(20) {
			instance, err := module.InstantiateWithImports(imports)
			require.NoError(t, err)
			defer instance.Close()
			require.Zero(t, call(t, instance, "run").ToI32())
			instance.SetContextData(n)
			instances = append(instances, instance)
		}
		imports.Close()
		imports.Close()
		(*wasmer.Imports)(nil).Close()
		for n, instance := range instances {
			require.EqualValues(t, n, call(t, instance, "run").ToI32(), "instances go on after Close")
		}
		_, err := module.InstantiateWithImports(imports)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = imports.Append("f", constant(1), nil)
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestMemoriesMadeByTheHost(t *testing.T) {
	const guest = `(module (import "env" "m" (memory 1 4)) (export "memory" (memory 0))
		(func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
		(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		memory, err := wasmer.NewMemory(1, 3)
		require.NoError(t, err)
		require.Equal(t, "(memory 1 3)", memory.Type().String())
		require.NoError(t, memory.WriteByteAt(5, 42))
		imports := wasmer.NewImports().Memory("m", memory)
		first, second := instantiate(t, engine, guest, imports), instantiate(t, engine, guest, imports)
		require.Same(t, first.Store(), second.Store(), "both were made in the memory's store")
		require.EqualValues(t, 42, call(t, first, "load", 5).ToI32())
		require.NoError(t, first.Memory.WriteByteAt(6, 43))
		require.EqualValues(t, 43, call(t, second, "load", 6).ToI32())
		require.EqualValues(t, 1, call(t, second, "grow", 1).ToI32())
		require.EqualValues(t, -1, call(t, first, "grow", 2).ToI32(), "the maximum is the memory's")
		for _, m := range []*wasmer.Memory{memory, first.Memory, second.Memory} {
			require.EqualValues(t, 2, m.Pages())
			data := m.Data()
			require.EqualValues(t, 43, data[6])
			data[7]++
		}
		require.EqualValues(t, 3, call(t, first, "load", 7).ToI32())

		require.NoError(t, memory.Close())
		require.NoError(t, memory.Close())
		_, err = memory.ReadByteAt(5)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		require.NoError(t, first.Close())
		require.EqualValues(t, 43, call(t, second, "load", 6).ToI32(), "it lives as long as somebody uses it")
		_, err = compile(t, engine, guest).InstantiateWithImports(imports)
		require.ErrorIs(t, err, wasmer.ErrClosed)

		one, err := wasmer.NewMemory(1, 4)
		require.NoError(t, err)
		defer one.Close()
		other, err := wasmer.NewMemory(1, 4)
		require.NoError(t, err)
		defer other.Close()
		_, err = compile(t, engine, guest).InstantiateWithImports(wasmer.NewImports().Memory("m", one).Memory("other", other))
		require.ErrorContains(t, err, "different stores")
		_, err = second.Store().Instantiate(background, "", compile(t, engine, guest), wasmer.NewImports().Memory("m", one))
		require.ErrorContains(t, err, "different stores")
		instantiate(t, engine, guest, wasmer.NewImports().Memory("m", one))

		for _, sizes := range [][2]uint32{{2, 1}, {1, 65537}, {65537, 65537}} {
			memory, err := wasmer.NewMemory(sizes[0], sizes[1])
			require.ErrorContains(t, err, "memory")
			require.NoError(t, memory.Close())
		}
	})
}

func TestAMemoryMadeInTheStoreOfAnInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "simple.wasm"), nil)
		memory, err := instance.Store().NewMemory(1, 1)
		require.NoError(t, err)
		require.NoError(t, memory.Close())
		require.EqualValues(t, 3, call(t, instance, "sum", 1, 2).ToI32(), "closing it leaves the instance alone")
	})
}

func TestTheDepthLimitHoldsInTheStoreOfAnAdoptedMemory(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		limited, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: engine.Compiler(), MaxCallDepth: 5})
		require.NoError(t, err)
		defer limited.Close()
		memory, err := wasmer.NewMemory(1, 1)
		require.NoError(t, err)
		calls := 0
		instance := instantiate(t, limited, `(module (import "env" "m" (memory 1)) (import "env" "f" (func $f))
			(func (export "run") (call $f)))`,
			wasmer.NewImports().Memory("m", memory).Function("f", func(c *wasmer.Caller) error {
				if calls++; calls == 50 {
					return nil
				}
				_, err := function(t, c.Instance(), "run").Call(c.Context())
				return err
			}))
		_, err = function(t, instance, "run").Call(background)
		require.ErrorIs(t, err, wasmer.ErrDepth)
		require.Equal(t, 5, calls)
	})
}

const library = `(module $library (memory (export "memory") 1) (table (export "table") 4 funcref)
	(global $g (export "counter") (mut i32) (i32.const 10))
	(elem (i32.const 0) func $seven)
	(func $seven (result i32) (i32.const 7))
	(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
	(func (export "count") (result i32) (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g))
	(func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
	(func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))`

const program = `(module $program (import "lib" "memory" (memory 1)) (import "lib" "table" (table 4 funcref))
	(import "lib" "counter" (global $g (mut i32))) (import "lib" "add" (func $add (param i32 i32) (result i32)))
	(import "lib" "count" (func $count (result i32)))
	(elem (i32.const 1) func $nine $own)
	(func $nine (result i32) (i32.const 9))
	(func $own (result i32) (i32.load (i32.const 100)))
	(export "add" (func $add))
	(func (export "add_twice") (param i32 i32) (result i32) (call $add (local.get 1) (call $add (local.get 0) (local.get 1))))
	(func (export "count") (result i32) (drop (call $count)) (global.get $g))
	(func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
	(func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))`

func TestInstancesAreLinked(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		other, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Compilers()[len(wasmer.Compilers())-1]})
		require.NoError(t, err)
		defer other.Close()
		lib, prog := compile(t, engine, library), compile(t, other, program)
		for way, link := range map[string]func(*wasmer.Store) (lib, prog *wasmer.Instance, err error){
			"by a list": func(store *wasmer.Store) (_, _ *wasmer.Instance, err error) {
				first, err := store.Instantiate(background, "", lib, nil)
				require.NoError(t, err)
				second, err := store.Instantiate(background, "", prog, wasmer.NewImports().Instance("lib", first))
				return first, second, err
			},
			"by name": func(store *wasmer.Store) (_, _ *wasmer.Instance, err error) {
				first, err := store.Instantiate(background, "lib", lib, nil)
				require.NoError(t, err)
				require.Same(t, first, store.Instance("lib"))
				second, err := store.Instantiate(background, "prog", prog, nil)
				return first, second, err
			},
			"in an instance's own store": func(*wasmer.Store) (_, _ *wasmer.Instance, err error) {
				first, err := wasmer.Instantiate(background, lib, nil)
				require.NoError(t, err)
				second, err := wasmer.Instantiate(background, prog, wasmer.NewImports().Instance("lib", first))
				return first, second, err
			},
		} {
			store, err := wasmer.NewStore(engine)
			require.NoError(t, err)
			lib, prog, err := link(store)
			require.NoError(t, err, way)
			require.Same(t, lib.Store(), prog.Store())
			require.EqualValues(t, 8, call(t, prog, "add_twice", 2, 3).ToI32())
			require.EqualValues(t, 5, call(t, prog, "add", 2, 3).ToI32(), "a re-exported import")
			require.EqualValues(t, 11, call(t, prog, "count").ToI32())
			require.EqualValues(t, 12, call(t, lib, "count").ToI32())
			_, err = function(t, prog, "store").Call(background, 100, 77)
			require.NoError(t, err)
			require.EqualValues(t, 77, call(t, lib, "load", 100).ToI32())
			for index, want := range []int32{7, 9, 77} {
				require.Equal(t, want, call(t, lib, "call", index).ToI32(), "slot %d from the library", index)
				require.Equal(t, want, call(t, prog, "call", index).ToI32(), "slot %d from the program", index)
			}
			_, err = function(t, lib, "call").Call(background, 3)
			require.ErrorIs(t, err, wasmer.TrapNullIndirectCall)

			require.NoError(t, lib.Close())
			require.EqualValues(t, 13, call(t, prog, "count").ToI32(), "what the program imports goes on")
			require.EqualValues(t, 7, call(t, prog, "call", 0).ToI32())
			require.Nil(t, store.Instance("lib"))
			_, err = wasmer.Instantiate(background, prog.Module(), wasmer.NewImports().Instance("lib", lib))
			require.ErrorIs(t, err, wasmer.ErrClosed)
			require.NoError(t, prog.Close())
			require.NoError(t, store.Close())
		}
	})
}

func TestAHostFunctionIsSharedByInstancesOfManyGoroutines(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var total atomic.Int64
		imports := wasmer.NewImports().Function("f", func(c *wasmer.Caller, n int32) (int32, error) {
			total.Add(1)
			if own := c.Data().(int32); n%10 != own%10 {
				return 0, fmt.Errorf("instance %d was called with %d", own, n)
			}
			double, err := c.Function("double")
			if err != nil {
				return 0, err
			}
			values, err := double.Call(c.Context(), n)
			if err != nil {
				return 0, err
			}
			return values[0].ToI32(), nil
		})
		module := compile(t, engine, strings.ReplaceAll(callers, `(memory (export "third") 3)`, ""))
		var wg sync.WaitGroup
		for id := range int32(100) {
			wg.Go(func() {
				instance, err := wasmer.Instantiate(background, module, imports)
				if err != nil {
					t.Error(err)
					return
				}
				defer instance.Close()
				instance.SetContextData(id)
				run, err := wasmer.Func1[int32, int32](instance, "run")
				for i := range int32(100) {
					var got int32
					if err == nil {
						got, err = run(background, id+10*i)
					}
					if err != nil || got != 2*(id+10*i) {
						t.Errorf("instance %d: run(%d) = %d, %v", id, id+10*i, got, err)
						return
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 100*100, total.Load())
	})
}

type greeter string

func (g greeter) AddTo(imports *wasmer.Imports) {
	imports.Namespace(string(g)).Function("answer", func() int32 { return 42 })
}

func TestHostModulesDefineWhatTheyBring(t *testing.T) {
	imports := wasmer.NewImports().Namespace("here").Add(greeter("a"), greeter("b")).Function("own", constant(1))
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module
		(import "a" "answer" (func (result i32))) (import "b" "answer" (func (result i32)))
		(import "here" "own" (func (result i32))))`), imports)
	require.NoError(t, err)
	require.NoError(t, instance.Close())

	_, err = wasmer.NewInstanceWithImports([]byte(`(module)`), wasmer.NewImports().Add(nil))
	require.ErrorContains(t, err, "a host module is nil")
}

func TestImportsAreListedAndAddedToOthers(t *testing.T) {
	wasi := wasmer.NewWASI(wasmer.WASIConfig{})
	defer wasi.Close()
	one := wasmer.NewImports().Namespace("b").Function("f", func(int32) int64 { return 1 }).
		Namespace("a").Function("g", func() {}).Function("f", func() {})
	var names []string
	for _, definition := range one.List() {
		names = append(names, definition.Module+"."+definition.Name+" "+definition.Type.String())
	}
	require.Equal(t, []string{"a.f (func)", "a.g (func)", "b.f (func (param i32) (result i64))"}, names)
	require.Empty(t, wasmer.NewImports().StubUnknown().List())
	require.Greater(t, len(wasmer.NewImports().WASI(wasi).List()), 80, "of both versions")

	two := wasmer.NewImports().Namespace("b").Function("f", func() {}).Function("g", func() {}).Add(one)
	require.Len(t, two.List(), 4)
	require.Equal(t, "(func (param i32) (result i64))", two.List()[2].Type.String(), "what is added takes the place")
	require.NoError(t, two.Err())
	broken := wasmer.NewImports().Function("f", 5)
	require.Error(t, broken.Err())
	require.Equal(t, broken.Err(), wasmer.NewImports().Add(broken).Err())
	one.Close()
	require.ErrorIs(t, wasmer.NewImports().Add(one).Err(), wasmer.ErrClosed)
	require.Empty(t, one.List())
	require.Empty(t, (*wasmer.Imports)(nil).List())
	(*wasmer.Imports)(nil).AddTo(two)
	two.AddTo(nil)
}
