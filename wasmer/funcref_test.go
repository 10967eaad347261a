package wasmer_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// indirect imports a table and calls its elements.
const indirect = `(module (import "env" "t" (table $t 8 funcref))
	(type $get (func (result i32))) (export "t" (table $t))
	(func (export "call") (param i32) (result i32) (call_indirect $t (type $get) (local.get 0)))
	(func (export "get") (param i32) (result funcref) (table.get $t (local.get 0)))
	(func (export "set") (param i32 funcref) (table.set $t (local.get 0) (local.get 1))))`

// Whatever a function is and however it got into a table, guests of each compiler and the host can call it from there.
func TestFunctionsOfAllKindsInTablesOfAllKinds(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		compilers := wasmer.Compilers()
		other, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compilers[len(compilers)-1]})
		require.NoError(t, err)
		defer other.Close()
		if other.Compiler() == engine.Compiler() {
			other, err = wasmer.NewEngine(wasmer.EngineConfig{Compiler: compilers[0]})
			require.NoError(t, err)
			defer other.Close()
		}
		const tables = `(module (table (export "grows") 8 20 funcref) (table (export "fixed") 8 8 funcref) (table (export "open") 8 funcref))`
		const guest = `(module (func (export "f") (result i32) (i32.const %d)))`
		store := newStore(t, engine)
		owner := instantiateIn(t, store, engine, tables, nil)
		exported := instantiateIn(t, store, engine, fmt.Sprintf(guest, 1), nil)
		elsewhere := instantiateIn(t, store, other, fmt.Sprintf(guest, 2), nil)
		host := hostConstant(t, store, 3)
		// A host function that an elem segment of the module that imports it puts into a table of its own.
		const importing = `(module (import "env" "f" (func $f (result i32)))
			(table (export "t") 8 %s funcref) (elem (i32.const 0) $f $own) (func $own (result i32) (i32.const 6)) (elem declare func $f)
			(type $get (func (result i32)))
			(func (export "call") (param i32) (result i32) (call_indirect (type $get) (local.get 0)))
			(func (export "ref") (result funcref) (ref.func $f)))`
		dynamic := instantiateIn(t, store, engine, fmt.Sprintf(importing, ""), wasmer.NewImports().Extern("env", "f", hostConstant(t, store, 4)))
		static := instantiateIn(t, store, other, fmt.Sprintf(importing, "8"), wasmer.NewImports().Function("f", constant(5)))
		for _, instance := range []*wasmer.Instance{dynamic, static} {
			require.EqualValues(t, 6, call(t, instance, "call", 1).ToI32())
		}
		require.EqualValues(t, 4, call(t, dynamic, "call", 0).ToI32())
		require.EqualValues(t, 5, call(t, static, "call", 0).ToI32())

		functions := map[string]struct {
			f    *wasmer.Function
			want int32
		}{
			"exported":                         {function(t, exported, "f"), 1},
			"of another compiler":              {function(t, elsewhere, "f"), 2},
			"of the host":                      {host, 3},
			"dynamic, from a segment":          {element(t, exportedTable(t, dynamic, "t"), 0).ToFuncRef(), 4},
			"dynamic, by ref.func":             {run(t, dynamic, "ref")[0].ToFuncRef(), 4},
			"a Go function, from a segment":    {element(t, exportedTable(t, static, "t"), 0).ToFuncRef(), 5},
			"a Go function, by ref.func":       {run(t, static, "ref")[0].ToFuncRef(), 5},
			"a function exported by no name":   {element(t, exportedTable(t, static, "t"), 1).ToFuncRef(), 6},
			"of the host, not yet used at all": {hostConstant(t, store, 7), 7},
		}
		limits := wasmer.Limits{Min: 8}
		all := map[string]*wasmer.Table{
			"made":             tableOf(t, store, wasmer.ValueTypeFuncRef, limits, nil),
			"made, fixed":      tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 8, Max: 8, HasMax: true}, nil),
			"made with a host": tableOf(t, store, wasmer.ValueTypeFuncRef, limits, host),
			"of a segment":     exportedTable(t, dynamic, "t"),
		}
		for _, name := range []string{"grows", "fixed", "open"} {
			all[name] = exportedTable(t, owner, name)
		}
		for where, table := range all {
			for what, f := range functions {
				for _, users := range []*wasmer.Engine{engine, other} {
					user := instantiateIn(t, store, users, indirect, wasmer.NewImports().Table("env", "t", table))
					check := func(index int) {
						t.Helper()
						name := what + " in a table " + where
						require.Equal(t, f.want, call(t, user, "call", index).ToI32(), name)
						again := element(t, table, uint64(index)).ToFuncRef()
						require.Same(t, f.f, again, name)
						values, err := again.Call(background)
						require.NoError(t, err, name)
						require.Equal(t, f.want, values[0].ToI32(), name)
						stack := make([]uint64, 1)
						require.NoError(t, again.CallRaw(background, stack), name)
						require.EqualValues(t, f.want, stack[0], name)
					}
					require.NoError(t, table.Set(5, f.f))
					check(5)
					run(t, user, "set", 6, f.f)
					check(6)
					run(t, user, "set", 7, run(t, user, "get", 6)[0])
					check(7)
				}
			}
		}
	})
}

