package wasmer_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// composed imports WASI, a function of the host, and one of a third module.
const composed = `(module
	(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
	(import "env" "twice" (func $twice (param i32) (result i32)))
	(memory (export "memory") 1)
	(data (i32.const 0) "\08\00\00\00\03\00\00\00abc")
	(func (export "write") (result i32) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
	(func (export "yield") (result i32) (call $yield))
	(func (export "twice") (param i32) (result i32) (call $twice (local.get 0))))`

func TestWASIBesideOwnFunctions(t *testing.T) {
	twice := func(n int32) int32 { return 2 * n }
	yield := func() int32 { return 77 }
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, composed)
		config := wasmer.WASIConfig{}
		stdout, _ := config.Capture()
		wasi := newWASI(t, config)
		for name, test := range map[string]struct {
			imports func() *wasmer.Imports
			yield   int32
		}{
			"before":     {func() *wasmer.Imports { return wasmer.NewImports().Function("twice", twice).WASI(wasi) }, 0},
			"after":      {func() *wasmer.Imports { return wasmer.NewImports().WASI(wasi).Function("twice", twice) }, 0},
			"WASI twice": {func() *wasmer.Imports { return wasmer.NewImports().WASI(wasi).Function("twice", twice).WASI(wasi) }, 0},
			"with all the rest": {func() *wasmer.Imports {
				return wasmer.NewImports().StubUnknown().Emscripten().AssemblyScript(wasmer.AssemblyScriptConfig{}).WASI(wasi).Function("twice", twice)
			}, 0},
			"overridden after": {func() *wasmer.Imports {
				return wasmer.NewImports().WASI(wasi).Function("twice", twice).Namespace("wasi_snapshot_preview1").Function("sched_yield", yield)
			}, 77},
			"overridden before": {func() *wasmer.Imports {
				return wasmer.NewImports().Namespace("wasi_snapshot_preview1").Function("sched_yield", yield).Namespace("env").Function("twice", twice).WASI(wasi)
			}, 77},
			"overridden for the other version": {func() *wasmer.Imports {
				return wasmer.NewImports().WASI(wasi).Function("twice", twice).Namespace("wasi_unstable").Function("sched_yield", yield)
			}, 0},
		} {
			t.Run(name, func(t *testing.T) {
				stdout.Reset()
				instance := instantiateFrom(t, module, test.imports())
				require.EqualValues(t, 84, call(t, instance, "twice", 42).ToI32())
				require.EqualValues(t, test.yield, call(t, instance, "yield").ToI32())
				require.Zero(t, call(t, instance, "write").ToI32())
				require.Equal(t, "abc", stdout.String())
			})
		}
	})
}

// An override can do its own and call through, to an instance that hands the functions of WASI on.
func TestOverrideOfWASICallsThrough(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		config := wasmer.WASIConfig{}
		stdout, _ := config.Capture()
		wasi := newWASI(t, config)
		store := newStore(t, engine)
		memory, err := store.NewMemory(1, 1)
		require.NoError(t, err)
		through, err := store.Instantiate(background, "", compile(t, engine, `(module
			(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
			(import "env" "memory" (memory 1))
			(export "write" (func $write)))`), wasmer.NewImports().WASI(wasi).Memory("memory", memory))
		require.NoError(t, err)
		write := function(t, through, "write")
		calls := 0
		imports := wasmer.NewImports().WASI(wasi).Memory("memory", memory).Namespace("wasi_snapshot_preview1").
			Function("fd_write", func(c *wasmer.Caller, fd, vectors, count, result int32) (int32, error) {
				calls++
				values, err := write.Call(c.Context(), fd, vectors, count, result)
				if err != nil {
					return 0, err
				}
				return values[0].ToI32(), nil
			})
		guest := instantiateIn(t, store, engine, `(module
			(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
			(import "env" "memory" (memory 1))
			(data (i32.const 0) "\08\00\00\00\03\00\00\00abc")
			(func (export "run") (result i32) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100))))`, imports)
		require.Zero(t, call(t, guest, "run").ToI32())
		require.Equal(t, 1, calls)
		require.Equal(t, "abc", stdout.String())
		n, err := memory.ReadUint32Le(100)
		require.NoError(t, err)
		require.EqualValues(t, 3, n)
	})
}

