package vm_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// Goroutines do whatever they like with one VM: each call ends, with a result or an error that says who was in the way.
func TestF067GoroutinesShareAVM(t *testing.T) {
	var v *vm.VM
	again := wasmer.NewImports().Function("again", func(c *wasmer.Caller) int32 {
		_ = v.State()
		_, _ = v.ExecuteRegistered(c.Context(), "lib0", "answer")
		return 1
	})
	v = newVM(t, vm.Config{WASI: true, HostModules: []wasmer.HostModule{again}, Statistics: vm.StatisticsConfig{Instructions: true}})
	guest := []byte(`(module (import "env" "again" (func $again (result i32))) (func (export "f") (result i32) (call $again)))`)
	operations := []func(n int) error{
		func(int) error { return v.LoadBytes(background, guest) },
		func(int) error { return v.Validate() },
		func(int) error { return v.Instantiate(background) },
		func(int) error { return second(v.Execute(background, "f")) },
		func(int) error { return second(v.RunBytes(background, guest, "f")) },
		func(n int) error { return v.RegisterBytes(background, "lib"+strconv.Itoa(n%3), []byte(answer)) },
		func(n int) error { return second(v.ExecuteRegistered(background, "lib"+strconv.Itoa(n%3), "answer")) },
		func(int) error { return second(v.ExecuteRegistered(background, "env", "again")) },
		func(n int) error {
			return v.RegisterHost(wasmer.NewImports().Namespace("host"+strconv.Itoa(n)).Function("f", func() {}))
		},
		func(int) error { return v.WASI().Configure(wasmer.WASIConfig{}) },
		func(int) error { _, _, _ = v.Registered(), v.Functions(), v.Statistics(); return nil },
		func(n int) error {
			if n%10 == 0 {
				return v.Cleanup()
			}
			return second(v.AsyncExecute(background, "f").Result())
		},
	}
	var wait sync.WaitGroup
	unexpected := make(chan error, 1000)
	for seed := range uint64(6) {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			for range 150 {
				err := operations[random.IntN(len(operations))](random.IntN(1000))
				if err != nil && !errors.As(err, new(*vm.StateError)) && !errors.Is(err, vm.ErrChanged) && !errors.Is(err, wasmer.ErrNameTaken) &&
					!errors.Is(err, wasmer.ErrClosed) && !errors.Is(err, wasmer.ErrNotFound) {
					unexpected <- err
				}
			}
		})
	}
	wait.Wait()
	close(unexpected)
	for err := range unexpected {
		require.NoError(t, err)
	}
	require.NoError(t, v.Cleanup())
	require.NoError(t, second(v.RunBytes(background, guest, "f")))
}

// Each gets what its own module gives, or is told that another one was in the way.
func TestF062GoroutinesRunModulesInOneVM(t *testing.T) {
	v := newVM(t, vm.Config{})
	var wait sync.WaitGroup
	wrong := make(chan string, 100)
	for n := range 4 {
		module := []byte(fmt.Sprintf(`(module (func (export "f") (result i32) (i32.const %d)))`, n))
		wait.Go(func() {
			for range 200 {
				values, err := v.RunBytes(background, module, "f")
				if err == nil && values[0].ToI32() != int32(n) || err != nil && !errors.Is(err, vm.ErrChanged) && !errors.Is(err, wasmer.ErrClosed) {
					wrong <- fmt.Sprint(n, values, err)
					return
				}
			}
		})
	}
	wait.Wait()
	close(wrong)
	for each := range wrong {
		require.Fail(t, each)
	}
}

// A VM that is forgotten is collected, also if a host function refers to it: TestMain counts what is left.
func TestF022AForgottenVMIsCollected(t *testing.T) {
	var v *vm.VM
	v = vm.New(vm.Config{WASI: true, HostModules: []wasmer.HostModule{wasmer.NewImports().Function("f", func() int32 { return int32(v.State()) })}})
	ready(t, v, `(module (import "env" "f" (func $f (result i32))) (memory 1) (func (export "g") (result i32) (call $f)))`)
	gives(t, int32(vm.Instantiated), v, "g")
	require.NoError(t, v.RegisterBytes(background, "lib", []byte(answer)))
}

func TestF066WithoutAContext(t *testing.T) {
	v := newVM(t, vm.Config{})
	//lint:ignore SA1012 nil stands for the background
	values, err := v.RunBytes(nil, fibonacci, "fib", 21)
	require.NoError(t, err)
	require.Equal(t, int32(17711), values[0].ToI32())
}
