// Command hello is the smallest program that uses the library: it prints 42.
package main

import (
	"fmt"
	"log"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const source = `(module
  (func (export "sum") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1))))`

func main() {
	instance, err := wasmer.NewInstance([]byte(source))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	result, err := instance.Exports["sum"](5, 37)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.ToI32())
}
