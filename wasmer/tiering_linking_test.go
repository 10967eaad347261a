package wasmer_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// eachTier runs the test with an engine whose modules stay at the baseline, unless linking needs another tier, and with one
// whose modules are optimized before they are used. compiled compiles for it.
func eachTier(t *testing.T, test func(t *testing.T, engine *wasmer.Engine, compiled func(text string) *wasmer.Module)) {
	t.Helper()
	for _, tier := range []wasmer.Tier{wasmer.TierBaseline, wasmer.TierOptimized} {
		t.Run(tier.String(), func(t *testing.T) {
			engine := tieredEngine(t, wasmer.EngineConfig{Tiering: wasmer.Tiering{Off: tier == wasmer.TierBaseline}})
			test(t, engine, func(text string) *wasmer.Module {
				module := compile(t, engine, text)
				require.NoError(t, module.WaitTier(background))
				return module
			})
		})
	}
}

const floats = `(module (func (export "half") (param f64) (result f64) (f64.mul (local.get 0) (f64.const 0.5)))
	(func (export "both") (param f32 i64) (result i64 f32) (local.get 1) (local.get 0))
	(func (export "int") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))`

const callsFloats = `(module (type $half (func (param f64) (result f64))) (type $both (func (param f32 i64) (result i64 f32))) (type $int (func (param i32) (result i32)))
	(import "env" "t" (table 4 funcref))
	(func (export "half") (param f64) (result f64) (call_indirect (type $half) (local.get 0) (i32.const 0)))
	(func (export "both") (param f32 i64) (result i64 f32) (call_indirect (type $both) (local.get 0) (local.get 1) (i32.const 1)))
	(func (export "int") (param i32) (result i32) (call_indirect (type $int) (local.get 0) (i32.const 2)))
	(func (export "get") (param i32) (result funcref) (table.get (local.get 0))))`

// A host hands functions of one module on to another, which refers to them: whatever the tier of either.
func TestReferencesToFunctionsOfAnyTier(t *testing.T) {
	eachTier(t, func(t *testing.T, engine *wasmer.Engine, compiled func(string) *wasmer.Module) {
		for _, first := range []string{"the references", "the code that follows them"} {
			store := newStore(t, engine)
			table := tableOf(t, store, wasmer.ValueTypeFuncRef, wasmer.Limits{Min: 4}, nil)
			lib, err := store.Instantiate(background, "", compiled(floats), nil)
			require.NoError(t, err)
			require.Equal(t, compiled(floats).Tier(), lib.Tier())
			names := []string{"half", "both", "int"}
			set := func() {
				for n, name := range names {
					require.NoError(t, table.Set(uint64(n), function(t, lib, name)), "%s, first %s", name, first)
				}
			}
			if first == "the references" {
				set()
			}
			user, err := store.Instantiate(background, "", compiled(callsFloats), wasmer.NewImports().Table("env", "t", table))
			require.NoError(t, err, first)
			require.Equal(t, wasmer.TierOptimized, user.Tier())
			if first != "the references" {
				set()
			}
			for range 2 {
				require.Equal(t, []wasmer.Value{wasmer.F64(10.5)}, run(t, user, "half", 21.0))
				require.Equal(t, []wasmer.Value{wasmer.I64(-7), wasmer.F32(1.5)}, run(t, user, "both", float32(1.5), int64(-7)))
				require.Equal(t, []wasmer.Value{wasmer.I32(6)}, run(t, user, "int", 5))
				set() // again
			}
			for n, name := range names {
				require.Same(t, function(t, lib, name), element(t, table, uint64(n)).ToFuncRef(), name)
				require.Same(t, function(t, lib, name), run(t, user, "get", n)[0].ToFuncRef(), name)
			}
			values, err := element(t, table, 0).ToFuncRef().Call(background, 3.0)
			require.NoError(t, err)
			require.Equal(t, 1.5, values[0].ToF64())
			require.NoError(t, lib.Close())
			require.Equal(t, []wasmer.Value{wasmer.F64(10.5)}, run(t, user, "half", 21.0), "the table holds it")
		}
	})
}