func TestWASIUsesTheMemory(t *testing.T) {
	const random = `(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
		(func (export "run") (param i32) (result i32) (call $random (local.get 0) (i32.const 4)))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		imports := func() *wasmer.Imports {
			return wasmer.NewImports().WASI(newWASI(t, wasmer.WASIConfig{Random: strings.NewReader("abcd")}))
		}
		t.Run("imported", func(t *testing.T) {
			memory, err := newStore(t, engine).NewMemory(1, 2)
			require.NoError(t, err)
			instance := instantiateFrom(t, compile(t, engine, `(module (import "env" "memory" (memory 1 2))`+random+")"), imports().Memory("memory", memory))
			require.EqualValues(t, errnoFault, call(t, instance, "run", 1<<16).ToI32())
			require.NoError(t, memory.Grow(1))
			require.Zero(t, call(t, instance, "run", 1<<16).ToI32())
			data, err := memory.Read(1<<16, 4)
			require.NoError(t, err)
			require.Equal(t, "abcd", string(data))
		})
		t.Run("exported under another name", func(t *testing.T) {
			instance := instantiate(t, engine, `(module `+random+`(memory (export "m") 1))`, imports())
			require.Zero(t, call(t, instance, "run", 0).ToI32())
			data, err := instance.Memory.Read(0, 4)
			require.NoError(t, err)
			require.Equal(t, "abcd", string(data))
		})
		t.Run("missing", func(t *testing.T) {
			instance := instantiate(t, engine, `(module `+random+")", imports())
			require.EqualValues(t, errnoFault, call(t, instance, "run", 0).ToI32())
		})
		t.Run("in the start function", func(t *testing.T) {
			instance := instantiate(t, engine, `(module `+random+`(memory (export "memory") 1) (func $s (drop (call $random (i32.const 8) (i32.const 4)))) (start $s))`, imports())
			data, err := instance.Memory.Read(8, 4)
			require.NoError(t, err)
			require.Equal(t, "abcd", string(data))
		})
	})
}

func TestStubUnknown(t *testing.T) {
	const text = `(module
		(import "env" "known" (func $known (result i32))) (import "strange" "f\22" (func $f (param i64 f32) (result f64 i32)))
		(func (export "known") (result i32) (call $known))
		(func (export "run") (call $f (i64.const 1) (f32.const 2)) drop drop))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, text)
		imports := wasmer.NewImports().StubUnknown().Function("known", func() int32 { return 42 })
		instance := instantiateFrom(t, module, imports)
		require.EqualValues(t, 42, call(t, instance, "known").ToI32())
		for range 2 {
			err := failing(t, instance, "run")
			require.ErrorIs(t, err, wasmer.ErrStub)
			require.ErrorContains(t, err, "strange")
			require.ErrorContains(t, err, `f\"`)
		}
		require.EqualValues(t, 42, call(t, instance, "known").ToI32(), "it is still open")

		store := newStore(t, engine)
		instantiateNamed(t, store, engine, "strange", `(module (func (export "f\22") (param i64 f32) (result f64 i32) f64.const 0 i32.const 0))`)
		linked, err := store.Instantiate(background, "", module, imports)
		require.NoError(t, err)
		require.Empty(t, run(t, linked, "run"), "what the store has comes before stubs")

		for _, item := range []string{"(memory 1)", "(table 1 funcref)", "(global i32)"} {
			var link *wasmer.LinkError
			_, err := wasmer.Instantiate(background, compile(t, engine, `(module (import "env" "f" (func)) (import "env" "x" `+item+"))"), imports)
			require.ErrorAs(t, err, &link, "only functions are made up")
			require.Len(t, link.Imports, 1)
			require.Equal(t, "x", link.Imports[0].Name)
		}
		var link *wasmer.LinkError
		_, err = wasmer.Instantiate(background, compile(t, engine, `(module (import "env" "known" (func (param i64))))`), imports)
		require.ErrorAs(t, err, &link, "a function of another type is not replaced")
	})
}

