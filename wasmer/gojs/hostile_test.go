package gojs_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/gojs"
)

// names are the functions that guests import.
var names = []string{
	"runtime.wasmExit", "runtime.wasmWrite", "runtime.resetMemoryDataView", "runtime.nanotime1", "runtime.walltime",
	"runtime.scheduleTimeoutEvent", "runtime.clearTimeoutEvent", "runtime.getRandomData", "syscall/js.finalizeRef",
	"syscall/js.stringVal", "syscall/js.valueGet", "syscall/js.valueSet", "syscall/js.valueDelete", "syscall/js.valueIndex",
	"syscall/js.valueSetIndex", "syscall/js.valueCall", "syscall/js.valueInvoke", "syscall/js.valueNew",
	"syscall/js.valueLength", "syscall/js.valuePrepareString", "syscall/js.valueLoadString", "syscall/js.valueInstanceOf",
	"syscall/js.copyBytesToGo", "syscall/js.copyBytesToJS", "debug",
}

// guestText is a module with the exports of a Go program. Its memory begins with what fields holds, and run does what body
// says.
func guestText(body, fields string) string {
	var b strings.Builder
	b.WriteString("(module\n")
	for i, name := range names {
		fmt.Fprintf(&b, "(import \"go\" %q (func $f%d (param i32)))\n", name, i)
	}
	b.WriteString(`(memory (export "mem") 1) (func (export "resume"))`)
	if !strings.Contains(fields, "getsp") {
		b.WriteString(`(func (export "getsp") (result i32) (i32.const -8))`)
	}
	fmt.Fprintf(&b, "%s\n(func (export \"run\") (param i32 i32) %s))", fields, body)
	return b.String()
}

func call(name string, sp int) string {
	for i := range names {
		if names[i] == name {
			return fmt.Sprintf("(call $f%d (i32.const %d))", i, sp)
		}
	}
	panic(name)
}

func runText(t *testing.T, ctx context.Context, text string) error {
	t.Helper()
	module, err := wasmer.Compile([]byte(text))
	require.NoError(t, err, text)
	defer module.Close()
	return gojs.Run(ctx, module, wasmer.WASIConfig{})
}

// Whatever a guest says of where its arguments are, it is an error that ends it.
func TestPointersOutsideOfTheMemory(t *testing.T) {
	for _, name := range names {
		if name == "runtime.resetMemoryDataView" || name == "debug" || name == "runtime.clearTimeoutEvent" {
			continue // they access nothing, or nothing but a number
		}
		for _, sp := range []int{-1, -8, 65536, 65536 - 8, 0x7fffffff} {
			t.Run(fmt.Sprintf("%s at %d", name, sp), func(t *testing.T) {
				err := runText(t, t.Context(), guestText(call(name, sp), ""))
				require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
				require.ErrorContains(t, err, "gojs: "+name+": ")
			})
		}
	}
}

