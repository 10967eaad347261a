package wasmer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Singlepass makes room for the results of blocks without touching it: nested ones must not add up to a step over the guard
// of the stack.
func TestNestedBlocksDoNotStepOverTheGuard(t *testing.T) {
	const results = 1000
	nested := func(depth int) string {
		types := strings.Repeat("i64 ", results)
		return fmt.Sprintf(`(module (type $t (func (result %s))) (func $g (type $t) unreachable)
			(func (export "f") %s call $g %s %s))`, types,
			strings.Repeat("block (type $t) ", depth), strings.Repeat("end ", depth), strings.Repeat("drop ", results))
	}
	inChild(t, func(t *testing.T) {
		eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
			for _, size := range []int{64 << 10, 1 << 20} {
				limited := engineOf(t, engine, wasmer.EngineConfig{StackSize: size})
				depths := []int{1, 10, 20, 40, 100, 110, 200, 400}
				if engine.Compiler() == wasmer.LLVM {
					depths = depths[:3] // its blocks take no stack, but it takes a second for 10 of them
				}
				for _, depth := range depths {
					module, err := limited.Compile(background, []byte(nested(depth)))
					if err != nil {
						require.Equal(t, wasmer.Singlepass, engine.Compiler())
						require.Greater(t, depth, 100)
						require.ErrorIs(t, err, wasmer.ErrUnsupported)
						continue
					}
					defer module.Close()
					instance, err := wasmer.Instantiate(background, module, nil)
					require.NoError(t, err)
					_, err = function(t, instance, "f").Call(background)
					require.ErrorAs(t, err, new(*wasmer.Trap), "%d blocks on %d bytes", depth, size)
					require.NoError(t, instance.Close())
				}
			}
		})
	})
}

// Functions of the engine that run out of a guest's stack get a reserve. A guest that has had it opened must not use it up:
// the next such function would end with locks held, and every later trap in the process would wait for them.
func TestAGuestCannotUseUpTheReserve(t *testing.T) {
	inChild(t, func(t *testing.T) {
		eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
			for _, width := range []int{8, 20, 50, 100} {
				params, args := strings.Repeat("i64 ", width), strings.Repeat("(i64.const 0) ", width)
				text := fmt.Sprintf(`(module (memory 1 1 shared) (table 1 funcref)
					(func $down (param $n i32) (param %[1]s)
						(if (i32.eqz (local.get $n)) (then (drop (table.get (i32.const 5)))))
						(drop (memory.atomic.wait32 (i32.const 0) (i32.const 1) (i64.const 0)))
						(call $down (i32.sub (local.get $n) (i32.const 1)) %[2]s))
					(func (export "f") (param i32) (call $down (local.get 0) %[2]s)))`, params, args)
				instance := instantiate(t, engine, text, nil)
				for n := int32(0); n < 12_000; n += 397 {
					_, err := function(t, instance, "f").Call(background, n)
					require.ErrorAs(t, err, new(*wasmer.Trap))
				}
			}
			other := instantiate(t, engine, `(module (func (export "f") unreachable))`, nil)
			_, err := function(t, other, "f").Call(background)
			require.ErrorIs(t, err, wasmer.TrapUnreachable)
		})
	})
}

// The same where the engine notes a backtrace with each exception.
func TestExceptionsThrownDeepDown(t *testing.T) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Cranelift})
	require.NoError(t, err)
	defer engine.Close()
	inChild(t, func(t *testing.T) {
		params, args := strings.Repeat("i64 ", 100), strings.Repeat("(i64.const 0) ", 100)
		instance := instantiate(t, engine, fmt.Sprintf(`(module (tag $t)
			(func $down (export "f") (block $h (try_table (catch $t $h) (throw $t))) (call $wide %[2]s))
			(func $wide (param %[1]s) (call $down)))`, params, args), nil)
		for range 3 {
			_, err := function(t, instance, "f").Call(background)
			require.ErrorIs(t, err, wasmer.TrapStackOverflow)
		}
		_, err = function(t, instantiate(t, engine, `(module (func (export "f") unreachable))`, nil), "f").Call(background)
		require.ErrorIs(t, err, wasmer.TrapUnreachable)
	})
}

