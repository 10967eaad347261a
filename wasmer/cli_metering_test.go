package wasmer_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestCLICountsInstructions(t *testing.T) {
	folder := t.TempDir()
	entries := 0
	for _, compiler := range cliCompilers() {
		for range 2 { // compiled, and from the cache
			fib := func(options ...string) cliResult {
				args := append([]string{"run", "--cache", folder, "--compiler", compiler}, options...)
				return cliExecute("", append(args, "--invoke", "fib", cliFixture("fib.wasm"), "20")...)
			}
			exact := "exact"
			if compiler == wasmer.LLVM.String() {
				requireCLIFailure(t, fib("--metering", exact), 1, "unsupported", "MeteringBlock")
				exact = "block"
			}
			require.Equal(t, cliResult{0, "10946\n", "wasmer-go: 229851 instructions\n"}, fib("--metering", exact))
			require.Equal(t, cliResult{0, "10946\n", "wasmer-go: 229851 instructions\n"}, fib("--metering", "block", "--cost-limit", "229851"))
			require.Equal(t, cliResult{0, "10946\n", ""}, fib())
			requireCLIFailure(t, fib("--cost-limit", "229850"), 134, "cost limit exceeded", "fib.fib(i32) i32")
			stopped := fib("--cost-limit", "100", "--metering", exact)
			require.Equal(t, 134, stopped.status)
			require.Regexp(t, `^wasmer-go: \d+ instructions\nwasmer-go: .*cost limit exceeded`, stopped.stderr)
		}
		entries += 2 // without and with blocks metered
		if compiler != wasmer.LLVM.String() {
			entries++
		}
	}
	require.Len(t, cacheFiles(t, folder), entries, "a limit makes no other code")
	for _, wrong := range [][]string{{"--metering", "most"}, {"--cost-limit", "0"}, {"--cost-limit", "-1"}, {"--cost-limit", "1e9"}} {
		requireCLIFailure(t, cliExecute("", "run", wrong[0], wrong[1], cliFixture("fib.wasm")), 2, wrong[0], wrong[1])
	}
}
