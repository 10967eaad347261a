package wasmer_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// endless is a guest whose export "run" never returns. "ok" gives 42.
type endless struct {
	name string
	// body is that of "run"; outside is what else the module has.
	body, outside string
	// binary is the whole module where a text would be too long.
	binary func() []byte
	// needs is what not every compiler has.
	needs wasmer.Feature
	// huge says that it takes memory, or time to compile: once is enough.
	huge bool
}

// endlessHosts are what guests import that use them; the others have no imports, since calls into such stores are shorter.
var endlessHosts = map[string]string{
	"$nothing": `(import "env" "nothing" (func $nothing))`,
	"$mixed":   `(import "env" "mixed" (func $mixed (param i32 f64) (result i64)))`,
	"$dynamic": `(import "env" "dynamic" (func $dynamic (param i32) (result i32)))`,
	"$clock":   `(import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))`,
}

func (e endless) module() []byte {
	if e.binary != nil {
		return e.binary()
	}
	var imports string
	for name, text := range endlessHosts {
		if strings.Contains(e.body, "call "+name) {
			imports += text
		}
	}
	return fmt.Appendf(nil, `(module %s %s (func (export "run") %s) (func (export "ok") (result i32) (i32.const 42)))`,
		imports, e.outside, e.body)
}

// repeat is a loop without an end around the instructions.
func repeat(instructions string) string { return "(loop $again " + instructions + " (br $again))" }

// withMemory is what a module has that works on a memory of so many pages.
func withMemory(pages int, more string) string {
	return fmt.Sprintf(`(memory (export "memory") %d) `, pages) + more
}

const fourGiB = "(i32.const -1)"

// shared is a memory to wait on.
const shared = `(memory (export "memory") 1 1 shared)`