// wasmer itself keeps copies of the functions of a table that cannot grow, and calls those.
func TestChangesOfAFixedTableAreSeenByItsOwner(t *testing.T) {
	const owner = `(module (type $get (func (result i32))) (type $long (func (result i64)))
		(table $before 1 1 funcref) (table $other 5 5 funcref)
		(table $t (export "t") %s funcref) (elem (table $t) (i32.const 0) func $one $one $one)
		(func $one (result i32) (i32.const 1))
		(func (export "call") (param i32) (result i32) (call_indirect $t (type $get) (local.get 0)))
		(func (export "first") (result i32) (call_indirect $t (type $get) (i32.const 0)))
		(func (export "get") (param i32) (result funcref) (table.get $t (local.get 0)))
		(func (export "clear") (param i32) (table.set $t (local.get 0) (ref.null func))))`
	const user = `(module (import "env" "t" (table $t 3 funcref)) (table $own 4 4 funcref)
		(type $get (func (result i32)))
		(elem $passive func $two $four) (elem (table $own) (i32.const 0) func $three $three $three $three) (elem declare func $five)
		(func $two (result i32) (i32.const 2)) (func $three (result i32) (i32.const 3))
		(func $four (result i64) (i64.const 4)) (func $five (result i32) (i32.const 5))
		(func (export "init") (param i32) (table.init $t $passive (local.get 0) (i32.const 0) (i32.const 1)))
		(func (export "long") (param i32) (table.init $t $passive (local.get 0) (i32.const 1) (i32.const 1)))
		(func (export "copy") (param i32) (table.copy $t $own (local.get 0) (i32.const 1) (i32.const 1)))
		(func (export "fill") (param i32 i32) (table.fill $t (local.get 0) (ref.func $five) (local.get 1)))
		(func (export "set") (param i32 funcref) (table.set $t (local.get 0) (local.get 1))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, limits := range []string{"3 3", "3", "3 9"} {
			t.Run(limits, func(t *testing.T) {
				store := newStore(t, engine)
				first := instantiateIn(t, store, engine, fmt.Sprintf(owner, limits), nil)
				table := exportedTable(t, first, "t")
				require.Equal(t, "(table "+limits+" funcref)", table.Type().String())
				second := instantiateIn(t, store, engine, user, wasmer.NewImports().Instance("env", first))
				want := func(index, want int) {
					t.Helper()
					require.EqualValues(t, want, call(t, first, "call", index).ToI32())
					values, err := run(t, first, "get", index)[0].ToFuncRef().Call(background)
					require.NoError(t, err)
					require.EqualValues(t, want, values[0].ToI32())
					if index == 0 {
						require.EqualValues(t, want, call(t, first, "first").ToI32(), "with a constant index")
					}
				}
				for index := range 3 {
					want(index, 1)
					run(t, second, "init", index)
					want(index, 2)
					run(t, second, "copy", index)
					want(index, 3)
					run(t, second, "fill", index, 1)
					want(index, 5)
					run(t, second, "set", index, hostConstant(t, store, 6))
					want(index, 6)
					require.NoError(t, table.Set(uint64(index), hostConstant(t, store, 7)))
					want(index, 7)
					run(t, second, "long", index)
					require.ErrorIs(t, failing(t, first, "call", index), wasmer.TrapBadSignature)
					require.NoError(t, table.Set(uint64(index), nil))
					require.ErrorIs(t, failing(t, first, "call", index), wasmer.TrapNullIndirectCall)
					run(t, second, "init", index)
					want(index, 2)
					run(t, first, "clear", index)
					require.ErrorIs(t, failing(t, first, "call", index), wasmer.TrapNullIndirectCall)
					require.ErrorIs(t, failing(t, first, "call", 3), wasmer.TrapTableOutOfBounds)
					run(t, second, "fill", 0, index+1)
				}
				want(0, 5)
				if limits == "3 3" {
					_, err := table.Grow(1, nil)
					require.ErrorIs(t, err, wasmer.ErrResource)
					// It is one of a fixed size for who imports it, too.
					instantiateIn(t, store, engine, `(module (import "env" "t" (table 3 3 funcref)))`, wasmer.NewImports().Table("env", "t", table))
				}
			})
		}
	})
}

// The same when the owner was loaded from an artifact, and while one of its calls is under way.
func TestChangesOfAFixedTableInsideACall(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "change" (func $change)) (type $get (func (result i32)))
			(table (export "t") (export "again") 1 1 funcref) (elem (i32.const 0) $one) (func $one (result i32) (i32.const 1))
			(func (export "run") (result i32) (call_indirect (type $get) (i32.const 0)) (call $change)
				(i32.add (i32.mul (i32.const 10)) (call_indirect (type $get) (i32.const 0)))))`)
		artifact, err := module.Serialize()
		require.NoError(t, err)
		loaded, err := engine.Deserialize(background, artifact)
		require.NoError(t, err)
		defer loaded.Close()
		for _, module := range []*wasmer.Module{module, loaded} {
			store := newStore(t, engine)
			two := hostConstant(t, store, 2)
			instance, err := store.Instantiate(background, "", module, wasmer.NewImports().Function("change", func(c *wasmer.Caller) error {
				table, err := c.Instance().Table("again")
				if err != nil {
					return err
				}
				return table.Set(0, two)
			}))
			require.NoError(t, err)
			require.EqualValues(t, 12, call(t, instance, "run").ToI32())
			require.Same(t, two, element(t, exportedTable(t, instance, "t"), 0).ToFuncRef())
		}
	})
}