// Exceptions pass through frames of other instances where those call others, and must not meet code of Singlepass there.
func TestExceptionsInAStoreOfAnyTier(t *testing.T) {
	const thrower = `(module (tag $e (export "e") (param i32)) (import "math" "int" (func $int (param i32) (result i32)))
		(func (export "throw") (param i32) (throw $e (call $int (local.get 0))))
		(func (export "catch") (param i32) (result i32)
			(block $h (result i32) (try_table (catch $e $h) (throw $e (call $int (local.get 0)))) (unreachable))))`
	const between = `(module (import "throws" "throw" (func $throw (param i32))) (memory (export "m") 1)
		(func (export "throw") (param i32) (i32.store (i32.const 0) (i32.const 1)) (call $throw (local.get 0))))`
	const catcher = `(module (import "throws" "e" (tag $e (param i32))) (import "between" "throw" (func $throw (param i32)))
		(func (export "catch") (param i32) (result i32)
			(block $h (result i32) (try_table (catch $e $h) (call $throw (local.get 0))) (unreachable))))`
	eachTier(t, func(t *testing.T, engine *wasmer.Engine, compiled func(string) *wasmer.Module) {
		store := newStore(t, engine)
		add := func(name, text string) *wasmer.Instance {
			instance, err := store.Instantiate(background, name, compiled(text), nil)
			require.NoError(t, err, name)
			return instance
		}
		math := add("math", floats)
		throws := add("throws", thrower)
		late := add("", floats)
		require.EqualValues(t, 6, run(t, throws, "catch", 5)[0].ToI32())
		require.Equal(t, wasmer.TierOptimized, add("between", between).Tier(), "it calls another instance")
		require.EqualValues(t, 6, run(t, add("", catcher), "catch", 5)[0].ToI32())
		require.EqualValues(t, 6, run(t, late, "int", 5)[0].ToI32())
		require.Equal(t, late.Tier(), math.Tier())
	})
}

// Instances of both tiers share what one of them exports.
func TestInstancesOfBothTiersInAStore(t *testing.T) {
	engine := tieredEngine(t, wasmer.EngineConfig{})
	release := occupied(t, engine)
	module := compile(t, engine, `(module (import "env" "m" (memory 1)) (import "env" "g" (global $g (mut f64)))
		(import "env" "host" (func $host (param f32 i64) (result f64 i32)))
		(func (export "run") (param i32) (result f64 i32)
			(i32.store8 (local.get 0) (i32.add (i32.load8_u (local.get 0)) (i32.const 1)))
			(global.set $g (f64.add (global.get $g) (f64.const 0.25)))
			(call $host (f32.const 1.5) (i64.const -1))))`)
	store := newStore(t, engine)
	memory, err := store.NewMemory(1, 1)
	require.NoError(t, err)
	global := store.NewGlobal(wasmer.GlobalType{Value: wasmer.ValueTypeF64, Mutable: true}, 1.0)
	imports := wasmer.NewImports().Memory("m", memory).Global("env", "g", global).
		Function("host", func(a float32, b int64) (float64, int32) { return float64(a) * 2, int32(b) })
	var instances []*wasmer.Instance
	for range 2 {
		instance, err := store.Instantiate(background, "", module, imports)
		require.NoError(t, err)
		instances = append(instances, instance)
		if len(instances) == 1 {
			release()
			waitTier(t, module)
		}
	}
	require.Equal(t, wasmer.TierBaseline, instances[0].Tier())
	require.Equal(t, wasmer.TierOptimized, instances[1].Tier())
	for n := range 6 {
		require.Equal(t, []wasmer.Value{wasmer.F64(3), wasmer.I32(-1)}, run(t, instances[n%2], "run", 7))
	}
	require.Equal(t, 2.5, value(t, global).ToF64())
	bytes, err := memory.Read(7, 1)
	require.NoError(t, err)
	require.Equal(t, []byte{6}, bytes)
}

// Who links waits for the code that it takes, but not longer than its context lets it.
func TestLinkingWaitsForCodeThatCanBeLinked(t *testing.T) {
	engine := tieredEngine(t, wasmer.EngineConfig{})
	release := occupied(t, engine)
	defer release()
	store := newStore(t, engine)
	lib, err := store.Instantiate(background, "lib", compile(t, engine, floats), nil)
	require.NoError(t, err)
	require.Equal(t, wasmer.TierBaseline, lib.Tier())
	user := compile(t, engine, `(module (import "lib" "int" (func (param i32) (result i32))))`)
	for _, imports := range []*wasmer.Imports{
		nil, wasmer.NewImports().Instance("lib", lib), wasmer.NewImports().Extern("lib", "int", function(t, lib, "int")),
	} {
		ctx, cancel := context.WithCancel(background)
		cancel()
		_, err = store.Instantiate(ctx, "", user, imports)
		require.ErrorIs(t, err, wasmer.ErrInterrupted)
	}
	require.Equal(t, wasmer.TierBaseline, user.Tier())
	// A function of the host is none of another instance.
	alone, err := store.Instantiate(background, "", user,
		wasmer.NewImports().Namespace("lib").Function("int", func(n int32) int32 { return n }))
	require.NoError(t, err)
	require.Equal(t, wasmer.TierBaseline, alone.Tier())
	done := make(chan error, 1)
	go func() {
		instance, err := store.Instantiate(background, "", user, nil)
		if err == nil && instance.Tier() != wasmer.TierOptimized {
			t.Error("linked at the baseline")
		}
		done <- err
	}()
	release()
	require.NoError(t, <-done)
}
