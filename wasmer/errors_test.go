package wasmer_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

func TestCompileErrorsNameOffsetAndFunction(t *testing.T) {
	broken, err := wasmer.Wat2Wasm(`(module (import "env" "f" (func))
		(func $fine) (func $broken (result i32) i64.const 77))`)
	require.NoError(t, err)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, check := range []func() error{
			func() error { return engine.Validate(broken) },
			func() error { _, err := engine.Compile(background, broken); return err },
			func() error { _, err := wasmer.Compile(broken); return err },
			func() error { _, err := wasmer.NewInstance(broken); return err },
		} {
			var refusal *wasmer.CompileError
			require.ErrorAs(t, check(), &refusal)
			require.EqualValues(t, 2, refusal.FunctionIndex, "imports count")
			require.Equal(t, "broken", refusal.Function)
			require.Contains(t, refusal.Message, "type mismatch")
			// The end of the body, after i64.const 77 (42 cd 00), is where the result is missed.
			require.EqualValues(t, strings.Index(string(broken), "\x42\xcd\x00\x0b")+3, refusal.Offset)
			for _, part := range []string{"function[2] broken", "type mismatch", fmt.Sprintf("offset %#x", refusal.Offset)} {
				require.ErrorContains(t, refusal, part)
			}
		}
		require.False(t, wasmer.Validate(broken))
	})
}

func TestErrorsInTextNameTheLine(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for text, parts := range map[string][]string{
			"(module\n  (func (result i32)\n    i32.cons 1))": {"i32.cons", ":3:"},
			"(module (func call $missing))":                   {"missing"},
			"(module":                                         {"expected"},
			"hello, world":                                    {"expected"},
			"   ":                                             nil,
			";; only a comment":                               nil,
		} {
			_, err := engine.Compile(background, []byte(text))
			_, watErr := wasmer.Wat2Wasm(text)
			for _, err := range []error{err, watErr, engine.Validate([]byte(text))} {
				for _, part := range parts {
					var refusal *wasmer.CompileError
					require.ErrorAs(t, err, &refusal, text)
					require.ErrorContains(t, err, part)
				}
			}
		}
	})
}

func frameNames(trap *wasmer.Trap) []string {
	var names []string
	for _, frame := range trap.Frames {
		names = append(names, frame.Function)
	}
	return names
}

func TestEveryTrapHasItsCodeAndFrames(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, wasmtest.Fixture(t, "traps.wasm"), nil)
		for _, c := range []struct {
			export string
			code   wasmer.TrapCode
			text   string
			frames []string
		}{
			{"unreachable", wasmer.TrapUnreachable, "unreachable", []string{"inner", "middle", "outer"}},
			{"out_of_bounds", wasmer.TrapOutOfBounds, "out of bounds memory access", []string{"out_of_bounds"}},
			{"out_of_bounds_store", wasmer.TrapOutOfBounds, "out of bounds memory access", []string{"out_of_bounds_store"}},
			{"out_of_bounds_fill", wasmer.TrapOutOfBounds, "out of bounds memory access", []string{"out_of_bounds_fill"}},
			{"table_out_of_bounds", wasmer.TrapTableOutOfBounds, "out of bounds table access", []string{"table_out_of_bounds"}},
			{"null_indirect", wasmer.TrapNullIndirectCall, "uninitialized element", []string{"null_indirect"}},
			{"bad_signature", wasmer.TrapBadSignature, "indirect call type mismatch", []string{"bad_signature"}},
			{"div_by_zero", wasmer.TrapDivisionByZero, "integer divide by zero", []string{"div_by_zero"}},
			{"int_overflow", wasmer.TrapIntegerOverflow, "integer overflow", []string{"int_overflow"}},
			{"bad_conversion", wasmer.TrapBadConversion, "invalid conversion to integer", []string{"bad_conversion"}},
			{"conversion_overflow", wasmer.TrapIntegerOverflow, "integer overflow", []string{"conversion_overflow"}},
			{"stack_overflow", wasmer.TrapStackOverflow, "call stack exhausted", nil},
		} {
			t.Run(c.export, func(t *testing.T) {
				values, err := function(t, instance, c.export).Call(background)
				require.Nil(t, values)
				require.ErrorIs(t, err, c.code)
				require.ErrorContains(t, err, c.text)
				require.Equal(t, c.text, c.code.Error())
				var trap *wasmer.Trap
				require.ErrorAs(t, err, &trap)
				require.Equal(t, c.code, trap.Code)
				for _, other := range []wasmer.TrapCode{wasmer.TrapMisaligned, wasmer.TrapUnalignedAtomic, wasmer.TrapUnknown} {
					require.NotErrorIs(t, err, other)
				}
				require.Equal(t, c.frames, frameNames(trap))
				for _, frame := range trap.Frames {
					require.ErrorContains(t, err, frame.String())
					require.NotZero(t, frame.ModuleOffset)
				}
				_, again := instance.Exports[c.export]()
				require.ErrorIs(t, again, c.code)
				require.EqualValues(t, 42, call(t, instance, "ok").ToI32(), "the instance goes on")
			})
		}
	})
}

