package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

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
			return in, usagef("the option %s is given twice", word)
		case given && !valued:
			return in, usagef("the option %s takes no value", word)
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
