package wasmer_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestCLIRunPrintsEachResultOnALine(t *testing.T) {
	for name, test := range map[string]struct {
		file, words, want string
	}{
		"one":              {"simple.wasm", "sum 5 37", "42\n"},
		"none":             {"numeric.wasm", "void", ""},
		"none, with input": {"numeric.wasm", "take 1", ""},
		"constant":         {"numeric.wasm", "give", "42\n"},
		"text format":      {"fac.wat", "fac 7", "5040\n"},
		"wrapped around":   {"fac.wat", "fac 21", "-4249290049419214848\n"},
		"two":              {"numeric.wasm", "swap 1 2", "2\n1\n"},
		"of each type":     {"numeric.wasm", "many 1 -2 3.5 4.25", "4.25\n3.5\n-2\n1\n"},
		"eight":            {"numeric.wasm", "eight", "1\n2\n3.5\n4.5\n-5\n-6\n-7.5\n-8.5\n"},
		"of nine":          {"numeric.wasm", "nine 1 2 3 4 5 6 7 8 9", "123456789\n"},
		"of two memories":  {"two_memories.wasm", "load_b 0", "115\n"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"run", cliFixture(test.file), "--invoke"}, strings.Fields(test.words)...)
			require.Equal(t, cliResult{0, test.want, ""}, cliExecute("", args...))
		})
	}
}

func TestCLIArgumentsAreReadByTheirTypes(t *testing.T) {
	for _, test := range []struct{ function, word, want string }{
		{"id_i32", "0", "0"},
		{"id_i32", "-0", "0"},
		{"id_i32", "+5", "5"},
		{"id_i32", "010", "10"},
		{"id_i32", "-1", "-1"},
		{"id_i32", "2147483647", "2147483647"},
		{"id_i32", "-2147483648", "-2147483648"},
		{"id_i32", "2147483648", "-2147483648"},
		{"id_i32", "4294967295", "-1"},
		{"id_i32", "0xffffffff", "-1"},
		{"id_i32", "0XfF", "255"},
		{"id_i32", "-0x80000000", "-2147483648"},
		{"id_i64", "9223372036854775807", "9223372036854775807"},
		{"id_i64", "-9223372036854775808", "-9223372036854775808"},
		{"id_i64", "18446744073709551615", "-1"},
		{"id_i64", "0xffffffffffffffff", "-1"},
		{"id_i64", "-0x8000000000000000", "-9223372036854775808"},
		{"id_i64", "4294967296", "4294967296"},
		{"id_f32", "0.1", "0.1"},
		{"id_f32", "16777217", "1.6777216e+07"},
		{"id_f32", "-1e-3", "-0.001"},
		{"id_f64", "0.1", "0.1"},
		{"id_f64", "5", "5"},
		{"id_f64", "-0", "-0"},
		{"id_f64", "1e300", "1e+300"},
		{"id_f64", "5e-324", "5e-324"},
		{"id_f64", "0x10", "16"},
		{"id_f64", "-0x1.8p1", "-3"},
		{"id_f64", "100000000000000000000000", "1e+23"},
		{"id_f32", "inf", "+Inf"},
		{"id_f32", "-inf", "-Inf"},
		{"id_f64", "+Inf", "+Inf"},
		{"id_f64", "-Infinity", "-Inf"},
		{"id_f32", "nan", "NaN"},
		{"id_f64", "NaN", "NaN"},
		{"bits_f32", "nan", fmt.Sprint(0x7fc00000)},
		{"bits_f32", "-nan", fmt.Sprint(-0x400000)},
		{"bits_f64", "nan", fmt.Sprint(0x7ff8 << 48)},
		{"bits_f64", "-nan", fmt.Sprint(-0x8 << 48)},
	} {
		t.Run(test.function+" "+test.word, func(t *testing.T) {
			r := cliExecute("", "run", cliFixture("numeric.wasm"), "--invoke", test.function, test.word)
			require.Equal(t, cliResult{0, test.want + "\n", ""}, r)
		})
	}
}

