package wasmer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// signature is a function type whose functions tell whether each argument came as it was given: as a sum of ones.
type signature struct {
	params []string
	result string
}

func randomSignature(random *rand.Rand) signature {
	types := []string{"i32", "i64", "f32", "f64"}
	s := signature{params: make([]string, random.IntN(16)), result: types[random.IntN(len(types))]}
	for i := range s.params {
		s.params[i] = types[random.IntN(len(types))]
	}
	return s
}

// text is the type, in the text format.
func (s signature) text() string {
	return fmt.Sprintf("(param %s) (result %s)", strings.Join(s.params, " "), s.result)
}

func (s signature) functionType() wasmer.FunctionType {
	code := map[string]wasmer.ValueType{"i32": wasmer.TypeI32, "i64": wasmer.TypeI64, "f32": wasmer.TypeF32, "f64": wasmer.TypeF64}
	t := wasmer.FunctionType{Results: []wasmer.ValueType{code[s.result]}}
	for _, param := range s.params {
		t.Params = append(t.Params, code[param])
	}
	return t
}

func (s signature) arguments() string {
	var b strings.Builder
	for i, t := range s.params {
		fmt.Fprintf(&b, "(%s.const %d) ", t, i+3)
	}
	return b.String()
}

func (s signature) convert() string {
	return map[string]string{"i32": "", "i64": "(i64.extend_i32_u)", "f32": "(f32.convert_i32_u)", "f64": "(f64.convert_i32_u)"}[s.result]
}

// body counts the arguments that are right.
func (s signature) body() string {
	var b strings.Builder
	b.WriteString("(i32.const 0) ")
	for i, t := range s.params {
		fmt.Fprintf(&b, "(i32.add (%s.eq (local.get %d) (%s.const %d))) ", t, i, t, i+3)
	}
	return b.String() + s.convert()
}

// host does the same.
func (s signature) host(t *testing.T, store *wasmer.Store) *wasmer.Function {
	f, err := store.NewFunction(s.functionType(), func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
		right := 0
		for i, arg := range args {
			switch v := arg.Go().(type) {
			case int32:
				right += int(v) - i - 3
			case int64:
				right += int(v) - i - 3
			case float32:
				right += int(v) - i - 3
			case float64:
				right += int(v) - i - 3
			}
		}
		right = len(args) - right
		result := wasmer.F64(float64(right))
		switch s.result {
		case "i32":
			result = wasmer.I32(int32(right))
		case "i64":
			result = wasmer.I64(int64(right))
		case "f32":
			result = wasmer.F32(float32(right))
		}
		return []wasmer.Value{result}, nil
	}, 0)
	require.NoError(t, err)
	return f
}

// caller calls the import "f" directly, through a table of its own, and through an export of the import.
func (s signature) caller() string {
	return fmt.Sprintf(`(module (type $t (func %[1]s)) (import "lib" "f" (func $f (type $t)))
		(table 1 funcref) (elem (i32.const 0) func $f) (export "again" (func $f))
		(func (export "direct") (result %[2]s) (call $f %[3]s))
		(func (export "indirect") (result %[2]s) (call_indirect (type $t) %[3]s (i32.const 0))))`,
		s.text(), s.result, s.arguments())
}

func eachPairOfCompilers(t *testing.T, test func(t *testing.T, callee, caller *wasmer.Engine)) {
	eachCompiler(t, func(t *testing.T, callee *wasmer.Engine) {
		eachCompiler(t, func(t *testing.T, caller *wasmer.Engine) { test(t, callee, caller) })
	})
}

// The compilers pass floats in different ways: a function must get its arguments from callers that any of them made.
func TestArgumentsArriveWhateverCompiledCallerAndCallee(t *testing.T) {
	eachPairOfCompilers(t, func(t *testing.T, callee, caller *wasmer.Engine) {
		random := rand.New(rand.NewPCG(1, 2))
		for range 60 {
			s := randomSignature(random)
			store := newStore(t, caller)
			_, err := store.Instantiate(background, "lib", compile(t, callee, fmt.Sprintf(`(module (func (export "f") %s %s))`, s.text(), s.body())), nil)
			require.NoError(t, err)
			requireAllArguments(t, s, store, caller)

			host := newStore(t, caller)
			_, err = host.NewInstance("lib", map[string]wasmer.Extern{"f": s.host(t, host)})
			require.NoError(t, err)
			requireAllArguments(t, s, host, callee)
		}
	})
}

