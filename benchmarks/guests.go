package benchmarks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A program is a guest that computes something. None of them imports anything, or needs an initialisation.
type program struct {
	name, export string
	args         []int32
	// light programs are quick enough for interpreters, and long ones for no test.
	light, long bool
	// simd programs have the instructions of the SIMD proposal.
	simd bool
	// native is C that defines run(size), which computes the same; empty if nothing does.
	native string
}

// nativeFile is native code that is a file of ../testdata.
func nativeFile(name string) string { return fmt.Sprintf("#include %q\n", name) }

var (
	nbody = program{
		name: "nbody", export: "main", args: []int32{100_000}, light: true,
		native: nativeFile("bench/nbody.c") + `
			uint64_t run(uint32_t size)
			{
				union { double number; uint64_t bits; } energy = { nbody((int32_t)size) };
				return energy.bits;
			}`,
	}
	fib = program{
		name: "fib_recursive", export: "app_main", light: true,
		native: nativeFile("bench/fib_recursive.c") + `
			uint64_t run(uint32_t size) { (void)size; return (uint32_t)fib(35); }`,
	}
	pollard  = program{name: "pollard_rho_128", export: "app_main", light: true}
	snappy   = program{name: "snappy_compress", export: "app_main", long: true}
	programs = []program{nbody, fib, pollard, snappy}
)

// computations are the programs of ../testdata/compute, without SIMD and with it.
var computations = func() (all []program) {
	for _, c := range []struct {
		name string
		size int32
	}{
		{"matrix", 300},
		{"mandelbrot", 300},
		{"spectral", 500},
		{"fannkuch", 9},
		{"sha256", 4096},
		{"quicksort", 300_000},
		{"json", 10_000},
		{"regex", 256},
	} {
		p := program{name: c.name, export: "run", args: []int32{c.size}, native: nativeFile("compute/" + c.name + ".c")}
		all = append(all, p)
		p.name, p.simd = p.name+"_simd", true
		all = append(all, p)
	}
	return all
}()

// read loads the program from the first folder of test data that has it.
func (p program) read() ([]byte, error) {
	if p.export == "run" {
		return os.ReadFile(filepath.Join("..", "testdata", "compute", p.name+".wasm"))
	}
	folders := []string{"../../shared/data", "../testdata"}
	if folder := os.Getenv("WASMER_GO_TESTDATA"); folder != "" {
		folders = []string{folder}
	}
	for _, folder := range folders {
		wasm, err := os.ReadFile(filepath.Join(folder, "bench", p.name+".wasm"))
		if !errors.Is(err, fs.ErrNotExist) {
			return wasm, err
		}
	}
	return nil, fmt.Errorf("bench/%s.wasm: %w in %v; WASMER_GO_TESTDATA can name another folder", p.name, fs.ErrNotExist, folders)
}

// The guests of the other benchmarks, as text.
const (
	sumGuest = `(module
		(func (export "sum") (param i32 i32) (result i32)
			(i32.add (local.get 0) (local.get 1))))`

	// run(n) calls f n times, each time with the previous result, so that it returns n where f adds one.
	hostCallGuest = `(module
		(import "env" "f" (func $f (param i32) (result i32)))
		(func (export "run") (param $n i32) (result i32) (local $x i32)
			(loop $again
				(local.set $x (call $f (local.get $x)))
				(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
			(local.get $x)))`

	// run(n) calls f n times with what is left to do, and returns n.
	emitGuest = `(module
		(import "env" "f" (func $f (param i32)))
		(func (export "run") (param $n i32) (result i32) (local $left i32)
			(local.set $left (local.get $n))
			(loop $again
				(call $f (local.get $left))
				(br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
			(local.get $n)))`

	memoryGuest = `(module
		(memory (export "memory") 1)
		(func (export "f") (result i32) (i32.load (i32.const 0))))`

	// handle(n) answers n to its first request.
	requestGuest = `(module
		(memory (export "memory") 1)
		(func (export "handle") (param $n i32) (result i32)
			(i32.store (i32.const 1024) (i32.add (i32.load (i32.const 1024)) (i32.const 1)))
			(i32.mul (local.get $n) (i32.load (i32.const 1024)))))`

	// plainCommandGuest has a command's form, and prints into its memory.
	plainCommandGuest = `(module
		(memory (export "memory") 1)
		(data (i32.const 32) "hello, wasi\n")
		(func (export "_start") (memory.copy (i32.const 64) (i32.const 32) (i32.const 12))))`

	twoHostsGuest = `(module
		(import "env" "f" (func $f (param i32) (result i32)))
		(import "env" "g" (func $g (param i32) (result i32)))
		(func (export "f") (result i32) (call $g (call $f (i32.const 0)))))`

	// writes(n) writes 12 bytes n times and returns how many were taken; clocks(n, id) returns the last of n readings.
	wasiGuest = `(module
		(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
		(memory (export "memory") 1)
		(data (i32.const 0) "\20\00\00\00\0c\00\00\00")
		(data (i32.const 32) "hello world\n")
		(func (export "writes") (param $n i32) (result i64) (local $taken i64)
			(loop $again
				(if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)) (then unreachable))
				(local.set $taken (i64.add (local.get $taken) (i64.load32_u (i32.const 64))))
				(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
			(local.get $taken))
		(func (export "clocks") (param $n i32) (param $id i32) (result i64)
			(loop $again
				(if (call $time (local.get $id) (i64.const 1) (i32.const 64)) (then unreachable))
				(br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
			(i64.load (i32.const 64))))`

	// exitGuest does what hello.wasm does, and exits with 0 rather than returning.
	exitGuest = `(module
		(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
		(memory (export "memory") 1)
		(data (i32.const 0) "\20\00\00\00\0c\00\00\00")
		(data (i32.const 32) "hello, wasi\n")
		(func (export "_start")
			(call $exit (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))))`

	trapGuest = `(module
		(memory 1)
		(func (export "unreachable") (result i32) unreachable)
		(func (export "bounds") (result i32) (i32.load (i32.const 65536)))
		(func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
		(func $recurse (export "recurse") (result i32) (i32.add (i32.const 1) (call $recurse))))`
)
