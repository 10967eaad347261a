// Package hostile tests host modules: it calls their functions as a guest would that was written to break out.
package hostile

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// pages is the size of a guest's memory.
const pages = 2

// Guest is an instance that imports functions, and exports each under its own name, and a memory.
type Guest struct {
	*wasmer.Instance

	functions []function
}

// function is an export that calls an import with its own arguments.
type function struct {
	*wasmer.Function
	name string
	typ  wasmer.FunctionType
}

// New makes a guest with the imports of a program, which is in binary or text form; nothing else of the program matters.
func New(t testing.TB, program string, imports *wasmer.Imports) *Guest {
	t.Helper()
	return newGuest(t, functionsOf(t, program), imports, `(memory (export "memory") 2 2)`)
}

// Instantiate makes an instance of a program, which is in binary or text form, for as long as the test runs.
func Instantiate(t testing.TB, program string, imports *wasmer.Imports) *wasmer.Instance {
	t.Helper()
	module, err := wasmer.Compile([]byte(program))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, module.Close()) })
	instance, err := wasmer.Instantiate(context.Background(), module, imports)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, instance.Close()) })
	return instance
}

// functionsOf lists the functions that the program imports.
func functionsOf(t testing.TB, program string) []wasmer.ImportType {
	t.Helper()
	info, err := wasmer.Inspect([]byte(program))
	require.NoError(t, err)
	var functions []wasmer.ImportType
	for _, imported := range info.Imports() {
		if imported.Type.Kind == wasmer.ExternFunction {
			functions = append(functions, imported)
		}
	}
	require.NotEmpty(t, functions, "the program imports no functions")
	return functions
}

func newGuest(t testing.TB, functions []wasmer.ImportType, imports *wasmer.Imports, memory string) *Guest {
	t.Helper()
	var text, bodies strings.Builder
	text.WriteString("(module ")
	for n, imported := range functions {
		var arguments strings.Builder
		for param := range imported.Type.Function.Params {
			fmt.Fprintf(&arguments, "(local.get %d) ", param)
		}
		signature := signatureOf(imported.Type.Function)
		fmt.Fprintf(&text, "(import %q %q (func $f%d %s))\n", imported.Module, imported.Name, n, signature)
		fmt.Fprintf(&bodies, "(func (export %q) %s (call $f%d %s))\n", imported.Name, signature, n, &arguments)
	}
	text.WriteString(memory + bodies.String() + ")")
	instance := Instantiate(t, text.String(), imports)
	guest := &Guest{Instance: instance}
	for _, imported := range functions {
		export, err := instance.Function(imported.Name)
		require.NoError(t, err)
		guest.functions = append(guest.functions, function{export, imported.Name, imported.Type.Function})
	}
	return guest
}

// signatureOf is the type in the text format.
func signatureOf(typ wasmer.FunctionType) string {
	var text strings.Builder
	for _, param := range typ.Params {
		fmt.Fprintf(&text, "(param %s) ", param)
	}
	for _, result := range typ.Results {
		fmt.Fprintf(&text, "(result %s) ", result)
	}
	return text.String()
}

// Call calls the imported function of this name.
func (g *Guest) Call(t testing.TB, name string, arguments ...any) ([]wasmer.Value, error) {
	t.Helper()
	export, err := g.Function(name)
	require.NoError(t, err)
	return export.Call(t.Context(), arguments...)
}

// I32 is the result of a call that returns one, and does not fail.
func (g *Guest) I32(t testing.TB, name string, arguments ...any) int32 {
	t.Helper()
	results, err := g.Call(t, name, arguments...)
	require.NoError(t, err, name)
	require.Len(t, results, 1, name)
	return results[0].ToI32()
}

// Put writes data to the guest's memory, and gives its place and length as arguments.
func (g *Guest) Put(t testing.TB, offset uint64, data string) (ptr, length int32) {
	t.Helper()
	require.NoError(t, g.Memory.WriteString(offset, data))
	return int32(offset), int32(len(data))
}