func TestReferencesToFunctionsPassThroughCalls(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		type seen struct{ f *wasmer.Function }
		var last seen
		instance := instantiateIn(t, store, engine, `(module
			(import "env" "pass" (func $pass (param funcref) (result funcref)))
			(type $get (func (result i32))) (table 1 1 funcref)
			(global (export "g") (mut funcref) (ref.func $one))
			(func $one (export "one") (result i32) (i32.const 1))
			(func (export "pass") (param funcref) (result funcref) (call $pass (local.get 0)))
			(func (export "same") (param funcref) (result funcref) (local.get 0))
			(func (export "call") (param funcref) (result i32)
				(table.set (i32.const 0) (local.get 0)) (call_indirect (type $get) (i32.const 0))))`,
			wasmer.NewImports().Function("pass", func(f *wasmer.Function) *wasmer.Function { last.f = f; return f }))
		one, host := function(t, instance, "one"), hostConstant(t, store, 2)
		global := exportedGlobal(t, instance, "g")
		require.Same(t, one, value(t, global).ToFuncRef())
		for n, f := range []*wasmer.Function{one, host} {
			for _, name := range []string{"pass", "same"} {
				require.Same(t, f, run(t, instance, name, f)[0].ToFuncRef())
				require.Same(t, f, run(t, instance, name, wasmer.FuncRef(f))[0].Go())
			}
			require.Same(t, f, last.f)
			require.EqualValues(t, n+1, call(t, instance, "call", f).ToI32())
			require.NoError(t, global.Set(f))
			require.Same(t, f, value(t, global).ToFuncRef())
		}
		for _, null := range []any{nil, (*wasmer.Function)(nil), wasmer.NullRef(wasmer.ValueTypeFuncRef), wasmer.FuncRef(nil)} {
			for _, name := range []string{"pass", "same"} {
				result := run(t, instance, name, null)[0]
				require.True(t, result.IsNull())
				require.Nil(t, result.ToFuncRef())
				require.Nil(t, result.Go())
				require.Equal(t, "null", result.String())
			}
			require.Nil(t, last.f)
		}
		foreign := hostConstant(t, newStore(t, engine), 9)
		require.ErrorIs(t, failing(t, instance, "same", foreign), wasmer.ErrStoreMismatch)
		require.ErrorIs(t, global.Set(foreign), wasmer.ErrStoreMismatch)
		var refused *wasmer.CallError
		require.ErrorAs(t, failing(t, instance, "same", 5), &refused)
		require.Zero(t, refused.Position)
		require.ErrorIs(t, function(t, instance, "same").CallRaw(background, []uint64{1}), wasmer.ErrUnsupported)

		returned := foreign
		bad := instantiateIn(t, store, engine, `(module (import "env" "f" (func $f (result funcref))) (func (export "run") (drop (call $f))))`,
			wasmer.NewImports().Function("f", func() *wasmer.Function { return returned }))
		require.ErrorIs(t, failing(t, bad, "run"), wasmer.ErrStoreMismatch, "a host function's result")
		returned = host
		run(t, bad, "run")
	})
}

