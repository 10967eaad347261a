// Package wasmer runs WebAssembly at native speed: wasmer's compilers behind a Go API.
//
//	instance, err := wasmer.NewInstance(wasm) // .wasm, or the text format
//	if err != nil {
//		return err
//	}
//	defer instance.Close()
//	result, err := instance.Exports["sum"](5, 37)
//
// # Handles
//
// An Engine compiles a Module, from which instances are made; an Instance offers Functions, Memories, Tables and Globals. A
// Store holds instances that share such things; each instance makes one of its own unless told otherwise.
//
// # Linking
//
// Instances of one store can import what others export: by an Imports list, or under the names that instances have in the
// store. The host takes part with Store.NewFunction, NewMemory, NewTable and NewGlobal, and with NewInstance, which puts
// such things under a name. What belongs to one store is ErrStoreMismatch in another.
//
// # References
//
// A funcref is a *Function of the store, an externref any Go value. A Go value that a guest holds is kept alive until the
// guest lets go of it: its tables and globals are looked through after collections of Go's garbage, while none of its
// functions runs.
//
// # WASI
//
// Imports.WASI gives a guest arguments, environment, streams, files, clocks, randomness and sockets, as a WASIConfig says;
// nothing else of the host is there for it. Instance.Start runs a command. A guest that exits, by itself, by
// Caller.Exit or CloseWithExitCode, is closed: calls that this cuts short, and later ones, are *ExitError with its code.
//
// # Stopping
//
// A call ends when its context does, wherever the guest is: the error is ErrInterrupted, and that of the context. The instance
// can be called again; its memory is as the guest left it. Closing an instance, its store or its engine ends calls with
// *ExitError. Host functions get the context of the call, and are not cut short.
//
// # Lifetimes
//
// Close frees at once what no call is using any more; what is not closed is freed when it is collected. Holding a
// Function or Memory keeps its instance alive. After Close every use is ErrClosed. Close of nil, or a second Close, does
// nothing.
//
// # Goroutines
//
// Everything may be shared by goroutines. Engines and modules work in parallel; calls into one instance run one at a
// time and wait for each other, as long as their context lets them. A host function may call back into its own instance,
// on the goroutine that it was called on. Parallel work takes an instance for each goroutine.
//
// # Errors
//
// A module that is refused is a *CompileError, imports that do not fit are a *LinkError, a guest's failure is a *Trap
// whose code errors.Is tells, its exit an *ExitError. An error of a host function comes out of the call as the same
// error; a panic goes on in the caller's goroutine. runtime.Goexit in a host function ends that goroutine, and closes the
// guest's store. Errors have numbers, too: see ErrorCode.
package wasmer