func TestFramesTellModuleAndPosition(t *testing.T) {
	binary, err := wasmer.Wat2Wasm(`(module $sandbox (import "env" "f" (func))
		(func (call $named)) (func $named nop nop unreachable) (export "run" (func 1)))`)
	require.NoError(t, err)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		instance := instantiate(t, engine, binary, wasmer.NewImports().Function("f", func() {}))
		_, err = instance.Exports["run"]()
		var trap *wasmer.Trap
		require.ErrorAs(t, err, &trap)
		require.Len(t, trap.Frames, 2)
		inner, outer := trap.Frames[0], trap.Frames[1]
		require.Equal(t, "sandbox", inner.Module)
		require.Equal(t, "named", inner.Function)
		require.EqualValues(t, 2, inner.FunctionIndex)
		unreachable := strings.Index(string(binary), "\x01\x01\x00\x0b") + 2
		if engine.Compiler() == wasmer.LLVM {
			unreachable -= len("\x00\x01\x01") // where the function begins
			require.Zero(t, inner.FunctionOffset)
		}
		require.EqualValues(t, unreachable, inner.ModuleOffset)
		require.EqualValues(t, 1, outer.FunctionIndex)
		require.Empty(t, outer.Function)
		require.EqualError(t, err, fmt.Sprintf("wasmer: module[sandbox] function[$1] failed: wasm error: unreachable\n"+
			"wasm stack trace:\n\tsandbox.named()\n\t\t%#x\n\tsandbox.$1()\n\t\t%#x", inner.ModuleOffset, outer.ModuleOffset))
	})
}

func TestTrapsOfFeaturesBeyondTheFirstVersion(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		atomics := instantiate(t, engine, wasmtest.Fixture(t, "atomics.wasm"), nil)
		_, err := atomics.Exports["unaligned_atomic"]()
		require.ErrorIs(t, err, wasmer.TrapUnalignedAtomic)
		require.EqualValues(t, 0, call(t, atomics, "add", 8, 5).ToI32())
		require.EqualValues(t, 5, call(t, atomics, "load", 8).ToI32())

		const exceptions = `(module (tag $e) (func (export "throw") (throw $e))
			(func (export "caught") (result i32) (block $h (try_table (catch_all $h) (throw $e))) (i32.const 1))
			(func (export "null") (throw_ref (ref.null exn))))`
		if engine.Compiler() == wasmer.Singlepass {
			require.ErrorContains(t, engine.Validate([]byte(exceptions)), "exception-handling")
			return
		}
		instance := instantiate(t, engine, exceptions, nil)
		_, err = instance.Exports["throw"]()
		require.ErrorIs(t, err, wasmer.TrapUncaughtException)
		_, err = instance.Exports["null"]()
		require.ErrorIs(t, err, wasmer.TrapNullExceptionRef)
		require.EqualValues(t, 1, call(t, instance, "caught").ToI32())
	})
}

