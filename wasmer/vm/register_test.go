package vm_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// importer imports fib of module mod.
const importer = `(module (import "mod" "fib" (func $fib (param i32) (result i32)))
	(func (export "twice") (param i32) (result i32) (i32.mul (i32.const 2) (call $fib (local.get 0)))))`

func TestF079ModulesAreRegisteredUnderUniqueNames(t *testing.T) {
	compiled := wasmer.Must(wasmer.Compile(fibonacci))
	defer compiled.Close()
	for name, register := range map[string]func(*vm.VM) error{
		"file":   func(v *vm.VM) error { return v.RegisterFile(background, "mod", file(t, "fib.wasm", fibonacci)) },
		"bytes":  func(v *vm.VM) error { return v.RegisterBytes(background, "mod", fibonacci) },
		"module": func(v *vm.VM) error { return v.RegisterModule(background, "mod", compiled) },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVM(t, vm.Config{})
			require.NoError(t, register(v))
			err := register(v)
			require.ErrorIs(t, err, wasmer.ErrNameTaken)
			requireCode(t, 0x60, err)
			ready(t, v, importer)
			gives(t, 2*121393, v, "twice", 25)
			require.NoError(t, v.RegisterBytes(background, "other", []byte(answer)))
			require.Equal(t, vm.Validated, v.State())
			require.NoError(t, v.Instantiate(background))
			gives(t, 2, v, "twice", 1)
		})
	}
	v := newVM(t, vm.Config{})
	require.Error(t, v.RegisterBytes(background, "", fibonacci), "without a name")
	requireCode(t, 0x20, v.RegisterFile(background, "mod", "no such file"))
	require.ErrorAs(t, v.RegisterBytes(background, "mod", addTwo), new(*wasmer.LinkError))
	require.ErrorAs(t, v.RegisterBytes(background, "mod", []byte("(module (func $f unreachable) (start $f))")), new(*wasmer.Trap))
	require.NotContains(t, v.Registered(), "mod", "what failed has no name")
	require.NoError(t, v.RegisterBytes(background, "mod", fibonacci))
}

func TestF080RegisteredFunctionsAreExecutedInAnyState(t *testing.T) {
	v := newVM(t, vm.Config{})
	require.NoError(t, v.RegisterBytes(background, "mod", fibonacci))
	values, err := v.ExecuteRegistered(background, "mod", "fib", int32(25))
	require.NoError(t, err)
	require.Equal(t, int32(121393), values[0].ToI32())
	require.Equal(t, vm.Initiated, v.State())

	_, err = v.ExecuteRegistered(background, "nobody", "fib", 1)
	require.ErrorIs(t, err, wasmer.ErrNotFound)
	requireCode(t, 0x80, err)
	_, err = v.ExecuteRegistered(background, "mod", "nothing", 1)
	require.ErrorIs(t, err, wasmer.ErrNotFound)
	requireCode(t, 0x05, err)
	_, err = v.ExecuteRegistered(background, "mod", "fib")
	requireCode(t, 0x83, err)
}

func TestF081HostFunctionsAreCalledDirectly(t *testing.T) {
	var callers []*wasmer.Instance
	imports := wasmer.NewImports().Namespace("host \"é\"\n").
		Function("who", func(c *wasmer.Caller) int32 {
			callers = append(callers, c.Instance())
			if c.Memory() == nil {
				return 0
			}
			return 1
		}).
		Function("swap", func(a int64, b float64) (float64, int64) { return b, a })
	v := newVM(t, vm.Config{})
	require.NoError(t, v.RegisterHost(imports))
	values, err := v.ExecuteRegistered(background, "host \"é\"\n", "swap", 7, math.Pi)
	require.NoError(t, err)
	require.Equal(t, []wasmer.Value{wasmer.F64(math.Pi), wasmer.I64(7)}, values)

	values, err = v.ExecuteRegistered(background, "host \"é\"\n", "who")
	require.NoError(t, err)
	require.Equal(t, []wasmer.Value{wasmer.I32(0)}, values)
	host := wasmer.Must(v.RegisteredInstance("host \"é\"\n"))
	require.Same(t, host, callers[0], "F106: the caller is the host module")

	ready(t, v, `(module (import "host \"é\"\n" "who" (func $who (result i32))) (memory (export "memory") 1)
		(func (export "ask") (result i32) (call $who)))`)
	gives(t, 1, v, "ask")
	require.Same(t, v.ActiveInstance(), callers[1], "a guest that imports it is the caller itself")
}

