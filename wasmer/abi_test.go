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

// signature is a function type whose functions tell how many arguments came as they were given, in each of their results.
type signature struct{ params, results []string }

func randomSignature(random *rand.Rand) signature {
	types := []string{"i32", "i64", "f32", "f64"}
	list := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = types[random.IntN(len(types))]
		}
		return list
	}
	results := 1
	if random.IntN(2) == 0 {
		results = random.IntN(6)
	}
	return signature{list(random.IntN(16)), list(results)}
}

// text is the type, in the text format.
func (s signature) text() string {
	return fmt.Sprintf("(param %s) %s", strings.Join(s.params, " "), s.resultText())
}

func (s signature) resultText() string { return "(result " + strings.Join(s.results, " ") + ")" }

func (s signature) functionType() wasmer.FunctionType {
	code := map[string]wasmer.ValueType{"i32": wasmer.TypeI32, "i64": wasmer.TypeI64, "f32": wasmer.TypeF32, "f64": wasmer.TypeF64}
	var t wasmer.FunctionType
	for _, result := range s.results {
		t.Results = append(t.Results, code[result])
	}
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

// body counts the arguments that are right.
func (s signature) body() string {
	convert := map[string]string{"i64": "i64.extend_i32_u", "f32": "f32.convert_i32_u", "f64": "f64.convert_i32_u"}
	var b strings.Builder
	b.WriteString("(local $n i32) ")
	for i, t := range s.params {
		fmt.Fprintf(&b, "(local.set $n (i32.add (local.get $n) (%s.eq (local.get %d) (%s.const %d)))) ", t, i, t, i+3)
	}
	for _, t := range s.results {
		fmt.Fprintf(&b, "local.get $n %s ", convert[t])
	}
	return b.String()
}

// host does the same.
func (s signature) host(t *testing.T, store *wasmer.Store) *wasmer.Function {
	f, err := store.NewFunction(s.functionType(), func(_ context.Context, _ *wasmer.Caller, args []wasmer.Value) ([]wasmer.Value, error) {
		right := 0
		for i, arg := range args {
			if fmt.Sprint(arg.Go()) == fmt.Sprint(i+3) {
				right++
			}
		}
		results := make([]wasmer.Value, len(s.results))
		for i, t := range s.results {
			results[i] = map[string]wasmer.Value{
				"i32": wasmer.I32(int32(right)), "i64": wasmer.I64(int64(right)),
				"f32": wasmer.F32(float32(right)), "f64": wasmer.F64(float64(right)),
			}[t]
		}
		return results, nil
	}, 0)
	require.NoError(t, err)
	return f
}

// caller calls the import "f" directly, through a table of its own, and through an export of the import.
func (s signature) caller() string {
	return fmt.Sprintf(`(module (type $t (func %[1]s)) (import "lib" "f" (func $f (type $t)))
		(table 1 funcref) (elem (i32.const 0) func $f) (export "again" (func $f))
		(func (export "direct") %[2]s (call $f %[3]s))
		(func (export "indirect") %[2]s (call_indirect (type $t) %[3]s (i32.const 0))))`,
		s.text(), s.resultText(), s.arguments())
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
		for range 80 {
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
				values, err := function(t, instance, name).Call(background)
				require.NoError(t, err)
				require.Len(t, values, len(s.results))
				for _, value := range values {
					require.Equal(t, fmt.Sprint(len(s.params)), fmt.Sprint(value.Go()), "%s of %s by %s", name, s.text(), engine.Compiler())
				}
			}
		}
	}
}

// callAlike says whether code of both compilers calls functions of the type in the same way.
func callAlike(a, b *wasmer.Engine, functionType string) bool {
	one, other := a.Compiler(), b.Compiler()
	switch {
	case one == other:
		return true
	case strings.Contains(functionType, "v128"):
		return false
	case one == wasmer.Singlepass || other == wasmer.Singlepass:
		return functionType == "(result i32)"
	}
	return true
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
			"(result v128)":        "(v128.const i64x2 1 1)",
			"(result v128 i32)":    "(v128.const i64x2 1 1) (i32.const 1)",
		} {
			if strings.Contains(results, "v128") && !(hasSIMD(callee) && hasSIMD(caller)) {
				continue
			}
			store := newStore(t, caller)
			_, err := store.Instantiate(background, "lib", compile(t, callee, fmt.Sprintf(lib, results, body)), nil)
			require.NoError(t, err)
			drops := strings.Repeat(" (drop)", strings.Count(results, " ")-1)
			text := strings.Replace(fmt.Sprintf(user, results), "(drop (call_indirect (type $t) (i32.const 0)))", "(call_indirect (type $t) (i32.const 0)) (drop)"+drops, 1)
			instance, err := store.Instantiate(background, "", compile(t, caller, text), nil)
			if callAlike(callee, caller, results) {
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
		if callAlike(callee, caller, "(param f64)") {
			require.NoError(t, err)
			_, err = function(t, user, "run").Call(background)
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, wasmer.ErrUnsupported)
	})
}

// Where results are passed by way of the store, calls that are nested in each other must not mix them up.
func TestSeveralResultsOfNestedCalls(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var instance *wasmer.Instance
		imports := wasmer.NewImports().Function("f", func(ctx context.Context, n, m int32) (int32, int64, int32, error) {
			if n > 0 {
				values, err := function(t, instance, "run").Call(ctx, n-1, m+1)
				require.NoError(t, err)
				require.Equal(t, []wasmer.Value{wasmer.I32(n - 1), wasmer.I64(-int64(n - 1)), wasmer.I32(m + 1)}, values)
			}
			return n, -int64(n), m, nil
		})
		instance = instantiate(t, engine, `(module (import "env" "f" (func $f (param i32 i32) (result i32 i64 i32)))
			(global (mut i32) (i32.const 5)) (export "again" (func $f))
			(func (export "run") (param i32 i32) (result i32 i64 i32) (call $f (local.get 0) (local.get 1)))
			(func (export "own") (result i32) (global.get 0)))`, imports)
		for _, name := range []string{"run", "again"} {
			values, err := function(t, instance, name).Call(background, 20, 3)
			require.NoError(t, err)
			require.Equal(t, []wasmer.Value{wasmer.I32(20), wasmer.I64(-20), wasmer.I32(3)}, values)
		}
		require.EqualValues(t, 5, call(t, instance, "own").ToI32(), "the module's own globals are what they were")
		require.Equal(t, "(func (param i32 i32) (result i32 i64 i32))", instance.Module().Imports()[0].Type.String())
		require.Equal(t, instance.Module().Imports()[0].Type, instance.Module().Exports()[0].Type)

		artifact, err := instance.Module().Serialize()
		require.NoError(t, err)
		loaded, err := engine.Deserialize(background, artifact)
		require.NoError(t, err)
		defer loaded.Close()
		require.Equal(t, instance.Module().Imports(), loaded.Imports())
		instance, err = wasmer.Instantiate(background, loaded, imports)
		require.NoError(t, err)
		defer instance.Close()
		_, err = function(t, instance, "run").Call(background, 20, 3)
		require.NoError(t, err)
	})
}
