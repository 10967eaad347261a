package wasmer_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// allocator is for guests: a bump allocator that counts the bytes that are out, and refuses all but the first two megabytes.
const allocator = `
	(memory (export "memory") 33)
	(global $top (mut i32) (i32.const 1024))
	(global $live (export "live") (mut i32) (i32.const 0))
	(func $malloc (param $size i32) (result i32) (local $at i32)
		(if (i32.gt_u (i32.add (global.get $top) (local.get $size)) (i32.const 2097152)) (then (return (i32.const 0))))
		(local.set $at (global.get $top))
		(global.set $top (i32.and (i32.add (i32.add (global.get $top) (local.get $size)) (i32.const 15)) (i32.const -16)))
		(global.set $live (i32.add (global.get $live) (local.get $size)))
		(local.get $at))
	(func $free (param $at i32) (param $size i32)
		(if (i32.or (i32.lt_u (local.get $at) (i32.const 1024)) (i32.gt_u (local.get $size) (global.get $live))) (then unreachable))
		(global.set $live (i32.sub (global.get $live) (local.get $size)))
		(memory.fill (local.get $at) (i32.const 0xff) (local.get $size)))`

// wasmBindgen is what a compiler makes of functions of wasm-bindgen.
const wasmBindgen = `(module
	(import "wbg" "__wbindgen_throw" (func $throw (param i32 i32)))
	(import "wbg" "__wbindgen_string_new" (func $text (param i32 i32) (result i32)))` + allocator + `
	(data (i32.const 16) "Hello, ") (data (i32.const 32) "it broke")
	(func (export "__wbindgen_malloc") (param i32 i32) (result i32) (call $malloc (local.get 0)))
	(func (export "__wbindgen_free") (param i32 i32 i32) (call $free (local.get 0) (local.get 1)))
	;; greet(name: &str) -> String
	(func (export "greet") (param $ret i32) (param $at i32) (param $size i32) (local $to i32)
		(local.set $to (call $malloc (i32.add (local.get $size) (i32.const 7))))
		(memory.copy (local.get $to) (i32.const 16) (i32.const 7))
		(memory.copy (i32.add (local.get $to) (i32.const 7)) (local.get $at) (local.get $size))
		(call $free (local.get $at) (local.get $size))
		(i32.store (local.get $ret) (local.get $to))
		(i32.store offset=4 (local.get $ret) (i32.add (local.get $size) (i32.const 7))))
	;; echo(s: String) -> String, with several results
	(func (export "echo") (param i32 i32) (result i32 i32) (local.get 0) (local.get 1))
	;; sum(numbers: &[f64]) -> f64
	(func (export "sum") (param $at i32) (param $n i32) (result f64) (local $i i32) (local $sum f64)
		(block $end (loop $next
			(br_if $end (i32.ge_u (local.get $i) (local.get $n)))
			(local.set $sum (f64.add (local.get $sum) (f64.load (i32.add (local.get $at) (i32.shl (local.get $i) (i32.const 3))))))
			(local.set $i (i32.add (local.get $i) (i32.const 1)))
			(br $next)))
		(call $free (local.get $at) (i32.shl (local.get $n) (i32.const 3)))
		(local.get $sum))
	;; same(numbers: Vec<T>) -> Vec<T>
	(func (export "same") (param $ret i32) (param $at i32) (param $n i32)
		(i32.store (local.get $ret) (local.get $at)) (i32.store offset=4 (local.get $ret) (local.get $n)))
	(func (export "add") (param i32 i64 f32 f64 i32) (result f64)
		(f64.add (f64.add (f64.convert_i32_s (local.get 0)) (f64.convert_i64_s (local.get 1)))
			(f64.add (f64.promote_f32 (local.get 2)) (f64.add (local.get 3) (f64.convert_i32_u (local.get 4))))))
	(func (export "not") (param i32) (result i32) (i32.eqz (local.get 0)))
	(func (export "big") (result i64) (i64.const -5))
	;; as of old: an i64 is two i32, and comes back at an address
	(func (export "next64") (param $ret i32) (param $low i32) (param $high i32)
		(i64.store (local.get $ret) (i64.add (i64.const 1)
			(i64.or (i64.extend_i32_u (local.get $low)) (i64.shl (i64.extend_i32_u (local.get $high)) (i64.const 32))))))
	;; try(fails: bool) -> Result<i32, JsValue>
	(func (export "try") (param $ret i32) (param i32)
		(if (local.get 1)
			(then (i32.store offset=4 (local.get $ret) (call $text (i32.const 32) (i32.const 8))) (i32.store offset=8 (local.get $ret) (i32.const 1)))
			(else (i32.store (local.get $ret) (i32.const 42)))))
	;; try_text(fails: bool) -> Result<String, JsValue>
	(func (export "try_text") (param $ret i32) (param i32)
		(if (local.get 1)
			(then (i32.store offset=8 (local.get $ret) (i32.const 777)) (i32.store offset=12 (local.get $ret) (i32.const 1)))))
	;; try_nothing(fails: bool) -> Result<(), JsValue>
	(func (export "try_nothing") (param $ret i32) (param i32)
		(i32.store (local.get $ret) (call $text (i32.const 32) (i32.const 8))) (i32.store offset=4 (local.get $ret) (local.get 1)))
	(func (export "throw") (call $throw (i32.const 32) (i32.const 8)))
	(func (export "throw_nonsense") (call $throw (i32.const -2) (i32.const 8)))
	(func (export "objects") (loop (drop (call $text (i32.const 0) (i32.const 1))) (br 0)))
	(func (export "lies") (param $ret i32)
		(i32.store (local.get $ret) (i32.const -16)) (i32.store offset=4 (local.get $ret) (i32.const -1)))
	(func (export "trap") (param i32 i32) unreachable))`

