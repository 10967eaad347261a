package wasmer_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// tableGuest exports a table of functions with all that a guest can do to it. Two of its elements are set.
const tableGuest = `(module
	(type $get (func (result i32)))
	(table $t (export "t") 4 8 funcref)
	(elem (i32.const 0) $seven $eight)
	(func $seven (export "seven") (result i32) (i32.const 7))
	(func $eight (result i32) (i32.const 8))
	(func (export "long") (result i64) (i64.const 9))
	(func (export "call") (param i32) (result i32) (call_indirect $t (type $get) (local.get 0)))
	(func (export "get") (param i32) (result funcref) (table.get $t (local.get 0)))
	(func (export "set") (param i32 funcref) (table.set $t (local.get 0) (local.get 1)))
	(func (export "size") (result i32) (table.size $t))
	(func (export "null") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0))))
	(func (export "grow") (param funcref i32) (result i32) (table.grow $t (local.get 0) (local.get 1))))`

func TestExportedTablesAreReadAndChangedByHostAndGuest(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, tableGuest, nil)
		table := exportedTable(t, instance, "t")
		require.Same(t, table, exportedTable(t, instance, "t"))
		require.Equal(t, "(table 4 8 funcref)", table.Type().String())
		require.Equal(t, "(table 4 8 funcref)", table.ExternType().String())
		require.EqualValues(t, 4, table.Size())

		require.False(t, element(t, table, 1).IsNull())
		require.True(t, element(t, table, 2).IsNull())
		require.Nil(t, element(t, table, 2).ToFuncRef())
		require.NoError(t, table.Set(2, function(t, instance, "seven")))
		require.EqualValues(t, 7, call(t, instance, "call", 2).ToI32())
		run(t, instance, "set", 3, function(t, instance, "seven"))
		require.Same(t, function(t, instance, "seven"), element(t, table, 3).ToFuncRef())
		require.NoError(t, table.Set(2, nil))
		require.EqualValues(t, 1, call(t, instance, "null", 2).ToI32())
		require.ErrorIs(t, failing(t, instance, "call", 2), wasmer.TrapNullIndirectCall)
		require.NoError(t, table.Set(2, function(t, instance, "long")))
		require.ErrorIs(t, failing(t, instance, "call", 2), wasmer.TrapBadSignature)
		require.NoError(t, table.Set(2, (*wasmer.Function)(nil)), "a nil *Function is null")
		require.NoError(t, table.Set(2, wasmer.NullRef(wasmer.ValueTypeFuncRef)))

		previous, err := table.Grow(2, element(t, table, 1))
		require.NoError(t, err)
		require.EqualValues(t, 4, previous)
		require.EqualValues(t, 6, call(t, instance, "size").ToI32())
		require.EqualValues(t, 8, call(t, instance, "call", 5).ToI32(), "what it grew by is the given element")
		require.EqualValues(t, 6, call(t, instance, "grow", function(t, instance, "seven"), 1).ToI32())
		require.EqualValues(t, 7, table.Size())
		require.EqualValues(t, 7, call(t, instance, "call", 6).ToI32())
		require.Equal(t, "(table 4 8 funcref)", table.Type().String(), "the type stays as declared")
		previous, err = table.Grow(0, nil)
		require.NoError(t, err)
		require.EqualValues(t, 7, previous)
	})
}

func TestTablesTellWhatIsOutOfBounds(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, tableGuest, nil)
		table := exportedTable(t, instance, "t")
		for _, index := range []uint64{4, 5, math.MaxInt32, math.MaxUint32, 1 << 32, 1<<32 + 1, math.MaxUint64} {
			_, err := table.Get(index)
			require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
			require.EqualError(t, err, wasmer.ErrOutOfBounds.Error()+": index "+utoa(index)+" of a table of 4 elements")
			err = table.Set(index, nil)
			require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
			require.ErrorContains(t, err, "index "+utoa(index)+" of a table of 4 elements")
		}
		require.ErrorIs(t, failing(t, instance, "get", 4), wasmer.TrapTableOutOfBounds)
		require.ErrorIs(t, failing(t, instance, "get", -1), wasmer.TrapTableOutOfBounds)
		require.ErrorIs(t, failing(t, instance, "set", 4, nil), wasmer.TrapTableOutOfBounds)
		require.ErrorIs(t, failing(t, instance, "call", 4), wasmer.TrapTableOutOfBounds)
		for _, delta := range []uint64{5, 1 << 31, math.MaxUint32, 1 << 32, 1<<32 + 1, math.MaxUint64} {
			_, err := table.Grow(delta, nil)
			require.ErrorIs(t, err, wasmer.ErrResource, "%d", delta)
			require.EqualValues(t, 4, table.Size(), "nothing changed")
		}
		require.EqualValues(t, -1, call(t, instance, "grow", nil, 5).ToI32())
		require.EqualValues(t, -1, call(t, instance, "grow", nil, -1).ToI32())
	})
}

