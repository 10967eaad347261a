package wasmer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// floatOperations are those of which the specification leaves open which NaN they give, in the text format, with their
// operands as $x and $y.
func floatOperations(typ string) map[string]string {
	operations := map[string]string{}
	for _, name := range []string{"add", "sub", "mul", "div", "min", "max"} {
		operations[name] = fmt.Sprintf("(%s.%s $x $y)", typ, name)
	}
	for _, name := range []string{"sqrt", "ceil", "floor", "trunc", "nearest"} {
		operations[name] = fmt.Sprintf("(%s.%s $x)", typ, name)
	}
	operations["add of add"] = fmt.Sprintf("(%s.add (%[1]s.mul $x $y) $y)", typ)
	if typ == "f32" {
		operations["demote"] = "(f32.demote_f64 (f64.promote_f32 $x))"
	} else {
		operations["promote"] = "(f64.promote_f32 (f32.demote_f64 $x))"
	}
	return operations
}

// nanRoutes are the ways from an operation ($op) to an integer that tells its bits.
func nanRoutes(typ, integer string) map[string]string {
	reinterpret := integer + ".reinterpret_" + typ
	return map[string]string{
		"at once": "(" + reinterpret + " $op)",
		"local":   "(local.set $l $op) (" + reinterpret + " (local.get $l))",
		"tee":     "(" + reinterpret + " (local.tee $l $op))",
		"global":  "(global.set $g $op) (" + reinterpret + " (global.get $g))",
		"memory":  fmt.Sprintf("(%s.store (i32.const 0) $op) (%s.load (i32.const 0))", typ, integer),
		"result":  "(" + reinterpret + " (call $same $op))",
		"block":   fmt.Sprintf("(%s (block (result %s) (br_if 0 $op (i32.const 1))))", reinterpret, typ),
		"if":      fmt.Sprintf("(%s (if (result %s) (i32.const 1) (then $op) (else (%[2]s.const 0))))", reinterpret, typ),
		"select":  "(" + reinterpret + " (select $op $op (i32.const 0)))",
		"return":  "(" + reinterpret + " (call $op2 (" + typ + ".reinterpret_" + integer + " (local.get 0)) (" + typ + ".reinterpret_" + integer + " (local.get 1))))",
	}
}

func nanModule(typ, integer string) (text string, names []string) {
	var b strings.Builder
	fmt.Fprintf(&b, `(module (memory 1) (global $g (mut %[1]s) (%[1]s.const 0)) (func $same (param %[1]s) (result %[1]s) (local.get 0))`, typ)
	n := 0
	for name, operation := range floatOperations(typ) {
		direct := strings.NewReplacer("$x", "(local.get 0)", "$y", "(local.get 1)").Replace(operation)
		fmt.Fprintf(&b, "(func $op%d (param %[2]s %[2]s) (result %[2]s) %s)", n, typ, direct)
		operand := fmt.Sprintf("(%s.reinterpret_%s (local.get %%d))", typ, integer)
		operation := strings.NewReplacer("$x", fmt.Sprintf(operand, 0), "$y", fmt.Sprintf(operand, 1)).Replace(operation)
		for route, body := range nanRoutes(typ, integer) {
			body = strings.ReplaceAll(body, "$op2", fmt.Sprintf("$op%d", n))
			body = strings.ReplaceAll(body, "$op ", operation+" ")
			body = strings.ReplaceAll(body, "$op)", operation+")")
			names = append(names, name+", "+route)
			fmt.Fprintf(&b, "(func (export %q) (param %s %[2]s) (result %[2]s) (local $l %s) %s)", name+", "+route, integer, typ, body)
		}
		n++
	}
	b.WriteString(")")
	return b.String(), names
}

// W39: the bits of NaNs are the same on all compilers, at all levels.
func TestCanonicalNaNs(t *testing.T) {
	const canonical32, canonical64 = uint32(0x7fc00000), uint64(0x7ff8 << 48)
	nans32 := []uint32{0x7fc00000, 0xffc00000, 0x7fc00001, 0xffffffff, 0x7f800001, 0xff812345, 0x7fa00000}
	nans64 := []uint64{0x7ff8 << 48, 0xfff8 << 48, 0x7ff8<<48 | 1, 1<<64 - 1, 0x7ff0<<48 | 1, 0xfff1 << 48}
	text32, names32 := nanModule("f32", "i32")
	text64, names64 := nanModule("f64", "i64")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, level := range []wasmer.OptLevel{wasmer.OptDefault, wasmer.OptNone} {
			engine := engineOf(t, engine, wasmer.EngineConfig{CanonicalizeNaNs: true, OptLevel: level})
			instance := instantiate(t, engine, text32, nil)
			for _, name := range names32 {
				f, err := wasmer.Func2[uint32, uint32, uint32](instance, name)
				require.NoError(t, err)
				for _, nan := range nans32 {
					for _, other := range append(nans32, 0, 0x80000000, 0x3f800000, 0x7f800000) {
						got, err := f(background, nan, other)
						require.NoError(t, err)
						require.Equal(t, canonical32, got, "f32 %s of %x and %x: %x", name, nan, other, got)
					}
				}
			}
			instance = instantiate(t, engine, text64, nil)
			for _, name := range names64 {
				f, err := wasmer.Func2[uint64, uint64, uint64](instance, name)
				require.NoError(t, err)
				for _, nan := range nans64 {
					for _, other := range append(nans64, 0, 1<<63, 0x3ff0<<48, 0x7ff0<<48) {
						got, err := f(background, nan, other)
						require.NoError(t, err)
						require.Equal(t, canonical64, got, "f64 %s of %x and %x: %x", name, nan, other, got)
					}
				}
			}
		}
	})
}

// What only moves bits keeps them, canonical or not.
func TestBitsOfNaNsThatAreOnlyMoved(t *testing.T) {
	const text = `(module (memory 1)
		(func (export "move") (param i32) (result i32) (local $l f32)
			(f32.store (i32.const 0) (f32.reinterpret_i32 (local.get 0)))
			(local.set $l (f32.load (i32.const 0)))
			(i32.reinterpret_f32 (select (local.get $l) (f32.const 1) (i32.const 1))))
		(func (export "neg") (param i32) (result i32) (i32.reinterpret_f32 (f32.neg (f32.reinterpret_i32 (local.get 0)))))
		(func (export "abs") (param i32) (result i32) (i32.reinterpret_f32 (f32.abs (f32.reinterpret_i32 (local.get 0)))))
		(func (export "copysign") (param i32) (result i32)
			(i32.reinterpret_f32 (f32.copysign (f32.reinterpret_i32 (local.get 0)) (f32.const -1)))))`
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for _, canonicalize := range []bool{false, true} {
			instance := instantiate(t, engineOf(t, engine, wasmer.EngineConfig{CanonicalizeNaNs: canonicalize}), text, nil)
			for _, bits := range []uint32{0x7fc00001, 0xffc12345, 0x7f800001, 0xff800001} {
				for name, want := range map[string]uint32{
					"move": bits, "neg": bits ^ 1<<31, "abs": bits &^ (1 << 31), "copysign": bits | 1<<31,
				} {
					require.Equal(t, want, uint32(call(t, instance, name, bits).ToI32()), "%s of %x", name, bits)
				}
			}
		}
	})
}