func TestCLIVectorsAreHexadecimal(t *testing.T) {
	text := `(module (func (export "id") (param v128) (result v128) (local.get 0))
		(func (export "low") (param v128) (result i64) (i64x2.extract_lane 0 (local.get 0))))`
	require.Equal(t, cliResult{0, "0x00000000000000010000000000000002\n", ""},
		cliExecute(text, "run", "-", "--compiler", "cranelift", "--invoke", "id", "0x10000000000000002"))
	require.Equal(t, cliResult{0, "2\n", ""}, cliExecute(text, "run", "-", "--invoke", "low", "0x10000000000000002"))
	require.Equal(t, 0, cliExecute(text, "run", "-", "--invoke", "id", "0x0"+strings.Repeat("f", 32)).status)
	for word, part := range map[string]string{
		"1": "is not of type v128", "0xg": "is not of type v128", "-0x1": "is not of type v128", "0x": "is not of type v128",
		"0x1" + strings.Repeat("0", 32): "out of the range of v128",
	} {
		requireCLIFailure(t, cliExecute(text, "run", "-", "--invoke", "id", word), 2, `argument 1 of "id"`, part)
	}
}

func TestCLIWrongArgumentsAreWrongUsage(t *testing.T) {
	for _, test := range []struct{ file, words, part string }{
		{"simple.wasm", "sum", `"sum" is given 0 arguments, but takes 2: (func (param i32 i32) (result i32))`},
		{"simple.wasm", "sum 1", `"sum" is given 1 argument, but takes 2`},
		{"simple.wasm", "sum 1 2 3", `"sum" is given 3 arguments, but takes 2`},
		{"numeric.wasm", "void 1", `"void" is given 1 argument, but takes 0: (func)`},
		{"simple.wasm", "sum 1 --compiler", `argument 2 of "sum": "--compiler" is not of type i32`},
		{"simple.wasm", "sum 1 -h", `argument 2 of "sum": "-h" is not of type i32`},
		{"simple.wasm", "sum 4294967296 1", `argument 1 of "sum": 4294967296 is out of the range of i32`},
		{"simple.wasm", "sum 1 -2147483649", `argument 2 of "sum": -2147483649 is out of the range of i32`},
		{"simple.wasm", "sum 1 0x100000000", "0x100000000 is out of the range of i32"},
		{"simple.wasm", "sum 1 99999999999999999999999", "is out of the range of i32"},
		{"simple.wasm", "sum 1 1.0", `"1.0" is not of type i32`},
		{"simple.wasm", "sum 1 1e3", `"1e3" is not of type i32`},
		{"simple.wasm", "sum 1 0x", `"0x" is not of type i32`},
		{"simple.wasm", "sum 1 -", `"-" is not of type i32`},
		{"simple.wasm", "sum 1 --1", `"--1" is not of type i32`},
		{"simple.wasm", "sum 1 0x-1", `"0x-1" is not of type i32`},
		{"simple.wasm", "sum 1 1_000", `"1_000" is not of type i32`},
		{"simple.wasm", "sum 1 nan", `"nan" is not of type i32`},
		{"simple.wasm", "sum 1 ٣", `"٣" is not of type i32`},
		{"numeric.wasm", "id_i64 18446744073709551616", "is out of the range of i64"},
		{"numeric.wasm", "id_i64 -9223372036854775809", "is out of the range of i64"},
		{"numeric.wasm", "id_f32 1e39", "1e39 is out of the range of f32"},
		{"numeric.wasm", "id_f64 -1e400", "-1e400 is out of the range of f64"},
		{"numeric.wasm", "id_f64 1_0", `"1_0" is not of type f64`},
		{"numeric.wasm", "id_f64 0xinf", `"0xinf" is not of type f64`},
		{"numeric.wasm", "id_f64 abc", `"abc" is not of type f64`},
	} {
		t.Run(test.words, func(t *testing.T) {
			args := append([]string{"run", cliFixture(test.file), "--invoke"}, strings.Fields(test.words)...)
			requireCLIFailure(t, cliExecute("", args...), 2, test.part, "wasmer-go help run")
		})
	}
	requireCLIFailure(t, cliExecute("", "run", cliFixture("numeric.wasm"), "--invoke", "id_f64", ""), 2, `"" is not of type f64`)
	requireCLIFailure(t, cliExecute(`(module (func (export "f") (param externref)))`, "run", "-", "--invoke", "f", "null"),
		2, "a parameter of type externref cannot be given")
	requireCLIFailure(t, cliExecute("", "run", cliFixture("start_trap.wat"), "--invoke", "never", "1"), 2,
		`"never" is given 1 argument`) // and not the trap of the start function: no guest code has run
}

