package wasmer_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const emscriptenText = `(module (import "env" "emscripten_notify_memory_growth" (func $grown (param i32)))
	(memory (export "memory") 1)
	(func (export "run") (param i32) (call $grown (local.get 0))))`

func TestEmscriptenForSeveralGuests(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, emscriptenText)
		shared := wasmer.NewImports().Emscripten()
		var group sync.WaitGroup
		for range 4 {
			instance := instantiateFrom(t, module, shared)
			grown := function(t, instance, "run")
			group.Go(func() {
				for range 100 {
					if _, err := grown.Call(background, 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		var told []int32
		own := func(memory int32) { told = append(told, memory) }
		for _, imports := range []*wasmer.Imports{
			wasmer.NewImports().Emscripten().Function("emscripten_notify_memory_growth", own),
			wasmer.NewImports().Function("emscripten_notify_memory_growth", own).Emscripten(),
		} {
			run(t, instantiateFrom(t, module, imports), "run", 7)
		}
		require.Equal(t, []int32{7, 7}, told)
	})
}

const assemblyScriptText = `(module
	(import "env" "abort" (func $abort (param i32 i32 i32 i32)))
	(import "env" "trace" (func $trace (param i32 i32 f64 f64 f64 f64 f64)))
	(import "env" "seed" (func $seed (result f64)))
	(memory (export "memory") 1)
	(func (export "abort") (param i32 i32 i32 i32) (call $abort (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
	(func (export "trace") (param i32 i32) (call $trace (local.get 0) (local.get 1)
		(f64.const 1) (f64.const -0.5) (f64.const nan) (f64.const inf) (f64.const 1e300)))
	(func (export "seed") (result i64) (i64.reinterpret_f64 (call $seed))))`

// putString puts a string of AssemblyScript, whose length in bytes lies before it.
func putString(t testing.TB, instance *wasmer.Instance, address uint32, s string) {
	t.Helper()
	units := utf16.Encode([]rune(s))
	data := binary.LittleEndian.AppendUint32(nil, uint32(2*len(units)))
	for _, unit := range units {
		data = binary.LittleEndian.AppendUint16(data, unit)
	}
	require.NoError(t, instance.Memory.Write(uint64(address-4), data))
}

func TestAssemblyScriptStrings(t *testing.T) {
	const end = 1 << 16
	length := func(n uint32) func(testing.TB, *wasmer.Instance, uint32) {
		return func(t testing.TB, instance *wasmer.Instance, address uint32) {
			require.NoError(t, instance.Memory.WriteUint32Le(uint64(address-4), n))
		}
	}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, assemblyScriptText)
		for name, test := range map[string]struct {
			address uint32
			prepare func(testing.TB, *wasmer.Instance, uint32)
			want    string
		}{
			"null":                        {0, nil, "(no string)"},
			"before the first":            {3, nil, "(unreadable string)"},
			"at the beginning":            {4, func(t testing.TB, i *wasmer.Instance, a uint32) { putString(t, i, a, "ä€😀") }, "ä€😀"},
			"empty":                       {4, length(0), ""},
			"empty, at the very end":      {end, length(0), ""},
			"past the end":                {end + 1, nil, "(unreadable string)"},
			"far past the end":            {1<<32 - 1, nil, "(unreadable string)"},
			"longer than the memory":      {100, length(end - 100 + 2), "(unreadable string)"},
			"up to the end":               {end - 2, func(t testing.TB, i *wasmer.Instance, a uint32) { putString(t, i, a, "x") }, "x"},
			"one past the end":            {end - 2, length(4), "(unreadable string)"},
			"the largest length":          {100, length(1<<32 - 2), "(unreadable string)"},
			"an odd length":               {100, length(3), "(unreadable string)"},
			"an address that is not even": {101, func(t testing.TB, i *wasmer.Instance, a uint32) { putString(t, i, a, "odd") }, "odd"},
			"half a surrogate": {100, func(t testing.TB, i *wasmer.Instance, a uint32) {
				require.NoError(t, i.Memory.Write(uint64(a-4), []byte{2, 0, 0, 0, 0, 0xd8}))
			}, "\ufffd"},
		} {
			t.Run(name, func(t *testing.T) {
				var messages bytes.Buffer
				instance := instantiateFrom(t, module, wasmer.NewImports().AssemblyScript(wasmer.AssemblyScriptConfig{Messages: &messages}))
				if test.prepare != nil {
					test.prepare(t, instance, test.address)
				}
				run(t, instance, "trace", test.address, 0)
				require.Equal(t, "trace: "+test.want+"\n", messages.String())
				messages.Reset()
				requireExit(t, failing(t, instance, "abort", test.address, test.address, uint32(1<<32-1), 0), 255)
				require.Equal(t, test.want+" at "+test.want+":4294967295:0\n", messages.String())
			})
		}
	})
}

func TestAssemblyScriptTraceSeedAndOverrides(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, assemblyScriptText)
		var messages bytes.Buffer
		config := wasmer.AssemblyScriptConfig{Messages: &messages, Random: strings.NewReader("\x01\x00\x00\x00\x00\x00\xf0\x7f")}
		imports := wasmer.NewImports().AssemblyScript(config)
		instance := instantiateFrom(t, module, imports)
		for _, count := range []int32{-1, 1, 5, 6, 1<<31 - 1} {
			run(t, instance, "trace", 0, count)
		}
		all := "1, -0.5, NaN, +Inf, 1e+300"
		require.Equal(t, "trace: (no string)\ntrace: (no string) 1\n"+strings.Repeat("trace: (no string) "+all+"\n", 3), messages.String())
		require.EqualValues(t, 0x7ff0000000000001, call(t, instance, "seed").ToI64(), "the bits are kept, even those of a signalling NaN")
		require.ErrorIs(t, failing(t, instance, "seed"), io.EOF)

		silent := instantiateFrom(t, module, wasmer.NewImports().AssemblyScript(wasmer.AssemblyScriptConfig{}))
		run(t, silent, "trace", 0, 0)
		require.NotEqual(t, call(t, silent, "seed"), call(t, silent, "seed"))

		own := errors.New("own abort")
		abort := func(int32, int32, int32, int32) error { return own }
		for _, imports := range []*wasmer.Imports{
			wasmer.NewImports().AssemblyScript(config).Function("abort", abort),
			wasmer.NewImports().Function("abort", abort).AssemblyScript(config),
		} {
			require.Same(t, own, failing(t, instantiateFrom(t, module, imports), "abort", 0, 0, 0, 0))
		}
	})
}
