// Command wasip1_reactor is a library: its host calls _initialize once, then
// the exports as often as it likes.
package main

var total int64

//go:wasmexport add
func add(x, y int32) int32 { return x + y }

// accumulate shows that state lives on between calls.
//
//go:wasmexport accumulate
func accumulate(n int64) int64 {
	total += n
	return total
}

func main() {}
