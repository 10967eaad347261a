//go:build js && wasm

// Command guest is what the tests run: its first argument chooses what it does.
package main

import (
	"fmt"
	"os"
	"strings"
)

// programs are the things that it can do, by name. They fail by panicking.
var programs = map[string]func(args []string){}

func main() {
	if len(os.Args) < 2 {
		fmt.Println(len(os.Args), "arguments, environment:", strings.Join(os.Environ(), " "))
		return
	}
	program, ok := programs[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "there is no program", os.Args[1])
		os.Exit(64)
	}
	program(os.Args[2:])
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func expect(ok bool, message string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(message, args...))
	}
}
