package gostd

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCount proves that no failure is lost, whatever the tests write.
func TestCount(t *testing.T) {
	lines := func(lines ...string) []byte { return []byte(strings.Join(lines, "\n")) }
	for name, test := range map[string]struct {
		output []byte
		want   Counts
	}{
		"no output": {},
		"tests inside of tests are those of the one around": {
			output: lines("^=== RUN   TestA", "^=== RUN   TestA/x", "    ^--- PASS: TestA/x (0.00s)", "^--- PASS: TestA (0.00s)"),
			want:   Counts{Passed: 1},
		},
		"of failures the innermost are named": {
			output: lines("^--- FAIL: TestA (0.00s)", "    ^--- FAIL: TestA/x (0.00s)", "^--- FAIL: TestAB (0.00s)"),
			want:   Counts{Failed: 2, Failures: []string{"TestA/x", "TestAB"}},
		},
		"what a test writes without a line's end hides nothing": {
			output: lines("^=== RUN   TestA", "written^--- SKIP: TestA (0.00s)"),
			want:   Counts{Skipped: 1},
		},
		"what only looks like an event is none": {
			output: lines("--- FAIL: TestA (0.00s)"),
		},
		"tests that the end of the program cut short are named": {
			output: lines("^=== RUN   TestA", "^=== RUN   TestA/x", "panic: "),
			want:   Counts{Unfinished: []string{"TestA/x"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			output := strings.ReplaceAll(string(test.output), "^", "\x16")
			require.Equal(t, test.want, count([]byte(output)))
		})
	}
}
