//go:build !race

package wasmer_test

// residentLimit is what the tests together may keep.
const residentLimit = 1 << 30