// An exception that passed through frames of Singlepass would come with registers that a guest chose.
func TestExceptionsAndSinglepassDoNotShareAStore(t *testing.T) {
	const throws, alone = `(module (tag $t) (func (export "f") (throw $t)))`, `(module (func (export "f")))`
	const between = `(module (import "other" "f" (func $f)) (func (export "f") (call $f)))`
	engines := map[bool]*wasmer.Engine{}
	for throwing, compiler := range map[bool]wasmer.Compiler{true: wasmer.Cranelift, false: wasmer.Singlepass} {
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler})
		require.NoError(t, err)
		defer engine.Close()
		engines[throwing] = engine
	}
	for _, throwingFirst := range []bool{true, false} {
		store := newStore(t, engines[true])
		_, err := store.Instantiate(background, "other", compile(t, engines[false], alone), nil)
		require.NoError(t, err, "it calls no other instance")
		for n, throwing := range []bool{throwingFirst, !throwingFirst} {
			text := map[bool]string{true: throws, false: between}[throwing]
			_, err := store.Instantiate(background, "", compile(t, engines[throwing], text), nil)
			if n == 0 {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, wasmer.ErrUnsupported)
			require.ErrorContains(t, err, "singlepass")
		}
		for _, engine := range engines {
			_, err = store.Instantiate(background, "", compile(t, engine, alone), nil)
			require.NoError(t, err, "others are welcome")
		}
	}
}

// What a failed instantiation takes back must not be what others use.
func TestImportsAfterAFailedInstantiation(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for name, failing := range map[string]string{
			"start": `(module (import "a" "f" (func (result i32))) (func $s unreachable) (start $s))`,
			"link":  `(module (import "a" "f" (func (result i32))) (table 4000000000 funcref))`,
		} {
			store := newStore(t, engine)
			instantiateNamed(t, store, engine, "a", `(module (func (export "f") (result i32) (i32.const 1))
				(func (export "g") (result i32) (i32.const 2)) (func (export "h") (result i64) (i64.const 3)))`)
			_, err := store.Instantiate(background, "", compile(t, engine, failing), nil)
			require.Error(t, err)
			user := instantiateNamed(t, store, engine, "user", `(module (import "a" "h" (func $h (result i64)))
				(import "a" "g" (func $g (result i32))) (import "a" "f" (func $f (result i32)))
				(func (export "run") (result i32) (i32.add (i32.mul (i32.const 10) (call $f)) (call $g))))`)
			require.EqualValues(t, 12, call(t, user, "run").ToI32(), name)
		}
	})
}

// Nor must it leave what only it needed: that code of one compiler refers to functions of a type.
func TestWhatAFailedInstantiationClaimed(t *testing.T) {
	eachPairOfCompilers(t, func(t *testing.T, first, second *wasmer.Engine) {
		store := newStore(t, first)
		const shares = `(table (export "t") 1 funcref) (func (param f64))`
		_, err := store.Instantiate(background, "", compile(t, first, `(module `+shares+` (func $s unreachable) (start $s))`), nil)
		require.ErrorIs(t, err, wasmer.TrapUnreachable)
		_, err = store.Instantiate(background, "", compile(t, second, `(module `+shares+`)`), nil)
		require.NoError(t, err)
	})
}

// Elements that are values of globals come in the order of the segments, up to one that is out of bounds.
func TestElementsOfGlobalsBeforeASegmentThatTraps(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		store := newStore(t, engine)
		lib := instantiateNamed(t, store, engine, "lib", `(module (table (export "t") 3 funcref) (func $f (export "f"))
			(global (export "g") funcref (ref.func $f)))`)
		f := function(t, lib, "f")
		const segments = `(module (import "lib" "g" (global $g funcref)) (import "lib" "t" (table 3 funcref)) (func $own)
			(elem (i32.const 0) funcref (global.get $g) (global.get $g)) (elem (i32.const 1) func $own) %s)`
		_, err := store.Instantiate(background, "", compile(t, engine, fmt.Sprintf(segments, `(elem (i32.const 3) func $own)`)), nil)
		require.ErrorIs(t, err, wasmer.TrapTableOutOfBounds)
		table := exportedTable(t, lib, "t")
		first, err := table.Get(0)
		require.NoError(t, err)
		require.Same(t, f, first.ToFuncRef())
		second, err := table.Get(1)
		require.NoError(t, err)
		require.NotNil(t, second.ToFuncRef())
		require.NotSame(t, first.ToFuncRef(), second.ToFuncRef(), "the later segment counts")
	})
}

type embedding struct{ wasmer.Extern }

func TestExternsMadeElsewhereAreRefused(t *testing.T) {
	store := newStore(t, nil)
	global := store.NewGlobal(wasmer.GlobalType{Value: wasmer.TypeI32}, 1)
	for _, extern := range []wasmer.Extern{nil, (*wasmer.Function)(nil), &wasmer.Function{}, embedding{global}, &embedding{global}} {
		_, err := store.NewInstance("", map[string]wasmer.Extern{"e": extern})
		require.ErrorContains(t, err, `"e"`)
		_, err = wasmer.NewInstanceWithImports([]byte("(module)"), wasmer.NewImports().Extern("m", "e", extern))
		require.ErrorContains(t, err, `"m"."e"`)
	}
}
