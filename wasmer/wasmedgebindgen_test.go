package wasmer_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// wasmEdgeBindgen is what a compiler makes of functions of wasmedge-bindgen, new and old.
const wasmEdgeBindgen = `(module
	(import "wasmedge-bindgen" "return_result" (func $return (param i32 i32)))
	(import "wasmedge-bindgen" "return_error" (func $error (param i32 i32)))` + allocator + `
	(data (i32.const 16) "hello ") (data (i32.const 32) "it broke")
	(func (export "allocate") (param i32) (result i32) (call $malloc (local.get 0)))
	(func (export "deallocate") (param i32 i32) (call $free (local.get 0) (local.get 1)))
	;; a result's row in a table
	(func $row (param $table i32) (param $n i32) (param $at i32) (param $type i32) (param $size i32)
		(local.set $table (i32.add (local.get $table) (i32.mul (local.get $n) (i32.const 12))))
		(i32.store (local.get $table) (local.get $at))
		(i32.store offset=4 (local.get $table) (local.get $type))
		(i32.store offset=8 (local.get $table) (local.get $size)))
	;; the 9 bytes that a function returns
	(func $head (param $failed i32) (param $at i32) (param $n i32) (result i32) (local $head i32)
		(local.set $head (call $malloc (i32.const 9)))
		(i32.store8 (local.get $head) (local.get $failed))
		(i32.store offset=1 (local.get $head) (local.get $at))
		(i32.store offset=5 (local.get $head) (local.get $n))
		(local.get $head))
	(func $text (result i32) (local $at i32)
		(local.set $at (call $malloc (i32.const 8)))
		(memory.copy (local.get $at) (i32.const 32) (i32.const 8))
		(local.get $at))
	;; "hello " and the first argument, which is freed
	(func $hello (param $args i32) (result i32) (local $at i32) (local $size i32) (local $to i32)
		(local.set $at (i32.load (local.get $args))) (local.set $size (i32.load offset=4 (local.get $args)))
		(local.set $to (call $malloc (i32.add (local.get $size) (i32.const 6))))
		(memory.copy (local.get $to) (i32.const 16) (i32.const 6))
		(memory.copy (i32.add (local.get $to) (i32.const 6)) (local.get $at) (local.get $size))
		(call $free (local.get $at) (local.get $size))
		(local.get $to))
	;; say(s: String) -> String
	(func (export "say") (param $args i32) (param i32) (result i32) (local $table i32) (local $size i32)
		(local.set $size (i32.add (i32.load offset=4 (local.get $args)) (i32.const 6)))
		(local.set $table (call $malloc (i32.const 12)))
		(call $row (local.get $table) (i32.const 0) (call $hello (local.get $args)) (i32.const 31) (local.get $size))
		(call $head (i32.const 0) (local.get $table) (i32.const 1)))
	;; fail() -> Result<String, String>
	(func (export "fail") (param i32 i32) (result i32) (call $head (i32.const 1) (call $text) (i32.const 8)))
	;; all arguments back, as the types that lie behind the last one, a Vec<u8>
	(func (export "back") (param $args i32) (param $n i32) (result i32) (local $i i32) (local $table i32) (local $types i32) (local $row i32)
		(local.set $n (i32.sub (local.get $n) (i32.const 1)))
		(local.set $types (i32.load (i32.add (local.get $args) (i32.shl (local.get $n) (i32.const 3)))))
		(local.set $table (call $malloc (i32.mul (local.get $n) (i32.const 12))))
		(block $end (loop $next
			(br_if $end (i32.ge_u (local.get $i) (local.get $n)))
			(local.set $row (i32.add (local.get $args) (i32.shl (local.get $i) (i32.const 3))))
			(call $row (local.get $table) (local.get $i) (i32.load (local.get $row))
				(i32.load8_u (i32.add (local.get $types) (i32.shl (local.get $i) (i32.const 1))))
				(i32.mul (i32.load offset=4 (local.get $row)) (i32.load8_u offset=1 (i32.add (local.get $types) (i32.shl (local.get $i) (i32.const 1))))))
			(local.set $i (i32.add (local.get $i) (i32.const 1)))
			(br $next)))
		(call $free (local.get $types) (i32.shl (local.get $n) (i32.const 1)))
		(call $head (i32.const 0) (local.get $table) (local.get $n)))
	;; the old form: old_say(s: String) -> (String, i32); the number lies on the stack, the row too
	(func (export "old_say") (param $args i32) (param i32) (local $size i32)
		(local.set $size (i32.add (i32.load offset=4 (local.get $args)) (i32.const 6)))
		(call $row (i32.const 100) (i32.const 0) (call $hello (local.get $args)) (i32.const 31) (local.get $size))
		(i32.store (i32.const 200) (i32.const -7))
		(call $row (i32.const 100) (i32.const 1) (i32.const 200) (i32.const 6) (i32.const 4))
		(call $return (i32.const 100) (i32.const 2)))
	;; old_twice(n: i64) -> i64: the argument is not freed
	(func (export "old_twice") (param $args i32) (param i32)
		(i64.store (i32.const 200) (i64.mul (i64.const 2) (i64.load (i32.load (local.get $args)))))
		(call $row (i32.const 100) (i32.const 0) (i32.const 200) (i32.const 8) (i32.const 8))
		(call $return (i32.const 100) (i32.const 1)))
	(func (export "old_fail") (param i32 i32) (call $error (i32.const 32) (i32.const 8)))
	(func (export "old_nothing") (param i32 i32))
	(func (export "old_lies") (param i32 i32) (call $return (i32.const -2) (i32.const 5)))
	(func (export "old_many") (param i32 i32) (call $return (i32.const 0) (i32.const -1)))
	(func (export "lies") (param i32 i32) (result i32) (i32.const -3))
	(func (export "many") (param i32 i32) (result i32) (call $head (i32.const 0) (i32.const 0) (i32.const -1)))
	(func (export "far") (param i32 i32) (result i32) (call $head (i32.const 1) (i32.const 64) (i32.const -1))))`

