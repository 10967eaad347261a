package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

var validateCommand = &command{
	name: "validate", synopsis: "FILE", summary: "tell by the exit status whether a module is valid",
	help: "\nPrints nothing if it is, else where and why it is not.\n",
	file: true,
	do: func(in *input) error {
		wasm, err := in.read()
		if err != nil {
			return err
		}
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
		if err != nil {
			return explain(in.title(), err)
		}
		defer engine.Close()
		if err := engine.Validate(wasm); err != nil {
			return explainInvalid(in, wasm, err)
		}
		return nil
	},
}

var wat2wasmCommand = &command{
	name: "wat2wasm", synopsis: "FILE [-o OUT]", summary: "translate the text format to the binary format",
	help: `
  -o OUT  the file to write, - for stdout; else it is FILE with the extension .wasm,
          or stdout if FILE is -

A binary is copied. The module is not validated.
`,
	options: map[string]bool{"o": true},
	file:    true,
	do:      wat2wasm,
}

func wat2wasm(in *input) error {
	out, given := in.options["o"]
	switch {
	case given && out == "":
		return usagef("the name of the file to write is empty")
	case !given && in.file == "-":
		out = "-"
	case !given:
		out = strings.TrimSuffix(in.file, filepath.Ext(in.file)) + ".wasm"
	}
	source, sourceErr := os.Stat(in.file)
	if target, err := os.Stat(out); err == nil && sourceErr == nil && os.SameFile(source, target) && source.Mode().IsRegular() {
		return usagef("%s would replace what it is made from; name another file with -o", out)
	}
	text, err := in.read()
	if err != nil {
		return err
	}
	wasm, err := wasmer.Wat2Wasm(string(text))
	if err != nil {
		return explain(in.title(), err)
	}
	if out == "-" {
		in.out.Write(wasm)
		return nil
	}
	if err := os.WriteFile(out, wasm, 0o666); err != nil {
		return explain(out, err)
	}
	return nil
}
