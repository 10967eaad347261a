// Package cgo lets two Rust archives link into one program.
package cgo

// This library and wasmtime-go each bring a Rust standard library, and both define rust_eh_personality, which
// linkers refuse. Either definition serves both, because it reads the exception tables of the C++ ABI, which
// Rust releases share.

// #cgo linux LDFLAGS: -Wl,--allow-multiple-definition
import "C"
