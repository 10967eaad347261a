package wasmer_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

func errorIsInterrupted(err error) bool { return errors.Is(err, wasmer.ErrInterrupted) }

// atTheStacksEnd makes a module whose export "at" recurses to a depth and calls $end there; "deepest" only recurses.
func atTheStacksEnd(imports, callEnd, functions string) string {
	recurse := func(name, base string) string {
		return fmt.Sprintf(`(func $%[1]s (export "%[1]s") (param $n i32) (result i32) (local %[2]s)
			(if (result i32) (local.get $n)
				(then (i32.add (call $%[1]s (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))
				(else %[3]s)))`, name, strings.Repeat("i64 ", 8), base)
	}
	return "(module " + imports + recurse("deepest", "(i32.const 0)") + recurse("at", "(call $end)") +
		"(func $end (result i32) " + callEnd + ")" + functions + ")"
}

// Functions with large frames, called anywhere near the end of the guest's stack, either run or trap. Large are locals,
// operands, and what a call passes in memory; none may step over the guard page.
func TestLargeFramesAtTheStacksEnd(t *testing.T) {
	i64s := func(n int) string { return strings.Repeat(" i64", n) }
	fives := func(n int) string { return strings.Repeat("(i64.const 5)", n) }
	type guest struct{ name, text string }
	guests := []guest{
		{"locals", atTheStacksEnd("", "(call $big)", "(func $big (result i32) (local"+i64s(5000)+")"+
			strings.Repeat("(local.set 1 (i64.const 1))(local.set 4999 (local.get 1))", 3)+"(i32.const 1))")},
		{"params", atTheStacksEnd("", "(call $big "+fives(999)+")", "(func $big (param"+i64s(999)+") (result i32) (i32.const 1))")},
		{"results", atTheStacksEnd("", "(call $big) "+strings.Repeat("drop ", 999)+"(i32.const 1)",
			"(func $big (result"+i64s(999)+")"+fives(999)+")")},
		{"more locals than guard", atTheStacksEnd("", "(call $big)", "(func $big (result i32) (local"+i64s(40_000)+")"+
			"(local.set 39999 (i64.const 1)) (i32.wrap_i64 (local.get 39999)))")},
		{"operands", atTheStacksEnd("(memory 1)", "(call $big)", "(func $big (result i32)"+
			strings.Repeat("(i64.load (i32.const 8))", 3000)+"(drop (call $end0))"+strings.Repeat("i64.add ", 2999)+"i32.wrap_i64)"+
			"(func $end0 (result i32) (i32.const 1))")},
		{"block", atTheStacksEnd("", "(call $big)", "(func $big (result i32) "+fives(900)+
			"(block (param"+i64s(900)+") (result"+i64s(900)+") (br_if 0 (i32.const 1)))"+strings.Repeat("drop ", 900)+"(i32.const 1))")},
		{"both", atTheStacksEnd("", "(call $big "+fives(999)+")"+strings.Repeat("drop ", 999)+"(i32.const 1)",
			"(func $big (param"+i64s(999)+") (result"+i64s(999)+")"+fives(999)+")")},
		{"import", atTheStacksEnd(`(import "env" "h" (func $h (param`+i64s(20)+")))", "(call $h "+fives(20)+") (i32.const 1)", "")},
		{"indirect", atTheStacksEnd("", "(call_indirect (param"+i64s(600)+") (result"+i64s(600)+") "+fives(600)+"(i32.const 0))"+
			strings.Repeat("drop ", 600)+"(i32.const 1)",
			"(table 1 funcref) (elem (i32.const 0) $big) (func $big (param"+i64s(600)+") (result"+i64s(600)+")"+fives(600)+")")},
	}
	imports := wasmer.NewImports().Function("h", func(_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _ int64) {})
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, guest := range guests {
			t.Run(guest.name, func(t *testing.T) {
				inChild(t, func(t *testing.T) {
					instance, err := compileFor(t, engine, guest.text)
					if errors.Is(err, wasmer.ErrUnsupported) {
						return // refused: good as well
					}
					require.NoError(t, err)
					loaded, err := instance.InstantiateWithImports(imports)
					require.NoError(t, err)
					for depth := range depthsNearTheEnd(t, loaded) {
						if _, err := loaded.Exports["at"](depth); err != nil {
							require.ErrorIs(t, err, wasmer.TrapStackOverflow, "depth %d", depth)
						}
					}
				})
			})
		}
	})
}

