package wasmer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestF131CLICompilesWhatRunRuns(t *testing.T) {
	for _, compiler := range cliCompilers() {
		folder := t.TempDir()
		source := cliFixture("fac.wasm")
		for out, format := range map[string]string{
			"fac.wasmer": "native", "fac.so": "native", "fac.dll": "native", "fac.wasm": "wasm", "fac": "wasm", "other.bin": "native", "other.so": "wasm",
		} {
			out = filepath.Join(folder, out)
			args := []string{"compile", "--compiler", compiler, "-o", out}
			if filepath.Base(out) == "other.bin" || filepath.Base(out) == "other.so" {
				args = append(args, "--format", format)
			}
			require.Equal(t, cliResult{}, cliExecute("", append(args, source)...), out)
			data, err := os.ReadFile(out)
			require.NoError(t, err)
			_, err = wasmer.InspectArtifact(data)
			require.Equal(t, format == "native", err == nil, out)
			for _, args := range [][]string{
				{"run", "--invoke", "fac", out, "5"}, {"run", "--trust-embedded", out, "--invoke", "fac", "5"}, {"run", out, "--compiler", compiler, "--invoke", "fac", "5"},
			} {
				require.Equal(t, cliResult{0, "120\n", ""}, cliExecute("", args...), args)
			}
			r := cliExecute(string(data), "run", "-", "--invoke", "fac", "5")
			require.Equal(t, cliResult{0, "120\n", ""}, r, "stdin")
		}
	}
}

func TestCLICompileNamesItsOutput(t *testing.T) {
	fixture, err := os.ReadFile(cliFixture("fac.wat"))
	require.NoError(t, err)
	file := cliWrite(t, "fac.wat", string(fixture))
	folder := filepath.Dir(file)
	require.Equal(t, cliResult{}, cliExecute("", "compile", file))
	require.Equal(t, cliResult{}, cliExecute("", "compile", "--format", "native", file))
	for _, name := range []string{"fac.aot.wasm", "fac.wasmer"} {
		require.Equal(t, cliResult{0, "120\n", ""}, cliExecute("", "run", filepath.Join(folder, name), "--invoke", "fac", "5"))
	}
	r := cliExecute(string(fixture), "compile", "--format", "native", "-")
	require.Zero(t, r.status, r.stderr)
	require.Equal(t, "WASMERGO", r.stdout[:8])
	requireCLIFailure(t, cliExecute("", "compile", file, "-o", file), 2, "would replace what it is made from")
	requireCLIFailure(t, cliExecute("", "compile", "-o", "", file), 2, "empty")
	requireCLIFailure(t, cliExecute("", "compile", "--format", "elf", file), 2, `no format "elf"`)
	requireCLIFailure(t, cliExecute(r.stdout, "compile", "-"), 1, "compiled already")
	requireCLIFailure(t, cliExecute("", "compile", "-o", filepath.Join(folder, "none", "x.so"), file), 1, "none")
	requireCLIFailure(t, cliExecute("(module (func (result i32)))", "compile", "-"), 1, "stdin")
}

func TestCLIArtifactsBringTheirOptions(t *testing.T) {
	out := filepath.Join(t.TempDir(), "fac.so")
	require.Equal(t, cliResult{}, cliExecute("", "compile", "-O", "0", "--cpu", "generic", "-o", out, cliFixture("fac.wasm")))
	require.Equal(t, cliResult{0, "120\n", ""}, cliExecute("", "run", out, "--invoke", "fac", "5"))
	r := cliExecute("", "inspect", out)
	require.Zero(t, r.status, r.stderr)
	require.Contains(t, r.stdout, "none")
	var info struct {
		OptLevel string   `json:"opt_level"`
		CPU      []string `json:"cpu"`
	}
	r = cliExecute("", "inspect", "--json", out)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &info), r.stderr)
	require.Equal(t, "none", info.OptLevel)
	require.NotContains(t, info.CPU, "avx2")
	// What the run asks for must be in the code.
	requireCLIFailure(t, cliExecute("", "run", "--cost-limit", "5", "--invoke", "fac", out, "5"), 1, "its code does not count")
	metered := filepath.Join(t.TempDir(), "fac.so")
	require.Equal(t, cliResult{}, cliExecute("", "compile", "--metering", "block", "-o", metered, cliFixture("fac.wasm")))
	requireCLIFailure(t, cliExecute("", "run", "--cost-limit", "5", "--invoke", "fac", metered, "5"), 134, "limit")
	requireCLIFailure(t, cliExecute("", "run", metered, "--invoke", "fac", "5"), 1, "its code counts")
}

func TestCLIKeysSealCode(t *testing.T) {
	key, other := cliWrite(t, "key", string(secret)), cliWrite(t, "other", "another secret of some bytes")
	for _, name := range []string{"fac.so", "fac.wasm"} {
		out := filepath.Join(t.TempDir(), name)
		require.Equal(t, cliResult{}, cliExecute("", "compile", "--key", key, "-o", out, cliFixture("fac.wasm")))
		require.Equal(t, cliResult{0, "120\n", ""}, cliExecute("", "run", "--key", key, out, "--invoke", "fac", "5"))
		wrong, none := cliExecute("", "run", "--key", other, out, "--invoke", "fac", "5"), cliExecute("", "run", out, "--invoke", "fac", "5")
		if name == "fac.wasm" { // it can be compiled
			require.Equal(t, cliResult{0, "120\n", ""}, wrong)
			require.Equal(t, cliResult{0, "120\n", ""}, none)
			continue
		}
		requireCLIFailure(t, wrong, 1, "another key")
		requireCLIFailure(t, none, 1, "made with a key")
	}
	requireCLIFailure(t, cliExecute("", "run", "--key", cliWrite(t, "short", "short"), cliFixture("fac.wasm")), 2, "16 or more")
	requireCLIFailure(t, cliExecute("", "run", "--key", "/none", cliFixture("fac.wasm")), 1, "/none")
}

func TestCLIInspectShowsCodeInModules(t *testing.T) {
	out := filepath.Join(t.TempDir(), "fac.wasm")
	require.Equal(t, cliResult{}, cliExecute("", "compile", "-o", out, cliFixture("fac.wasm")))
	plain, r := cliExecute("", "inspect", cliFixture("fac.wasm")), cliExecute("", "inspect", out)
	require.Zero(t, r.status, r.stderr)
	require.Equal(t, plain.stdout, r.stdout[:len(plain.stdout)])
	require.Contains(t, r.stdout[len(plain.stdout):], "compiled code:\n")
	require.Contains(t, r.stdout, wasmer.BuildID())
	r = cliExecute("", "inspect", "--json", out)
	require.Contains(t, r.stdout, `"artifacts": [`)
	broken := cliWrite(t, "broken", "WASMERGO\x03\x00\x00\x00")
	for _, command := range []string{"run", "inspect"} {
		requireCLIFailure(t, cliExecute("", command, broken), 1, "broken", "truncated")
	}
}
