package gostd

import (
	"regexp"
	"slices"
	"strings"
)

// Counts are of tests, without those that they have inside.
type Counts struct {
	Passed, Failed, Skipped int
	// Unfinished are the tests that had begun when the program ended.
	Unfinished []string
	// Failures are the names of the failed tests; of one with tests inside, those of them that failed.
	Failures []string
}

// event is what a test program says of a test. In the mode that is for other programs it sets a ^V before, so that it is
// found behind whatever the tests themselves write.
var event = regexp.MustCompile(`(?m)\x16(=== RUN|--- PASS:|--- FAIL:|--- SKIP:) +(\S+)`)

func count(output []byte) Counts {
	var c Counts
	for _, match := range event.FindAllSubmatch(output, -1) {
		name := string(match[2])
		inner := strings.Contains(name, "/")
		switch kind := string(match[1]); {
		case kind == "=== RUN":
			c.Unfinished = append(c.Unfinished, name)
			continue
		case kind == "--- FAIL:":
			c.Failures = append(c.Failures, name)
			if !inner {
				c.Failed++
			}
		case inner:
		case kind == "--- SKIP:":
			c.Skipped++
		default:
			c.Passed++
		}
		c.Unfinished = slices.DeleteFunc(c.Unfinished, func(n string) bool { return n == name })
	}
	c.Failures, c.Unfinished = innermost(c.Failures), innermost(c.Unfinished)
	return c
}

// innermost leaves out tests that are in the list only because of those inside.
func innermost(names []string) []string {
	var leaves []string
	for _, name := range names {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, name+"/") }) {
			leaves = append(leaves, name)
		}
	}
	return leaves
}