// Once a guest's stack is too small for a function at some depth, it is at any greater depth. If the function runs again
// further down, its frame lies below the guard page, in the memory of somebody else: of another guest's stack.
func TestNothingRunsBelowTheGuardPage(t *testing.T) {
	errReached := errors.New("reached")
	results := strings.Repeat(" i64", 999)
	text := atTheStacksEnd(`(import "env" "reached" (func $reached))`,
		"(call $big) "+strings.Repeat("drop ", 999)+"(i32.const 1)",
		"(func $big (result"+results+") (call $reached) unreachable)")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		inChild(t, func(t *testing.T) {
			module, err := compileFor(t, engine, text)
			if errors.Is(err, wasmer.ErrUnsupported) {
				return
			}
			require.NoError(t, err)
			instance, err := module.InstantiateWithImports(wasmer.NewImports().Function("reached", func() error { return errReached }))
			require.NoError(t, err)
			overflowed := -1
			for depth := range depthsNearTheEnd(t, instance) {
				_, err := instance.Exports["at"](depth)
				switch {
				case errors.Is(err, wasmer.TrapStackOverflow):
					if overflowed < 0 {
						overflowed = depth
					}
				case overflowed >= 0:
					t.Fatalf("the stack ends at depth %d, but at depth %d the function runs: %v", overflowed, depth, err)
				default:
					require.ErrorIs(t, err, errReached, "depth %d", depth)
				}
			}
		})
	})
}

func compileFor(t *testing.T, engine *wasmer.Engine, text string) (*wasmer.Module, error) {
	module, err := engine.Compile(background, []byte(text))
	t.Cleanup(func() { _ = module.Close() })
	return module, err
}

// depthsNearTheEnd are those from where 24 KiB are left on the guest's stack up to one that overflows it.
func depthsNearTheEnd(t *testing.T, instance *wasmer.Instance) func(func(int) bool) {
	low, high := 0, 1<<20
	for high-low > 1 {
		middle := (low + high) / 2
		if _, err := instance.Exports["deepest"](middle); err != nil {
			require.ErrorIs(t, err, wasmer.TrapStackOverflow)
			high = middle
		} else {
			low = middle
		}
	}
	// The guest's stack has 1 MiB, so a level takes 1 MiB/low.
	first := max(0, low-24*low/1024)
	return func(yield func(int) bool) {
		for depth := first; depth <= high && yield(depth); depth++ {
		}
	}
}

