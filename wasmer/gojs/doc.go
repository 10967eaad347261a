// Package gojs runs programs that Go built for GOOS=js GOARCH=wasm, without JavaScript. It stands in for wasm_exec.js and
// for what of Node the standard library asks for. Programs that can be built anew are better built for GOOS=wasip1, which
// package wasmer runs by itself.
//
// Run runs a program to its end. For functions of the host that the program imports (go:wasmimport), instantiate with
// Imports and call Host.Start.
//
// # What works
//
// Arguments, environment, standard streams, exit codes and panics; goroutines, timers, clocks and randomness; files and
// folders in the mounts, with symbolic links as far as these have them. Programs start in the folder that the environment
// variable PWD names, if it is in a mount, else in "/". Reading from a stream lets other goroutines go on.
//
// Of syscall/js: objects, arrays, Uint8Array and Uint8ClampedArray, functions in both directions, errors, symbols,
// Object.keys, Array.isArray, Date, console, crypto.getRandomValues, performance.now, setTimeout, clearTimeout,
// queueMicrotask, and of Node process, path.resolve and fs.
//
// # What does not
//
// There is no JavaScript: no eval, DOM, promises, getters or prototypes of one's own, and arrays have no holes. What the host
// does not have is undefined; where a program panics over that, the error of Host.Start names the property. There is no
// network: net/http has no fetch, so that requests fail with an error. Owners and permissions of files cannot be changed,
// which is ENOSYS, and look the same for all files. Symbolic links with an absolute target are refused, and those that lead to another mount.
//
// # Limits
//
// What a program holds of JavaScript's values takes up to 1 GiB of the host's memory, besides the program's own memory: more
// ends it with wasmer.ErrResource. Buffers that were given to fs.read or fs.write may be given up when much has gathered. A
// program has up to 1,024 open files and 10,000 timers.
package gojs