func TestATrapOfTheStartFunctionFailsTheInstantiation(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, wasmtest.Fixture(t, "start_trap.wasm"))
		store, err := wasmer.NewStore(engine)
		require.NoError(t, err)
		defer store.Close()
		for name, start := range map[string]func() (*wasmer.Instance, error){
			"Module.Instantiate": module.Instantiate,
			"Instantiate":        func() (*wasmer.Instance, error) { return wasmer.Instantiate(background, module, nil) },
			"Store.Instantiate":  func() (*wasmer.Instance, error) { return store.Instantiate(background, "x", module, nil) },
		} {
			instance, err := start()
			require.Nil(t, instance, name)
			require.NoError(t, instance.Close())
			var trap *wasmer.Trap
			require.ErrorAs(t, err, &trap, name)
			require.Equal(t, []string{"boom"}, frameNames(trap), name)
		}
		require.Nil(t, store.Instance("x"))
		_, err = store.Instantiate(background, "x", compile(t, engine, "(module)"), nil)
		require.NoError(t, err, "the name is free again")
		// So do segments that do not fit.
		_, err = compile(t, engine, `(module (memory 1) (data (i32.const 65535) "ab"))`).Instantiate()
		require.ErrorIs(t, err, wasmer.TrapOutOfBounds)
		_, err = compile(t, engine, `(module (table 1 funcref) (func $f) (elem (i32.const 1) func $f))`).Instantiate()
		require.ErrorIs(t, err, wasmer.TrapTableOutOfBounds)
	})
}

// nesting calls the host at each level; a level that goes on after its host call leaves a mark in memory.
const nesting = `(module $nesting (import "env" "host" (func $host (param i32)))
	(memory (export "memory") 1)
	(func $run (export "run") (param $n i32) (call $host (local.get $n))
		(i32.store8 (local.get $n) (i32.const 1)))
	(func $trap (export "trap") unreachable))`

// nest runs a guest whose host calls it again until level 0, where end decides; through is what the hosts between do.
func nest(t *testing.T, engine *wasmer.Engine, end func(*wasmer.Caller) error, through func(func() error) error) (
	marks []byte, panicked any, err error,
) {
	t.Helper()
	instance := instantiate(t, engine, nesting, wasmer.NewImports().Function("host", func(c *wasmer.Caller, n int32) error {
		if n == 0 {
			return end(c)
		}
		run, err := wasmer.Func1[int32, wasmer.Void](c.Instance(), "run")
		require.NoError(t, err)
		return through(func() error { _, err := run(c.Context(), n-1); return err })
	}))
	defer func() {
		panicked = recover()
		marks = append(marks, instance.Memory.Data()[:4]...)
		_, err := instance.Exports["trap"]()
		require.ErrorIs(t, err, wasmer.TrapUnreachable, "the instance can be called again")
	}()
	_, err = instance.Exports["run"](3)
	return nil, nil, err
}

type hostError struct{ n int }

func (e *hostError) Error() string { return "host error" }

func plainly(call func() error) error { return call() }

// none are the marks if no guest has gone on.
var none = make([]byte, 4)

func TestAnErrorOfAHostFunctionComesOutAsItself(t *testing.T) {
	sentinel := &hostError{7}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		fail := func(*wasmer.Caller) error { return sentinel }
		marks, _, err := nest(t, engine, fail, plainly)
		require.Same(t, sentinel, err)
		require.Equal(t, none, marks)

		marks, _, err = nest(t, engine, fail, func(call func() error) error { return fmt.Errorf("level: %w", call()) })
		require.EqualError(t, err, "level: level: level: host error")
		require.ErrorIs(t, err, sentinel)
		var target *hostError
		require.ErrorAs(t, err, &target)
		require.Same(t, sentinel, target)
		require.Equal(t, none, marks)

		handled := false
		marks, _, err = nest(t, engine, fail, func(call func() error) error {
			err := call()
			if handled {
				return err
			}
			handled = true
			return nil // the first host to see the error: its guest goes on, and so do those outside
		})
		require.NoError(t, err)
		require.Equal(t, []byte{0, 1, 1, 1}, marks)

		marks, _, err = nest(t, engine, func(c *wasmer.Caller) error {
			trap, err := c.Function("trap")
			require.NoError(t, err)
			_, err = trap.Call(c.Context())
			return err
		}, plainly)
		var trap *wasmer.Trap
		require.ErrorAs(t, err, &trap)
		require.Equal(t, []string{"trap"}, frameNames(trap))
		require.Equal(t, none, marks)
	})
}

