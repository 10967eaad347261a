// Package cgo holds what the benchmarks need of C: the yardstick of the call benchmarks, and how two Rust
// archives link into one program.
package cgo

// This library and wasmtime-go each bring a Rust standard library, and both define rust_eh_personality, which
// linkers refuse. Either definition serves both, because it reads the exception tables of the C++ ABI, which
// Rust releases share. TestTraps and TestRuntimesAgree would show it if that ever changed.

/*
#cgo linux LDFLAGS: -Wl,--allow-multiple-definition
#cgo noescape empty
#cgo nocallback empty

static void empty(void) {}
*/
import "C"

// Empty is the least that a call from Go to C can do.
func Empty() { C.empty() }
