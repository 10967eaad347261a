package wasmer_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// importing imports a function of the module that exists nowhere, and one that exists in the test, and exports them.
const importing = `(module (import %[1]q "unheard_of" (func $a (param i64 externref) (result f64 funcref))) (import %[1]q "one" (func $b (result i32)))
	(func (export "unheard_of") (drop (drop (call $a (i64.const 1) (ref.null extern)))))
	(export "one" (func $b)))`

func mocks() *wasmer.Imports {
	imports := wasmer.NewImports()
	for _, mock := range wasmer.MockModules() {
		imports.Add(mock)
	}
	return imports
}

func TestF073KnownModulesAreMocked(t *testing.T) {
	plugins := map[string]string{
		"wasi_ephemeral_crypto_asymmetric_common": "wasi_crypto",
		"wasi_ephemeral_crypto_common":            "wasi_crypto",
		"wasi_ephemeral_crypto_kx":                "wasi_crypto",
		"wasi_ephemeral_crypto_signatures":        "wasi_crypto",
		"wasi_ephemeral_crypto_symmetric":         "wasi_crypto",
		"wasi_ephemeral_nn":                       "wasi_nn",
		"wasi_snapshot_preview1":                  "wasi",
		"wasmedge_httpsreq":                       "wasmedge_httpsreq",
		"wasmedge_process":                        "wasmedge_process",
		"wasi:logging/logging":                    "wasi_logging",
	}
	require.Len(t, wasmer.MockModules(), len(plugins))
	for _, mock := range wasmer.MockModules() {
		require.Equal(t, plugins[mock.Name], mock.Plugin)
		module, err := wasmer.Compile([]byte(fmt.Sprintf(importing, mock.Name)))
		require.NoError(t, err)
		_, err = wasmer.Instantiate(background, module, nil)
		require.ErrorAs(t, err, new(*wasmer.LinkError), "without a mock it does not link")
		if mock.Plugin != "wasi" {
			require.ErrorContains(t, err, "of the plug-in "+mock.Plugin)
			_, err = wasmer.Instantiate(background, module, wasmer.NewImports().Namespace(mock.Name).Function("won", func() {}))
			require.ErrorContains(t, err, `is "won" meant?`, "the plug-in is there")
		}

		instance, err := wasmer.Instantiate(background, module, mocks())
		require.NoError(t, err, mock.Name)
		for _, function := range []string{"unheard_of", "one", "one"} {
			var missing *wasmer.MissingPluginError
			require.ErrorAs(t, failing(t, instance, function), &missing)
			require.Equal(t, wasmer.MissingPluginError{Plugin: mock.Plugin, Module: mock.Name, Function: function}, *missing)
			if mock.Plugin == "wasi" {
				require.ErrorContains(t, missing, "WASI is not configured")
			} else {
				require.ErrorContains(t, missing, "plug-in "+mock.Plugin+" is not installed")
			}
		}
		require.NoError(t, instance.Close())
		require.NoError(t, module.Close())
	}
}

func TestF073WhatIsDefinedGoesBeforeMocks(t *testing.T) {
	const nn = "wasi_ephemeral_nn"
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, fmt.Sprintf(importing, nn))
		one := func() int32 { return 1 }
		for name, imports := range map[string]*wasmer.Imports{
			"before": wasmer.NewImports().Namespace(nn).Function("one", one).Add(wasmer.MockModule{nn, "wasi_nn"}),
			"after":  mocks().Namespace(nn).Function("one", one),
		} {
			instance := instantiateFrom(t, module, imports)
			require.EqualValues(t, 1, call(t, instance, "one").ToI32(), name)
			require.ErrorAs(t, failing(t, instance, "unheard_of"), new(*wasmer.MissingPluginError))
		}

		store := newStore(t, engine)
		instantiateNamed(t, store, engine, nn, `(module (func (export "one") (result i32) i32.const 2))`)
		linked, err := store.Instantiate(background, "", module, mocks().StubUnknown())
		require.NoError(t, err)
		require.EqualValues(t, 2, call(t, linked, "one").ToI32())
		require.ErrorAs(t, failing(t, linked, "unheard_of"), new(*wasmer.MissingPluginError), "a mock knows more than a stub")

		_, err = wasmer.Instantiate(background, compile(t, engine, `(module (import "wasi_ephemeral_nn" "memory" (memory 1)))`), mocks())
		require.ErrorAs(t, err, new(*wasmer.LinkError), "only functions are mocked")
	})
}

func TestMocksOfImportsThatEnd(t *testing.T) {
	closed := wasmer.NewImports()
	closed.Close()
	_, err := wasmer.NewInstanceWithImports([]byte("(module)"), closed.Add(wasmer.MockModules()[0]))
	require.ErrorIs(t, err, wasmer.ErrClosed)
	wasmer.MockModules()[0].AddTo(nil)

	object := wasmer.NewImportObject()
	require.NoError(t, object.Extend(mocks()))
	module, err := wasmer.Compile([]byte(fmt.Sprintf(importing, "wasmedge_process")))
	require.NoError(t, err)
	defer module.Close()
	instance, err := module.InstantiateWithImportObject(object)
	require.NoError(t, err)
	defer instance.Close()
	_, err = instance.Exports["one"]()
	require.True(t, errors.As(err, new(*wasmer.MissingPluginError)))
}
