package benchmarks

import (
	leb128 "encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// The guests that are made for a size.

const pageSize = 64 << 10

// withData is a module, whose memory has room for it, with noise of so many bytes at the start of its memory. The text is
// of a module without data, and names the pages of its memory by %d.
func withData(wat string, size int) ([]byte, error) {
	wasm, err := wasmer.Wat2Wasm(fmt.Sprintf(wat, (size+pageSize-1)/pageSize))
	if err != nil {
		return nil, err
	}
	segment := []byte{1, 0, 0x41, 0, 0x0b} // one, active in memory 0, at i32.const 0, end
	segment = leb128.AppendUvarint(segment, uint64(size))
	// The section of data is the last one.
	wasm = append(wasm, 11)
	wasm = leb128.AppendUvarint(wasm, uint64(len(segment)+size))
	return append(append(wasm, segment...), noise(size)...), nil
}

// noise is what no runtime can leave out or make smaller.
func noise(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // never fails
	return data
}

// sumOf is what the export "sum" of dataText computes.
func sumOf(data []byte) uint64 {
	sum := uint32(0)
	for _, b := range data {
		sum += uint32(b)
	}
	return uint64(sum)
}

const dataText = `(module
	(memory (export "memory") %d)
	(func (export "sum") (param $n i32) (result i32) (local $sum i32)
		(loop $again
			(local.set $n (i32.sub (local.get $n) (i32.const 1)))
			(local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $n))))
			(br_if $again (local.get $n)))
		(local.get $sum)))`

// touchText writes a byte to each 4 KiB of its memory, and returns the number of them.
const touchText = `(module
	(memory (export "memory") %d)
	(func (export "touch") (result i32) (local $at i32) (local $end i32)
		(local.set $end (i32.mul (memory.size) (i32.const 65536)))
		(loop $again
			(i32.store8 (local.get $at) (i32.const 1))
			(br_if $again (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4096))) (local.get $end))))
		(i32.div_u (local.get $at) (i32.const 4096))))`

// functionsGuest has so many functions of some work each, and exports the first of them as f0, f1, ...
func functionsGuest(functions, exports int) string {
	var wat strings.Builder
	wat.WriteString("(module")
	for i := range functions {
		name := ""
		if i < exports {
			name = fmt.Sprintf(`(export "f%d")`, i)
		}
		fmt.Fprintf(&wat, `
			(func %s (param $n i32) (result i32) (local $x i32)
				(local.set $x (i32.const %d))
				(loop $again
					(local.set $x (i32.xor (i32.mul (local.get $x) (i32.const 31)) (i32.shr_u (local.get $n) (i32.const 3))))
					(if (i32.and (local.get $x) (i32.const 1)) (then (local.set $x (i32.add (local.get $x) (local.get $n)))))
					(br_if $again (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 0))))
				(local.get $x))`, name, i+1)
	}
	wat.WriteString(")")
	return wat.String()
}

// parametersGuest exports "add", the sum of so many parameters.
func parametersGuest(n int) string {
	sum := "(i32.const 0)"
	for i := range n {
		sum += fmt.Sprintf(" (local.get %d) i32.add", i)
	}
	return `(module (func (export "add") (param` + strings.Repeat(" i32", n) + `) (result i32) ` + sum + `))`
}
