package wasmer_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const statsReport = ` ====================  Statistics  ====================
 Total execution time: [1-9]\d* ns
 Wasm instructions execution time: [1-9]\d* ns
 Host functions execution time: \d+ ns
 Executed wasm instructions count: [1-9]\d*
 Gas costs: [1-9]\d*
 Instructions per second: \d+
`

func TestCLIStatistics(t *testing.T) {
	guest := cliWrite(t, "guest.wat", cliGuest(`(func (export "_start") (drop (call $five)))
		(func (export "trap") unreachable) (func $start (export "exit") (call $proc_exit (i32.const 3)))`))
	for _, test := range []struct {
		name   string
		args   []string
		status int
		stdout string
	}{
		{"program", []string{"run", "--stats", guest}, 0, "hi\n"},
		{"function", []string{"run", "--stats", "--invoke", "five", guest}, 0, "hi\n5\n"},
		{"trap", []string{"run", "--stats", "--invoke", "trap", guest}, 134, ""},
		{"exit", []string{"run", "--stats", "--invoke", "exit", guest}, 3, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := cliExecute("", test.args...)
			require.Equal(t, test.status, r.status, r.stderr)
			require.Equal(t, test.stdout, r.stdout)
			require.Regexp(t, `^`+statsReport, r.stderr)
		})
	}
	require.Empty(t, cliExecute("", "run", guest).stderr)
}

func TestCLILogs(t *testing.T) {
	guest := cliWrite(t, "guest.wat", `(module $g (func (export "trap") unreachable) (func (export "f")))`)
	run := func(level, function string) cliResult {
		return cliExecute("", "run", "--log-level", level, "--invoke", function, guest)
	}
	require.Contains(t, run("error", "trap").stderr, `level=ERROR msg="execution failed" module=g function=trap error="wasmer: module[g] function[$0] failed: wasm error: unreachable`)
	require.NotContains(t, run("off", "trap").stderr, "level=")
	require.Empty(t, run("info", "f").stderr)
	require.Contains(t, run("debug", "f").stderr, `level=DEBUG msg="module compiled" module=g`)
	requireCLIFailure(t, run("loud", "f"), 2, `run: there is no log level "loud"; the levels are debug, info, warn, error, off`)
	require.Equal(t, 2, run("debug+1", "f").status)
}