func TestF078HostModulesAndInstancesAreRegistered(t *testing.T) {
	v := newVM(t, vm.Config{})
	require.NoError(t, v.RegisterHost(adder()))
	err := v.RegisterHost(wasmer.NewImports().Namespace("new").Function("f", func() {}), adder())
	require.ErrorIs(t, err, wasmer.ErrNameTaken)
	require.NotContains(t, v.Registered(), "new", "all are registered, or none")
	ready(t, v, string(addTwo))
	gives(t, 6912, v, "addTwo", 1234, 5678)

	store := v.Store()
	double := wasmer.Must(store.NewFunction(wasmer.FunctionType{Params: i32(1), Results: i32(1)},
		func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
			return []wasmer.Value{wasmer.I32(2 * args[0].ToI32())}, nil
		}, 0))
	env := wasmer.Must(store.NewInstance("", map[string]wasmer.Extern{"fib": double}))
	require.NoError(t, v.RegisterInstance("mod", env))
	require.ErrorIs(t, v.RegisterInstance("mod", env), wasmer.ErrNameTaken)
	require.ErrorIs(t, v.RegisterInstance("extern", env), wasmer.ErrNameTaken, "the name of a host module")
	require.ErrorIs(t, v.RegisterBytes(background, "extern", fibonacci), wasmer.ErrNameTaken)
	require.ErrorIs(t, v.RegisterInstance("nil", nil), wasmer.ErrClosed)
	stranger := wasmer.Must(wasmer.NewInstance(fibonacci))
	defer stranger.Close()
	require.ErrorIs(t, v.RegisterInstance("stranger", stranger), wasmer.ErrStoreMismatch)
	require.Equal(t, vm.Validated, v.State())
	ready(t, v, importer)
	gives(t, 40, v, "twice", 10)
}

func i32(n int) []wasmer.ValueType { return slices.Repeat([]wasmer.ValueType{wasmer.TypeI32}, n) }

func TestF074F088RegisteredModulesAreListedAndFound(t *testing.T) {
	v := newVM(t, vm.Config{WASI: true})
	require.NoError(t, v.RegisterBytes(background, "mod", fibonacci))
	require.NoError(t, v.RegisterHost(adder()))
	names := v.Registered()
	require.True(t, slices.IsSorted(names))
	require.Subset(t, names, []string{"mod", "extern", "wasi_snapshot_preview1", "wasi_ephemeral_nn"})
	require.Equal(t, names, slices.Compact(slices.Clone(names)))
	for _, name := range names {
		instance, err := v.RegisteredInstance(name)
		require.NoError(t, err, name)
		require.NotNil(t, instance, name)
	}
	wasi := wasmer.Must(v.RegisteredInstance("wasi_snapshot_preview1"))
	require.Greater(t, len(wasi.List(wasmer.ExternFunction)), 40)
	require.Empty(t, wasmer.Must(v.RegisteredInstance("wasi_ephemeral_nn")).List(wasmer.ExternFunction))
	instance, err := v.RegisteredInstance("nobody")
	require.Nil(t, instance)
	require.ErrorIs(t, err, wasmer.ErrNotFound)
}

func TestF085F086FunctionsAreListedWithTheirTypes(t *testing.T) {
	v := newVM(t, vm.Config{})
	require.Empty(t, v.Functions())
	require.ErrorIs(t, second(v.FunctionType("fib")), wasmer.ErrNotFound)
	require.NoError(t, v.RegisterBytes(background, "mod", fibonacci))
	ready(t, v, `(module (memory (export "m") 1) (func (export "a") (param i64 f32) (result f64) unreachable) (func (export "b")))`)
	functions := v.Functions()
	require.Len(t, functions, 2)
	require.Equal(t, []string{"a", "b"}, []string{functions[0].Name, functions[1].Name})
	require.Equal(t, "(func (param i64 f32) (result f64))", functions[0].Type.String())
	require.Equal(t, functions[0].Type.Function, wasmer.Must(v.FunctionType("a")))
	require.ErrorIs(t, second(v.FunctionType("m")), wasmer.ErrNotFound, "a memory")
	require.Equal(t, wasmer.FunctionType{Params: i32(1), Results: i32(1)}, wasmer.Must(v.FunctionTypeRegistered("mod", "fib")))
	require.ErrorIs(t, second(v.FunctionTypeRegistered("mod", "x")), wasmer.ErrNotFound)
	require.ErrorIs(t, second(v.FunctionTypeRegistered("x", "fib")), wasmer.ErrNotFound)
}

func TestF087TheActiveInstanceIsShown(t *testing.T) {
	v := newVM(t, vm.Config{})
	require.Nil(t, v.ActiveInstance())
	ready(t, v, counter)
	require.Equal(t, uint64(1), v.ActiveInstance().Memory.Pages())
}

func TestF084F089TheStoreAndTheEngineOfAVM(t *testing.T) {
	v := newVM(t, vm.Config{Engine: wasmer.EngineConfig{Compiler: wasmer.Singlepass}})
	require.Equal(t, wasmer.Singlepass, v.Engine().Compiler())
	store := v.Store()
	ready(t, v, counter)
	require.Same(t, store, v.ActiveInstance().Store())
	require.NoError(t, v.Instantiate(background))
	require.Same(t, store, v.ActiveInstance().Store(), "a store that somebody knows is not replaced")
	require.NoError(t, v.Engine().Validate(fibonacci))
}

