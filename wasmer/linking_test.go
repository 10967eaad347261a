package wasmer_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// hostParts are externs of all kinds that a host can make.
func hostParts(t testing.TB, store *wasmer.Store) map[string]wasmer.Extern {
	memory, err := store.NewMemory(1, 3)
	require.NoError(t, err)
	return map[string]wasmer.Extern{
		"f": hostConstant(t, store, 5), "m": memory,
		"t": tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 2, Max: 4, HasMax: true}, nil),
		"g": store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32, Mutable: true}, 6),
	}
}

// usesHostParts imports them from the module lib.
const usesHostParts = `(module (import "lib" "f" (func $f (result i32))) (import "lib" "m" (memory 1 3)) (import "lib" "t" (table 2 4 funcref))
	(import "lib" "g" (global $g (mut i32))) (type $get (func (result i32)))
	(elem (i32.const 0) $own $f) (func $own (result i32) (i32.load (i32.const 8)))
	(export "f" (func $f)) (export "m" (memory 0)) (export "t" (table 0)) (export "g" (global $g))
	(func (export "run") (result i32)
		(i32.store (i32.const 8) (i32.add (global.get $g) (call $f))) (global.set $g (i32.const 60))
		(i32.add (call_indirect (type $get) (i32.const 0)) (call_indirect (type $get) (i32.const 1)))))`

func TestAHostModuleOfAllKinds(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, way := range []string{"by name", "in a list", "one by one", "through another guest"} {
			store := newStore(t, engine)
			parts := hostParts(t, store)
			lib, err := store.NewInstance("lib", parts)
			require.NoError(t, err)
			require.Nil(t, lib.Module())
			require.Equal(t, "lib", lib.Name())
			require.Same(t, store, lib.Store())
			require.True(t, lib.HasMemory())
			require.Same(t, parts["m"], lib.Memory)
			for name, part := range parts {
				extern, err := lib.Extern(name)
				require.NoError(t, err)
				require.Same(t, part, extern)
				require.Len(t, lib.List(part.ExternType().Kind), 1)
			}
			delete(parts, "f")
			imports := wasmer.NewImports()
			switch way {
			case "in a list":
				imports.Instance("lib", lib)
			case "one by one":
				for name := range parts {
					imports.Extern("lib", name, parts[name])
				}
				imports.Extern("lib", "f", function(t, lib, "f"))
			case "through another guest":
				imports.Instance("lib", instantiateIn(t, store, engine, usesHostParts, nil))
			}
			instance := instantiateIn(t, store, engine, usesHostParts, imports)
			require.EqualValues(t, 6+5+5, call(t, instance, "run").ToI32(), way)
			require.EqualValues(t, 60, value(t, parts["g"].(*wasmer.Global)).ToI32())
			n, err := parts["m"].(*wasmer.Memory).ReadUint32Le(8)
			require.NoError(t, err)
			require.EqualValues(t, 11, n)
			f := element(t, parts["t"].(*wasmer.Table), 0).ToFuncRef()
			results, err := f.Call(background)
			require.NoError(t, err)
			require.EqualValues(t, 11, results[0].ToI32())

			require.NoError(t, lib.Close())
			require.Empty(t, store.Instances())
			_, err = lib.Function("f")
			require.ErrorIs(t, err, wasmer.ErrClosed)
			require.NoError(t, parts["g"].(*wasmer.Global).Set(7), "the externs are the store's")
			require.EqualValues(t, 7+5+5, call(t, instance, "run").ToI32(), way)
			_, err = store.Instantiate(background, "", instance.Module(), wasmer.NewImports().Instance("lib", lib))
			require.ErrorIs(t, err, wasmer.ErrClosed)
		}
	})
}

func TestHostModulesRefuseWhatTheyCannotHave(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store, other := newStore(t, engine), newStore(t, engine)
		for name, extern := range hostParts(t, other) {
			lib, err := store.NewInstance("lib", map[string]wasmer.Extern{name: extern})
			require.ErrorIs(t, err, wasmer.ErrStoreMismatch, name)
			require.Nil(t, lib)
		}
		for name, extern := range map[string]wasmer.Extern{
			"nothing": nil, "f": (*wasmer.Function)(nil), "m": (*wasmer.Memory)(nil), "t": (*wasmer.Table)(nil),
			"g": (*wasmer.Global)(nil), "tag": (*wasmer.Tag)(nil),
		} {
			_, err := store.NewInstance("lib", map[string]wasmer.Extern{name: extern})
			require.ErrorContains(t, err, `"`+name+`" is nil`)
			_, err = compile(t, engine, "(module)").InstantiateWithImports(wasmer.NewImports().Extern("env", name, extern))
			require.ErrorContains(t, err, `"`+name+`" is nil`)
		}
		require.Empty(t, store.Instances(), "the name is free")
		empty, err := store.NewInstance("lib", nil)
		require.NoError(t, err)
		require.False(t, empty.HasMemory())
		_, err = empty.Function("f")
		require.ErrorIs(t, err, wasmer.ErrNotFound)
		_, err = empty.Extern("f")
		require.ErrorIs(t, err, wasmer.ErrNotFound)
		_, err = store.Instantiate(background, "", compile(t, engine, usesHostParts), nil)
		var link *wasmer.LinkError
		require.ErrorAs(t, err, &link)
		require.Len(t, link.Imports, 4)
	})
}

