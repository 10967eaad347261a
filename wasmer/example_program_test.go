package wasmer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A string in and a string out: memory of the guest's allocator, its function, and what it gives, in one crossing.
func ExampleProgram() {
	instance, err := wasmer.NewInstance(wasmer.Must(wasmer.ReadBytes("../testdata/greet.wasm")))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	allocate := wasmer.Must(instance.Function("allocate"))
	greet := wasmer.Must(instance.Function("greet"))
	deallocate := wasmer.Must(instance.Function("deallocate"))

	b := instance.NewProgram()
	name := b.Bytes()
	size := b.Add(b.Length(name), 1) // with a NUL
	ptr := b.Call(allocate, size)[0]
	b.Require(ptr)
	b.WriteCString(instance.Memory, ptr, name)
	greeting := b.Call(greet, ptr)[0]
	text := b.ReadCString(instance.Memory, greeting)
	b.Call(deallocate, ptr, size)
	b.Call(deallocate, greeting, b.Add(b.Length(text), 1))
	b.Output(text)
	program, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}

	var out wasmer.ProgramValues
	for _, name := range []string{"Wasmer", "Go"} {
		in := wasmer.ProgramValues{Bytes: [][]byte{[]byte(name)}}
		if err := program.Run(context.Background(), &in, &out); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", out.Bytes[0])
	}
	// Output:
	// Hello, Wasmer!
	// Hello, Go!
}
