// Command wasmer-go runs, inspects, validates and translates WebAssembly modules.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// The exit statuses.
const (
	success = iota
	failure
	misuse
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the command without the process around it.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, overview())
		return misuse
	}
	name := args[0]
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-version", "--version":
		name = "version"
	}
	cmd := find(name)
	if cmd == nil {
		fmt.Fprintln(stderr, "wasmer-go: "+printable(unknown(name)))
		return misuse
	}
	in, err := parse(cmd, args[1:])
	in.stdin = stdin
	if errors.Is(err, errHelp) {
		in.out.WriteString(cmd.text())
		err = nil
	} else if err == nil {
		err = cmd.do(in)
	}
	if err == nil {
		// What is written in one piece is there as a whole, or its failure is seen.
		if _, err = in.out.WriteTo(stdout); err != nil {
			err = explain("stdout", err)
		}
	}
	var usage *usageError
	switch {
	case err == nil:
		return success
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "wasmer-go: %s: %s\n%s\n", name, printable(usage.message), see(name))
		return misuse
	}
	fmt.Fprintln(stderr, "wasmer-go: "+printable(err.Error()))
	return failure
}

func unknown(name string) string {
	message := fmt.Sprintf("there is no command %q", name)
	if _, err := os.Stat(name); err == nil {
		message += fmt.Sprintf("; to run a file: wasmer-go run %s", name)
	}
	return message + "\n" + see("help")
}

func see(command string) string {
	if command == "help" {
		return "See: wasmer-go help"
	}
	return "See: wasmer-go help " + command
}

// command is one of the words after wasmer-go.
type command struct {
	name, synopsis, summary, help string
	// options tells for each option whether a value follows it.
	options map[string]bool
	// file says that the command works on a FILE, optional that there may be one other word.
	file, optional bool
	do             func(*input) error
}

// The list is made by a function because help, which is in it, needs it.
func commands() []*command {
	return []*command{runCommand, inspectCommand, validateCommand, wat2wasmCommand, versionCommand, {
		name: "help", synopsis: "[COMMAND]", summary: "explain the commands", optional: true, do: help,
	}}
}

func find(name string) *command {
	for _, cmd := range commands() {
		if cmd.name == name {
			return cmd
		}
	}
	return nil
}

func overview() string {
	var b strings.Builder
	b.WriteString("wasmer-go runs, inspects, validates and translates WebAssembly modules.\n\nCommands:\n")
	for _, cmd := range commands() {
		fmt.Fprintf(&b, "  %-60s %s\n", strings.TrimSpace(cmd.name+" "+cmd.synopsis), cmd.summary)
	}
	b.WriteString(`
FILE is a .wasm binary or .wat text, told apart by its content; - reads stdin.
wasmer-go help COMMAND tells more.

Exit status: 0 success, 1 the guest or the operation failed, 2 wrong usage.
`)
	return b.String()
}

func (c *command) text() string {
	text := strings.TrimSpace("wasmer-go "+c.name+" "+c.synopsis) + "\n\n"
	return text + strings.ToUpper(c.summary[:1]) + c.summary[1:] + ".\n" + c.help
}

func help(in *input) error {
	if in.file == "" {
		in.out.WriteString(overview())
		return nil
	}
	cmd := find(in.file)
	if cmd == nil {
		return usagef("there is no command %q", in.file)
	}
	in.out.WriteString(cmd.text())
	return nil
}

var versionCommand = &command{
	name: "version", summary: "show the versions of what this is made of",
	do: func(in *input) error {
		fmt.Fprintf(&in.out, "wasmer-go  %s\nwasmer     %s\ntarget     %s\ncompilers  %s\ngo         %s\n",
			wasmer.Version(), wasmer.EngineVersion(), wasmer.Target(), available(), runtime.Version())
		return nil
	},
}
