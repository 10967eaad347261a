//go:build !cgo

package ffi

// Without cgo there is no way to the engine; the undefined name says what to do.
var _ = this_package_needs_cgo_set_CGO_ENABLED_1_and_install_a_C_compiler
