//go:build !wasmer_bounded

package wasmer

const defaultMemories = ReservedMemories
