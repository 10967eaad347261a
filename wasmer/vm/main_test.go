package vm_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

func TestMain(m *testing.M) {
	goroutines := runtime.NumGoroutine()
	code := m.Run()
	for deadline := time.Now().Add(5 * time.Second); code == 0; time.Sleep(10 * time.Millisecond) {
		for range 3 {
			runtime.GC()
		}
		stats := wasmer.Stats()
		if runtime.NumGoroutine() <= goroutines+2 && stats.Stores == 0 && stats.Memories == 0 && stats.Engines <= 1 { // the default one
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "FAIL: after all tests: %d goroutines, %+v\n", runtime.NumGoroutine(), stats)
			code = 1
		}
	}
	os.Exit(code)
}

var background = context.Background()

// The modules of WasmEdge's documents, in binary format: fib, addTwo and trap.
var (
	fibonacci = wasm("0061736d0100000001060160017f017f030201000707010366696200000a1f011d002000410248044041010f0b200041026b1000200041016b10006a0f0b")
	addTwo    = wasm("0061736d0100000001070160027f7f017f0213010665787465726e0866756e632d616464000003020100070a010661646454776f00010a0a0108002000200110000b")
	trapping  = wasm("0061736d0100000001050160017f00020f010665787465726e0474726170000003020100070801047472617000010a08010600200010000b")
)

func wasm(digits string) []byte { return wasmer.Must(hex.DecodeString(digits)) }

// newVM makes a VM that is closed with the test.
func newVM(t testing.TB, config vm.Config) *vm.VM {
	t.Helper()
	v := vm.New(config)
	t.Cleanup(func() { require.NoError(t, v.Close()) })
	require.NoError(t, v.Err())
	return v
}

// file writes a file that is removed with the test.
func file(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// ready loads, validates and instantiates.
func ready(t testing.TB, v *vm.VM, source string) {
	t.Helper()
	require.NoError(t, v.LoadBytes(background, []byte(source)))
	require.NoError(t, v.Validate())
	require.NoError(t, v.Instantiate(background))
}

// gives executes a function with one i32 result.
func gives(t testing.TB, want int32, v *vm.VM, name string, args ...any) {
	t.Helper()
	values, err := v.Execute(background, name, args...)
	require.NoError(t, err)
	require.Equal(t, []wasmer.Value{wasmer.I32(want)}, values)
}

// requireCode requires an error with this code of the engine's.
func requireCode(t testing.TB, want uint32, err error) {
	t.Helper()
	var code wasmer.ErrorCode
	require.ErrorAs(t, err, &code)
	require.Equal(t, wasmer.CategoryWASM, code.Category(), "%v", err)
	require.Equal(t, want, code.Code(), "%#x %v", code.Code(), err)
}

// adder is the host module that addTwo imports from.
func adder() *wasmer.Imports {
	return wasmer.NewImports().Namespace("extern").Function("func-add", func(a, b int32) int32 { return a + b })
}
