package wasmer_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestThreeInstancesCallEachOtherThroughATable(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, limits := range []string{"3", "3 3"} {
			store := newStore(t, engine)
			owner := instantiateIn(t, store, engine, `(module (table (export "t") `+limits+` funcref))`, nil)
			// Each adds a digit and calls the next, with a memory and a global of its own.
			var instances []*wasmer.Instance
			for n := range 3 {
				next := fmt.Sprintf(`(i32.add (local.get 0) (i32.mul (i32.const 10) (call_indirect (type $f) (i32.load8_u (i32.const 0)) (i32.const %d))))`, n+1)
				if n == 2 {
					next = `(i32.add (local.get 0) (i32.mul (i32.const 10) (i32.load8_u (i32.const 0))))`
				}
				instances = append(instances, instantiateIn(t, store, engine, fmt.Sprintf(`(module (import "env" "t" (table 3 funcref))
					(type $f (func (param i32) (result i32))) (memory 1) (data (i32.const 0) "\0%d") (elem (i32.const %d) $f)
					(func $f (type $f) %s) (func (export "run") (result i32) (call_indirect (type $f) (i32.const 9) (i32.const 0))))`,
					n+1, n, next), wasmer.NewImports().Instance("env", owner)))
			}
			for _, instance := range instances {
				require.EqualValues(t, 3219, call(t, instance, "run").ToI32())
			}
			require.NoError(t, owner.Close())
			for n, closed := range instances[1:] {
				require.NoError(t, closed.Close())
				instances[n+1] = nil
				runtime.GC()
				require.EqualValues(t, 3219, call(t, instances[0], "run").ToI32(), "what others hold of a closed instance goes on")
			}
		}
	})
}

const growing = `(module (import "env" "m" (memory 1 10)) (import "env" "f" (func $f)) (export "memory" (memory 0))
	(func (export "grow") (result i32) (memory.grow (i32.const 1)))
	(func (export "size") (result i32) (memory.size))
	(func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
	(func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
	(func (export "through") (param i32) (result i32) (i32.store (i32.const 0) (i32.const 1))
		(call $f) (i32.store (local.get 0) (i32.const 77)) (i32.add (i32.load (local.get 0)) (i32.load (i32.const 0)))))`

func TestGrowthIsSeenByAllWhoShareAMemory(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, made := range []string{"by the host", "by a guest", "by a guest, imported by an imported one"} {
			t.Run(made, func(t *testing.T) {
				store := newStore(t, engine)
				memory, err := store.NewMemory(1, 10)
				require.NoError(t, err)
				if made != "by the host" {
					memory = instantiateIn(t, store, engine, `(module (memory (export "m") 1 10))`, nil).Memory
				}
				var inside func() error
				imports := wasmer.NewImports().Extern("env", "m", memory).Function("f", func() error { return inside() })
				a, b := instantiateIn(t, store, engine, growing, imports), instantiateIn(t, store, engine, growing, imports)
				if made == "by a guest, imported by an imported one" {
					b = instantiateIn(t, store, engine, growing, wasmer.NewImports().Extern("env", "m", a.Memory).Function("f", func() error { return inside() }))
				}
				pages := uint32(1)
				check := func() {
					t.Helper()
					pages++
					last := int(pages*wasmer.PageSize - 4)
					for n, instance := range []*wasmer.Instance{a, b} {
						require.EqualValues(t, pages, call(t, instance, "size").ToI32())
						require.EqualValues(t, pages, instance.Memory.Pages())
						require.Len(t, instance.Memory.Data(), int(pages)*wasmer.PageSize)
						run(t, instance, "store", last, n+5)
						require.EqualValues(t, n+5, call(t, []*wasmer.Instance{b, a}[n], "load", last).ToI32())
						require.ErrorIs(t, failing(t, instance, "load", last+4), wasmer.TrapOutOfBounds)
					}
					got, err := memory.ReadUint32Le(uint64(last))
					require.NoError(t, err)
					require.EqualValues(t, 6, got)
				}
				require.EqualValues(t, 1, call(t, a, "grow").ToI32())
				check()
				require.NoError(t, memory.Grow(1))
				check()
				require.NoError(t, b.Memory.Grow(1))
				check()
				// Inside of a host call, whose guest goes on with the larger memory.
				for name, grow := range map[string]func() error{
					"by the host":   func() error { return memory.Grow(1) },
					"by a guest":    func() error { _, err := function(t, b, "grow").Call(background); return err },
					"by the same":   func() error { _, err := function(t, a, "grow").Call(background); return err },
					"two levels on": func() error { inside = func() error { return a.Memory.Grow(1) }; run(t, b, "through", 4); return nil },
				} {
					inside = grow
					require.EqualValues(t, 78, call(t, a, "through", int(pages*wasmer.PageSize)).ToI32(), name)
					check()
				}
			})
		}
	})
}

