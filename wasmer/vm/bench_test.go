package vm_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		v := vm.New(vm.Config{WASI: true})
		require.NoError(b, v.Close())
	}
}

func BenchmarkRunModule(b *testing.B) {
	module := wasmer.Must(wasmer.Compile(fibonacci))
	defer module.Close()
	v := newVM(b, vm.Config{})
	for b.Loop() {
		_, _ = v.RunModule(background, module, "fib", 1)
	}
}

func BenchmarkExecute(b *testing.B) {
	v := newVM(b, vm.Config{})
	ready(b, v, string(fibonacci))
	for b.Loop() {
		_, _ = v.Execute(background, "fib", 1)
	}
}
