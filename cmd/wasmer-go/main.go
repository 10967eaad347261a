// Command wasmer-go runs, inspects, validates and translates WebAssembly modules.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
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
		if _, err = stdout.Write(in.out.Bytes()); err != nil {
			err = explain("stdout", err)
		}
	}
	var usage *usageError
	switch {
	case err == nil:
		return success
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "wasmer-go: %s: %s\nSee: wasmer-go help %s\n", cmd.name, printable(usage.message), cmd.name)
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
	return message + "\nSee: wasmer-go help"
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
		var compilers []string
		for _, c := range wasmer.Compilers() {
			compilers = append(compilers, c.String())
		}
		fmt.Fprintf(&in.out, "wasmer-go  %s\nwasmer     %s\ntarget     %s\ncompilers  %s\ngo         %s\n",
			wasmer.Version(), wasmer.EngineVersion(), wasmer.Target(), strings.Join(compilers, ", "), runtime.Version())
		return nil
	},
}

// input is what a command was given, and its output.
type input struct {
	file    string
	options map[string]string
	// rest is what follows FILE and the name of the function to invoke.
	rest  []string
	stdin io.Reader
	out   bytes.Buffer
}

func (in *input) has(option string) bool {
	_, ok := in.options[option]
	return ok
}

// title names the file in messages.
func (in *input) title() string {
	if in.file == "-" {
		return "stdin"
	}
	return in.file
}

func (in *input) read() ([]byte, error) {
	var data []byte
	var err error
	if in.file == "-" {
		data, err = io.ReadAll(in.stdin)
	} else {
		data, err = wasmer.ReadBytes(in.file)
	}
	if err != nil {
		return nil, explain(in.title(), err)
	}
	return data, nil
}

// explain says where an error comes from, without the prefixes that repeat it.
func explain(title string, err error) error {
	message := strings.TrimPrefix(err.Error(), "wasmer: ")
	var path *fs.PathError
	var compile *wasmer.CompileError
	switch {
	case errors.As(err, &path):
		message = path.Err.Error()
	case errors.As(err, &compile):
		// Where the text parser points at a place, it lacks the file's name.
		message = strings.Replace(strings.TrimPrefix(message, "compile: "), "<anon>:", title+":", 1)
	}
	return fmt.Errorf("%s: %s", title, message)
}

// printable escapes what a terminal would obey: names in modules are anything.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) || r == '\n' || r == '\t' {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// usageError is a command line that makes no sense.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

var errHelp = errors.New("help is asked for")

// parse sorts the words of a command line. Package flag ends at the first word that is no option, and cannot end after
// one that is.
func parse(cmd *command, args []string) (*input, error) {
	in := &input{options: map[string]string{}}
	named, literal := false, false
	for len(args) > 0 {
		if named && in.has("invoke") {
			in.rest = args // from here on -1 is a number
			break
		}
		word := args[0]
		args = args[1:]
		if word == "--" && !literal {
			literal = true
			continue
		}
		if literal || word == "-" || !strings.HasPrefix(word, "-") {
			switch {
			case !cmd.file && !cmd.optional:
				return in, usagef("takes no argument, but is given %q", word)
			case word == "":
				return in, usagef("the name of the file is empty")
			case named && cmd == runCommand:
				return in, usagef("unexpected %q after the file %q; arguments follow --invoke NAME", word, in.file)
			case named:
				return in, usagef("unexpected %q after %q", word, in.file)
			}
			in.file, named = word, true
			continue
		}
		name, value, given := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-"), "=")
		valued, ok := cmd.options[name]
		switch {
		case name == "h" || name == "help":
			return in, errHelp
		case !ok:
			return in, usagef("there is no option %q", word)
		case in.has(name):
			return in, usagef("the option -%s is given twice", name)
		case given && !valued:
			return in, usagef("the option --%s takes no value", name)
		case valued && !given && len(args) == 0:
			return in, usagef("the option %s lacks its value", word)
		case valued && !given:
			value, args = args[0], args[1:]
		}
		in.options[name] = value
	}
	if cmd.file && !named {
		return in, usagef("FILE is missing")
	}
	return in, nil
}