func TestNamesInAStore(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		module := compile(t, engine, `(module (func (export "f") (result i32) (i32.const 1)))`)
		user := compile(t, engine, `(module (import "a" "f" (func $f (result i32))) (func (export "run") (result i32) (call $f)))`)
		first, err := store.Instantiate(background, "a", module, nil)
		require.NoError(t, err)
		_, err = store.Instantiate(background, "a", module, nil)
		require.ErrorIs(t, err, wasmer.ErrNameTaken)
		require.ErrorContains(t, err, `"a"`)
		_, err = store.NewInstance("a", nil)
		require.ErrorIs(t, err, wasmer.ErrNameTaken)
		second, err := store.NewInstance("b", map[string]wasmer.Extern{"f": hostConstant(t, store, 2)})
		require.NoError(t, err)
		require.ErrorIs(t, store.Register("a", second), wasmer.ErrNameTaken)
		require.ErrorIs(t, store.Register("b", second), wasmer.ErrNameTaken)
		require.NoError(t, store.Register("alias", first))
		require.NoError(t, store.Register("again", first))
		require.Equal(t, map[string]*wasmer.Instance{"a": first, "alias": first, "again": first, "b": second}, store.Instances())
		require.Equal(t, "a", first.Name(), "the first one")
		clear(store.Instances())
		require.Len(t, store.Instances(), 4, "the map is the caller's own")

		run := func() int32 {
			t.Helper()
			instance, err := store.Instantiate(background, "", user, nil)
			require.NoError(t, err)
			require.Equal(t, "", instance.Name())
			return call(t, instance, "run").ToI32()
		}
		for range 100 {
			require.EqualValues(t, 1, run(), "without a name any number of times")
		}
		require.NoError(t, first.Close())
		require.Equal(t, map[string]*wasmer.Instance{"b": second}, store.Instances(), "all names are free")
		require.Nil(t, store.Instance("alias"))
		require.Nil(t, store.Instance(""))
		_, err = store.Instantiate(background, "", user, nil)
		require.ErrorAs(t, err, new(*wasmer.LinkError))
		require.NoError(t, store.Register("a", second))
		require.EqualValues(t, 2, run())
		require.Equal(t, "b", second.Name())
		require.ErrorIs(t, store.Register("c", first), wasmer.ErrClosed)
		require.ErrorIs(t, store.Register("c", nil), wasmer.ErrClosed)
		foreign, err := wasmer.Instantiate(background, module, nil)
		require.NoError(t, err)
		defer foreign.Close()
		require.ErrorIs(t, store.Register("c", foreign), wasmer.ErrStoreMismatch)
		require.NoError(t, foreign.Store().Register("own", foreign))
		require.Equal(t, "own", foreign.Name())

		// What is in the list comes before what has a name.
		instance, err := store.Instantiate(background, "", user, wasmer.NewImports().Namespace("a").Function("f", constant(3)))
		require.NoError(t, err)
		require.EqualValues(t, 3, call(t, instance, "run").ToI32())
		unnamed, err := store.Instantiate(background, "", compile(t, engine, `(module (import "" "f" (func)))`), nil)
		require.ErrorAs(t, err, new(*wasmer.LinkError), "no instance has the empty name")
		require.Nil(t, unnamed)
		require.Error(t, store.Register("", second), "the empty name is none")
		require.Len(t, store.Instances(), 2)
	})
}

func TestNamesAreTakenByOneGoroutineOnly(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		module := compile(t, engine, "(module)")
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := map[int]int{}
		for g := range 8 {
			wg.Go(func() {
				for n := range 50 {
					var err error
					if g%2 == 0 {
						_, err = store.Instantiate(background, fmt.Sprint(n), module, nil)
					} else {
						_, err = store.NewInstance(fmt.Sprint(n), nil)
					}
					if err == nil {
						mu.Lock()
						won[n]++
						mu.Unlock()
					} else if !errors.Is(err, wasmer.ErrNameTaken) {
						t.Error(err)
					}
					store.Instances()
				}
			})
		}
		wg.Wait()
		for n := range 50 {
			require.Equal(t, 1, won[n])
		}
		require.Len(t, store.Instances(), 50)
	})
}

