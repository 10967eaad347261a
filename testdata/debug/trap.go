//go:build wasip1

// A Go guest that traps: the runtime checks nil pointers and divisors, but not what unsafe does.
package main

import "unsafe"

type box struct{ addresses []uintptr }

func peek(address uintptr) byte { return *(*byte)(unsafe.Pointer(address)) }

//go:noinline
func (b *box) sum() (sum int) {
	for _, address := range b.addresses {
		sum += int(peek(address))
	}
	return sum
}

func main() {
	b := &box{[]uintptr{0xffff_ffff}}
	println(b.sum())
}
