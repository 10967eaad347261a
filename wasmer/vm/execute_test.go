package vm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

func TestF061F062RunInOneCall(t *testing.T) {
	compiled := wasmer.Must(wasmer.Compile(fibonacci))
	defer compiled.Close()
	path := file(t, "fib.wasm", fibonacci)
	for name, run := range map[string]func(v *vm.VM) ([]wasmer.Value, error){
		"file":   func(v *vm.VM) ([]wasmer.Value, error) { return v.RunFile(background, path, "fib", uint32(21)) },
		"bytes":  func(v *vm.VM) ([]wasmer.Value, error) { return v.RunBytes(background, fibonacci, "fib", uint32(21)) },
		"module": func(v *vm.VM) ([]wasmer.Value, error) { return v.RunModule(background, compiled, "fib", uint32(21)) },
	} {
		v := newVM(t, vm.Config{})
		values, err := run(v)
		require.NoError(t, err, name)
		require.Equal(t, []wasmer.Value{wasmer.I32(17711)}, values, name)
		require.Equal(t, vm.Instantiated, v.State(), name)
		gives(t, 121393, v, "fib", 25)
	}
}

func TestF062RunStopsAtWhatFails(t *testing.T) {
	v := newVM(t, vm.Config{})
	require.Error(t, second(v.RunBytes(background, []byte("(module"), "f")))
	require.Equal(t, vm.Initiated, v.State())
	require.Error(t, second(v.RunBytes(background, []byte("(module (func (result i32)))"), "f")))
	require.Equal(t, vm.Loaded, v.State())
	require.Error(t, second(v.RunBytes(background, addTwo, "f")))
	require.Equal(t, vm.Validated, v.State())
	require.Error(t, second(v.RunBytes(background, fibonacci, "f")))
	require.Equal(t, vm.Instantiated, v.State())
}

func TestF066ExecuteSaysWhatIsWrong(t *testing.T) {
	v := newVM(t, vm.Config{})
	ready(t, v, string(fibonacci))
	err := second(v.Execute(background, "fob", 1))
	require.ErrorIs(t, err, wasmer.ErrNotFound)
	requireCode(t, 0x05, err)
	require.ErrorContains(t, err, `is it "fib"?`)
	for _, args := range [][]any{{}, {1, 2}, {"x"}, {1.5}, {uint64(1) << 40}} {
		err := second(v.Execute(background, "fib", args...))
		require.ErrorAs(t, err, new(*wasmer.CallError))
		requireCode(t, 0x83, err)
	}
	gives(t, 1, v, "fib", 0)
}

const endless = `(module (func (export "loop") (loop (br 0))))`

func TestF036F037F038F082F083AsynchronousCalls(t *testing.T) {
	path := file(t, "fib.wasm", fibonacci)
	compiled := wasmer.Must(wasmer.Compile(fibonacci))
	defer compiled.Close()
	v := newVM(t, vm.Config{})
	require.NoError(t, v.RegisterBytes(background, "mod", fibonacci))
	ready(t, v, string(fibonacci))
	for name, start := range map[string]func(v *vm.VM) *wasmer.Async{
		"file":       func(v *vm.VM) *wasmer.Async { return v.AsyncRunFile(background, path, "fib", uint32(20)) },
		"bytes":      func(v *vm.VM) *wasmer.Async { return v.AsyncRunBytes(background, fibonacci, "fib", uint32(20)) },
		"module":     func(v *vm.VM) *wasmer.Async { return v.AsyncRunModule(background, compiled, "fib", uint32(20)) },
		"execute":    func(v *vm.VM) *wasmer.Async { return v.AsyncExecute(background, "fib", uint32(20)) },
		"registered": func(v *vm.VM) *wasmer.Async { return v.AsyncExecuteRegistered(background, "mod", "fib", uint32(20)) },
	} {
		async := start(v)
		for range 2 {
			values, err := async.Result()
			require.NoError(t, err, name)
			require.Equal(t, []wasmer.Value{wasmer.I32(10946)}, values, name)
			require.True(t, async.WaitFor(0), name)
		}
	}
	require.ErrorIs(t, second(v.AsyncExecute(background, "nothing").Result()), wasmer.ErrNotFound)
	requireCode(t, 0x20, second(v.AsyncRunFile(background, "no such file", "fib", 1).Result()))

	loop := v.AsyncRunBytes(background, []byte(endless), "loop")
	require.False(t, loop.WaitFor(20*time.Millisecond))
	loop.Cancel()
	err := second(loop.Result())
	require.ErrorIs(t, err, wasmer.ErrInterrupted)
	require.ErrorContains(t, err, "execution interrupted")
	requireCode(t, 0x07, err)
	ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	require.NoError(t, v.Instantiate(background))
	require.ErrorIs(t, second(v.Execute(ctx, "loop")), context.DeadlineExceeded)
}

