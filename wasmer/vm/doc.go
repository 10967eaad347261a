// Package vm runs modules in one shot: a VM loads, validates and instantiates a module, keeps others registered under names for
// it to import from, and calls exports by name. It is a facade of package wasmer, whose engines, stores and instances it shows.
//
//	v := vm.New(vm.Config{WASI: true})
//	defer v.Close()
//	values, err := v.RunFile(ctx, "fibonacci.wasm", "fib", 21)
//
// # States
//
// A VM is Initiated, and goes on by Load (from any state to Loaded), Validate (to Validated) and Instantiate (to Instantiated), in
// which Execute may be called any number of times. Registering something in the state Instantiated leads back to Validated: the
// module has to be instantiated again, which may import it then. Cleanup leads back to Initiated. Whatever is called in a
// state that it does not suit is a *StateError, and changes nothing.
//
// # Files that others bring
//
// What was compiled is loaded and run like WebAssembly, and is machine code: whoever makes such a file can do what this process
// can. Set Config.WebAssemblyOnly where files are not your own.
//
// # Those who know WasmEdge
//
// The VM is WasmEdge's, with its states, defaults and error codes (wasmer.ErrorCode). There is no interpreter: where WasmEdge
// can be forced to interpret, Config.ForceBaseline compiles with Singlepass, in linear time. MIGRATING.md has a line for each call.
package vm
