//go:build !linux

package wasmer

// lowerPriority does nothing: only Linux gives threads a priority of their own in this way.
func lowerPriority() {}
