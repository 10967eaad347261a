//go:build wasmer_bounded

package wasmer

// With this build tag the tests run with bounded memories where they do not choose.
const defaultMemories = BoundedMemories
