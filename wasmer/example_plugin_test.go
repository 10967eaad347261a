package wasmer_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Dice is a host module: an extension of guests.
type Dice struct{ faces int32 }

// AddTo defines its functions.
func (d Dice) AddTo(imports *wasmer.Imports) {
	imports.Namespace("dice").Function("faces", func() int32 { return d.faces })
}

// A package that brings a plug-in registers it when it is imported.
func init() {
	err := wasmer.RegisterPlugin(wasmer.PluginConfig{
		Name: "games", Version: "1.0.0", Description: "what games need",
		Modules: map[string]func() (wasmer.HostModule, error){
			"dice": func() (wasmer.HostModule, error) { return Dice{6}, nil },
		},
	})
	if err != nil {
		panic(err)
	}
}

// A program that knows nothing of a plug-in gives its modules to a guest.
func ExampleRegisterPlugin() {
	games := wasmer.FindPlugin("games")
	fmt.Println(games.Name(), games.Version(), games.Modules())

	imports := wasmer.NewImports()
	for _, name := range games.Modules() {
		module, err := games.NewModule(name)
		if err != nil {
			log.Fatal(err)
		}
		imports.Add(module)
	}
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module
		(import "dice" "faces" (func $faces (result i32)))
		(export "faces" (func $faces)))`), imports)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	fmt.Println(instance.Exports["faces"]())
	// Output:
	// games 1.0.0 [dice]
	// 6 <nil>
}

// A guest links although a plug-in is missing, and learns which when it needs it.
func ExampleMockModules() {
	imports := wasmer.NewImports()
	for _, mock := range wasmer.MockModules() {
		imports.Add(mock)
	}
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module
		(import "wasi_ephemeral_nn" "compute" (func $compute (param i32) (result i32)))
		(func (export "infer") (result i32) (call $compute (i32.const 0)))
		(func (export "answer") (result i32) (i32.const 42)))`), imports)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	fmt.Println(instance.Exports["answer"]())

	_, err = instance.Exports["infer"]()
	var missing *wasmer.MissingPluginError
	if errors.As(err, &missing) {
		fmt.Println(missing.Plugin)
	}
	// Output:
	// 42 <nil>
	// wasi_nn
}

// A shared library made of C adds modules that guests call without passing through Go. See wasmer_plugin.h.
func ExampleLoadPlugins() {
	const source = `
		#include "wasmer_plugin.h"

		static int32_t add(wasmer_native_call *call, int32_t a, int32_t b) { (void)call; return a + b; }

		static const wasmer_plugin_function functions[] = {
			{"add", "i32 i32", "i32", WASMER_PLUGIN_FUNCTION(add), WASMER_PLUGIN_LEAF},
		};
		static const wasmer_plugin_module modules[] = {{"arithmetic", functions, 1, NULL, NULL}};
		static const wasmer_plugin plugin = {WASMER_PLUGIN_ABI, "example", "1.0.0", "adds numbers", modules, 1};

		WASMER_PLUGIN_EXPORT const wasmer_plugin *wasmer_plugin_describe(void) { return &plugin; }`

	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	library := filepath.Join(folder, "example.so")
	build := exec.Command("cc", "-shared", "-fPIC", "-I", ".", "-o", library, "-x", "c", "-")
	build.Stdin = strings.NewReader(source)
	if err := build.Run(); err != nil {
		log.Fatal(err)
	}

	found, err := wasmer.LoadPlugins(library) // LoadDefaultPlugins finds those that are installed
	if err != nil {
		log.Fatal(err)
	}
	for _, plugin := range found {
		fmt.Println(plugin.Name(), plugin.Version(), plugin.Modules())
	}
	arithmetic, err := wasmer.FindPlugin("example").NewModule("arithmetic")
	if err != nil {
		log.Fatal(err)
	}
	instance, err := wasmer.NewInstanceWithImports([]byte(`(module
		(import "arithmetic" "add" (func $add (param i32 i32) (result i32)))
		(func (export "sum") (param i32 i32 i32) (result i32)
			(call $add (call $add (local.get 0) (local.get 1)) (local.get 2))))`), wasmer.NewImports().Add(arithmetic))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	fmt.Println(instance.Exports["sum"](1, 2, 39))
	// Output:
	// example 1.0.0 [arithmetic]
	// 42 <nil>
}