func TestTablesRefuseOtherTypes(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store, other := newStore(t, engine), newStore(t, engine)
		functions := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 2}, nil)
		values := tableOf(t, store, wasmer.ValueTypeExternRef, wasmer.Limits{Min: 2}, "x")
		require.Equal(t, "x", element(t, values, 1).ToExternRef())
		foreign := hostConstant(t, other, 1)
		for _, bad := range []any{7, "text", 1.5, []int{1}, wasmer.I32(1), wasmer.ExternRef("x"), wasmer.NullRef(wasmer.ValueTypeExternRef), wasmer.Value{}} {
			require.ErrorContains(t, functions.Set(0, bad), "want funcref", "%T", bad)
			_, err := functions.Grow(1, bad)
			require.ErrorContains(t, err, "want funcref")
			_, err = store.NewTable(wasmer.TableType{Element: wasmer.ValueTypeFuncRef}, bad)
			require.ErrorContains(t, err, "want funcref")
		}
		require.ErrorContains(t, values.Set(0, wasmer.FuncRef(foreign)), "want externref")
		require.ErrorContains(t, values.Set(0, wasmer.I32(1)), "want externref")
		require.NoError(t, values.Set(0, foreign), "any Go value")
		require.Same(t, foreign, element(t, values, 0).ToExternRef())
		require.Nil(t, element(t, values, 0).ToFuncRef())

		for _, given := range []any{foreign, wasmer.FuncRef(foreign)} {
			require.ErrorIs(t, functions.Set(0, given), wasmer.ErrStoreMismatch)
			_, err := functions.Grow(1, given)
			require.ErrorIs(t, err, wasmer.ErrStoreMismatch)
			_, err = store.NewTable(wasmer.TableType{Element: wasmer.ValueTypeFuncRef, Limits: wasmer.Limits{Min: 1}}, given)
			require.ErrorIs(t, err, wasmer.ErrStoreMismatch)
		}
		require.EqualValues(t, 2, functions.Size())
		require.True(t, element(t, functions, 0).IsNull())
		_, err := functions.Get(0)
		require.NoError(t, err, "the store was left after each error")
	})
}

func TestTablesOfTheHostHaveChecks(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		limits := func(low, high uint64) wasmer.Limits { return wasmer.Limits{Min: low, Max: high, HasMax: true} }
		for name, typ := range map[string]wasmer.TableType{
			"numbers":        {Element: wasmer.ValueTypeI32},
			"exceptions":     {Element: wasmer.ValueTypeExnRef},
			"nothing":        {},
			"shared":         {Element: wasmer.ValueTypeFuncRef, Limits: wasmer.Limits{Shared: true}},
			"min over max":   {Element: wasmer.ValueTypeFuncRef, Limits: limits(2, 1)},
			"min over 2^32":  {Element: wasmer.ValueTypeFuncRef, Limits: wasmer.Limits{Min: 1 << 32}},
			"max over 2^32":  {Element: wasmer.ValueTypeFuncRef, Limits: limits(0, 1<<32)},
			"over the limit": {Element: wasmer.ValueTypeFuncRef, Limits: wasmer.Limits{Min: 10_000_001}},
			"all of 2^32":    {Element: wasmer.ValueTypeExternRef, Limits: wasmer.Limits{Min: math.MaxUint32}},
		} {
			table, err := store.NewTable(typ, nil)
			require.Error(t, err, name)
			require.Nil(t, table, name)
			require.NotContains(t, err.Error(), "internal", name)
		}
		_, err := store.NewTable(wasmer.TableType{Element: wasmer.ValueTypeFuncRef, Limits: wasmer.Limits{Min: 10_000_001}}, nil)
		require.ErrorIs(t, err, wasmer.ErrResource)
		table := tableOf(t, store, wasmer.ValueTypeFuncRef, limits(0, math.MaxUint32), nil)
		require.Zero(t, table.Size())
		_, err = table.Get(0)
		require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
	})
}

