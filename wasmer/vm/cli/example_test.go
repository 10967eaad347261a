package cli_test

import (
	"context"
	"fmt"
	"os"

	"github.com/wasmerio/go-ext-wasm/wasmer/vm/cli"
)

// E20: WasmEdge's command line in a program, as
//
//	func main() { os.Exit(cli.Unified(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr)) }
func Example_e20CommandLine() {
	args := []string{"wasmedge", "run", "--reactor", "../../../testdata/fib.wasm", "fib", "10"}
	status := cli.Unified(context.Background(), args, os.Stdin, os.Stdout, os.Stderr)
	fmt.Println(status)
	// Output:
	// 89
	// 0
}
