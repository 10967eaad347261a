package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing/fstest"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A program of C, Rust, Go or another language, with arguments and files.
func ExampleNewWASI() {
	module := wasmer.Must(wasmer.Compile(wasmer.Must(wasmer.ReadBytes("../testdata/wasi/cat.wasm"))))
	defer module.Close()

	folder := wasmer.Must(os.MkdirTemp("", "wasi"))
	defer os.RemoveAll(folder)
	if err := os.WriteFile(filepath.Join(folder, "a.txt"), []byte("from a folder\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	wasi := wasmer.NewWASI(wasmer.WASIConfig{
		Args:   []string{"cat", "/a.txt", "./a.txt", "/data/b.txt"},
		Stdout: os.Stdout,
		Mounts: []wasmer.Mount{
			{Guest: "/", Host: folder, ReadOnly: true},
			{Guest: "/data", FS: fstest.MapFS{"b.txt": {Data: []byte("from an fs.FS\n")}}},
		},
	})
	defer wasi.Close()

	ctx := context.Background()
	instance, err := wasmer.Instantiate(ctx, module, wasmer.NewImports().WASI(wasi))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	fmt.Println(instance.Start(ctx))
	// Output:
	// from a folder
	// from a folder
	// from an fs.FS
	// <nil>
}

// An exit code other than 0 is an error.
func ExampleExitError() {
	module := wasmer.Must(wasmer.Compile(wasmer.Must(wasmer.ReadBytes("../testdata/wasi/exit.wasm"))))
	defer module.Close()
	ctx := context.Background()
	for _, code := range []string{"0", "3"} {
		wasi := wasmer.NewWASI(wasmer.WASIConfig{Args: []string{"exit", code}})
		instance, err := wasmer.Instantiate(ctx, module, wasmer.NewImports().WASI(wasi))
		if err != nil {
			log.Fatal(err)
		}
		err = instance.Start(ctx)
		var exit *wasmer.ExitError
		if errors.As(err, &exit) {
			fmt.Println("code", exit.Code)
		} else {
			fmt.Println(err)
		}
	}
	// Output:
	// <nil>
	// code 3
}

// sorter runs a command for each request: it is compiled once, and each run is an instance of its own.
type sorter struct {
	module *wasmer.Module
}

func newSorter() (*sorter, error) {
	wasm, err := wasmer.ReadBytes("../testdata/wasi/sort.wasm")
	if err != nil {
		return nil, err
	}
	module, err := wasmer.Compile(wasm)
	return &sorter{module}, err
}

// sort may be called by any number of goroutines.
func (s *sorter) sort(ctx context.Context, input io.Reader) (string, error) {
	var output, problems bytes.Buffer
	wasi := wasmer.NewWASI(wasmer.WASIConfig{
		Args: []string{"sort"}, Stdin: input, Stdout: &output, Stderr: &problems,
	})
	instance, err := wasmer.Instantiate(ctx, s.module, wasmer.NewImports().WASI(wasi))
	if err != nil {
		return "", err
	}
	// A command that calls proc_exit is closed by that; one that returns from _start, or traps, is not.
	defer instance.Close()
	if err := instance.Start(ctx); err != nil {
		return "", fmt.Errorf("%w: %s", err, problems.String())
	}
	return output.String(), nil
}

func (s *sorter) close() error { return s.module.Close() }

// A command that is run again and again.
func ExampleInstance_Start() {
	sorter, err := newSorter()
	if err != nil {
		log.Fatal(err)
	}
	defer sorter.close()
	for range 500 {
		sorted, err := sorter.sort(context.Background(), strings.NewReader("pear\napple\n"))
		if err != nil || sorted != "apple\npear\n" {
			log.Fatalf("%q %v", sorted, err)
		}
	}
	fmt.Println("500 runs")
	// Output: 500 runs
}

