package wasmer_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// The start function of an instance that fails leads to others, which stay, with their host functions.
func TestWhatWasMadeInAFailedStartFunctionGoesOn(t *testing.T) {
	errHost := errors.New("the host's error")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		module := compile(t, engine, answer)
		before := instantiateIn(t, store, engine, answer, wasmer.NewImports().Function("f", constant(1)))
		var inner *wasmer.Instance
		var made *wasmer.Function
		starts := compile(t, engine, `(module (import "env" "f" (func $f)) (memory 1) (start $f))`)
		_, err := store.Instantiate(background, "", starts, wasmer.NewImports().Function("f", func() (err error) {
			inner, err = store.Instantiate(background, "inner", module, wasmer.NewImports().Function("f", constant(2)))
			require.NoError(t, err)
			made = hostConstant(t, store, 3)
			_, err = made.Call(background)
			require.NoError(t, err)
			return errHost
		}))
		require.ErrorIs(t, err, errHost)
		after := instantiateIn(t, store, engine, answer, wasmer.NewImports().Function("f", constant(4)))
		require.EqualValues(t, 1, call(t, before, "run").ToI32())
		require.EqualValues(t, 2, call(t, inner, "run").ToI32())
		results, err := made.Call(background)
		require.NoError(t, err)
		require.EqualValues(t, 3, results[0].ToI32())
		require.EqualValues(t, 4, call(t, after, "run").ToI32())
	})
}

// A failed start function has handed out what others call later: references to functions of its instance.
func TestFunctionsThatAFailedInstanceHandedOutGoOn(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, imported := range map[string]string{
			"to the host":              `(import "env" "keep" (func $keep (param funcref)))`,
			"to the host, dynamic":     `(import "env" "dynamic" (func $keep (param funcref)))`,
			"to a guest":               `(import "guest" "keep" (func $keep (param funcref)))`,
			"to a table":               `(import "guest" "t" (table $t 1 funcref)) (func $keep (param funcref) (table.set $t (i32.const 0) (local.get 0)))`,
			"to a global":              `(import "guest" "g" (global $g (mut funcref))) (func $keep (param funcref) (global.set $g (local.get 0)))`,
			"to a guest, indirectly":   `(import "guest" "holders" (table $h 1 funcref)) (type $k (func (param funcref))) (func $keep (param funcref) (call_indirect $h (type $k) (local.get 0) (i32.const 0)))`,
			"to a table, by a segment": `(import "guest" "t" (table $t 1 funcref)) (elem (table $t) (i32.const 0) func $own) (func $keep (param funcref))`,
		} {
			t.Run(name, func(t *testing.T) {
				store := newStore(t, engine)
				guest := instantiateIn(t, store, engine, `(module (table $t (export "t") 1 funcref) (global $g (export "g") (mut funcref) (ref.null func))
					(table $h (export "holders") 1 funcref) (elem (table $h) (i32.const 0) func $keep) (type $get (func (result i32)))
					(func $keep (export "keep") (param funcref) (table.set $t (i32.const 0) (local.get 0)))
					(func (export "call") (result i32)
						(if (ref.is_null (table.get $t (i32.const 0))) (then (table.set $t (i32.const 0) (global.get $g))))
						(call_indirect $t (type $get) (i32.const 0))))`, nil)
				var kept *wasmer.Function
				keep := func(f *wasmer.Function) { kept = f }
				dynamic, err := store.NewFunction(wasmer.FunctionType{Params: types(wasmer.ValueTypeFuncRef)}, keepOf(&kept), 0)
				require.NoError(t, err)
				module := compile(t, engine, `(module (import "env" "n" (func $n (result i32))) `+imported+` (memory 1) (data (i32.const 0) "\28")
					(func $own (result i32) (i32.add (i32.load (i32.const 0)) (call $n))) (elem declare func $own) (start $start)
					(func $start (call $keep (ref.func $own)) unreachable))`)
				imports := wasmer.NewImports().Instance("guest", guest).Function("keep", keep).Function("n", constant(2)).Extern("env", "dynamic", dynamic)
				_, err = store.Instantiate(background, "", module, imports)
				require.ErrorIs(t, err, wasmer.TrapUnreachable)
				for n := range int32(20) { // what is freed would be used again
					other := instantiateIn(t, store, engine, answer, wasmer.NewImports().Function("f", constant(100+n)))
					require.EqualValues(t, 100+n, call(t, other, "run").ToI32())
				}
				collect()
				if kept != nil {
					results, err := kept.Call(background)
					require.NoError(t, err)
					require.EqualValues(t, 42, results[0].ToI32())
					require.NoError(t, exportedTable(t, guest, "t").Set(0, kept))
				}
				require.EqualValues(t, 42, call(t, guest, "call").ToI32())
			})
		}
	})
}

