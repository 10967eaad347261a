package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// explain says where an error comes from, without the prefixes that repeat it.
func explain(title string, err error) error {
	message := strings.TrimPrefix(err.Error(), "wasmer: ")
	var path *fs.PathError
	var compile *wasmer.CompileError
	var trap *wasmer.Trap
	switch {
	case errors.As(err, &path):
		message = path.Err.Error()
	case errors.As(err, &compile):
		// Where the text parser points at a place, it lacks the file's name.
		message = strings.Replace(strings.TrimPrefix(message, "compile: "), "--> text:", "--> "+title+":", 1)
	case errors.As(err, &trap):
		message, _, _ = strings.Cut(message, "\n\tat ")
		message += frames(trap.Frames)
	}
	return fmt.Errorf("%s: %s", title, message)
}

// frames shows both ends of a stack, which can be thousands of functions deep.
func frames(stack []wasmer.Frame) string {
	const first, last = 20, 5
	var b strings.Builder
	for i, frame := range stack {
		left := len(stack) - first - last
		switch {
		case i < first || i >= len(stack)-last || left == 1:
			fmt.Fprintf(&b, "\n\tat %s", frame)
		case i == first:
			fmt.Fprintf(&b, "\n\t... %d more", left)
		}
	}
	return b.String()
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

// explainInvalid is explain for a module that was refused.
func explainInvalid(in *input, wasm []byte, err error) error {
	text := !bytes.HasPrefix(wasm, []byte("\x00asm"))
	var compile *wasmer.CompileError
	if errors.As(err, &compile) && compile.Offset > 0 && text {
		return fmt.Errorf("%w; the offset is in the binary made by wat2wasm", explain(in.title(), err))
	}
	return explain(in.title(), err)
}

// explainInstantiation lists missing imports one by one: there can be dozens.
func explainInstantiation(title string, err error) error {
	var link *wasmer.LinkError
	if !errors.As(err, &link) {
		return explain(title+": instantiating", err)
	}
	var rows [][]string
	var hints []string
	for _, i := range link.Imports {
		rows = append(rows, []string{i.Want.Kind.String(), quote(i.Module), quote(i.Name), i.Want.String()})
		if i.Hint != "" && !slices.Contains(hints, i.Hint) {
			hints = append(hints, i.Hint)
		}
	}
	message := "missing imports, of which this command gives none:\n" + table(rows)
	for _, hint := range hints {
		message += "\nHint: " + hint
	}
	return fmt.Errorf("%s: %s", title, message)
}