func TestF069TwoVMsOnOneStore(t *testing.T) {
	store := wasmer.Must(wasmer.NewStore(nil))
	defer store.Close()
	one, two := newVM(t, vm.Config{Store: store}), newVM(t, vm.Config{Store: store})
	require.Same(t, store, one.Store())
	require.NoError(t, one.RegisterBytes(background, "mod", fibonacci))
	require.ErrorIs(t, two.RegisterBytes(background, "mod", fibonacci), wasmer.ErrNameTaken)
	require.Contains(t, two.Registered(), "mod")
	ready(t, two, importer)
	gives(t, 2*121393, two, "twice", 25)
	ready(t, one, counter)
	gives(t, 1, one, "next")
	require.NotSame(t, one.ActiveInstance(), two.ActiveInstance())

	// Each goes on when the other is cleaned up, or closed.
	require.NoError(t, two.RegisterBytes(background, "other", []byte(answer)))
	require.NoError(t, two.Cleanup())
	gives(t, 2, one, "next")
	require.Contains(t, two.Registered(), "mod")
	require.NotContains(t, two.Registered(), "other")
	require.NoError(t, one.Close())
	require.NotContains(t, two.Registered(), "mod", "it was the other's")
	ready(t, two, counter)
	gives(t, 1, two, "next")
	require.NoError(t, store.Close())
	require.ErrorIs(t, two.Instantiate(background), wasmer.ErrClosed, "F024: a store must outlive its VMs")
}

func TestF069VMsOnOneStoreTakeTurns(t *testing.T) {
	store := wasmer.Must(wasmer.NewStore(nil))
	defer store.Close()
	var calls []*wasmer.Async
	for range 4 {
		v := newVM(t, vm.Config{Store: store})
		ready(t, v, string(fibonacci))
		for range 4 {
			calls = append(calls, v.AsyncExecute(background, "fib", 15))
		}
	}
	for _, call := range calls {
		require.Equal(t, int32(987), wasmer.Must(call.Result())[0].ToI32())
	}
}

func TestF073MissingPluginsAreMocked(t *testing.T) {
	for _, name := range []string{
		"wasi_ephemeral_crypto_asymmetric_common", "wasi_ephemeral_crypto_common", "wasi_ephemeral_crypto_kx",
		"wasi_ephemeral_crypto_signatures", "wasi_ephemeral_crypto_symmetric", "wasi_ephemeral_nn", "wasi_snapshot_preview1",
		"wasmedge_httpsreq", "wasmedge_process", "wasi:logging/logging",
	} {
		source := `(module (import "` + name + `" "f" (func $f (param i32 i64) (result i32)))
			(func (export "call") (result i32) (call $f (i32.const 1) (i64.const 2))))`
		v := newVM(t, vm.Config{})
		ready(t, v, source)
		_, err := v.Execute(background, "call")
		var missing *wasmer.MissingPluginError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, []string{name, "f"}, []string{missing.Module, missing.Function})

		without := newVM(t, vm.Config{NoMocks: true})
		require.NotContains(t, without.Registered(), name)
		_, err = without.RunBytes(background, []byte(source), "call")
		require.ErrorAs(t, err, new(*wasmer.LinkError))

		// What is really there takes the place.
		require.NoError(t, v.RegisterHost(wasmer.NewImports().Namespace(name).Function("f", func(int32, int64) int32 { return 5 })))
		require.NoError(t, v.Instantiate(background))
		gives(t, 5, v, "call")
	}
}

func TestF072ModulesOfPluginsAreRegistered(t *testing.T) {
	if wasmer.FindPlugin("vm-test") == nil { // it stays: tests may run several times
		require.NoError(t, wasmer.RegisterPlugin(testPlugin))
	}
	source := `(module (import "vm_test" "f" (func $f (result i32))) (func (export "call") (result i32) (call $f)))`
	v := newVM(t, vm.Config{})
	require.Contains(t, v.Registered(), "vm_test")
	for range 2 { // Cleanup makes them anew
		ready(t, v, source)
		gives(t, 7, v, "call")
		require.NoError(t, v.Cleanup())
	}
	own := newVM(t, vm.Config{HostModules: []wasmer.HostModule{
		wasmer.NewImports().Namespace("vm_test").Function("f", func() int32 { return 8 }),
	}})
	ready(t, own, source)
	gives(t, 8, own, "call")
	forbidden := newVM(t, vm.Config{ForbiddenPlugins: []string{"vm-test"}})
	require.NotContains(t, forbidden.Registered(), "vm_test")
}

// testPlugin is a plug-in of these tests.
var testPlugin = wasmer.PluginConfig{
	Name: "vm-test",
	Modules: map[string]func() (wasmer.HostModule, error){
		"vm_test": func() (wasmer.HostModule, error) {
			return wasmer.NewImports().Namespace("vm_test").Function("f", func() int32 { return 7 }), nil
		},
	},
}
