package wasmer_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestCLIOptionsForCode(t *testing.T) {
	folder := t.TempDir()
	fib := func(options ...string) cliResult {
		return cliExecute("", append(append([]string{"run"}, options...), "--invoke", "fib", cliFixture("fib.wasm"), "20")...)
	}
	want := cliResult{0, "10946\n", ""}
	for _, compiler := range wasmer.Compilers() {
		cache := filepath.Join(folder, "cache-"+compiler.String())
		run := func(options ...string) cliResult {
			return fib(append([]string{"--compiler", compiler.String(), "--cache", cache}, options...)...)
		}
		for _, level := range []string{"-O0", "-O=none", "-Onone"} {
			require.Equal(t, want, run(level), level)
		}
		require.Equal(t, want, run("-O", "0", "--cpu", "native", "--canonicalize-nans", "--compile-threads", "1"))
		require.Len(t, cacheFiles(t, cache), 2)
		dump := filepath.Join(folder, compiler.String())
		require.Equal(t, want, fib("--compiler", compiler.String(), "--dump-ir", dump))
		require.Contains(t, files(t, dump), "trampoline_call_i_i.o")
		foreign := run("--target", "aarch64-unknown-linux-gnu")
		requireCLIFailure(t, foreign, 1, "the code is for aarch64-unknown-linux-gnu", "it can be serialized, but not run here")
	}
	requireCLIFailure(t, fib("--compiler", "singlepass", "--verify-ir"), 1, "EngineConfig.VerifyIR", "singlepass")
	requireCLIFailure(t, fib("--compiler", "cranelift", "-O2"), 1, "EngineConfig.OptLevel", "cranelift")
	require.Equal(t, want, fib("--compiler", "cranelift", "--verify-ir", "-O3"))
	for _, wrong := range [][]string{
		{"-O", "7"}, {"-Ofast"}, {"-O", ""}, {"--target", ""}, {"--cpu", ""}, {"--dump-ir="}, {"--compile-threads", "0"}, {"--compile-threads", "-1"},
	} {
		requireCLIFailure(t, fib(wrong...), 2, wrong[0][:2])
	}
	requireCLIFailure(t, fib("--target", "pdp11"), 1, "EngineConfig.Target", "pdp11")
	requireCLIFailure(t, fib("--cpu", "z80"), 1, "EngineConfig.Target", "z80")
}