// requireNothingLive requires that nothing of the memory of the guest's allocator is out.
func requireNothingLive(t *testing.T, instance *wasmer.Instance) {
	t.Helper()
	live, err := instance.Global("live")
	require.NoError(t, err)
	require.Zero(t, value(t, live).ToI32(), "bytes are still out")
}

// bindgen calls a function, which must succeed.
func bindgen(t testing.TB, instance *wasmer.Instance, name string, result any, args ...any) {
	t.Helper()
	var results []any
	if result != nil {
		results = append(results, result)
	}
	require.NoError(t, instance.CallBindgen(background, name, args, results...))
}

func TestF090WasmBindgenTakesAndGivesStringsSlicesAndNumbers(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmBindgen, wasmer.NewImports().Bindgen())
		defer requireNothingLive(t, instance)
		var text string
		for _, name := range []string{"", "Wasmer", "Ärger\x00☃", strings.Repeat("long ", 5000)} {
			bindgen(t, instance, "greet", &text, name)
			require.Equal(t, "Hello, "+name, text)
			bindgen(t, instance, "echo", &text, name)
			require.Equal(t, name, text)
		}
		type title string
		var named title
		bindgen(t, instance, "greet", &named, title("you"))
		require.Equal(t, title("Hello, you"), named)

		var sum float64
		bindgen(t, instance, "sum", &sum, []float64{1.5, 2, -10})
		require.Equal(t, -6.5, sum)
		bindgen(t, instance, "sum", &sum, []float64{})
		require.Zero(t, sum)
		bindgen(t, instance, "add", &sum, int8(-1), int64(1<<40), float32(0.5), 0.25, uint32(1<<31))
		require.Equal(t, -1+float64(1<<40)+0.75+float64(1<<31), sum)
		var flag bool
		bindgen(t, instance, "not", &flag, false)
		require.True(t, flag)
		var big int64
		bindgen(t, instance, "big", &big)
		require.Equal(t, int64(-5), big)
		bindgen(t, instance, "next64", &big, int64(-2))
		require.Equal(t, int64(-1), big)
		bindgen(t, instance, "next64", &big, int64(1)<<40)
		require.Equal(t, int64(1)<<40+1, big)
		bindgen(t, instance, "not", nil, true) // nobody wants the result
	})
}

func TestF090SlicesOfAllNumbersComeBackAsTheyWere(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmBindgen, wasmer.NewImports().Bindgen())
		defer requireNothingLive(t, instance)
		comesBack(t, instance, []byte{1, 255})
		comesBack(t, instance, []int8{-1, 127})
		comesBack(t, instance, []uint16{1, 65535})
		comesBack(t, instance, []int16{-1, 300})
		comesBack(t, instance, []uint32{1, 1 << 31})
		comesBack(t, instance, []int32{-1, 1 << 30})
		comesBack(t, instance, []uint64{1, 1 << 63})
		comesBack(t, instance, []int64{-1, 1 << 62})
		comesBack(t, instance, []float32{-1.5})
		comesBack(t, instance, []float64{-1.5, 1e300})
	})
}