// endlessGuests are of all shapes.
var endlessGuests = []endless{
	{name: "empty loop", body: repeat("")},
	{name: "loop without memory", body: `(local $i i64)` + repeat(`(local.set $i (i64.add (i64.mul (local.get $i) (i64.const 3)) (i64.const 1)))`)},
	{name: "loop with memory", outside: withMemory(1, ""), body: repeat(`(i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))`)},
	{name: "loop with a global", outside: `(global $g (mut i64) (i64.const 0))`, body: repeat(`(global.set $g (i64.add (global.get $g) (i64.const 1)))`)},
	{name: "nested loops", outside: withMemory(1, ""), body: `(local $i i32)` +
		repeat(`(local.set $i (i32.const 1000)) (loop $inner (i32.store (i32.const 0) (local.get $i))
			(br_if $inner (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))`)},
	{name: "conditional loop", outside: withMemory(1, ""), body: `(loop $again (br_if $again (i32.eqz (i32.load (i32.const 0)))))`},
	{name: "float loop", body: `(local $x f64)` + repeat(`(local.set $x (f64.sqrt (f64.add (local.get $x) (f64.const 1.5))))`)},
	{name: "division loop", body: `(local $x i64)` + repeat(`(local.set $x (i64.rem_u (i64.const -1) (i64.or (local.get $x) (i64.const 3))))`)},
	{name: "br_table", outside: withMemory(1, ""), body: `(local $i i32)` + repeat(`(local.set $i (i32.add (local.get $i) (i32.const 1)))
		(block $c (block $b (block $a (br_table $a $b $c $again (i32.and (local.get $i) (i32.const 3))))
			(i32.store (i32.const 0) (i32.const 1)) (br $again)) (i32.store (i32.const 4) (i32.const 2)))`)},

	{name: "exponential calls", body: `(call $tree (i32.const 200))`, outside: tree(`(call $tree (local.get 0))`)},
	{name: "deep exponential calls", body: `(call $tree (i32.const 3000))`, outside: tree(`(call $tree (local.get 0))`)},
	{name: "mutual recursion", body: `(call $even (i32.const 500))`, outside: `
		(func $even (param i32) (if (local.get 0) (then (call $odd (i32.sub (local.get 0) (i32.const 1))) (call $odd (i32.sub (local.get 0) (i32.const 1))))))
		(func $odd (param i32) (if (local.get 0) (then (call $even (i32.sub (local.get 0) (i32.const 1))) (call $even (i32.sub (local.get 0) (i32.const 1))))))`},
	{name: "call_indirect recursion", body: `(call $tree (i32.const 300))`, outside: `(type $t (func (param i32))) (table 1 funcref) (elem (i32.const 0) $tree)` +
		tree(`(call_indirect (type $t) (local.get 0) (i32.const 0))`)},
	{name: "call loop", outside: withMemory(1, `(func $leaf (i32.store (i32.const 0) (i32.const 1)))`), body: repeat(`(call $leaf)`)},
	{name: "call_indirect loop", outside: withMemory(1, `(table 1 funcref) (elem (i32.const 0) $leaf) (type $t (func)) (func $leaf (i32.store (i32.const 0) (i32.const 1)))`),
		body: repeat(`(call_indirect (type $t) (i32.const 0))`)},
	{name: "straight code", binary: func() []byte { return straight(20_000) }},
	{name: "a megabyte of straight code", binary: func() []byte { return straight(1 << 20) }, huge: true},

	{name: "host calls, bare", body: repeat(`(call $nothing)`)},
	{name: "host calls, reflected", body: repeat(`(drop (call $mixed (i32.const 1) (f64.const 2)))`)},
	{name: "host calls, by Store.NewFunction", body: repeat(`(drop (call $dynamic (i32.const 1)))`)},
	{name: "clock_time_get", outside: withMemory(1, ""), body: repeat(`(drop (call $clock (i32.const 1) (i64.const 1) (i32.const 8)))`)},

	{name: "memory.fill of 16 bytes", outside: withMemory(1, ""), body: repeat(`(memory.fill (i32.const 8) (i32.const 1) (i32.const 16))`)},
	{name: "memory.fill of 64 KiB", outside: withMemory(1, ""), body: repeat(`(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))`)},
	{name: "memory.fill of 1 MiB", outside: withMemory(16, ""), body: repeat(`(memory.fill (i32.const 0) (i32.const 1) (i32.const 0x100000))`)},
	{name: "memory.fill of 16 MiB", outside: withMemory(256, ""), body: repeat(`(memory.fill (i32.const 0) (i32.const 1) (i32.const 0x1000000))`)},
	{name: "memory.copy of 1 KiB", outside: withMemory(1, ""), body: repeat(`(memory.copy (i32.const 8) (i32.const 0) (i32.const 1024))`)},
	{name: "memory.copy of 8 MiB up", outside: withMemory(256, ""), body: repeat(`(memory.copy (i32.const 1) (i32.const 0) (i32.const 0x800000))`)},
	{name: "memory.copy of 8 MiB down", outside: withMemory(256, ""), body: repeat(`(memory.copy (i32.const 0) (i32.const 1) (i32.const 0x800000))`)},
	{name: "memory.init", outside: withMemory(32, `(data $d "`+strings.Repeat("x", 1<<20+9)+`")`), body: repeat(`(memory.init $d (i32.const 1) (i32.const 0) (i32.const 0x100009))`)},
	{name: "memory.init of nothing", outside: withMemory(1, `(data $d "x")`), body: repeat(`(memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))`)},
	{name: "memory.fill of 4 GiB", huge: true, outside: withMemory(65536, ""), body: repeat(`(memory.fill (i32.const 0) (i32.const 1) ` + fourGiB + `)`)},
	{name: "memory.copy of 4 GiB up", huge: true, outside: withMemory(65536, ""), body: repeat(`(memory.copy (i32.const 1) (i32.const 0) ` + fourGiB + `)`)},
	{name: "memory.copy of 4 GiB down", huge: true, outside: withMemory(65536, ""), body: repeat(`(memory.copy (i32.const 0) (i32.const 1) ` + fourGiB + `)`)},
	{name: "data.drop", outside: withMemory(1, `(data $d "x")`), body: repeat(`(data.drop $d)`)},
	{name: "memory.size", outside: withMemory(1, ""), body: repeat(`(drop (memory.size))`)},
	{name: "memory.grow", outside: `(memory (export "memory") 1 64)`, body: repeat(`(drop (memory.grow (i32.const 1)))`)},
	{name: "memory.grow by nothing", outside: withMemory(1, ""), body: repeat(`(drop (memory.grow (i32.const 0)))`)},

	{name: "table.get and table.set", outside: `(table $t 8 funcref)`, body: repeat(`(table.set $t (i32.const 1) (table.get $t (i32.const 2)))`)},
	{name: "table.fill", outside: `(table $t 1000 externref)`, body: repeat(`(table.fill $t (i32.const 0) (ref.null extern) (i32.const 1000))`)},
	{name: "table.copy", outside: `(table $t 1000 funcref)`, body: repeat(`(table.copy $t $t (i32.const 1) (i32.const 0) (i32.const 999))`)},
	{name: "table.init", outside: `(table $t 1000 funcref) (func $f) (elem $e func` + strings.Repeat(" $f", 1000) + `)`,
		body: repeat(`(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1000))`)},
	{name: "table.grow", outside: `(table $t 0 200000 funcref)`, body: repeat(`(drop (table.grow $t (ref.null func) (i32.const 1)))`)},
	{name: "table.fill of 10 million", huge: true, outside: `(table $t 10000000 externref)`, body: repeat(`(table.fill $t (i32.const 0) (ref.null extern) (i32.const 10000000))`)},
	{name: "table.copy of 10 million up", huge: true, outside: `(table $t 10000000 funcref)`, body: repeat(`(table.copy $t $t (i32.const 1) (i32.const 0) (i32.const 9999999))`)},
	{name: "table.copy of 10 million down", huge: true, outside: `(table $t 10000000 funcref)`, body: repeat(`(table.copy $t $t (i32.const 0) (i32.const 1) (i32.const 9999999))`)},
	{name: "table.grow by 10 million", huge: true, outside: `(table $t 0 10000000 funcref)`,
		body: `(drop (table.grow $t (ref.null func) (i32.const 10000000)))` + repeat(`(drop (table.grow $t (ref.null func) (i32.const 0)))`)},
	{name: "table.init of a million", huge: true, binary: manyElements},
	{name: "elem.drop", outside: `(func $f) (elem $e func $f)`, body: repeat(`(elem.drop $e)`)},
	{name: "ref.func", outside: `(func $f) (elem declare func $f)`, body: repeat(`(drop (ref.func $f))`)},

	{name: "atomics", needs: wasmer.FeatureThreads, outside: shared, body: repeat(`(drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
		(drop (i64.atomic.rmw.cmpxchg (i32.const 8) (i64.const 1) (i64.const 2))) (atomic.fence)`)},
	{name: "memory.atomic.notify", needs: wasmer.FeatureThreads, outside: shared, body: repeat(`(drop (memory.atomic.notify (i32.const 0) (i32.const 1)))`)},
	{name: "memory.atomic.wait32", needs: wasmer.FeatureThreads, outside: shared, body: `(drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))` + repeat("")},
	{name: "memory.atomic.wait64 of an hour", needs: wasmer.FeatureThreads, outside: shared,
		body: `(drop (memory.atomic.wait64 (i32.const 0) (i64.const 0) (i64.const 3600000000000)))` + repeat("")},
	{name: "memory.atomic.wait32 of a microsecond", needs: wasmer.FeatureThreads, outside: shared, body: repeat(`(drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 1000)))`)},
	{name: "memory.atomic.wait64 of another value", needs: wasmer.FeatureThreads, outside: shared, body: repeat(`(drop (memory.atomic.wait64 (i32.const 0) (i64.const 7) (i64.const -1)))`)},
	{name: "SIMD loop", needs: wasmer.FeatureSIMD, body: `(local $v v128)` + repeat(`(local.set $v (i32x4.mul (local.get $v) (i32x4.splat (i32.const 3))))`)},
	{name: "throw and catch", needs: wasmer.FeatureExceptionHandling, outside: `(tag $e)`, body: repeat(`(block $caught (try_table (catch_all $caught) (throw $e)))`)},
	{name: "throw through calls", needs: wasmer.FeatureExceptionHandling, outside: `(tag $e) (func $throw (throw $e)) (func $via (call $throw))`,
		body: repeat(`(block $caught (try_table (catch $e $caught) (call $via)))`)},
}

