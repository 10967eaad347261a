package wasmer

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

func cliValidateCommand() *cliCommand {
	return &cliCommand{
		name: "validate", operand: "FILE", summary: "tell by the exit status whether a module is valid",
		notes:    "Prints nothing if it is, else where and why it is not.",
		examples: "  wasmer-go validate app.wasm && echo valid",
		do:       (*cli).validate,
	}
}

func (c *cli) validate(context.Context) error {
	wasm, err := c.read()
	if err != nil {
		return err
	}
	engine, err := NewEngine(EngineConfig{})
	if err != nil {
		return cliExplain(c.title(), err)
	}
	defer engine.Close()
	if err := engine.Validate(wasm); err != nil {
		return c.explainInvalid(wasm, err)
	}
	return nil
}

func cliWat2WasmCommand() *cliCommand {
	return &cliCommand{
		name: "wat2wasm", operand: "FILE", summary: "translate the text format to the binary format",
		options: []cliOption{{
			name: "o", value: "OUT", summary: "the file to write, - for stdout; else it is FILE with the extension .wasm,\n" +
				"or stdout if FILE is -",
		}},
		notes: "A binary is copied. The module is not validated.",
		examples: `
  wasmer-go wat2wasm fac.wat                  writes fac.wasm
  wasmer-go wat2wasm fac.wat -o out/fac.wasm`,
		do: (*cli).wat2wasm,
	}
}

func (c *cli) wat2wasm(context.Context) error {
	out := c.value("o")
	switch given := c.has("o"); {
	case given && out == "":
		return cliUsagef("the name of the file to write is empty")
	case !given && c.file == "-":
		out = "-"
	case !given:
		out = strings.TrimSuffix(c.file, filepath.Ext(c.file)) + ".wasm"
	}
	source, sourceErr := os.Stat(c.file)
	if target, err := os.Stat(out); err == nil && sourceErr == nil && os.SameFile(source, target) && source.Mode().IsRegular() {
		return cliUsagef("%s would replace what it is made from; name another file with -o", out)
	}
	text, err := c.read()
	if err != nil {
		return err
	}
	wasm, err := Wat2Wasm(string(text))
	if err != nil {
		return c.explainInvalid(text, err)
	}
	if out == "-" {
		c.out.Write(wasm)
		return nil
	}
	if err := os.WriteFile(out, wasm, 0o666); err != nil {
		return cliExplain(out, err)
	}
	return nil
}