func TestAPanicOfAHostFunctionGoesOnWithItsValue(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		value, second := &hostError{8}, &hostError{9}
		boom := func(*wasmer.Caller) error { panic(value) }
		marks, panicked, _ := nest(t, engine, boom, plainly)
		require.Same(t, value, panicked)
		require.Equal(t, none, marks)

		// A host between panics anew while the first panic passes.
		marks, panicked, _ = nest(t, engine, boom, func(call func() error) error {
			defer func() { panic(second) }()
			return call()
		})
		require.Same(t, second, panicked)
		require.Equal(t, none, marks)

		marks, panicked, _ = nest(t, engine, func(*wasmer.Caller) error {
			defer func() { panic(second) }()
			panic(value)
		}, plainly)
		require.Same(t, second, panicked)
		require.Equal(t, none, marks)

		// A host between recovers: its guest goes on.
		var seen []any
		marks, panicked, err := nest(t, engine, boom, func(call func() error) error {
			defer func() { seen = append(seen, recover()) }()
			return call()
		})
		require.NoError(t, err)
		require.Nil(t, panicked)
		require.Equal(t, []any{value, nil, nil}, seen)
		require.Equal(t, []byte{0, 1, 1, 1}, marks)

		// A panic may become an error, and an error a panic.
		marks, panicked, err = nest(t, engine, boom, func(call func() error) (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = v.(error)
				}
			}()
			return call()
		})
		require.Same(t, value, err)
		require.Nil(t, panicked)
		require.Equal(t, none, marks)
		_, panicked, _ = nest(t, engine, func(*wasmer.Caller) error { return value }, func(call func() error) error {
			panic(call())
		})
		require.Same(t, value, panicked)

		for _, values := range []any{nil, "text", 5, errors.New("an error")} {
			_, panicked, _ = nest(t, engine, func(*wasmer.Caller) error { panic(values) }, plainly)
			if values == nil {
				require.IsType(t, &runtime.PanicNilError{}, panicked)
				continue
			}
			require.Equal(t, values, panicked)
		}
	})
}

func TestFaultsOfHostFunctionsArePanicsOfGo(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var nothing *hostError
		var empty []int
		zero := 0
		for text, fault := range map[string]func(*wasmer.Caller) error{
			"nil pointer":    func(*wasmer.Caller) error { return errors.New(fmt.Sprint(nothing.n)) },
			"out of range":   func(*wasmer.Caller) error { return errors.New(fmt.Sprint(empty[len(empty)])) },
			"divide by zero": func(*wasmer.Caller) error { return errors.New(fmt.Sprint(1 / zero)) },
		} {
			marks, panicked, _ := nest(t, engine, fault, plainly)
			fault, ok := panicked.(runtime.Error)
			require.True(t, ok, "%v", panicked)
			require.ErrorContains(t, fault, text)
			require.Equal(t, none, marks)
		}
	})
}

func TestAGuestCannotCatchWhatEndsIt(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		if engine.Compiler() == wasmer.Singlepass {
			t.Skip("no exceptions")
		}
		sentinel := &hostError{1}
		instance := instantiate(t, engine, `(module (import "env" "f" (func $f (param i32)))
			(memory (export "memory") 1)
			(func (export "run") (param i32) (block $h (try_table (catch_all $h)
				(call $f (local.get 0)) unreachable)) (i32.store8 (i32.const 0) (i32.const 1))))`,
			wasmer.NewImports().Function("f", func(n int32) error {
				switch n {
				case 0:
					return sentinel
				case 1:
					panic(sentinel)
				}
				return nil
			}))
		_, err := instance.Exports["run"](0)
		require.Same(t, sentinel, err)
		require.PanicsWithValue(t, sentinel, func() { _, _ = instance.Exports["run"](1) })
		_, err = instance.Exports["run"](2)
		require.ErrorIs(t, err, wasmer.TrapUnreachable)
		require.Zero(t, instance.Memory.Data()[0])
	})
}

func TestHostFunctionsFailInTheStartFunction(t *testing.T) {
	sentinel := &hostError{1}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module := compile(t, engine, `(module (import "env" "f" (func $f)) (start $f))`)
		store, err := wasmer.NewStore(engine)
		require.NoError(t, err)
		defer store.Close()
		instance, err := store.Instantiate(background, "x", module, wasmer.NewImports().Function("f", func() error { return sentinel }))
		require.Same(t, sentinel, err)
		require.Nil(t, instance)
		panics := wasmer.NewImports().Function("f", func() { panic(sentinel) })
		require.PanicsWithValue(t, sentinel, func() { _, _ = store.Instantiate(background, "x", module, panics) })
		require.PanicsWithValue(t, sentinel, func() { _, _ = module.InstantiateWithImports(panics) })
		_, err = store.Instantiate(background, "x", module, wasmer.NewImports().Function("f", func() {}))
		require.NoError(t, err, "neither took the name, nor hurt the store")
	})
}
