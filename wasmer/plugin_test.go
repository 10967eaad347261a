package wasmer_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// constantModule is a host module with one function.
type constantModule int32

func (a constantModule) AddTo(imports *wasmer.Imports) {
	imports.Namespace("test_answer").Function("answer", func() int32 { return int32(a) })
}

var errNoAnswer = errors.New("no answer")

// Plug-ins stay until the process ends, so these are registered once.
var registerTestPlugin = sync.OnceValue(func() error {
	return wasmer.RegisterPlugin(wasmer.PluginConfig{
		Name: "test_go", Version: "1.2.3", Description: "for tests",
		Modules: map[string]func() (wasmer.HostModule, error){
			"test_answer": func() (wasmer.HostModule, error) { return constantModule(42), nil },
			"refused":     func() (wasmer.HostModule, error) { return nil, errNoAnswer },
			"nothing":     func() (wasmer.HostModule, error) { return nil, nil },
		},
	})
})

func TestF128PluginsAreListedAndMakeModules(t *testing.T) {
	require.NoError(t, registerTestPlugin())
	require.Contains(t, wasmer.ListPlugins(), "test_go")
	plugin := wasmer.FindPlugin("test_go")
	require.Equal(t, []string{"test_go", "1.2.3", "for tests", ""}, []string{plugin.Name(), plugin.Version(), plugin.Description(), plugin.Path()})
	require.Equal(t, []string{"nothing", "refused", "test_answer"}, plugin.Modules())
	module, err := plugin.NewModule("test_answer")
	require.NoError(t, err)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, `(module (import "test_answer" "answer" (func $f (result i32))) (export "answer" (func $f)))`,
			wasmer.NewImports().Add(module))
		require.EqualValues(t, 42, call(t, instance, "answer").ToI32())
	})

	for name, want := range map[string]error{"missing": wasmer.ErrNotFound, "refused": errNoAnswer, "nothing": nil} {
		_, err := plugin.NewModule(name)
		var failed *wasmer.PluginError
		require.ErrorAs(t, err, &failed, name)
		require.Equal(t, "test_go", failed.Name)
		require.Equal(t, want, failed.Err)
		require.ErrorContains(t, err, name)
	}
}

func TestF128WhatIsNoPluginIsEmpty(t *testing.T) {
	require.NotContains(t, wasmer.ListPlugins(), "test_missing")
	plugin := wasmer.FindPlugin("test_missing")
	require.Nil(t, plugin)
	require.Empty(t, plugin.Name()+plugin.Version()+plugin.Description()+plugin.Path())
	require.Empty(t, plugin.Modules())
	_, err := plugin.NewModule("test_answer")
	require.ErrorIs(t, err, wasmer.ErrNotFound)
}

func TestWhatIsNoPluginIsRefused(t *testing.T) {
	require.NoError(t, registerTestPlugin())
	modules := func(names ...string) map[string]func() (wasmer.HostModule, error) {
		all := map[string]func() (wasmer.HostModule, error){}
		for _, name := range names {
			all[name] = func() (wasmer.HostModule, error) { return constantModule(1), nil }
		}
		return all
	}
	for message, config := range map[string]wasmer.PluginConfig{
		"name is empty":           {Modules: modules("m")},
		"longer than 256 bytes":   {Name: strings.Repeat("n", 257), Modules: modules("m")},
		"printable text":          {Name: "a\nb", Modules: modules("m")},
		"is no printable":         {Name: "a\xff", Modules: modules("m")},
		"longer than 4096 bytes":  {Name: "test_refused", Version: strings.Repeat("v", 4097), Modules: modules("m")},
		"or no UTF-8":             {Name: "test_refused", Description: "\xff", Modules: modules("m")},
		"no modules":              {Name: "test_refused"},
		"of a module is empty":    {Name: "test_refused", Modules: modules("m", "")},
		"of a module is no":       {Name: "test_refused", Modules: modules("\x00")},
		`"m" is made by a nil`:    {Name: "test_refused", Modules: map[string]func() (wasmer.HostModule, error){"m": nil}},
		"by a plug-in written in": {Name: "test_go", Modules: modules("m")},
	} {
		err := wasmer.RegisterPlugin(config)
		require.ErrorAs(t, err, new(*wasmer.PluginError), message)
		require.ErrorContains(t, err, message)
		require.Equal(t, config.Name == "test_go", errors.Is(err, wasmer.ErrNameTaken), message)
	}
	require.Nil(t, wasmer.FindPlugin("test_refused"))
	require.Equal(t, "1.2.3", wasmer.FindPlugin("test_go").Version(), "the first stays")
}

func TestPluginsAreUsedByManyGoroutines(t *testing.T) {
	require.NoError(t, registerTestPlugin())
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 100 {
				assert.Error(t, wasmer.RegisterPlugin(wasmer.PluginConfig{Name: "test_go"}))
				_, err := wasmer.FindPlugin(wasmer.ListPlugins()[0]).NewModule("missing")
				assert.Error(t, err)
			}
		})
	}
	wait.Wait()
}