func TestF038ClosingEndsCallsUnderWay(t *testing.T) {
	for name, end := range map[string]func(*vm.VM) error{
		"close": (*vm.VM).Close, "cleanup": (*vm.VM).Cleanup,
		"instantiate": func(v *vm.VM) error { return v.Instantiate(background) },
	} {
		t.Run(name, func(t *testing.T) {
			begun := make(chan struct{})
			v := newVM(t, vm.Config{HostModules: []wasmer.HostModule{
				wasmer.NewImports().Function("begun", func() { close(begun) }),
			}})
			ready(t, v, `(module (import "env" "begun" (func $begun)) (func (export "loop") (call $begun) (loop (br 0))))`)
			call := v.AsyncExecute(background, "loop")
			<-begun
			require.NoError(t, end(v))
			var exit *wasmer.ExitError
			require.ErrorAs(t, second(call.Result()), &exit)
			require.True(t, exit.Closed(), "it was not the guest's own end")
		})
	}
}

// A host function may do with the VM what it likes.
func TestF106HostFunctionsUseTheVMThatTheyAreCalledBy(t *testing.T) {
	var v *vm.VM
	var during []error
	imports := wasmer.NewImports().Function("f", func(c *wasmer.Caller) (int32, error) {
		values, err := v.Execute(c.Context(), "inner", 5)
		during = append(during, err, v.RegisterBytes(c.Context(), "lib", []byte(answer)))
		_, lookup := v.RegisteredInstance("env")
		during = append(during, lookup, second(v.ExecuteRegistered(c.Context(), "lib", "answer")))
		_ = v.Statistics()
		if err != nil {
			return 0, err
		}
		return values[0].ToI32(), nil
	})
	v = newVM(t, vm.Config{HostModules: []wasmer.HostModule{imports}})
	ready(t, v, `(module (import "env" "f" (func $f (result i32))) (func (export "outer") (result i32) (call $f))
		(func (export "inner") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))`)
	gives(t, 10, v, "outer")
	require.NoError(t, errors.Join(during...))
	require.Equal(t, vm.Validated, v.State(), "something was registered")

	// It may even end its own guest, which is told.
	v2 := newVM(t, vm.Config{HostModules: []wasmer.HostModule{
		wasmer.NewImports().Function("f", func() error { return v.Cleanup() }),
	}})
	v = v2
	ready(t, v, `(module (import "env" "f" (func $f)) (func (export "g") (call $f)))`)
	require.ErrorAs(t, second(v.Execute(background, "g")), new(*wasmer.ExitError))
	require.Equal(t, vm.Initiated, v.State())
}

func TestF065AStartFunctionThatChangesTheVMUndoesItsInstance(t *testing.T) {
	var v *vm.VM
	v = newVM(t, vm.Config{HostModules: []wasmer.HostModule{
		wasmer.NewImports().Function("f", func() error { return v.LoadBytes(background, fibonacci) }),
	}})
	require.NoError(t, v.LoadBytes(background, []byte(`(module (import "env" "f" (func $f)) (start $f))`)))
	require.NoError(t, v.Validate())
	err := v.Instantiate(background)
	require.Error(t, err)
	require.Equal(t, vm.Loaded, v.State())
	require.Nil(t, v.ActiveInstance())
}

func TestF105CallersHaveTheMemoriesOfTheirGuest(t *testing.T) {
	v := newVM(t, vm.Config{HostModules: []wasmer.HostModule{
		wasmer.NewImports().Namespace("host").Function("load", func(c *wasmer.Caller, offset uint32) (uint32, error) {
			require.Nil(t, c.MemoryAt(1))
			return c.MemoryAt(0).ReadUint32Le(uint64(offset))
		}),
	}})
	ready(t, v, `(module (import "host" "load" (func $load (param i32) (result i32))) (memory (export "memory") 1)
		(data (i32.const 8) "\78\56\34\12") (func (export "load") (param i32) (result i32) (call $load (local.get 0))))`)
	gives(t, 0x12345678, v, "load", 8)
	err := second(v.Execute(background, "load", 65533))
	require.ErrorIs(t, err, wasmer.ErrOutOfBounds)
	requireCode(t, 0x88, err)
}

func TestF110TheExitCodeOfAGuest(t *testing.T) {
	v := newVM(t, vm.Config{WASI: true})
	source := func(code string) []byte {
		return []byte(`(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
			(func (export "_start") (call $exit (i32.const ` + code + `))))`)
	}
	var exit *wasmer.ExitError
	require.ErrorAs(t, second(v.RunBytes(background, source("42"), "_start")), &exit)
	require.Equal(t, uint32(42), exit.Code)
	require.Equal(t, uint32(42), v.WASI().ExitCode())
	require.NoError(t, second(v.RunBytes(background, source("0"), "_start")), "it has succeeded")
	require.Zero(t, v.WASI().ExitCode())
	require.NoError(t, second(v.RunBytes(background, []byte(`(module (func (export "_start")))`), "_start")))
	require.Zero(t, v.WASI().ExitCode())
}

func TestF071F109WASIIsSetAfterTheVMWasMade(t *testing.T) {
	wasi := wasmer.Must(wasmer.ReadBytes("../../testdata/wasi/env.wasm"))
	v := newVM(t, vm.Config{WASI: true})
	for _, name := range []string{"one", "two"} {
		config := wasmer.WASIConfig{Args: []string{"hello", name}, Env: map[string]string{"NAME": name}}
		stdout, _ := config.Capture()
		require.NoError(t, v.WASI().Configure(config))
		require.NoError(t, second(v.RunBytes(background, wasi, "_start")))
		require.Contains(t, stdout.String(), name)
	}
	require.Error(t, v.WASI().Configure(wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", Host: "no such folder"}}}))
}