func TestMissingImportsAreListedWithHints(t *testing.T) {
	wasi := newWASI(t, wasmer.WASIConfig{})
	for name, test := range map[string]struct {
		module, name string
		imports      *wasmer.Imports
		want         string
	}{
		"WASI":                      {"wasi_snapshot_preview1", "fd_write", wasmer.NewImports(), "Imports.WASI"},
		"WASI, no imports":          {"wasi_unstable", "fd_write", nil, "Imports.WASI"},
		"unknown function of WASI":  {"wasi_snapshot_preview1", "thread_spawn", wasmer.NewImports().WASI(wasi), "missing"},
		"WASIX":                     {"wasix_32v1", "callback_signal", wasmer.NewImports(), "WASIX"},
		"WASIX beside WASI":         {"wasix_32v1", "callback_signal", wasmer.NewImports().WASI(wasi), "WASIX"},
		"preview 2":                 {"wasi:cli/stdout@0.2.0", "get-stdout", wasmer.NewImports(), "preview 2"},
		"preview 2 beside WASI":     {"wasi:cli/stdout@0.2.0", "get-stdout", wasmer.NewImports().WASI(wasi), "preview 2"},
		"another version":           {"wasi_snapshot_preview9", "x", wasmer.NewImports(), "never came to be"},
		"another version with WASI": {"wasi_snapshot_preview9", "x", wasmer.NewImports().WASI(wasi), "never came to be"},
		"GOOS=js":                   {"gojs", "runtime.wasmExit", wasmer.NewImports(), "GOOS=wasip1"},
		"GOOS=js, old":              {"go", "runtime.wasmExit", wasmer.NewImports(), "GOOS=wasip1"},
		"Emscripten":                {"env", "emscripten_notify_memory_growth", wasmer.NewImports().WASI(wasi), "Imports.Emscripten"},
		"AssemblyScript":            {"env", "abort", wasmer.NewImports(), "Imports.AssemblyScript"},
		"wasm-bindgen":              {"wbg", "__wbg_log_1", wasmer.NewImports(), "wasm-bindgen"},
	} {
		t.Run(name, func(t *testing.T) {
			module, err := wasmer.Compile([]byte(`(module (import "env" "own" (func)) (import "` + test.module + `" "` + test.name + `" (func)))`))
			require.NoError(t, err)
			defer module.Close()
			_, err = wasmer.Instantiate(background, module, test.imports)
			var link *wasmer.LinkError
			require.ErrorAs(t, err, &link)
			require.Len(t, link.Imports, 2, "all are listed")
			require.Equal(t, test.module, link.Imports[1].Module)
			require.Equal(t, test.name, link.Imports[1].Name)
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, `"own"`)
			if test.want != "missing" {
				require.Contains(t, link.Imports[1].Hint, test.want)
			}
		})
	}
}