// tree is a function that calls itself twice, n deep.
func tree(call string) string {
	again := strings.Replace(call, "(local.get 0)", "(i32.sub (local.get 0) (i32.const 1))", 1)
	return "(func $tree (param i32) (if (local.get 0) (then " + again + again + ")))"
}

// straight is a module with a function of so many bytes without a branch, which is called over and over through another one.
func straight(size int) []byte {
	body := []byte{1, 1, 0x7e} // a local i64
	for len(body) < size {
		body = append(body, 0x20, 0, 0x42, 0x2b, 0x85, 0x42, 0x03, 0x8a, 0x21, 0) // rotate (local xor 43) by 3
	}
	body = append(body, 0x20, 0, 0x24, 0, 0x0b) // into a global
	chain := []byte{0, 0x10, 0, 0x10, 0, 0x0b}
	run := []byte{0, 0x03, 0x40, 0x10, 1, 0x0c, 0, 0x0b, 0x0b}
	ok := []byte{0, 0x41, 42, 0x0b}
	return wasmOf(
		section(1, []byte{2, 0x60, 0, 0, 0x60, 0, 1, 0x7f}), section(3, []byte{4, 0, 0, 0, 1}),
		section(6, []byte{1, 0x7e, 1, 0x42, 0, 0x0b}), section(7, []byte{2, 3, 'r', 'u', 'n', 0, 2, 2, 'o', 'k', 0, 3}),
		section(10, codeOf(body, chain, run, ok)))
}