// What guests do through functions of the engine runs on the guest's stack as well, and some of it locks or allocates. A
// guest that comes there with little stack left must not leave a lock held: all later traps of the process would wait.
func TestEngineFunctionsAtTheStacksEnd(t *testing.T) {
	shared := "(memory 1 1 shared)"
	type guest struct{ name, module, end string }
	guests := []guest{
		{"table_get", "(table 1 funcref)", "(ref.is_null (table.get (i32.const 9)))"},
		{"table_set", "(table 1 funcref)", "(table.set (i32.const 9) (ref.null func)) (i32.const 1)"},
		{"table_init", "(table 1 funcref) (elem $e func $end)", "(table.init $e (i32.const 9) (i32.const 0) (i32.const 1)) (i32.const 1)"},
		{"table_init_drop", "(table 1 funcref) (elem $e func $end $end)",
			"(table.init $e (i32.const 0) (i32.const 1) (i32.const 1)) (elem.drop $e) (i32.const 1)"},
		{"table_fill", "(table 1 funcref)", "(table.fill (i32.const 9) (ref.null func) (i32.const 1)) (i32.const 1)"},
		{"table_copy", "(table 1 funcref)", "(table.copy (i32.const 9) (i32.const 0) (i32.const 1)) (i32.const 1)"},
		{"table_grow", "(table 1 funcref)", "(table.grow (ref.null func) (i32.const 1))"},
		{"memory_init", `(memory 1) (data $d "1234")`, "(memory.init $d (i32.const -9) (i32.const 0) (i32.const 1)) (i32.const 1)"},
		{"memory_init_drop", `(memory 1) (data $d "1234")`,
			"(memory.init $d (i32.const 0) (i32.const 1) (i32.const 1)) (data.drop $d) (i32.const 1)"},
		{"memory_fill", "(memory 1)", "(memory.fill (i32.const -9) (i32.const 0) (i32.const 100)) (i32.const 1)"},
		{"memory_copy", "(memory 1)", "(memory.copy (i32.const -9) (i32.const 0) (i32.const 1)) (i32.const 1)"},
		{"memory_grow", "(memory 1)", "(memory.grow (i32.const 1))"},
		{"notify", shared, "(memory.atomic.notify (i32.const 0) (i32.const 1))"},
		{"notify_out_of_bounds", shared, "(memory.atomic.notify (i32.const -4) (i32.const 1))"},
		{"wait", shared, "(memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 1))"},
		{"wait_unequal", shared, "(memory.atomic.wait32 (i32.const 0) (i32.const 1) (i64.const 1))"},
		{"unreachable", "", "unreachable"},
		{"division", "(global $zero (mut i32) (i32.const 0))", "(i32.div_u (i32.const 1) (global.get $zero))"},
		{"throw", "(tag $tag (param i32))", "(throw $tag (i32.const 1))"},
	}
	const control = `(module (table 1 funcref) (func (export "f") (result i32) (ref.is_null (table.get (i32.const 9)))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, guest := range guests {
			t.Run(guest.name, func(t *testing.T) {
				text := fine(guest.module, guest.end)
				if _, err := compileFor(t, engine, text); errors.Is(err, wasmer.ErrUnsupported) || err != nil && guest.name == "throw" {
					t.Skip(err)
				}
				inChild(t, func(t *testing.T) {
					time.AfterFunc(10*time.Second, func() {
						buffer := make([]byte, 1<<16)
						panic("stuck:\n" + string(buffer[:runtime.Stack(buffer, true)]))
					})
					instance := instantiate(t, engine, text, nil)
					traps := instantiate(t, engine, control, nil)
					other := make(chan struct{})
					done := make(chan error)
					go func() { // on another thread
						runtime.LockOSThread()
						for range other {
							_, err := traps.Exports["f"]()
							done <- err
						}
					}()
					for deep, shift := range finely(instance) {
						_, _ = instance.Exports["at"](deep, shift)
						// What the one before left behind must not be in the way of the next.
						if _, err := instance.Exports["at"](0, 0); err != nil {
							var trap *wasmer.Trap
							require.ErrorAs(t, err, &trap)
							require.NotErrorIs(t, err, wasmer.TrapStackOverflow)
						}
						other <- struct{}{}
						require.ErrorIs(t, <-done, wasmer.TrapTableOutOfBounds)
					}
				})
			})
		}
	})
}

// fine makes a module whose export "at" recurses through two functions with frames of different sizes, so that any
// amount of stack can be left when $end is called. Most of the way goes in large steps: a trap notes every frame.
func fine(module, end string) string {
	const many = 200
	params := strings.Repeat(" i64", many)
	var locals strings.Builder
	for i := range many {
		fmt.Fprintf(&locals, "(local.get %d)", i+2)
	}
	return `(module ` + module + `
		(func (export "at") (param i32 i32) (result i32)
			(call $at (local.get 0) (local.get 1) ` + strings.Repeat("(i64.const 7)", many) + `))
		(func $at (param i32 i32` + params + `) (result i32)
			(if (result i32) (local.get 0) (then
				(i32.add (call $at (i32.sub (local.get 0) (i32.const 1)) (local.get 1) ` + locals.String() + `) (i32.const 1)))
				(else (call $shift (local.get 1)))))
		(func $shift (param i32) (result i32) (local i64 i64)
			(local.set 1 (i64.extend_i32_u (local.get 0)))
			(if (result i32) (local.get 0) (then (i32.add (call $shift (i32.sub (local.get 0) (i32.const 1))) (i32.wrap_i64 (local.get 1))))
				(else (call $end))))
		(func $end (result i32) ` + end + `))`
}

// finely are the depths for "at" at which little stack is left.
func finely(instance *wasmer.Instance) func(func(int, int) bool) {
	low, high := 0, 1<<12
	for high-low > 1 {
		middle := (low + high) / 2
		if _, err := instance.Exports["at"](middle, 0); errors.Is(err, wasmer.TrapStackOverflow) {
			high = middle
		} else {
			low = middle
		}
	}
	return func(yield func(int, int) bool) {
		for deep := max(0, low-3); deep <= low; deep++ {
			for shift := range 120 {
				if !yield(deep, shift) {
					return
				}
			}
		}
	}
}

const recursing = `(module (import "env" "host" (func $host (param i32) (result i32)))
	(func (export "run") (param i32) (result i32)
		(if (result i32) (local.get 0)
			(then (i32.add (call $host (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
			(else (i32.const 0)))))`

// recursion makes an instance whose host function calls the instance again; run counts how deep it came.
func recursion(t *testing.T, engine *wasmer.Engine) *wasmer.Function {
	var run *wasmer.Function
	instance := instantiate(t, engine, recursing, wasmer.NewImports().Function("host", func(c *wasmer.Caller, n int32) (int32, error) {
		values, err := run.Call(c.Context(), n)
		if err != nil {
			return 0, err
		}
		return values[0].ToI32(), nil
	}))
	run = function(t, instance, "run")
	return run
}

func onLockedThread(body func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and ends with the goroutine
		body()
	}()
	<-done
}

func TestRecursionThroughHostFunctions(t *testing.T) {
	for _, compiler := range wasmer.Compilers() {
		for _, limit := range []int{0, 1, 2, 50, 1_000_000} {
			t.Run(fmt.Sprintf("%v %d", compiler, limit), func(t *testing.T) {
				engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, MaxCallDepth: limit})
				require.NoError(t, err)
				defer engine.Close()
				run := recursion(t, engine)
				check := func() {
					deepest := limit
					switch limit {
					case 0:
						deepest = 1000
					case 1_000_000:
						deepest = 201 // what the thread's stack has room for at least
					}
					for range 3 {
						values, err := run.Call(background, deepest-1)
						if err != nil || values[0].ToI32() != int32(deepest-1) {
							t.Errorf("%d deep: %v, %v", deepest, values, err)
						}
						if limit != 1_000_000 {
							if _, err = run.Call(background, deepest); !errors.Is(err, wasmer.ErrDepth) {
								t.Errorf("%d deep: %v", deepest+1, err)
							}
						}
						if _, err = run.Call(background, 1_000_000); !errors.Is(err, wasmer.ErrDepth) {
							t.Errorf("without end: %v", err)
						}
						nilDereference(t)
					}
				}
				check()
				onLockedThread(check)
			})
		}
	}
}

// Each store alone is entered once only: the thread's stack is what ends this.
func TestRecursionThroughNewInstances(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		inChild(t, func(t *testing.T) {
			for _, text := range []string{recursing, `(module (import "env" "host" (func $host (param i32) (result i32)))
				(func (export "run") (param i32) (result i32) (i32.const 0)) (func $start (drop (call $host (i32.const 1)))) (start $start))`} {
				module := compile(t, engine, text)
				deepest := 0
				var again func(n int32) (int32, error)
				imports := wasmer.NewImports().Function("host", func(n int32) (int32, error) { deepest++; return again(n) })
				again = func(int32) (int32, error) {
					instance, err := module.InstantiateWithImports(imports)
					if err != nil {
						return 0, err
					}
					defer instance.Close()
					result, err := instance.Exports["run"](1)
					return result.ToI32(), err
				}
				for _, where := range []func(func()){func(body func()) { body() }, onLockedThread} {
					where(func() {
						deepest = 0
						if _, err := again(1); !errors.Is(err, wasmer.ErrDepth) {
							t.Errorf("%d deep: %v", deepest, err)
						}
						if deepest < 200 {
							t.Errorf("only %d deep", deepest)
						}
					})
				}
			}
		})
	})
}

// Everything else that a host function may do, with as little of the thread's stack left as a call leaves.
func TestAllWorksNearTheEndOfTheThreadsStack(t *testing.T) {
	compileHere := func(engine *wasmer.Engine) error {
		for _, name := range []string{"greet.wasm", "wapc.wasm", "numeric.wasm"} {
			wasm, err := os.ReadFile("../testdata/" + name)
			if err != nil {
				return err
			}
			module, err := engine.Compile(background, wasm)
			if err != nil {
				return err
			}
			artifact, err := module.Serialize()
			if err != nil {
				return err
			}
			loaded, err := engine.Deserialize(background, artifact)
			if err != nil {
				return err
			}
			_, _ = loaded.Instantiate()
			_ = loaded.Close()
			_ = module.Close()
		}
		text := "(module (func (result i32) " + strings.Repeat("(i32.add (i32.const 1) ", 90) + "(i32.const 1)" + strings.Repeat(")", 90) + "))"
		return engine.Validate([]byte(text))
	}
	for _, compiler := range wasmer.Compilers() {
		t.Run(compiler.String(), func(t *testing.T) {
			inChild(t, func(t *testing.T) {
				engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, MaxCallDepth: 1_000_000, CompileThreads: 1})
				require.NoError(t, err)
				var run *wasmer.Function
				reached := false
				instance := instantiate(t, engine, recursing, wasmer.NewImports().Function("host", func(c *wasmer.Caller, n int32) (int32, error) {
					_, err := run.Call(c.Context(), n)
					if errors.Is(err, wasmer.ErrDepth) && !reached {
						reached = true
						runtime.GC()
						nilDereference(t)
						if err := compileHere(engine); err != nil {
							return 0, err
						}
					}
					return 0, err
				}))
				run = function(t, instance, "run")
				onLockedThread(func() {
					if _, err := run.Call(background, 1_000_000); !errors.Is(err, wasmer.ErrDepth) {
						t.Error(err)
					}
				})
				require.True(t, reached)
			})
		})
	}
}

// A host function called where the guest's stack ends may do what any other may.
func TestHostFunctionsAtTheStacksEnd(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, name := range []string{"nested", "nested trap", "error", "panic", "Goexit"} {
			t.Run(name, func(t *testing.T) {
				inChild(t, func(t *testing.T) {
					errHost := errors.New("the host's error")
					module := compile(t, engine, fine(`(import "env" "host" (func $host (result i32)))`, "(call $host)"))
					traps := instantiate(t, engine, wasmtest.Fixture(t, "traps.wasm"), nil)
					run := recursion(t, engine)
					reached, act := 0, false
					imports := wasmer.NewImports().Function("host", func() (int32, error) {
						if !act {
							return 1, nil
						}
						reached++
						switch name {
						case "nested", "nested trap":
							if name == "nested trap" {
								_, err := traps.Exports["out_of_bounds_fill"]()
								require.ErrorIs(t, err, wasmer.TrapOutOfBounds)
								_, err = traps.Exports["stack_overflow"]()
								require.ErrorIs(t, err, wasmer.TrapStackOverflow)
							}
							values, err := run.Call(background, 5)
							require.NoError(t, err)
							require.EqualValues(t, 5, values[0].ToI32())
						case "error":
							return 0, errHost
						case "panic":
							panic(errHost)
						case "Goexit":
							runtime.Goexit()
						}
						nilDereference(t)
						return 1, nil
					})
					instance, err := module.InstantiateWithImports(imports)
					require.NoError(t, err)
					depths := finely(instance)
					onLockedThread(func() {
						for deep, shift := range depths {
							act = true
							if name == "Goexit" {
								instance, err = module.InstantiateWithImports(imports)
								require.NoError(t, err)
							}
							body := func() (err error) {
								defer func() {
									if name == "Goexit" {
										// On the same thread, with stacks and memories where the one given up was.
										if values, err := run.Call(background, 20); err != nil || values[0].ToI32() != 20 {
											t.Errorf("got %v, %v", values, err)
										}
										nilDereference(t)
									}
									if value := recover(); value != nil {
										err = value.(error)
									}
								}()
								_, err = instance.Exports["at"](deep, shift)
								return err
							}
							if name == "Goexit" {
								inGoroutine(func() { _ = body() })
							} else if err := body(); err != nil && !errors.Is(err, wasmer.TrapStackOverflow) && !errors.Is(err, errHost) {
								t.Errorf("%d, %d: %v", deep, shift, err)
							}
							act = false
							if values, err := run.Call(background, 20); err != nil || values[0].ToI32() != 20 {
								t.Errorf("got %v, %v", values, err)
							}
						}
					})
					require.Positive(t, reached)
				})
			})
		}
	})
}
