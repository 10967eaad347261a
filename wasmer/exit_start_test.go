package wasmer_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// starter counts the order of its start functions.
const starter = `(module $starter (import "env" "note" (func $note (param i32)))
	(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
	(func (export "_initialize") (call $note (i32.const 1)))
	(func (export "_start") (result i32) (call $note (i32.const 2)) (i32.const 7))
	(func (export "main") (call $note (i32.const 3)))
	(func (export "quits") (param i32) (call $exit (local.get 0)))
	(func (export "succeeds") (call $note (i32.const 4)) (call $exit (i32.const 0)))
	(func (export "traps") unreachable)
	(global (export "global") i32 (i32.const 0)))`

func TestStart(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, starter)
		for name, test := range map[string]struct {
			functions []string
			notes     []int32
			err       error
		}{
			"_start":                       {nil, []int32{1, 2}, nil},
			"in the order given":           {[]string{"main", "_start", "main"}, []int32{1, 3, 2, 3}, nil},
			"absent ones are skipped":      {[]string{"none", "main", "other"}, []int32{1, 3}, nil},
			"only absent ones":             {[]string{"none"}, []int32{1}, nil},
			"_initialize once more":        {[]string{"_initialize"}, []int32{1, 1}, nil},
			"success ends the list":        {[]string{"succeeds", "main"}, []int32{1, 4}, nil},
			"a trap ends the list":         {[]string{"main", "traps", "_start"}, []int32{1, 3}, wasmer.TrapUnreachable},
			"what is no function":          {[]string{"global", "main"}, []int32{1, 3}, nil},
			"nothing of the unnamed names": {[]string{"", "main"}, []int32{1, 3}, nil},
		} {
			var notes []int32
			imports := wasmer.NewImports().WASI(wasmer.NewWASI(wasmer.WASIConfig{})).Function("note", func(n int32) { notes = append(notes, n) })
			instance := instantiateFrom(t, module, imports)
			require.ErrorIs(t, instance.Start(background, test.functions...), test.err, name)
			require.Equal(t, test.notes, notes, name)
		}
		var refused *wasmer.CallError
		ignored := wasmer.NewImports().WASI(wasmer.NewWASI(wasmer.WASIConfig{})).Function("note", func(int32) {})
		require.ErrorAs(t, instantiateFrom(t, module, ignored).Start(background, "quits"), &refused, "it takes an argument")
		for text, want := range map[string]string{
			`(module (func (export "add")))`:         "no command",
			`(module (func (export "_initialize")))`: "reactor",
			`(module (memory (export "_start") 1))`:  "memory",
		} {
			err := instantiate(t, engine, text, nil).Start(background)
			require.ErrorIs(t, err, wasmer.ErrNotFound)
			require.ErrorContains(t, err, want)
		}
	})
}

func TestInitializeOfAnotherTypeIsNotCalled(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, typ := range []string{"(param i32)", "(result i32)"} {
			instance := instantiate(t, engine, fmt.Sprintf(`(module (func (export "_initialize") %s unreachable))`, typ), nil)
			require.NoError(t, instance.Close())
		}
	})
}

func TestACommandThatReturnsStaysOpen(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		config := wasmer.WASIConfig{}
		stdout, _ := config.Capture()
		instance := instantiate(t, engine, `(module
			(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
			(memory (export "memory") 1)
			(data (i32.const 0) "\08\00\00\00\03\00\00\00run")
			(func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
				(i32.store8 (i32.const 200) (i32.add (i32.load8_u (i32.const 200)) (i32.const 1))))
			(func (export "runs") (result i32) (i32.load8_u (i32.const 200))))`,
			wasmer.NewImports().WASI(newWASI(t, config)))
		for n := range 3 {
			require.NoError(t, instance.Start(background))
			require.EqualValues(t, n+1, call(t, instance, "runs").ToI32())
		}
		require.NoError(t, instance.Start(noContext))
		require.Equal(t, "runrunrunrun", stdout.String())
	})
}