// A module calls a host function, which has another guest grow the memory; then it loads past the old size.
func TestAGuestLoadsPastTheOldSizeAfterAHostCall(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		grower := instantiateIn(t, store, engine, `(module (memory (export "m") 1 10) (func (export "grow") (drop (memory.grow (i32.const 1)))))`, nil)
		loops := instantiateIn(t, store, engine, `(module (import "env" "m" (memory 1)) (import "env" "f" (func $f))
			(func (export "run") (result i32) (local $n i32) (local $sum i32)
				(loop $again
					(call $f)
					(i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (i32.const 1))
					(local.set $sum (i32.add (local.get $sum) (i32.load8_u (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)))))
					(br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 9))))
				(local.get $sum)))`, wasmer.NewImports().Instance("env", grower).Function("f", func(c *wasmer.Caller) error {
			_, err := function(t, grower, "grow").Call(c.Context())
			return err
		}))
		require.EqualValues(t, 9, call(t, loops, "run").ToI32())
		require.EqualValues(t, 10, grower.Memory.Pages())
	})
}

func TestExceptionsPassFromInstanceToInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		if !hasExceptions(engine) {
			_, err := engine.Compile(background, []byte(`(module (tag (param i32)))`))
			require.ErrorIs(t, err, wasmer.ErrUnsupported)
			return
		}
		store := newStore(t, engine)
		tags := instantiateIn(t, store, engine, `(module (tag (export "a") (param i32 f64)) (tag (export "b") (param i32 f64)))`, nil)
		const thrower = `(module (import "tags" "a" (tag $a (param i32 f64))) (import "tags" "b" (tag $b (param i32 f64)))
			(export "again" (tag $a))
			(func (export "a") (throw $a (i32.const 1) (f64.const 1.5))) (func (export "b") (throw $b (i32.const 2) (f64.const 2.5))))`
		throws := instantiateIn(t, store, engine, thrower, wasmer.NewImports().Instance("tags", tags))
		list := wasmer.NewImports().Namespace("through").
			Function("a", func(c *wasmer.Caller) error { _, err := function(t, throws, "a").Call(c.Context()); return err })
		for _, source := range []*wasmer.Instance{tags, nil} {
			a, err := tags.Tag("a")
			require.NoError(t, err)
			if source == nil { // the tag as another instance exports it
				a, err = throws.Tag("again")
				require.NoError(t, err)
			}
			require.Equal(t, "(tag (param i32 f64))", a.ExternType().String())
			require.Equal(t, types(wasmer.ValueTypeI32, wasmer.ValueTypeF64), a.Type().Params)
			catches := instantiateIn(t, store, engine, `(module (import "tags" "a" (tag $a (param i32 f64)))
				(import "throws" "a" (func $a)) (import "throws" "b" (func $b)) (import "through" "a" (func $host))
				(func (export "a") (result i32 f64) (block $h (result i32 f64) (try_table (catch $a $h) (call $a)) (unreachable)))
				(func (export "b") (result i32 f64) (block $h (result i32 f64) (try_table (catch $a $h) (call $b)) (unreachable)))
				(func (export "all") (block $h (try_table (catch_all $h) (call $b)) (unreachable)))
				(func (export "host") (block $h (try_table (catch_all $h) (call $host)) (unreachable))))`,
				list.Extern("tags", "a", a).Instance("throws", throws))
			results := run(t, catches, "a")
			require.EqualValues(t, 1, results[0].ToI32())
			require.Equal(t, 1.5, results[1].ToF64())
			require.ErrorIs(t, failing(t, catches, "b"), wasmer.TrapUncaughtException, "of the same type, but another tag")
			run(t, catches, "all")
			// Through a host function an exception is an error, which guests do not catch.
			require.ErrorIs(t, failing(t, catches, "host"), wasmer.TrapUncaughtException)
		}
		_, err := tags.Tag("c")
		require.ErrorIs(t, err, wasmer.ErrNotFound)
		a, err := tags.Tag("a")
		require.NoError(t, err)
		_, err = store.Instantiate(background, "", compile(t, engine, `(module (import "env" "a" (tag (param i32))))`), wasmer.NewImports().Extern("env", "a", a))
		require.ErrorAs(t, err, new(*wasmer.LinkError))
		require.NoError(t, tags.Close())
		_, err = store.Instantiate(background, "", compile(t, engine, thrower), wasmer.NewImports().Extern("tags", "a", a).Extern("tags", "b", a))
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

