// Package benchmarks compares runtimes of WebAssembly for Go. README.md says how to run it and how to add one.
package benchmarks

import "slices"

// A rival is one runtime in one configuration.
type rival struct {
	name string
	// interpreted marks a rival that only takes part in the light computations.
	interpreted bool
	open        func(setup) (engine, error)
	// slow marks a rival that takes minutes to compile a large program.
	slow bool
	// lacksSIMD marks a rival that takes no part where a program has SIMD.
	lacksSIMD bool
	// filesOnly marks a rival that can give a guest's standard streams files only, not readers and writers of Go.
	filesOnly bool
	// hostForms are the ways of this runtime to write a host function that adds one to an i32.
	hostForms []hostForm
}

// A setup says what an engine is made for.
type setup struct {
	// hosts are what its modules can import.
	hosts hosts
	// allCores has it compile on all cores, not on one.
	allCores bool
	// cache is a folder where it keeps what it compiles, and looks for it; empty for none.
	cache string
}

// hosts are Go functions by the name under which guests import them from the namespace "env".
// Each is one of the rival's host forms.
type hosts map[string]any

type hostForm struct {
	name string
	fn   any
	// emits says that it has no result, and counts itself in emitted.
	emits bool
}

// emitted counts the calls of host functions that emit.
var emitted int

func emit(int32) { emitted++ }

type engine interface {
	compile(wasm []byte) (module, error)
	// provideWASI lets modules import WASI.
	provideWASI() error
	close() error
}

// A filer is an engine that can load a module from a file that such an engine has made of it.
type filer interface {
	save(m module, name string) error
	load(name string) (module, error)
}

type module interface {
	instantiate() (instance, error)
	// settle instantiates with WASI, and runs nothing.
	settle(w world) (instance, error)
	close() error
}

// A pooler is a module that can hand out instances that were used before, each as if it were new.
type pooler interface {
	pool() (pool, error)
}

type pool interface {
	get() (instance, error)
	put(i instance) error
	close() error
}

type instance interface {
	// function finds an export and chooses this runtime's fastest way to call it.
	function(name string) (function, error)
	// sumForms are all ways to call the export "sum" with 5 and 37.
	sumForms() ([]callForm, error)
	// greeter finds the export "greet" of ../testdata/greet.wasm and the guest's allocator, by which it then passes names, and
	// returns what that says.
	greeter() (func(name string) (string, error), error)
	// poke writes a byte to the middle of the instance's memory.
	poke() error
	// start runs a command to its end. An exit with 0 is none of the errors.
	start() error
	close() error
}

// A function takes i32 arguments and returns the bits of its single result.
type function func(args ...int32) (uint64, error)

// maxArgs is the most that a function is called with.
const maxArgs = 16

type callForm struct {
	name string
	call func() (int32, error)
	// batch is how many calls call makes at once; 0 for one.
	batch int
}

// addOne is a host function as plain as all rivals take it, most of them by reflection.
func addOne(x int32) int32 { return x + 1 }

// runtimes lists every rival that this machine can run.
func runtimes() []rival {
	return slices.Concat(wasmerRivals(), wazeroRivals(), wasmtimeRivals())
}

// quick leaves out the rivals that take minutes for what is large.
func quick(rivals []rival) []rival {
	return slices.DeleteFunc(rivals, func(r rival) bool { return r.slow })
}

// compilers lists the rivals that compile to machine code.
func compilers() []rival {
	return slices.DeleteFunc(runtimes(), func(r rival) bool { return r.interpreted })
}