// What a guest writes, in buffers.
func ExampleWASIConfig_Capture() {
	module := wasmer.Must(wasmer.Compile(wasmer.Must(wasmer.ReadBytes("../testdata/wasi/hello.wasm"))))
	defer module.Close()
	config := wasmer.WASIConfig{Args: []string{"hello"}}
	stdout, stderr := config.Capture()

	ctx := context.Background()
	instance, err := wasmer.Instantiate(ctx, module, wasmer.NewImports().WASI(wasmer.NewWASI(config)))
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	fmt.Println(instance.Start(ctx))
	fmt.Printf("%q %q\n", stdout.String(), stderr.String())
	// Output:
	// <nil>
	// "hello, wasi\n" ""
}

// WASI beside functions of one's own, one of which takes the place of WASI's.
func ExampleImports_WASI() {
	module := wasmer.Must(wasmer.Compile([]byte(`
		(module
		  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
		  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
		  (import "env" "log" (func $log (param i32)))
		  (memory (export "memory") 1)
		  (func (export "_start")
		    (drop (call $random (i32.const 0) (i32.const 4)))
		    (call $log (i32.load (i32.const 0)))
		    (call $exit (i32.const 0))))`)))
	defer module.Close()

	imports := wasmer.NewImports().
		Function("log", func(n int32) { fmt.Println("log", n) }).
		WASI(wasmer.NewWASI(wasmer.WASIConfig{})).
		Namespace("wasi_snapshot_preview1").
		Function("random_get", func(c *wasmer.Caller, at, n uint32) (uint32, error) {
			return 0, c.Memory().WriteUint32Le(uint64(at), 4) // chosen by a fair dice roll
		})
	ctx := context.Background()
	instance, err := wasmer.Instantiate(ctx, module, imports)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(instance.Start(ctx))
	// Output:
	// log 4
	// <nil>
}

// A guest with imports that nobody defines can be tried out nevertheless.
func ExampleImports_StubUnknown() {
	module := wasmer.Must(wasmer.Compile([]byte(`
		(module
		  (import "env" "emit" (func $emit (param i32)))
		  (func (export "quiet") (result i32) (i32.const 42))
		  (func (export "loud") (call $emit (i32.const 1))))`)))
	defer module.Close()
	ctx := context.Background()
	instance, err := wasmer.Instantiate(ctx, module, wasmer.NewImports().StubUnknown())
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	fmt.Println(wasmer.Must(instance.Function("quiet")).Call(ctx))
	fmt.Println(wasmer.Must(instance.Function("loud")).Call(ctx))
	// Output:
	// [42] <nil>
	// [] wasmer: call of an undefined import: "env"."emit"
}

// A module that AssemblyScript's compiler made.
func ExampleImports_AssemblyScript() {
	module := wasmer.Must(wasmer.Compile(wasmer.Must(wasmer.ReadBytes("../testdata/wasi/host.wasm"))))
	defer module.Close()
	ctx := context.Background()
	imports := wasmer.NewImports().AssemblyScript(wasmer.AssemblyScriptConfig{Messages: os.Stdout})
	instance, err := wasmer.Instantiate(ctx, module, imports)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(wasmer.Must(instance.Function("add")).Call(ctx, 40, 2))
	_, err = wasmer.Must(instance.Function("fail")).Call(ctx)
	fmt.Println(err)
	// Output:
	// [42] <nil>
	// 42 is too much at host.ts:9:3
	// wasmer: the guest exited with code 255
}

// go-ext-wasm's way to run a program.
func ExampleModule_InstantiateWithImportObject() {
	module := wasmer.Must(wasmer.Compile(wasmer.Must(wasmer.ReadBytes("../testdata/wasi/env.wasm"))))
	defer module.Close()
	fmt.Println(wasmer.WasiGetVersion(module))
	imports := wasmer.NewWasiImportObject([]string{"env", "argument"}, []string{"KEY=value"}, nil, nil)
	defer imports.Close()
	instance, err := module.InstantiateWithImportObject(imports)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	_, err = instance.Exports["_start"]()
	fmt.Println(err)
	// Output:
	// wasi_snapshot_preview1
	// arg 0: env
	// arg 1: argument
	// KEY=value
	// <nil>
}