func TestCLIOptionsMayComeBeforeOrAfterFile(t *testing.T) {
	simple := cliFixture("simple.wasm")
	for _, args := range [][]string{
		{simple, "--invoke", "sum", "-5", "47"},
		{simple, "-invoke", "sum", "-5", "47"},
		{simple, "--invoke=sum", "-5", "47"},
		{"--invoke", "sum", simple, "-5", "47"},
		{"--invoke=sum", "--compiler=cranelift", simple, "-5", "47"},
		{"--compiler", "cranelift", simple, "--invoke", "sum", "-5", "47"},
		{simple, "--compiler", "cranelift", "--invoke", "sum", "-5", "47"},
		{"--invoke", "sum", "--", simple, "-5", "47"},
		{"--invoke", "sum", simple, "--", "-5", "47"},
		{simple, "--invoke", "sum", "--", "-5", "47"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			require.Equal(t, cliResult{0, "42\n", ""}, cliExecute("", append([]string{"run"}, args...)...))
		})
	}
}

func TestCLIRunReadsStdin(t *testing.T) {
	for _, name := range []string{"fac.wat", "fac.wasm"} {
		content, err := os.ReadFile(cliFixture(name))
		require.NoError(t, err)
		require.Equal(t, cliResult{0, "24\n", ""}, cliExecute(string(content), "run", "-", "--invoke", "fac", "4"), name)
	}
}

func TestCLIRunWithoutInvokeCallsStart(t *testing.T) {
	require.Equal(t, cliResult{0, "", ""}, cliExecute(`(module (func (export "_start")))`, "run", "-"))
	requireCLIFailure(t, cliExecute(`(module (func $go (export "_start") unreachable))`, "run", "-"), 134,
		`stdin: calling "_start": module[] function[go] failed: wasm error: unreachable`, "\n\t.go()\n")
	requireCLIFailure(t, cliExecute(`(module (func (export "_start") (param i32)))`, "run", "-"), 2,
		`"_start" is given 0 arguments, but takes 1`)
}

func TestCLIMissingFunctionListsTheExportedOnes(t *testing.T) {
	memories := cliFixture("two_memories.wasm")
	requireCLIFailure(t, cliExecute("", "run", memories), 1,
		memories+": there is no _start to run\n", "--invoke:\n",
		`  "load_a"   (func (param i32) (result i32))`, `  "store_a"  (func (param i32 i32))`, `  "grow_b" `)
	requireCLIFailure(t, cliExecute("", "run", memories, "--invoke", "nosuch"), 1,
		`there is no exported function "nosuch"`, `"load_a" `)
	requireCLIFailure(t, cliExecute("", "run", memories, "--invoke", "b"), 1,
		`the export "b" is a memory, not a function`, `"load_a" `)
	requireCLIFailure(t, cliExecute("(module)", "run", "-"), 1, "there is no _start to run; no function is exported\n")
}

func TestCLIMissingImportsAreListed(t *testing.T) {
	imported := cliFixture("imported_function.wasm")
	requireCLIFailure(t, cliExecute("", "run", imported, "--invoke", "add1", "1", "2"), 1,
		imported+": missing imports:\n",
		`  function  "env"  "sum"  (func (param i32 i32) (result i32))`)
	r := cliExecute("", "run", cliFixture("hosts.wasm"), "--invoke", "call_nothing")
	requireCLIFailure(t, r, 1, "missing imports", `"env"  "i32"      (func`, `"env"  "nothing"  (func)`)
	require.Equal(t, 8, strings.Count(r.stderr, "\n"), "six, the title, and the hint: %s", r.stderr)
	wasi := cliExecute(`(module (import "wasi_snapshot_preview1" "a" (func)) (import "wasi_snapshot_preview1" "b" (func))
		(func (export "_start")))`, "run", "-")
	requireCLIFailure(t, wasi, 1, "missing imports", "Hint: WASI preview 1 has no function of this name\n", "Hint: with --stub-unknown")
	require.Equal(t, 2, strings.Count(wasi.stderr, "Hint: "), "each hint once")
	for module, hint := range map[string]string{
		"wasix_32v1": "made for WASIX", "wasi:cli/stdout@0.2.0": "another version of WASI", "gojs": "GOOS=wasip1",
	} {
		r := cliExecute(`(module (import "`+module+`" "f" (func)) (func (export "_start")))`, "run", "-")
		requireCLIFailure(t, r, 1, "stdin: missing imports:\n", "Hint: ", hint, "Hint: with --stub-unknown")
	}
	memory := cliExecute(`(module (import "env" "memory" (memory 1)) (func (export "_start")))`, "run", "-")
	requireCLIFailure(t, memory, 1, `memory  "env"  "memory"  (memory 1)`)
	require.NotContains(t, memory.stderr, "--stub-unknown", "which is about functions only")
}

