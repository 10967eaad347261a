package wasmer_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A memory that takes the place of one that was freed is zero, and ends where it should: whatever the sizes of both, and
// however the first one grew.
func TestRecycledMemoriesAreNew(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		modules := map[int]*wasmer.Module{}
		for pages := range 7 {
			modules[pages] = compile(t, engine, fmt.Sprintf(`(module (memory %d 8)
				(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
				(func (export "fill") (memory.fill (i32.const 0) (i32.const 255) (i32.mul (memory.size) (i32.const 65536))))
				(func (export "at") (param i32) (result i64) (i64.load (local.get 0)))
				(func (export "sum") (result i64) (local $at i32) (local $sum i64)
					(if (i32.eqz (memory.size)) (then (return (i64.const 0))))
					(loop $next
						(local.set $sum (i64.or (local.get $sum) (i64.load (local.get $at))))
						(local.set $at (i32.add (local.get $at) (i32.const 8)))
						(br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
					(local.get $sum)))`, pages))
		}
		for before := range 7 {
			for grown := range 2 {
				for after := range 7 {
					first := instance(t, modules[before])
					require.EqualValues(t, before, call(t, first, "grow", grown).ToI32())
					run(t, first, "fill")
					require.NoError(t, first.Close())

					second := instance(t, modules[after])
					require.Zero(t, call(t, second, "sum").ToI64())
					_, err := function(t, second, "at").Call(background, after*wasmer.PageSize)
					require.ErrorIs(t, err, wasmer.TrapOutOfBounds, "%d pages after %d", after, before+grown)
					require.EqualValues(t, after, call(t, second, "grow", 2).ToI32())
					require.Zero(t, call(t, second, "sum").ToI64())
					require.NoError(t, second.Close())
				}
			}
		}
	})
}

func instance(t *testing.T, module *wasmer.Module) *wasmer.Instance {
	t.Helper()
	i, err := wasmer.Instantiate(background, module, nil)
	require.NoError(t, err)
	return i
}
