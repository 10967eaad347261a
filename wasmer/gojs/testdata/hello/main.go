//go:build js && wasm

// Command hello greets, and exits with the number of lines that it was given.
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	lines := 0
	for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); {
		lines++
	}
	fmt.Printf("Hello, %s: %d lines\n", os.Args[1], lines)
	os.Exit(lines)
}
