// Command wasip1_hello prints its arguments and its environment, one a line.
package main

import "os"

// Written without fmt, which would add a megabyte to the binary.
func main() {
	for _, arg := range os.Args {
		os.Stdout.WriteString("arg " + arg + "\n")
	}
	for _, env := range os.Environ() {
		os.Stdout.WriteString("env " + env + "\n")
	}
}