func comesBack[T any](t *testing.T, instance *wasmer.Instance, in []T) {
	t.Helper()
	var out []T
	bindgen(t, instance, "same", &out, in)
	require.Equal(t, in, out)
}

func TestF090ErrorsOfWasmBindgenGuests(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmBindgen, wasmer.NewImports().Bindgen())
		defer requireNothingLive(t, instance)
		var n int32
		bindgen(t, instance, "try", &n, false)
		require.Equal(t, int32(42), n)
		bindgen(t, instance, "try_nothing", nil, false)
		var text string
		bindgen(t, instance, "try_text", &text, false)
		require.Empty(t, text)
		for name, message := range map[string]string{"try": "it broke", "try_text": "an object without text (777): Imports.Bindgen keeps texts"} {
			var failed *wasmer.BindgenError
			results := map[string]any{"try": &n, "try_text": &text}
			require.ErrorAs(t, instance.CallBindgen(background, name, []any{true}, results[name]), &failed, name)
			require.Equal(t, wasmer.BindgenError{Function: name, Message: message}, *failed)
		}
		require.EqualError(t, instance.CallBindgen(background, "try_nothing", []any{true}), `wasmer: call "try_nothing": the guest's error: it broke`)
		require.EqualError(t, instance.CallBindgen(background, "throw", nil), `wasmer: call "throw": the guest's error: it broke`)
		require.ErrorIs(t, instance.CallBindgen(background, "throw_nonsense", nil), wasmer.ErrOutOfBounds)
		require.ErrorIs(t, instance.CallBindgen(background, "objects", nil), wasmer.ErrResource)
	})
}

func TestF090WhatDoesNotFitIsRefused(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmBindgen, wasmer.NewImports().Bindgen())
		defer requireNothingLive(t, instance)
		var text string
		var n int32
		var wanted any
		for _, row := range []struct {
			name    string
			args    []any
			results []any
		}{
			{"greet", nil, []any{&text}}, {"greet", []any{"a", "b"}, []any{&text}}, {"greet", []any{5}, []any{&text}},
			{"greet", []any{nil}, []any{&text}}, {"greet", []any{struct{}{}}, []any{&text}}, {"greet", []any{"a"}, []any{text}},
			{"greet", []any{"a"}, []any{(*string)(nil)}}, {"greet", []any{"a"}, []any{nil}}, {"greet", []any{"a"}, []any{&text, &text}},
			{"greet", []any{"a"}, []any{&struct{}{}}}, {"sum", []any{[]float64{}}, []any{&n}}, {"big", nil, []any{&n}}, {"big", nil, []any{&text}},
			{"try", []any{false}, []any{&wanted}},
		} {
			err := instance.CallBindgen(background, row.name, row.args, row.results...)
			require.ErrorAs(t, err, new(*wasmer.CallError), "%s %v", row.name, row.args)
		}
		require.ErrorIs(t, instance.CallBindgen(background, "nobody", nil), wasmer.ErrNotFound)
		requireNothingLive(t, instance)
		err := instance.CallBindgen(background, "greet", []any{strings.Repeat("x", 3<<20)}, &text)
		require.ErrorIs(t, err, wasmer.ErrResource)
		requireNothingLive(t, instance)
		require.ErrorIs(t, instance.CallBindgen(background, "lies", nil, &text), wasmer.ErrOutOfBounds)
		require.ErrorIs(t, instance.CallBindgen(background, "lies", nil, &[]int64{}), wasmer.ErrOutOfBounds)

		numbers := instantiate(t, engine, `(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))`, nil)
		bindgen(t, numbers, "add", &n, int32(2), int32(3))
		require.Equal(t, int32(5), n)
		require.ErrorIs(t, numbers.CallBindgen(background, "add", []any{"text"}, &n), wasmer.ErrNotFound, "it has no allocator")
		require.NoError(t, numbers.Close())
		require.ErrorIs(t, numbers.CallBindgen(background, "add", []any{int32(1), int32(2)}, &n), wasmer.ErrClosed)
	})
}

