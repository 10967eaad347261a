package wasmer_test

import (
	"context"
	"fmt"
	"os"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// The command line in a program of one's own.
func ExampleRunCLI() {
	args := []string{"run", "../testdata/simple.wasm", "--invoke", "sum", "5", "37"}
	status := wasmer.RunCLI(context.Background(), args, os.Stdin, os.Stdout, os.Stderr)
	fmt.Println("status", status)

	args = []string{"run", "--env", "WHO=you", "../testdata/wasip1_hello.wasm", "there"}
	status = wasmer.RunCLI(context.Background(), args, os.Stdin, os.Stdout, os.Stderr)
	fmt.Println("status", status)
	// Output:
	// 42
	// status 0
	// arg wasip1_hello.wasm
	// arg there
	// env WHO=you
	// status 0
}