func TestAClosedTable(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, tableGuest, nil)
		exported := exportedTable(t, instance, "t")
		store := newStore(t, engine)
		made := tableOf(t, store, wasmer.ValueTypeExternRef, wasmer.Limits{Min: 1}, nil)
		require.NoError(t, instance.Close())
		require.NoError(t, store.Close())
		for _, table := range []*wasmer.Table{exported, made, nil} {
			require.Zero(t, table.Size())
			_, err := table.Get(0)
			require.ErrorIs(t, err, wasmer.ErrClosed)
			require.ErrorIs(t, table.Set(0, nil), wasmer.ErrClosed)
			_, err = table.Grow(1, nil)
			require.ErrorIs(t, err, wasmer.ErrClosed)
		}
		_, err := store.NewTable(wasmer.TableType{Element: wasmer.ValueTypeFuncRef}, nil)
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = instance.Table("t")
		require.ErrorIs(t, err, wasmer.ErrClosed)
		_, err = (*wasmer.Store)(nil).NewTable(wasmer.TableType{Element: wasmer.ValueTypeFuncRef}, nil)
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestTablesStopAtTheLimitOfTheEngine(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		limited := engineOf(t, engine, wasmer.EngineConfig{MaxTableElements: 5})
		for _, text := range []string{`(module (table 6 funcref))`, `(module (table 6 6 externref))`, `(module (table (export "t") 6 6 funcref))`} {
			_, err := compile(t, limited, text).Instantiate()
			require.ErrorIs(t, err, wasmer.ErrResource, text)
		}
		store := newStore(t, limited)
		_, err := store.NewTable(wasmer.TableType{Element: wasmer.ValueTypeExternRef, Limits: wasmer.Limits{Min: 6}}, nil)
		require.ErrorIs(t, err, wasmer.ErrResource)
		made := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 4}, nil)
		instance := instantiateIn(t, store, limited, tableGuest, nil)
		importing := instantiateIn(t, store, limited, `(module (import "env" "t" (table 4 funcref))
			(func (export "grow") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))`,
			wasmer.NewImports().Table("env", "t", made))
		require.EqualValues(t, -1, call(t, importing, "grow", 2).ToI32())
		require.EqualValues(t, -1, call(t, instance, "grow", nil, 2).ToI32())
		for _, table := range []*wasmer.Table{made, exportedTable(t, instance, "t")} {
			_, err = table.Grow(2, nil)
			require.ErrorIs(t, err, wasmer.ErrResource)
			require.EqualValues(t, 4, table.Size())
			_, err = table.Grow(1, nil)
			require.NoError(t, err, "exactly to the limit")
			_, err = table.Grow(1, nil)
			require.ErrorIs(t, err, wasmer.ErrResource)
		}
		require.EqualValues(t, 5, call(t, importing, "grow", 0).ToI32())
		require.EqualValues(t, 5, call(t, instance, "size").ToI32())
	})
}

func TestElementsAreTheSameFunctionEachTime(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, tableGuest, nil)
		table := exportedTable(t, instance, "t")
		eight := element(t, table, 1).ToFuncRef() // exported by no name
		require.Equal(t, "", eight.Name())
		require.Nil(t, eight.Instance())
		require.Equal(t, "(func (result i32))", eight.Type().String())
		seven := element(t, table, 0).ToFuncRef() // before its export was looked up
		rounds, pass := times(10_000_000), function(t, instance, "get")
		flat(t, rounds, 1000, func(int) {
			value, err := table.Get(1)
			if err != nil || value.ToFuncRef() != eight {
				t.Fatalf("got %v, %v", value, err)
			}
			values, err := pass.Call(background, 0)
			if err != nil || values[0].ToFuncRef() != seven {
				t.Fatalf("got %v, %v", values, err)
			}
			if err := table.Set(2, eight); err != nil {
				t.Fatal(err)
			}
		})
		require.EqualValues(t, 8, call(t, instance, "call", 2).ToI32())
		require.Equal(t, seven, element(t, table, 0).ToFuncRef())
		_ = function(t, instance, "seven")
		require.Same(t, seven, element(t, table, 0).ToFuncRef(), "looking up an export changes nothing")
	})
}
