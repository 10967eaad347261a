//go:build js && wasm

// Command exports shares functions with its host in both directions.
package main

import "fmt"

//go:wasmimport env twice
func twice(x int32) int32

//go:wasmexport add
func add(x, y int32) int32 {
	sum := make(chan int32)
	go func() { sum <- x + y }()
	return <-sum
}

func main() { fmt.Println(twice(21)) }