func TestWhatHappensInTheOrderOfInstantiation(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		memory, err := store.NewMemory(1, 1)
		require.NoError(t, err)
		table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 4}, nil)
		var seen string
		imports := wasmer.NewImports().Extern("env", "m", memory).Extern("env", "t", table).Function("start", func(c *wasmer.Caller) error {
			text, err := memory.ReadString(0, 3)
			seen = text
			if element(t, table, 1).IsNull() {
				return errors.New("the elements are not there")
			}
			require.Empty(t, c.Instance().Name())
			return err
		})
		// The start function is an import: it has index 0.
		module := compile(t, engine, `(module (import "env" "start" (func $start)) (import "env" "m" (memory 1)) (import "env" "t" (table 4 funcref))
			(start $start) (data (i32.const 0) "abx") (data (i32.const 2) "c") (elem (i32.const 1) $f) (func $f))`)
		_, err = store.Instantiate(background, "name", module, imports)
		require.NoError(t, err)
		require.Equal(t, "abc", seen)
		require.Equal(t, "name", store.Instance("name").Name())

		counted := instantiate(t, engine, `(module (global $n (mut i32) (i32.const 0)) (memory 1) (data (i32.const 0) "\05")
			(start 1) (func (export "n") (result i32) (global.get $n)) (func (global.set $n (i32.add (global.get $n) (i32.load (i32.const 0))))))`, nil)
		require.EqualValues(t, 5, call(t, counted, "n").ToI32(), "it ran once, after the data")
	})
}

// Since version 2.0 of the specification what was written before a failure stays.
func TestWhatAFailedInstantiationLeaves(t *testing.T) {
	errHost := errors.New("the host's error")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, failure := range map[string]struct {
			text string
			is   error
		}{
			"data out of bounds": {`(data (i32.const 0) "abc") (data (i32.const 65535) "xy") (data (i32.const 3) "def")`, wasmer.TrapOutOfBounds},
			"data far out":       {`(data (i32.const 0) "abc") (data (i32.const -1) "x") (data (i32.const 3) "def")`, wasmer.TrapOutOfBounds},
			"empty data":         {`(data (i32.const 0) "abc") (data (i32.const 65537) "") (data (i32.const 3) "def")`, wasmer.TrapOutOfBounds},
			"start traps":        {`(data (i32.const 0) "abc") (start $trap)`, wasmer.TrapUnreachable},
			"start fails":        {`(data (i32.const 0) "abc") (start $f)`, errHost},
		} {
			store := newStore(t, engine)
			memory, err := store.NewMemory(1, 1)
			require.NoError(t, err)
			table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 4}, nil)
			user := instantiateIn(t, store, engine, indirect4, wasmer.NewImports().Extern("env", "t", table))
			module := compile(t, engine, `(module (import "env" "f" (func $f)) (import "env" "g" (func $g (result i32))) (import "env" "m" (memory 1))
				(import "env" "t" (table 4 funcref)) (elem (i32.const 2) $own $g) (memory $own 1) (data $own (memory $own) (i32.const 0) "\2a")
				(func $own (result i32) (i32.load $own (i32.const 0))) (func $trap unreachable)`+failure.text+`)`)
			imports := wasmer.NewImports().Extern("env", "m", memory).Extern("env", "t", table).
				Function("f", func() error { return errHost }).Function("g", constant(43))
			failed, err := store.Instantiate(background, "name", module, imports)
			require.ErrorIs(t, err, failure.is, name)
			require.Nil(t, failed, name)
			require.Empty(t, store.Instances(), name)
			text, err := memory.ReadString(0, 6)
			require.NoError(t, err)
			require.Equal(t, "abc\x00\x00\x00", text, name)

			// Other instances come and go: what is left in the table is still that of the failed one.
			for n := range int32(20) {
				other := instantiateIn(t, store, engine, answer, wasmer.NewImports().Function("f", constant(100+n)))
				require.EqualValues(t, 100+n, call(t, other, "run").ToI32())
			}
			collect()
			require.EqualValues(t, 43, call(t, user, "call", 3).ToI32(), name)
			if strings.HasPrefix(name, "start") {
				require.EqualValues(t, 42, call(t, user, "call", 2).ToI32(), name)
			}
			_, err = store.NewInstance("name", nil)
			require.NoError(t, err, "the name is free again")
		}
		store := newStore(t, engine)
		table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 4}, nil)
		user := instantiateIn(t, store, engine, indirect4, wasmer.NewImports().Extern("env", "t", table))
		_, err := store.Instantiate(background, "", compile(t, engine, `(module (import "env" "t" (table 4 funcref)) (memory 1) (data (i32.const 0) "\2a")
			(elem (i32.const 0) $own) (elem (i32.const 3) $own $own) (elem (i32.const 1) $own) (func $own (result i32) (i32.const 41)))`),
			wasmer.NewImports().Extern("env", "t", table))
		require.ErrorIs(t, err, wasmer.TrapTableOutOfBounds)
		require.EqualValues(t, 41, call(t, user, "call", 0).ToI32(), "the segment before")
		require.True(t, element(t, table, 1).IsNull(), "none after")
		require.True(t, element(t, table, 3).IsNull(), "nothing of a segment that does not fit")
	})
}