func TestWhatBelongsToAnotherStoreIsRefused(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store, other := newStore(t, engine), newStore(t, engine)
		parts := hostParts(t, other)
		if hasExceptions(engine) {
			tag, err := instantiateIn(t, other, engine, `(module (tag (export "e") (param i32)))`, nil).Tag("e")
			require.NoError(t, err)
			require.Equal(t, "(tag (param i32))", tag.ExternType().String())
			parts["e"] = tag
		}
		for name, part := range parts {
			want := part.ExternType().String()
			module := compile(t, engine, `(module (import "env" "x" `+want+`))`)
			imports := wasmer.NewImports().Extern("env", "x", part)
			_, err := store.Instantiate(background, "name", module, imports)
			require.ErrorIs(t, err, wasmer.ErrStoreMismatch, name)
			_, err = wasmer.Instantiate(background, module, imports.Extern("env", "mine", hostConstant(t, store, 1)))
			require.ErrorIs(t, err, wasmer.ErrStoreMismatch, name)
			require.ErrorContains(t, err, "different stores")
			instance, err := wasmer.Instantiate(background, module, wasmer.NewImports().Extern("env", "x", part))
			require.NoError(t, err, name)
			require.Same(t, other, instance.Store(), "made in the store of what it imports")
			require.NoError(t, instance.Close())
		}
		require.Empty(t, store.Instances())
		instance := instantiateIn(t, other, engine, `(module (func (export "f")))`, nil)
		_, err := store.Instantiate(background, "", compile(t, engine, `(module (import "env" "f" (func)))`), wasmer.NewImports().Instance("env", instance))
		require.ErrorIs(t, err, wasmer.ErrStoreMismatch)
	})
}

func TestExternsOfOtherKindsAreRefused(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		parts := hostParts(t, store)
		for name, part := range parts {
			for other, wants := range parts {
				_, err := store.Instantiate(background, "", compile(t, engine, `(module (import "env" "x" `+wants.ExternType().String()+`))`),
					wasmer.NewImports().Extern("env", "x", part))
				if name == other {
					require.NoError(t, err)
					continue
				}
				var link *wasmer.LinkError
				require.ErrorAs(t, err, &link)
				require.True(t, link.Imports[0].Given.Equal(part.ExternType()))
				require.ErrorContains(t, err, part.ExternType().Kind.String())
			}
		}
		for want, extern := range map[string]wasmer.Extern{
			"(memory 2 3)": parts["m"], "(memory 1 2)": parts["m"], "(memory 1 3 shared)": parts["m"], "(func)": parts["f"],
			"(table 3 4 funcref)": parts["t"], "(table 2 3 funcref)": parts["t"], "(table 2 4 externref)": parts["t"],
		} {
			module := compile(t, engine, `(module (import "env" "x" `+want+`))`)
			_, err := store.Instantiate(background, "", module, wasmer.NewImports().Extern("env", "x", extern))
			require.ErrorAs(t, err, new(*wasmer.LinkError), want)
		}
		// What counts is the size that it has now.
		require.NoError(t, parts["m"].(*wasmer.Memory).Grow(1))
		_, err := parts["t"].(*wasmer.Table).Grow(1, nil)
		require.NoError(t, err)
		instantiateIn(t, store, engine, `(module (import "env" "m" (memory 2 3)) (import "env" "t" (table 3 4 funcref)))`,
			wasmer.NewImports().Extern("env", "m", parts["m"]).Extern("env", "t", parts["t"]))
	})
}

func TestExportsAreLookedUpByKind(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (func (export "function")) (table (export "table") 1 funcref) (memory (export "memory") 1)
			(global (export "global") i32 (i32.const 1)))`, nil)
		lookups := map[string]func(string) error{
			"function": func(n string) error { _, err := instance.Function(n); return err },
			"table":    func(n string) error { _, err := instance.Table(n); return err },
			"memory":   func(n string) error { _, err := instance.ExportedMemory(n); return err },
			"global":   func(n string) error { _, err := instance.Global(n); return err },
			"tag":      func(n string) error { _, err := instance.Tag(n); return err },
		}
		for kind, lookup := range lookups {
			for _, name := range []string{"function", "table", "memory", "global"} {
				err := lookup(name)
				if kind == name {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, wasmer.ErrNotFound)
				require.ErrorContains(t, err, fmt.Sprintf("the export %q is a %s, not a %s", name, name, kind))
			}
			require.ErrorIs(t, lookup("none at all"), wasmer.ErrNotFound)
		}
		extern, err := instance.Extern("table")
		require.NoError(t, err)
		require.Same(t, exportedTable(t, instance, "table"), extern)
		require.NoError(t, instance.Close())
		for kind, lookup := range lookups {
			require.ErrorIs(t, lookup(kind), wasmer.ErrClosed)
		}
	})
}
