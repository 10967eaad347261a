//go:build race

package wasmer_test

// residentLimit leaves room for what the race detector keeps of all memory that was ever used.
const residentLimit = 4 << 30