func TestF090GuestsThatTrapOrAreStopped(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmBindgen, wasmer.NewImports().Bindgen())
		require.ErrorIs(t, instance.CallBindgen(background, "trap", []any{"x"}), wasmer.TrapUnreachable)
		ctx, cancel := context.WithCancel(background)
		cancel()
		var text string
		require.ErrorIs(t, instance.CallBindgen(ctx, "greet", []any{"x"}, &text), wasmer.ErrInterrupted)
		bindgen(t, instance, "greet", &text, "x")
		require.Equal(t, "Hello, x", text)
	})
}

func TestF090GoroutinesShareAGuest(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmBindgen, wasmer.NewImports().Bindgen())
		defer requireNothingLive(t, instance)
		var wait sync.WaitGroup
		failures := make(chan error, 8)
		for n := range 8 {
			wait.Go(func() {
				name := strings.Repeat("x", n)
				for range 20 {
					var text string
					if err := instance.CallBindgen(background, "greet", []any{name}, &text); err != nil || text != "Hello, "+name {
						failures <- errors.Join(err, errors.New(text))
						return
					}
				}
			})
		}
		wait.Wait()
		require.Empty(t, failures)
	})
}

// onStack is a guest that takes no strings, and so exports its stack in place of the allocator: version() -> String, and one whose
// host function asks for it too.
const onStack = `(module
	(import "env" "ask" (func $ask))` + allocator + `
	(data (i32.const 16) "1.2.3")
	(global $stack (export "stack") (mut i32) (i32.const 1000))
	(func (export "__wbindgen_add_to_stack_pointer") (param i32) (result i32)
		(global.set $stack (i32.add (global.get $stack) (local.get 0))) (global.get $stack))
	(func (export "__wbindgen_free") (param i32 i32 i32) (call $free (local.get 0) (local.get 1)))
	(func $version (export "version") (param $ret i32) (local $to i32)
		(if (i32.or (i64.ne (i64.load (local.get $ret)) (i64.const 0)) (i64.ne (i64.load offset=8 (local.get $ret)) (i64.const 0))) (then unreachable))
		(local.set $to (call $malloc (i32.const 5)))
		(memory.copy (local.get $to) (i32.const 16) (i32.const 5))
		(i32.store (local.get $ret) (local.get $to)) (i32.store offset=4 (local.get $ret) (i32.const 5)))
	(func (export "nested") (param $ret i32) (call $ask) (call $version (local.get $ret)))
	(func (export "trap") (param $ret i32) (i32.store (local.get $ret) (i32.const 5)) unreachable))`

func TestF090ResultsLieOnTheStackOfGuestsThatTakeNoStrings(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, onStack, wasmer.NewImports().Function("ask", func(c *wasmer.Caller) error {
			if c.Data() == "panic" {
				panic("oops")
			}
			var text string
			err := c.Instance().CallBindgen(c.Context(), "version", nil, &text)
			if err == nil && text != "1.2.3" {
				err = errors.New(text)
			}
			return err
		}))
		defer requireNothingLive(t, instance)
		var text string
		requireStack := func() {
			t.Helper()
			bindgen(t, instance, "version", &text)
			require.Equal(t, "1.2.3", text)
			require.Equal(t, int32(1000), value(t, exportedGlobal(t, instance, "stack")).ToI32(), "it is given back")
		}
		requireStack()
		bindgen(t, instance, "nested", &text)
		require.ErrorIs(t, instance.CallBindgen(background, "trap", nil, &text), wasmer.TrapUnreachable)
		requireStack()
		instance.SetContextData("panic")
		require.PanicsWithValue(t, "oops", func() { _ = instance.CallBindgen(background, "nested", nil, &text) })
		instance.SetContextData(nil)
		requireStack()

		var wait sync.WaitGroup
		failures := make(chan error, 4)
		for range 4 {
			wait.Go(func() {
				for range 50 {
					var text string
					if err := instance.CallBindgen(background, "version", nil, &text); err != nil || text != "1.2.3" {
						failures <- errors.Join(err, errors.New(text))
						return
					}
				}
			})
		}
		wait.Wait()
		require.Empty(t, failures)
	})
}
