// Package rows checks ROWS.md.
package rows

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	rowLine  = regexp.MustCompile(`^\| ([WGF][0-9]+) \| ([^|]+) \|([^|]*)\| ([^|]+) \|$`)
	function = regexp.MustCompile(`(?m)^func ((Test|Example|Benchmark|Fuzz)\w*)\(`)
	evidence = regexp.MustCompile("`([^`]+)`|\\S+")
)

// numbered are the rows whose numbers the tests' names have.
var numbered = [][2]int{{1, 9}, {16, 24}, {40, 50}, {60, 101}, {103, 108}, {122, 135}}

func isNumbered(row string) bool {
	return row[0] == 'F' && slices.ContainsFunc(numbered, func(rows [2]int) bool {
		return fmt.Sprintf("F%03d", rows[0]) <= row && row <= fmt.Sprintf("F%03d", rows[1])
	})
}

// functions are the names of the tests, examples and benchmarks of a folder.
func functions(t *testing.T, folder string) (names []string) {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range function.FindAllSubmatch(source, -1) {
			names = append(names, string(match[1]))
		}
	}
	return names
}

// Each row is there once, and what it names exists: a test in the folder that goes before it, or a file.
func TestRowsNameWhatExists(t *testing.T) {
	var want, got []string
	for prefix, count := range map[string]int{"W%02d": 90, "G%02d": 36, "F%03d": 135} {
		for n := range count {
			want = append(want, fmt.Sprintf(prefix, n+1))
		}
	}
	content, err := os.ReadFile("ROWS.md")
	require.NoError(t, err)
	known := map[string][]string{}
	for line := range strings.Lines(string(content)) {
		cells := rowLine.FindStringSubmatch(strings.TrimSpace(line))
		if cells == nil {
			require.NotRegexp(t, `^\| *[WGF][0-9]`, line, "a row has four cells")
			continue
		}
		row, capability, shown, state := cells[1], cells[2], cells[3], cells[4]
		got = append(got, row)
		require.LessOrEqual(t, len(strings.Fields(capability)), 10, "%s: %s", row, capability)
		require.Regexp(t, `^(met|not met)\b`, state, row)
		var folder string
		var names []string
		for _, part := range evidence.FindAllStringSubmatch(shown, -1) {
			name := strings.TrimSuffix(part[0], ",")
			if part[1] != "" { // a folder or a file
				folder = part[1]
				_, err := os.Stat(folder)
				require.NoError(t, err, row)
				names = append(names, folder)
				continue
			}
			if name == "" {
				continue
			}
			if known[folder] == nil {
				known[folder] = functions(t, folder)
			}
			require.Contains(t, known[folder], name, "%s: there is no such function in %s", row, folder)
			names = append(names, name)
		}
		if strings.HasPrefix(state, "not met") {
			require.Greater(t, len(state), len("not met: "), "%s: why?", row)
			continue
		}
		require.NotEmpty(t, names, "%s: what shows it?", row)
		if isNumbered(row) {
			require.True(t, slices.ContainsFunc(names, func(name string) bool {
				return strings.HasPrefix(name, "Test") && strings.Contains(name, row)
			}), "%s: no name of a test has its number: %q", row, names)
		}
	}
	require.ElementsMatch(t, want, got)
}
