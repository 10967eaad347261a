package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

var runCommand = &command{
	name: "run", synopsis: "FILE [--compiler NAME] [--invoke NAME ARGS...]",
	summary: "call an exported function and print its results",
	help: `
  --compiler NAME        cranelift, singlepass or llvm, if this build has it
  --invoke NAME ARGS...  the function to call, and its arguments: all that follows;
                         without it _start is called

Options may come before or after FILE; the arguments follow both FILE and NAME.
They are read by the types of the parameters:

  i32, i64  decimal, or hexadecimal after 0x; from the least signed
            to the largest unsigned number
  f32, f64  decimal, hexadecimal after 0x, inf, -inf, nan
  v128      hexadecimal after 0x

Each result is printed on a line of its own, integers as signed ones.
The guest is given no imports.
`,
	options: map[string]bool{"compiler": true, "invoke": true},
	file:    true,
	do:      runFunction,
}

func runFunction(in *input) error {
	compiler, err := compilerNamed(in)
	if err != nil {
		return err
	}
	wasm, err := in.read()
	if err != nil {
		return err
	}
	module, err := compile(in, wasm, compiler)
	if err != nil {
		return err
	}
	defer module.Close()
	name, typ, err := choose(in, module)
	if err != nil {
		return err
	}
	// Before any guest code runs, which may begin with the start function.
	args, err := parseArguments(name, typ, in.rest)
	if err != nil {
		return err
	}
	instance, err := wasmer.Instantiate(context.Background(), module, nil)
	if err != nil {
		return explainInstantiation(in.title(), err)
	}
	defer instance.Close()
	function, err := instance.Function(name)
	if err != nil {
		return explain(in.title(), err)
	}
	results, err := function.Call(context.Background(), args...)
	if err != nil {
		return explain(fmt.Sprintf("%s: calling %q", in.title(), name), err)
	}
	for _, result := range results {
		fmt.Fprintln(&in.out, formatValue(result))
	}
	return nil
}

func compilerNamed(in *input) (wasmer.Compiler, error) {
	if !in.has("compiler") {
		return wasmer.DefaultCompiler, nil
	}
	all := []wasmer.Compiler{wasmer.Cranelift, wasmer.Singlepass, wasmer.LLVM}
	for _, c := range all {
		if c.String() == in.options["compiler"] {
			return c, nil
		}
	}
	return 0, usagef("there is no compiler %q; this build has %s", in.options["compiler"], available())
}

func available() string {
	var names []string
	for _, c := range wasmer.Compilers() {
		names = append(names, c.String())
	}
	return strings.Join(names, ", ")
}

func compile(in *input, wasm []byte, compiler wasmer.Compiler) (*wasmer.Module, error) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler})
	if err != nil {
		return nil, fmt.Errorf("%s; it has %s", strings.TrimPrefix(err.Error(), "wasmer: "), available())
	}
	defer engine.Close()
	module, err := engine.Compile(context.Background(), wasm)
	if err != nil {
		return nil, explainInvalid(in, wasm, err)
	}
	return module, nil
}

// choose finds the function to call.
func choose(in *input, module *wasmer.Module) (string, wasmer.FunctionType, error) {
	name, invoked := in.options["invoke"]
	if !invoked {
		name = "_start"
	}
	var functions []wasmer.ExportType
	problem := fmt.Sprintf("there is no exported function %q", name)
	if !invoked {
		problem = "there is no _start to run"
	}
	for _, export := range module.Exports() {
		switch kind := export.Type.Kind; {
		case kind == wasmer.ExternFunction && export.Name == name:
			return name, export.Type.Function, nil
		case kind == wasmer.ExternFunction:
			functions = append(functions, export)
		case export.Name == name:
			problem = fmt.Sprintf("the export %q is a %s, not a function", name, kind)
		}
	}
	if len(functions) == 0 {
		return "", wasmer.FunctionType{}, fmt.Errorf("%s: %s; no function is exported", in.title(), problem)
	}
	var rows [][]string
	for _, f := range functions {
		rows = append(rows, []string{quote(f.Name), f.Type.String()})
	}
	return "", wasmer.FunctionType{}, fmt.Errorf("%s: %s\nFunctions for --invoke:\n%s", in.title(), problem, table(rows))
}