func TestAFunctionOfAClosedInstanceStaysInTables(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 8}, nil)
		user := instantiateIn(t, store, engine, indirect, wasmer.NewImports().Table("env", "t", table))
		lib := instantiateIn(t, store, engine, `(module (import "env" "t" (table 1 funcref)) (import "env" "f" (func $f (result i32)))
			(memory 1) (data (i32.const 0) "\2a") (elem (i32.const 0) $load $f)
			(func $load (result i32) (i32.load (i32.const 0))) (export "f" (func $load)))`,
			wasmer.NewImports().Table("env", "t", table).Function("f", constant(43)))
		require.NoError(t, table.Set(2, function(t, lib, "f")))
		require.NoError(t, lib.Close())
		collect()
		require.EqualValues(t, 42, call(t, user, "call", 0).ToI32())
		require.EqualValues(t, 43, call(t, user, "call", 1).ToI32())
		require.EqualValues(t, 42, call(t, user, "call", 2).ToI32())
		values, err := element(t, table, 1).ToFuncRef().Call(background)
		require.NoError(t, err)
		require.EqualValues(t, 43, values[0].ToI32())
	})
}

// Passing references over and over leaves nothing behind. Ten million passes in the long form.
func TestSoakFunctionReferences(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		host := hostFunction(t, store, types(wasmer.ValueTypeFuncRef), types(wasmer.ValueTypeFuncRef),
			func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
				return args, nil
			})
		instance := instantiateIn(t, store, engine, `(module (import "env" "f" (func $f (param funcref) (result funcref)))
			(func (export "pass") (param funcref) (result funcref) (call $f (local.get 0))))`, wasmer.NewImports().Extern("env", "f", host))
		pass := function(t, instance, "pass")
		flat(t, times(10_000_000), 1000, func(int) {
			values, err := pass.Call(background, pass)
			if err != nil || values[0].ToFuncRef() != pass {
				t.Fatalf("got %v, %v", values, err)
			}
		})
	})
}

// A reference to a function of a closed instance is what it is, whether or not the host ever looked the export up.
func TestReferencesToFunctionsOfAClosedInstanceAreAlike(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 8}, nil)
		user := instantiateIn(t, store, engine, indirect, wasmer.NewImports().Table("env", "t", table))
		lib := instantiateIn(t, store, engine, `(module (import "env" "t" (table 8 funcref)) (elem (i32.const 0) $a $b)
			(func $a (export "a") (result i32) (i32.const 1)) (func $b (export "b") (result i32) (i32.const 2)))`, wasmer.NewImports().Table("env", "t", table))
		_ = function(t, lib, "a")
		require.NoError(t, lib.Close())
		require.EqualValues(t, 1, call(t, user, "call", 0).ToI32())
		require.EqualValues(t, 2, call(t, user, "call", 1).ToI32())
		_, lookedUp := element(t, table, 0).ToFuncRef().Call(background)
		_, never := element(t, table, 1).ToFuncRef().Call(background)
		require.Equal(t, never, lookedUp)
	})
}