func TestWASIFunctionsOfAnotherTypeAreRefused(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "wasi_snapshot_preview1" "fd_write" (func (param i64))) (import "wasi_snapshot_preview1" "proc_exit" (memory 1)))`)
		_, err := wasmer.Instantiate(background, module, wasmer.NewImports().WASI(newWASI(t, wasmer.WASIConfig{})))
		var link *wasmer.LinkError
		require.ErrorAs(t, err, &link)
		require.Len(t, link.Imports, 2)
		require.NotNil(t, link.Imports[0].Given)
	})
}

func TestComponentsAreExplained(t *testing.T) {
	_, err := wasmer.Compile([]byte("\x00asm\x0d\x00\x01\x00"))
	require.ErrorContains(t, err, "component")
	require.False(t, wasmer.Validate([]byte("\x00asm\x0d\x00\x01\x00")))
}

func TestWASIVersion(t *testing.T) {
	for text, want := range map[string]wasmer.WasiVersion{
		`(module)`: wasmer.Unknown,
		`(module (import "env" "fd_write" (func)))`:                                                          wasmer.Unknown,
		`(module (import "wasi_unstable" "a" (func)))`:                                                       wasmer.Snapshot0,
		`(module (import "wasi_snapshot_preview1" "a" (func)))`:                                              wasmer.Snapshot1,
		`(module (import "wasi_unstable" "a" (func)) (import "wasi_snapshot_preview1" "a" (func)))`:          wasmer.Snapshot1,
		`(module (import "wasi_snapshot_preview1" "a" (func)) (import "wasi_unstable" "a" (func)))`:          wasmer.Snapshot1,
		`(module (import "wasi_snapshot_preview2" "a" (func)) (import "wasi:cli/exit@0.2.0" "a" (func)))`:    wasmer.Unknown,
		`(module (import "wasi_snapshot_preview1" "memory" (memory 1)) (import "wasi_unstable" "a" (func)))`: wasmer.Snapshot0,
	} {
		module, err := wasmer.Compile([]byte(text))
		require.NoError(t, err)
		require.Equal(t, want, wasmer.WASIVersion(module), text)
		require.Equal(t, want, wasmer.WasiGetVersion(module), text)
		require.NoError(t, module.Close())
		require.Equal(t, want, wasmer.WASIVersion(module), "what is known of a module outlives it")
	}
	require.Equal(t, wasmer.Snapshot1, wasmer.Latest)
	require.Equal(t, "wasi_unstable wasi_snapshot_preview1 unknown unknown",
		wasmer.Snapshot0.String()+" "+wasmer.Snapshot1.String()+" "+wasmer.Unknown.String()+" "+wasmer.WasiVersion(9).String())
}

// wasi_unstable is the version before, whose guests have a few things at other places.
func TestSnapshot0LaysThingsOutDifferently(t *testing.T) {
	const setOld, currentOld, endOld = 2, 0, 1
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		wasi := newWASI(t, wasmer.WASIConfig{Mounts: []wasmer.Mount{{Guest: "/", Host: wasiFolder(t)}}, Deterministic: true})
		old := newProbe(t, compile(t, engine, probeText("wasi_unstable")), wasi)
		file, errno := old.open(3, "sub/numbers", 0)
		require.Zero(t, errno)
		for _, step := range []struct {
			delta, whence int
			want          uint64
		}{{3, setOld, 3}, {-1, currentOld, 2}, {-1, endOld, 3}, {0, currentOld, 3}, {0, endOld, 4}} {
			require.Zero(t, old.errno("fd_seek", file, step.delta, step.whence, resultAddress))
			require.Equal(t, step.want, old.u64(resultAddress))
		}
		for _, whence := range []int{3, 4, 255, -1} {
			require.Equal(t, errnoInval, old.errno("fd_seek", file, 0, whence, resultAddress))
		}
		current := newProbe(t, compile(t, engine, probeText("wasi_snapshot_preview1")), wasi)
		same, errno := current.open(3, "sub/numbers", 0)
		require.Zero(t, errno)
		for whence, want := range []uint64{1, 2, 5} {
			require.Zero(t, current.errno("fd_seek", same, 1, whence, resultAddress))
			require.Equal(t, want, current.u64(resultAddress))
		}

		untouched := bytes.Repeat([]byte{0xee}, 64)
		old.put(resultAddress, untouched)
		current.put(resultAddress, untouched)
		require.Zero(t, old.errno("fd_filestat_get", file, resultAddress))
		require.Zero(t, current.errno("fd_filestat_get", same, resultAddress))
		stat, stat0 := current.get(resultAddress, 64), old.get(resultAddress, 64)
		require.Equal(t, stat[:17], stat0[:17], "device, inode, type")
		require.EqualValues(t, 1, binary.LittleEndian.Uint64(stat[24:]))
		require.EqualValues(t, 1, binary.LittleEndian.Uint32(stat0[20:]))
		require.EqualValues(t, 4, binary.LittleEndian.Uint64(stat0[24:]))
		require.Equal(t, stat[32:], stat0[24:56], "size and times")
		require.Equal(t, untouched[56:], stat0[56:])
		require.Zero(t, old.errno("fd_filestat_get", file, pastMemory-56))
		require.Equal(t, errnoFault, current.errno("fd_filestat_get", same, pastMemory-56))

		// userdata, kind, an identifier, clock, timeout, precision, flags.
		subscription := make([]byte, 2*56)
		for n, timeout := range []uint64{3_600_000_000_000, 60_000_000_000} {
			s := subscription[56*n:]
			binary.LittleEndian.PutUint64(s, uint64(n+1))
			binary.LittleEndian.PutUint64(s[16:], 1<<63)
			binary.LittleEndian.PutUint32(s[24:], clockMonotonic)
			binary.LittleEndian.PutUint64(s[32:], timeout)
		}
		before := old.clock(clockMonotonic)
		require.Equal(t, []event{{userdata: 2}}, old.poll(subscription[:56], subscription[56:]))
		require.InDelta(t, 60_000_000_000, float64(old.clock(clockMonotonic)-before), 10_000)
	})
}