// manyElements is a module that initializes a table with a million elements, again and again.
func manyElements() []byte {
	const n = 1_000_000
	count := binary.AppendUvarint(nil, n)
	elements := append([]byte{1, 1, 0}, count...) // passive, functions
	elements = append(elements, make([]byte, n)...)
	limit := []byte{0x41, 0xc0, 0x84, 0x3d} // i32.const 1000000
	run := []byte{0, 0x03, 0x40, 0x41, 0, 0x41, 0}
	run = append(append(run, limit...), 0xfc, 12, 0, 0, 0x0c, 0, 0x0b, 0x0b)
	return wasmOf(
		section(1, []byte{2, 0x60, 0, 0, 0x60, 0, 1, 0x7f}), section(3, []byte{2, 0, 1}),
		section(4, append([]byte{1, 0x70, 0}, count...)), section(7, []byte{2, 3, 'r', 'u', 'n', 0, 0, 2, 'o', 'k', 0, 1}),
		section(9, elements), section(10, codeOf(run, []byte{0, 0x41, 42, 0x0b})))
}

// codeOf is the contents of a code section.
func codeOf(bodies ...[]byte) []byte {
	out := []byte{byte(len(bodies))}
	for _, body := range bodies {
		out = append(binary.AppendUvarint(out, uint64(len(body))), body...)
	}
	return out
}

// instantiate makes an instance of the guest, with what it imports.
func (e endless) instantiate(t testing.TB, engine *wasmer.Engine, module *wasmer.Module) *wasmer.Instance {
	t.Helper()
	store := newStore(t, engine)
	var imports *wasmer.Imports
	if len(module.Imports()) > 0 {
		i32 := types(wasmer.ValueTypeI32)
		imports = wasmer.NewImports().WASI(wasmer.NewWASI(wasmer.WASIConfig{})).Namespace("env").
			Function("nothing", func() {}).
			Function("mixed", func(x int32, y float64) int64 { return int64(x) + int64(y) }).
			Extern("env", "dynamic", hostFunction(t, store, i32, i32, func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
				return args, nil
			}))
	}
	instance, err := store.Instantiate(background, "", module, imports)
	require.NoError(t, err)
	return instance
}

// eachEndless runs a test for each guest that the compiler can compile. The huge ones are left out unless asked for.
func eachEndless(t *testing.T, engine *wasmer.Engine, huge bool, test func(t *testing.T, instance *wasmer.Instance)) {
	for _, guest := range endlessGuests {
		if guest.huge && !huge || guest.needs != 0 && !engine.Features().Has(guest.needs) {
			continue
		}
		t.Run(guest.name, func(t *testing.T) {
			test(t, guest.instantiate(t, engine, compile(t, engine, guest.module())))
		})
	}
}