func TestF090WasmEdgeBindgenTakesAndGivesStrings(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmEdgeBindgen, wasmer.NewImports().Bindgen())
		defer requireNothingLive(t, instance)
		var text string
		for _, name := range []string{"", "bindgen funcs test", "☃", strings.Repeat("x", 100_000)} {
			bindgen(t, instance, "say", &text, name)
			require.Equal(t, "hello "+name, text)
			var n int32
			require.NoError(t, instance.CallBindgen(background, "old_say", []any{name}, &text, &n))
			require.Equal(t, "hello "+name, text)
			require.Equal(t, int32(-7), n)
		}
		var twice int64
		bindgen(t, instance, "old_twice", &twice, int64(-21))
		require.Equal(t, int64(-42), twice)
		var given any
		bindgen(t, instance, "say", &given, "you")
		require.Equal(t, "hello you", given)
	})
}

func TestF090WasmEdgeBindgenTakesAndGivesAllTypes(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmEdgeBindgen, wasmer.NewImports().Bindgen())
		defer requireNothingLive(t, instance)
		args := []any{
			uint8(200), int8(-1), uint16(65535), int16(-300), uint32(1 << 31), int32(-5), uint64(1 << 63), int64(-6), float32(1.5), 2.5, true,
			[]byte{1, 2}, []int8{-1}, []uint16{3, 65535}, []int16{-4}, []uint32{5}, []int32{-6, 7}, []uint64{8}, []int64{-9}, "text",
		}
		types := []byte{
			1, 1, 2, 1, 3, 2, 4, 2, 5, 4, 6, 4, 7, 8, 8, 8, 9, 4, 10, 8, 11, 1,
			21, 1, 22, 1, 23, 2, 24, 2, 25, 4, 26, 4, 27, 8, 28, 8, 31, 1,
		}
		given := make([]any, len(args))
		results := make([]any, len(args))
		for i := range given {
			results[i] = &given[i]
		}
		require.NoError(t, instance.CallBindgen(background, "back", append(args, types), results...))
		require.Equal(t, args, given)
		var letter rune
		require.NoError(t, instance.CallBindgen(background, "back", []any{'☃', []byte{12, 4}}, &letter))
		require.Equal(t, '☃', letter)
	})
}

func TestF090ErrorsOfWasmEdgeBindgenGuests(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmEdgeBindgen, wasmer.NewImports().Bindgen())
		defer requireNothingLive(t, instance)
		var text string
		for _, name := range []string{"fail", "old_fail"} {
			var failed *wasmer.BindgenError
			require.ErrorAs(t, instance.CallBindgen(background, name, nil, &text), &failed)
			require.Equal(t, wasmer.BindgenError{Function: name, Message: "it broke"}, *failed)
		}
		require.ErrorContains(t, instance.CallBindgen(background, "old_nothing", nil), "return_result")
		require.ErrorAs(t, instance.CallBindgen(background, "say", []any{"x"}), new(*wasmer.CallError), "a result that nobody takes")
		require.ErrorAs(t, instance.CallBindgen(background, "say", []any{"x"}, &[]byte{}), new(*wasmer.CallError))
		require.ErrorAs(t, instance.CallBindgen(background, "back", []any{"x", []byte{99, 1}}, &text), new(*wasmer.CallError), "an unknown type")
		require.ErrorIs(t, instance.CallBindgen(background, "say", []any{strings.Repeat("x", 3<<20)}, &text), wasmer.ErrResource)
		requireNothingLive(t, instance)

		hostile := instantiate(t, engine, wasmEdgeBindgen, wasmer.NewImports().Bindgen())
		for _, name := range []string{"old_lies", "old_many", "lies", "many", "far"} {
			require.Error(t, hostile.CallBindgen(background, name, nil, &text), name)
		}
		require.NoError(t, hostile.CallBindgen(background, "say", []any{"x"}, &text))
	})
}

// Results that are all the same memory, and texts that are, would have the host hold many times what the guest may.
func TestGuestsCannotHaveTheHostHoldMuchMoreThanTheirMemory(t *testing.T) {
	const guest = `(module
		(import "wasmedge-bindgen" "return_result" (func $return (param i32 i32)))
		(import "wbg" "__wbindgen_string_new" (func $text (param i32 i32) (result i32)))
		(memory (export "memory") 1)
		(func (export "results") (local $i i32)
			(loop $next
				(i32.store offset=4 (i32.mul (local.get $i) (i32.const 12)) (i32.const 31))
				(i32.store offset=8 (i32.mul (local.get $i) (i32.const 12)) (i32.const 65536))
				(br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
			(call $return (i32.const 0) (i32.const 1000)))
		(func (export "texts") (loop $next (drop (call $text (i32.const 0) (i32.const 65536))) (br $next))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, guest, wasmer.NewImports().Bindgen())
		for _, name := range []string{"results", "texts"} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			require.ErrorIs(t, instance.CallBindgen(background, name, nil), wasmer.ErrResource, name)
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), name)
		}
	})
}