func TestBadValues(t *testing.T) {
	const global, null, goObject = 0x7FF80001_00000005, 0x7FF80000_00000002, 0x7FF80001_00000006
	const unknown = 0x7FF80001_00000007
	for _, test := range []struct {
		name  string
		call  string
		words []uint64 // at 8
		want  string
	}{
		{"exit", "runtime.wasmExit", []uint64{3}, "exited with code 3"},
		{"an unknown reference", "syscall/js.valueGet", []uint64{unknown}, "the guest has no reference 7"},
		{"an unknown reference to let go", "syscall/js.finalizeRef", []uint64{unknown}, "the guest has no reference 7"},
		{"a huge reference", "syscall/js.finalizeRef", []uint64{0x7FF80001_FFFFFFFF}, "the guest has no reference 4294967295"},
		{"references of all", "syscall/js.finalizeRef", []uint64{global}, "all goroutines"},
		{"a property of null", "syscall/js.valueGet", []uint64{null}, "for an object"},
		{"a property of a number", "syscall/js.valueSet", []uint64{0x3ff0000000000000}, "for an object"},
		{"a property of undefined", "syscall/js.valueDelete", []uint64{0}, "for an object"},
		{"a string of negative length", "syscall/js.stringVal", []uint64{0, 1 << 63}, "out of bounds"},
		{"a string that wraps around", "syscall/js.stringVal", []uint64{1 << 63, 1 << 63}, "out of bounds"},
		{"a string that is too long", "syscall/js.stringVal", []uint64{65535, 2}, "out of bounds"},
		{"too many arguments", "syscall/js.valueInvoke", []uint64{global, 0, 1 << 61}, "a call with"},
		{"arguments outside", "syscall/js.valueInvoke", []uint64{global, 65536 - 8, 2}, "out of bounds"},
		{"an element of a length", "syscall/js.valueLength", []uint64{1 << 62}, "for an object"},
		{"a prepared string that is none", "syscall/js.valueLoadString", []uint64{global}, "no prepared string"},
		{"an instance of no function", "syscall/js.valueInstanceOf", []uint64{global, null}, "for an object"},
		{"random bytes outside", "runtime.getRandomData", []uint64{65535, 2}, "out of bounds"},
		{"a write of negative length", "runtime.wasmWrite", []uint64{1, 0, 0xffffffff}, "out of bounds"},
		{"the event of nobody", "syscall/js.valuePrepareString", []uint64{goObject}, "nothing can happen"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var data strings.Builder
			for _, word := range test.words {
				for i := range 8 {
					fmt.Fprintf(&data, "\\%02x", byte(word>>(8*i)))
				}
			}
			err := runText(t, t.Context(), guestText(
				call(test.call, 0), fmt.Sprintf(`(data (i32.const 8) "%s")`, &data)))
			if test.want == "all goroutines" { // no error: the guest goes on, and waits for ever
				test.want = "nothing can happen"
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}

// A guest of random words ends, in one way or the other.
func TestRandomFrames(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func() uint64 {
		switch random.IntN(8) {
		case 0:
			return random.Uint64()
		case 1:
			return uint64(random.IntN(65536))
		case 2:
			return 0x3ff0000000000000 + random.Uint64N(1<<60)
		default:
			return 0x7FF80000_00000000 | random.Uint64N(5)<<32 | random.Uint64N(12)
		}
	}
	for range 300 {
		var data, body strings.Builder
		for range 200 {
			for w, i := word(), 0; i < 8; i++ {
				fmt.Fprintf(&data, "\\%02x", byte(w>>(8*i)))
			}
		}
		for range 20 {
			body.WriteString(call(names[1+random.IntN(len(names)-1)], 8*random.IntN(190)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		require.Error(t, runText(t, ctx, guestText(body.String(), fmt.Sprintf(`(data (i32.const 0) "%s")`, &data))))
		cancel()
	}
}

func TestMemoryOfTheHostIsBounded(t *testing.T) {
	module := moduleOf(t, wasmer.Compilers()[0])
	for _, what := range []string{"bytes", "one", "strings", "properties", "arrays", "sparse", "concat", "parts", "timers"} {
		t.Run(what, func(t *testing.T) {
			got := run(t.Context(), module, wasmer.WASIConfig{}, "hoard", what)
			require.ErrorIs(t, got.err, wasmer.ErrResource)
		})
	}
	got := run(t.Context(), module, wasmer.WASIConfig{}, "hoard", "bound")
	require.Contains(t, got.stderr, "Maximum call stack size exceeded")
}

// An instance that was not started has no host to talk to.
func TestCallsWithoutAStart(t *testing.T) {
	module, err := wasmer.Compile([]byte(guestText(call("runtime.nanotime1", 0), "")))
	require.NoError(t, err)
	defer module.Close()
	instance, err := wasmer.Instantiate(t.Context(), module, gojs.Imports())
	require.NoError(t, err)
	defer instance.Close()
	f, err := instance.Function("run")
	require.NoError(t, err)
	_, err = f.Call(t.Context(), 0, 0)
	require.ErrorContains(t, err, "not started by Host.Start")
}

// Functions of a program that imports under the older name are the same.
func TestOlderName(t *testing.T) {
	var stderr bytes.Buffer
	text := guestText(call("runtime.wasmWrite", 0)+call("debug", 7)+call("runtime.wasmExit", 40),
		`(data (i32.const 8) "\02\00\00\00\00\00\00\00\40\00\00\00\00\00\00\00\03\00\00\00") (data (i32.const 64) "hi\n")`)
	module, err := wasmer.Compile([]byte(text))
	require.NoError(t, err)
	defer module.Close()
	require.NoError(t, gojs.Run(t.Context(), module, wasmer.WASIConfig{Stderr: &stderr}))
	require.Equal(t, "hi\n7\n", stderr.String())
}