func TestCLITrapsEndInStatus134WithMessageAndFrames(t *testing.T) {
	traps := cliFixture("traps.wasm")
	for _, compiler := range wasmer.Compilers() {
		for function, message := range map[string]string{
			"unreachable":         "unreachable",
			"out_of_bounds":       "out of bounds memory access",
			"out_of_bounds_store": "out of bounds memory access",
			"out_of_bounds_fill":  "out of bounds memory access",
			"table_out_of_bounds": "out of bounds table access",
			"null_indirect":       "uninitialized element",
			"bad_signature":       "indirect call type mismatch",
			"div_by_zero":         "integer divide by zero",
			"int_overflow":        "integer overflow",
			"bad_conversion":      "invalid conversion to integer",
			"conversion_overflow": "integer overflow",
			"stack_overflow":      "call stack exhausted",
		} {
			t.Run(compiler.String()+" "+function, func(t *testing.T) {
				parts := []string{fmt.Sprintf("%s: calling %q: ", traps, function)}
				failed := func(function string) string {
					return fmt.Sprintf("module[traps] function[%s] failed: wasm error: %s\nwasm stack trace:\n", function, message)
				}
				switch function {
				case "unreachable":
					parts = append(parts, failed("outer"), "\ttraps.inner()\n\t\t0x", "\n\ttraps.middle()\n\t\t0x", "\n\ttraps.outer()\n\t\t0x")
				case "stack_overflow": // has no frames
					parts = append(parts, "wasm error: "+message+"\n")
				default:
					parts = append(parts, failed(function), "\ttraps."+function+"()\n\t\t0x")
				}
				r := cliExecute("", "run", traps, "--compiler", compiler.String(), "--invoke", function)
				requireCLIFailure(t, r, 134, parts...)
			})
		}
	}
}

func TestCLIDeepStackIsAbridged(t *testing.T) {
	text := `(module (func $leaf unreachable) (func $r (export "r") (param i32)
		(if (i32.eqz (local.get 0)) (then (call $leaf)))
		(call $r (i32.sub (local.get 0) (i32.const 1)))))`
	// There are a frame for the leaf, and one for each number down to 0.
	for depth, lines := range map[string]int{"0": 6, "23": 52, "24": 54, "1000": 53} {
		r := cliExecute(text, "run", "-", "--invoke", "r", depth)
		requireCLIFailure(t, r, 134, "wasm error: unreachable\nwasm stack trace:\n\t.leaf()\n\t\t0x", "\n\t.r(i32)\n\t\t0x")
		require.Equal(t, lines, strings.Count(r.stderr, "\n"), r.stderr)
	}
	requireCLIFailure(t, cliExecute(text, "run", "-", "--invoke", "r", "1000"), 134, "\n\t... and 977 more\n\t.r(i32)\n")
	require.NotContains(t, cliExecute(text, "run", "-", "--invoke", "r", "24").stderr, "more", "one is shown instead")
}

func TestCLIFailureOfInstantiationIsToldApart(t *testing.T) {
	start := cliFixture("start_trap.wat")
	requireCLIFailure(t, cliExecute("", "run", start, "--invoke", "never"), 134,
		start+": instantiating: module[start_trap] function[boom] failed: wasm error: unreachable\nwasm stack trace:\n\tstart_trap.boom()\n\t\t0x")
	requireCLIFailure(t, cliExecute(`(module (memory 1) (data (i32.const 65536) "x") (func (export "_start")))`, "run", "-"),
		134, "stdin: instantiating: wasm error: out of bounds memory access")
}

func TestCLICompilerIsUsedOrRefused(t *testing.T) {
	vector := `(module (func (export "f") (drop (v128.const i64x2 0 0))))`
	for _, compiler := range []wasmer.Compiler{wasmer.Cranelift, wasmer.Singlepass, wasmer.LLVM, wasmer.Tiered} {
		r := cliExecute("", "run", cliFixture("simple.wasm"), "--compiler", compiler.String(), "--invoke", "sum", "1", "2")
		if !wasmer.Available(compiler) {
			requireCLIFailure(t, r, 1, "not part of this build; it has "+strings.Join(cliCompilers(), ", "))
			continue
		}
		require.Equal(t, cliResult{0, "3\n", ""}, r)
		r = cliExecute(vector, "run", "-", "--compiler", compiler.String(), "--invoke", "f")
		if compiler == wasmer.Singlepass {
			requireCLIFailure(t, r, 1, "simd")
		} else {
			require.Equal(t, 0, r.status, r.stderr)
		}
	}
}
