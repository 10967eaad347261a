package wasmer_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Where a guest failed: the functions, and the lines of its source if it was built with debug information.
func ExampleFrame_Source() {
	wasm, err := wasmer.ReadBytes("../testdata/debug/chain.wasm")
	if err != nil {
		log.Fatal(err)
	}
	instance, err := wasmer.NewInstance(wasm)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()

	_, err = instance.Exports["run"](5)
	fmt.Println(err)

	var trap *wasmer.Trap
	if errors.As(err, &trap) {
		for _, location := range trap.Frames[0].Source() {
			fmt.Println(location.Function, location.Line, location.Inlined)
		}
	}
	// Output:
	// wasmer: module[] function[run] failed: wasm error: unreachable
	// wasm stack trace:
	// 	.leaf(i32) i32
	// 		0x6b: /guests/chain.c:5:3 (inlined)
	// 		      /guests/chain.c:9:71 (inlined)
	// 		      /guests/chain.c:12:9
	// 	.middle(i32) i32
	// 		0x56: /guests/chain.c:16:9
	// 	.run(i32) i32
	// 		0x45: /guests/chain.c:20:9
	// check 5 true
	// step 9 true
	// leaf 12 false
}

// A profile of all guests, to be read with: go tool pprof -top guest.pprof
func ExampleStartProfile() {
	var profile bytes.Buffer // or a file
	running, err := wasmer.StartProfile(&profile, wasmer.ProfileConfig{})
	if errors.Is(err, wasmer.ErrUnsupported) {
		return // it takes Linux
	}
	if err != nil {
		log.Fatal(err)
	}
	// ... guests run ...
	if err := running.Stop(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(profile.Len() > 0)
	// Output: true
}

// Names of guests' functions for perf record and perf report.
func ExampleStartPerfMap() {
	path, err := wasmer.StartPerfMap()
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(path)
	defer wasmer.StopPerfMap()
	module, err := wasmer.Compile([]byte(`(module $shop (func $price))`))
	if err != nil {
		log.Fatal(err)
	}
	defer module.Close()

	names, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bytes.Contains(names, []byte(" shop.price\n")))
	// Output: true
}
