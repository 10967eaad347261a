package wasmer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCLIInspectShowsWhatAModuleNeedsAndOffers(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"imports": {"hosts.wasm", `name: "hosts"

imports: 6
  function  "env"  "i32"      (func (param i32) (result i32))
  function  "env"  "i64"      (func (param i64) (result i64))
  function  "env"  "f32"      (func (param f32) (result f32))
  function  "env"  "f64"      (func (param f64) (result f64))
  function  "env"  "mixed"    (func (param i32 i64 f32 f64) (result f64))
  function  "env"  "nothing"  (func)

exports: 6
  function  "call_i32"      (func (param i32) (result i32))
  function  "call_i64"      (func (param i64) (result i64))
  function  "call_f32"      (func (param f32) (result f32))
  function  "call_f64"      (func (param f64) (result f64))
  function  "call_mixed"    (func (param i32 i64 f32 f64) (result f64))
  function  "call_nothing"  (func)

memories: 0
`},
		"memories": {"two_memories.wasm", `name: "two_memories"

imports: 0

exports: 9
  memory    "a"        (memory 1)
  memory    "b"        (memory 2 4)
  function  "load_a"   (func (param i32) (result i32))
  function  "load_b"   (func (param i32) (result i32))
  function  "store_a"  (func (param i32 i32))
  function  "store_b"  (func (param i32 i32))
  function  "size_a"   (func (result i32))
  function  "size_b"   (func (result i32))
  function  "grow_b"   (func (param i32) (result i32))

memories: 2
  export  "a"  (memory 1)    1 page, 64 KiB; no maximum
  export  "b"  (memory 2 4)  2 pages, 128 KiB; at most 4 pages, 256 KiB
`},
		"text format": {"fac.wat", `name: "fac"

imports: 0

exports: 1
  function  "fac"  (func (param i64) (result i64))

memories: 0
`},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, cliResult{0, test.want, ""}, cliExecute("", "inspect", cliFixture(test.file)))
		})
	}
}

// cliAllKinds also needs a compiler that knows SIMD and exceptions.
const cliAllKinds = `(module
	(import "" "" (memory 1 65536))
	(import "a" "g" (global (mut i64)))
	(import "t" "t" (table 1 externref))
	(memory (export "shared") 400 800 shared)
	(tag (export "tag") (param i32))
	(global (export "<&>") v128 (v128.const i64x2 0 0)))`

func TestCLIInspectKnowsAllKinds(t *testing.T) {
	require.Equal(t, cliResult{0, `name: (none)

imports: 3
  memory  ""   ""   (memory 1 65536)
  global  "a"  "g"  (global (mut i64))
  table   "t"  "t"  (table 1 externref)

exports: 3
  memory  "shared"  (memory 400 800 shared)
  tag     "tag"     (tag (param i32))
  global  "<&>"     (global v128)

memories: 2
  import  "" ""     (memory 1 65536)         1 page, 64 KiB; at most 65536 pages, 4 GiB
  export  "shared"  (memory 400 800 shared)  400 pages, 25 MiB; at most 800 pages, 50 MiB
`, ""}, cliExecute(cliAllKinds, "inspect", "-"))
}

func TestCLIInspectWritesJSON(t *testing.T) {
	r := cliExecute(cliAllKinds, "inspect", "--json", "-")
	require.Equal(t, 0, r.status, r.stderr)
	require.Contains(t, r.stdout, `"<&>"`)
	const memory = `"kind": "memory", "type": "(memory 1 65536)", "min": 1, "max": 65536, "shared": false`
	const shared = `"kind": "memory", "type": "(memory 400 800 shared)", "min": 400, "max": 800, "shared": true`
	require.JSONEq(t, `{
		"name": "",
		"imports": [
			{"module": "", "name": "", `+memory+`},
			{"module": "a", "name": "g", "kind": "global", "type": "(global (mut i64))", "value": "i64", "mutable": true},
			{"module": "t", "name": "t", "kind": "table", "type": "(table 1 externref)", "value": "externref", "min": 1}
		],
		"exports": [
			{"name": "shared", `+shared+`},
			{"name": "tag", "kind": "tag", "type": "(tag (param i32))", "params": ["i32"], "results": []},
			{"name": "<&>", "kind": "global", "type": "(global v128)", "value": "v128", "mutable": false}
		],
		"memories": [{"module": "", "name": "", `+memory+`}, {"name": "shared", `+shared+`}]
	}`, r.stdout)

	var empty map[string]any
	require.NoError(t, json.Unmarshal([]byte(cliExecute("(module)", "inspect", "-", "--json").stdout), &empty))
	require.Equal(t, map[string]any{"name": "", "imports": []any{}, "exports": []any{}, "memories": []any{}}, empty)
}