// What a host function learned of an instance whose start function failed later can be used without harm.
func TestWhatAHostFunctionKeptOfAFailedInstance(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, keep := range map[string]func(*wasmer.Caller) (uses []func() error){
			"instance": func(c *wasmer.Caller) []func() error {
				i := c.Instance()
				return []func() error{func() error { _, err := i.Function("f"); return err }, func() error { _, err := i.Memory.Read(0, 1); return err }}
			},
			"memory": func(c *wasmer.Caller) []func() error {
				m := c.Memory()
				return []func() error{func() error { return m.WriteByteAt(0, 1) }, func() error { return m.Grow(1) }}
			},
			"memory by index": func(c *wasmer.Caller) []func() error {
				m := c.MemoryAt(0)
				return []func() error{func() error { return m.WriteByteAt(0, 1) }}
			},
			"function": func(c *wasmer.Caller) []func() error {
				f, _ := c.Function("f")
				return []func() error{func() error { _, err := f.Call(background); return err }}
			},
			"table and global": func(c *wasmer.Caller) []func() error {
				table, _ := c.Instance().Table("t")
				global, _ := c.Instance().Global("g")
				return []func() error{func() error { return table.Set(0, nil) }, func() error { return global.Set(1) }}
			},
		} {
			store := newStore(t, engine)
			var uses []func() error
			_, err := store.Instantiate(background, "", compile(t, engine, `(module (import "env" "f" (func $f)) (memory (export "memory") 1)
				(table (export "t") 1 funcref) (global (export "g") (mut i32) (i32.const 0)) (func (export "f")) (start $start) (func $start (call $f) unreachable))`),
				wasmer.NewImports().Function("f", func(c *wasmer.Caller) { uses = keep(c) }))
			require.ErrorIs(t, err, wasmer.TrapUnreachable)
			require.NotEmpty(t, uses)
			for range 20 {
				instantiateIn(t, store, engine, `(module (memory (export "memory") 1))`, nil)
			}
			for _, use := range uses {
				require.ErrorIs(t, use(), wasmer.ErrClosed, name)
			}
		}
	})
}

// An exception that ended a start function is there as long as any is held; its tag is that of an instance that failed.
func TestExceptionsOfAFailedStartFunction(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		if !hasExceptions(engine) {
			t.Skip("the compiler has no exceptions")
		}
		store := newStore(t, engine)
		holder := instantiateIn(t, store, engine, `(module (tag $e (param externref)) (global $kept (mut exnref) (ref.null exn))
			(func $throw (param externref) (throw $e (local.get 0)))
			(func (export "keep") (param externref)
				(block $h (result exnref) (try_table (catch_all_ref $h) (call $throw (local.get 0))) (unreachable)) (global.set $kept))
			(func (export "again") (result externref)
				(block $h (result externref) (try_table (catch $e $h) (throw_ref (global.get $kept))) (unreachable))))`, nil)
		run(t, holder, "keep", "kept")
		failing := compile(t, engine, `(module (tag $other (param i32 i64)) (tag $own (param i64)) (memory 1) (start $f) (func $f (throw $own (i64.const -1))))`)
		for n := range 3000 {
			_, err := store.Instantiate(background, "", failing, nil)
			require.ErrorIs(t, err, wasmer.TrapUncaughtException)
			if n%500 == 0 {
				collect()
				instantiateIn(t, store, engine, `(module (tag (param externref externref)))`, nil)
			}
			require.Equal(t, "kept", run(t, holder, "again")[0].ToExternRef())
		}
		for n := range 5000 { // enough to be looked through
			run(t, holder, "keep", []int{n})
		}
		collect()
		require.Equal(t, []int{4999}, run(t, holder, "again")[0].ToExternRef())
	})
}

// What has no hold on the instance does not keep it: the limit of instances counts those that are there.
func TestAFailedInstanceDoesNotCount(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		limited := engineOf(t, engine, wasmer.EngineConfig{MaxInstances: 2})
		store := newStore(t, limited)
		for range 10 {
			_, err := store.Instantiate(background, "", compile(t, limited, `(module (memory 1) (start 0) (func unreachable))`), nil)
			require.ErrorIs(t, err, wasmer.TrapUnreachable)
		}
		instantiateIn(t, store, limited, `(module)`, nil)
	})
}