var indirect4 = strings.Replace(indirect, "table $t 8", "table $t 4", 1)

func TestDataBeyondTwoGiB(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		memory, err := store.NewMemory(65536, 65536)
		require.NoError(t, err)
		at := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeI32}, uint32(3<<30))
		for _, text := range []string{`(import "env" "m" (memory 65536))`, `(memory (export "m") 65536)`} {
			importText, own := text, ""
			if strings.HasPrefix(text, "(memory") {
				importText, own = "", text
			}
			instance := instantiateIn(t, store, engine, `(module `+importText+` (import "env" "at" (global $at i32)) `+own+`
				(data (i32.const 0x7fffffff) "ab") (data (global.get $at) "cd") (data (i32.const -4) "wxyz") (data (i32.const 0x80000010) "ef")
				(func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))`,
				wasmer.NewImports().Extern("env", "m", memory).Global("env", "at", at))
			for offset, want := range map[uint32]byte{0x7fffffff: 'a', 0x80000000: 'b', 3 << 30: 'c', 3<<30 + 1: 'd', 0xfffffffc: 'w', 0xffffffff: 'z', 0x80000010: 'e'} {
				require.EqualValues(t, want, call(t, instance, "load", offset).ToI32(), "%#x", offset)
			}
		}
		_, err = store.Instantiate(background, "", compile(t, engine, `(module (import "env" "m" (memory 65536)) (data (i32.const -3) "1234"))`),
			wasmer.NewImports().Extern("env", "m", memory))
		require.ErrorIs(t, err, wasmer.TrapOutOfBounds)
	})
}

// Instantiations that fail in a store that lives on: what they made goes, or is little.
func TestSoakFailedInstantiationsInAStore(t *testing.T) {
	errHost := errors.New("the host's error")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, text := range map[string]string{
			"no such import":     `(import "env" "none" (func)) (memory 10)`,
			"memory too large":   `(memory 10) (memory 11)`,
			"table too large":    `(memory 10) (table 1001 funcref)`,
			"data out of bounds": `(memory 10) (data (i32.const 655360) "x")`,
			"start traps":        `(memory 10) (start 1) (func unreachable)`,
			"start fails":        `(memory 10) (start 0)`,
		} {
			t.Run(name, func(t *testing.T) {
				limited := engineOf(t, engine, wasmer.EngineConfig{MaxTableElements: 1000, MaxMemoryPages: 10})
				store := newStore(t, limited)
				module := compile(t, limited, `(module (import "env" "f" (func $f))`+text+`)`)
				imports := wasmer.NewImports().Function("f", func() error { return errHost })
				flat(t, max(10_000, times(100_000)), 500, func(int) {
					instance, err := store.Instantiate(background, "name", module, imports)
					if err == nil || instance != nil || store.Instance("name") != nil {
						t.Fatalf("got %v, %v", instance, err)
					}
				})
			})
		}
	})
}