func TestCLIValidateIsSilentAboutValidModules(t *testing.T) {
	for _, name := range []string{"simple.wasm", "two_memories.wasm", "imported_function.wasm", "fac.wat", "start_trap.wat"} {
		require.Equal(t, cliResult{0, "", ""}, cliExecute("", "validate", cliFixture(name)), name)
	}
	require.Equal(t, cliResult{0, "", ""}, cliExecute("(module)", "validate", "-"))
}

func TestCLIValidateTellsTheFunctionByNameInBinaries(t *testing.T) {
	wasm := cliExecute("(module (func) (func $second (result i32) i64.const 1))", "wat2wasm", "-").stdout
	file := cliWrite(t, "bad.wasm", wasm)
	r := cliExecute("", "validate", file)
	requireCLIFailure(t, r, 1, file+": function[1] second: end: type mismatch: expected i32, found i64 (at offset 0x")
	require.NotContains(t, r.stderr, "wat2wasm", "the offset is in the file itself")
}

func TestCLIWat2WasmWritesBesideTheText(t *testing.T) {
	text, err := os.ReadFile(cliFixture("fac.wat"))
	require.NoError(t, err)
	want, err := os.ReadFile(cliFixture("fac.wasm"))
	require.NoError(t, err)

	file := cliWrite(t, "fac.of.wat", string(text))
	require.Equal(t, cliResult{0, "", ""}, cliExecute("", "wat2wasm", file))
	got, err := os.ReadFile(strings.TrimSuffix(file, ".wat") + ".wasm")
	require.NoError(t, err)
	require.Equal(t, want, got)

	out := filepath.Join(t.TempDir(), "out")
	require.Equal(t, cliResult{0, "", ""}, cliExecute("", "wat2wasm", "-o", out, file))
	got, err = os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, want, got)

	require.Equal(t, cliResult{0, string(want), ""}, cliExecute("", "wat2wasm", file, "-o", "-"))
	require.Equal(t, cliResult{0, string(want), ""}, cliExecute(string(text), "wat2wasm", "-"))
	require.Equal(t, cliResult{0, string(want), ""}, cliExecute(string(want), "wat2wasm", "-"), "a binary is copied")
}

func TestCLIWat2WasmNeverReplacesItsInput(t *testing.T) {
	for _, name := range []string{"m.wasm", "m.wat"} {
		file := cliWrite(t, name, "(module)")
		requireCLIFailure(t, cliExecute("", "wat2wasm", file, "-o", file), 2, file+" would replace what it is made from")
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, "(module)", string(content))
	}
	requireCLIFailure(t, cliExecute("", "wat2wasm", cliWrite(t, "m.wasm", "(module)")), 2, "would replace")
}

func TestCLIWat2WasmWritesNothingOnFailure(t *testing.T) {
	file := cliWrite(t, "bad.wat", "(module")
	requireCLIFailure(t, cliExecute("", "wat2wasm", file), 1, file+": expected `)`", file+":1:8")
	require.NoFileExists(t, strings.TrimSuffix(file, ".wat")+".wasm")

	nowhere := filepath.Join(t.TempDir(), "none", "out.wasm")
	requireCLIFailure(t, cliExecute("", "wat2wasm", cliFixture("fac.wat"), "-o", nowhere), 1,
		nowhere+": no such file or directory")
}
