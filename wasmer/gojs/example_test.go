package gojs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/gojs"
)

// A program built with GOOS=js GOARCH=wasm reads its input, and exits with a code.
func Example() {
	wasm, err := buildHello()
	if err != nil {
		fmt.Println(err)
		return
	}
	module, err := wasmer.Compile(wasm)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer module.Close()
	err = gojs.Run(context.Background(), module, wasmer.WASIConfig{
		Args:   []string{"hello", "Wasmer"},
		Stdin:  strings.NewReader("one\ntwo\nthree\n"),
		Stdout: os.Stdout,
	})
	var exit *wasmer.ExitError
	if errors.As(err, &exit) {
		fmt.Println("exit code", exit.Code)
	}
	// Output:
	// Hello, Wasmer: 3 lines
	// exit code 3
}

// buildHello compiles testdata/hello; programs usually come as a file.
func buildHello() ([]byte, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return nil, err
	}
	return build("./testdata/hello")
}
