package wasmer_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// newStore makes a store that is closed with the test.
func newStore(t testing.TB, engine *wasmer.Engine) *wasmer.Store {
	t.Helper()
	store, err := wasmer.NewStore(engine)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// engineOf makes an engine with the compiler of another one, closed with the test.
func engineOf(t testing.TB, engine *wasmer.Engine, config wasmer.EngineConfig) *wasmer.Engine {
	t.Helper()
	config.Compiler = engine.Compiler()
	made, err := wasmer.NewEngine(config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = made.Close() })
	return made
}

// instantiateIn instantiates a module in a store, without a name.
func instantiateIn(t testing.TB, store *wasmer.Store, engine *wasmer.Engine, source string, imports *wasmer.Imports) *wasmer.Instance {
	t.Helper()
	instance, err := store.Instantiate(background, "", compile(t, engine, source), imports)
	require.NoError(t, err)
	return instance
}

// run calls an exported function, which must succeed.
func run(t testing.TB, instance *wasmer.Instance, name string, args ...any) []wasmer.Value {
	t.Helper()
	values, err := function(t, instance, name).Call(background, args...)
	require.NoError(t, err)
	return values
}

// failing calls an exported function, which must fail.
func failing(t testing.TB, instance *wasmer.Instance, name string, args ...any) error {
	t.Helper()
	values, err := function(t, instance, name).Call(background, args...)
	require.Error(t, err)
	require.Nil(t, values)
	return err
}

// hostFunction makes a host function that takes and gives what the type says.
func hostFunction(t testing.TB, store *wasmer.Store, params, results []wasmer.ValueType, fn dynamicFunction) *wasmer.Function {
	t.Helper()
	f, err := store.NewFunction(wasmer.FunctionType{Params: params, Results: results}, fn, 0)
	require.NoError(t, err)
	return f
}

type dynamicFunction = func(context.Context, *wasmer.Caller, []wasmer.Value) ([]wasmer.Value, error)

// hostConstant is a host function of the store that gives a number.
func hostConstant(t testing.TB, store *wasmer.Store, n int32) *wasmer.Function {
	t.Helper()
	return hostFunction(t, store, nil, types(wasmer.ValueTypeI32), func(context.Context, *wasmer.Caller, []wasmer.Value) ([]wasmer.Value, error) {
		return []wasmer.Value{wasmer.I32(n)}, nil
	})
}

func types(list ...wasmer.ValueType) []wasmer.ValueType { return list }

func hasSIMD(engine *wasmer.Engine) bool { return engine.Features().Has(wasmer.FeatureSIMD) }

func hasExceptions(engine *wasmer.Engine) bool {
	return engine.Features().Has(wasmer.FeatureExceptionHandling)
}

func exportedTable(t testing.TB, instance *wasmer.Instance, name string) *wasmer.Table {
	t.Helper()
	table, err := instance.Table(name)
	require.NoError(t, err)
	return table
}

func exportedGlobal(t testing.TB, instance *wasmer.Instance, name string) *wasmer.Global {
	t.Helper()
	global, err := instance.Global(name)
	require.NoError(t, err)
	return global
}

// tableOf makes a table of the host.
func tableOf(t testing.TB, store *wasmer.Store, element wasmer.ValueType, limits wasmer.Limits, init any) *wasmer.Table {
	t.Helper()
	table, err := store.NewTable(wasmer.TableType{Element: element, Limits: limits}, init)
	require.NoError(t, err)
	return table
}

func element(t testing.TB, table *wasmer.Table, index uint64) wasmer.Value {
	t.Helper()
	value, err := table.Get(index)
	require.NoError(t, err)
	return value
}

func value(t testing.TB, global *wasmer.Global) wasmer.Value {
	t.Helper()
	v, err := global.Get()
	require.NoError(t, err)
	return v
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// keepOf is a host function that keeps the reference to a function that it is given.
func keepOf(kept **wasmer.Function) dynamicFunction {
	return func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
		*kept = args[0].ToFuncRef()
		return nil, nil
	}
}

// instantiateNamed instantiates a module without a list of imports under a name of the store.
func instantiateNamed(t testing.TB, store *wasmer.Store, engine *wasmer.Engine, name, text string) *wasmer.Instance {
	t.Helper()
	instance, err := store.Instantiate(background, name, compile(t, engine, text), nil)
	require.NoError(t, err)
	return instance
}