func requireAllArguments(t *testing.T, s signature, store *wasmer.Store, engine *wasmer.Engine) {
	t.Helper()
	instance, err := store.Instantiate(background, "", compile(t, engine, s.caller()), nil)
	require.NoError(t, err)
	// What is exported again can be imported again, by code of either kind.
	for _, compiler := range wasmer.Compilers() {
		other, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler})
		require.NoError(t, err)
		defer other.Close()
		text := strings.Replace(s.caller(), `"lib" "f"`, `"again" "again"`, 1)
		second, err := store.Instantiate(background, "", compile(t, other, text), wasmer.NewImports().Instance("again", instance))
		require.NoError(t, err)
		for _, instance := range []*wasmer.Instance{instance, second} {
			for _, name := range []string{"direct", "indirect"} {
				want := fmt.Sprint(len(s.params))
				got := call(t, instance, name).Go()
				require.Equal(t, want, fmt.Sprint(got), "%s of %s by %s", name, s.text(), engine.Compiler())
			}
		}
	}
}

// A reference has no way to tell how its function wants to be called: sharing such ones is refused, before a guest can read
// what is not its own.
func TestReferencesThatCompilersCallDifferentlyAreNotShared(t *testing.T) {
	const lib = `(module (table (export "t") 2 funcref) (elem (i32.const 0) func $f) (func $f (export "f") %[1]s %[2]s))`
	const user = `(module (type $t (func %[1]s)) (import "lib" "t" (table 2 funcref))
		(func (export "run") (drop (call_indirect (type $t) (i32.const 0)))))`
	eachPairOfCompilers(t, func(t *testing.T, callee, caller *wasmer.Engine) {
		for results, body := range map[string]string{
			"(result i32)":         "(i32.const 1)",
			"(result f32)":         "(f32.const 1)",
			"(result i32 i64)":     "(i32.const 1) (i64.const 1)",
			"(result i64 i64 i64)": "(i64.const 1) (i64.const 1) (i64.const 1)",
		} {
			store := newStore(t, caller)
			_, err := store.Instantiate(background, "lib", compile(t, callee, fmt.Sprintf(lib, results, body)), nil)
			require.NoError(t, err)
			drops := strings.Repeat(" (drop)", strings.Count(results, " ")-1)
			text := strings.Replace(fmt.Sprintf(user, results), "(drop (call_indirect (type $t) (i32.const 0)))", "(call_indirect (type $t) (i32.const 0)) (drop)"+drops, 1)
			instance, err := store.Instantiate(background, "", compile(t, caller, text), nil)
			if results == "(result i32)" || callee.Compiler() == caller.Compiler() {
				require.NoError(t, err)
				_, err = function(t, instance, "run").Call(background)
				require.NoError(t, err, results)
				continue
			}
			require.ErrorIs(t, err, wasmer.ErrUnsupported, results)
			require.ErrorContains(t, err, "one compiler")
		}
	})
}

// The same for a host that hands references on.
func TestReferencesThatCompilersCallDifferentlyAreNotHandedOn(t *testing.T) {
	eachPairOfCompilers(t, func(t *testing.T, callee, caller *wasmer.Engine) {
		store := newStore(t, caller)
		lib, err := store.Instantiate(background, "", compile(t, callee, `(module
			(func (export "ints") (param i32) (result i64) (i64.const 1)) (func (export "floats") (param f64)))`), nil)
		require.NoError(t, err)
		user, err := store.Instantiate(background, "", compile(t, caller, `(module (type $t (func (param f64))) (table (export "t") 1 funcref)
			(func (export "run") (call_indirect (type $t) (f64.const 1) (i32.const 0))))`), nil)
		require.NoError(t, err)
		table := exportedTable(t, user, "t")
		require.NoError(t, table.Set(0, function(t, lib, "ints")))
		err = table.Set(0, function(t, lib, "floats"))
		if callee.Compiler() == caller.Compiler() {
			require.NoError(t, err)
			_, err = function(t, user, "run").Call(background)
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, wasmer.ErrUnsupported)
	})
}
