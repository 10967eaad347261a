package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
)

// tally counts outcomes.
type tally struct {
	passed, failed, notConverted int
	// unsupported counts by feature.
	unsupported map[string]int
}

func (t *tally) add(result suite.Result) {
	switch result.Outcome {
	case suite.Passed:
		t.passed++
	case suite.Failed:
		t.failed++
	case suite.NotConverted:
		t.notConverted++
	case suite.NotSupported:
		t.addUnsupported(result.Reason, 1)
	}
}

func (t *tally) addUnsupported(feature string, n int) {
	if t.unsupported == nil {
		t.unsupported = map[string]int{}
	}
	t.unsupported[feature] += n
}

func (t *tally) addAll(u tally) {
	t.passed += u.passed
	t.failed += u.failed
	t.notConverted += u.notConverted
	for feature, n := range u.unsupported {
		t.addUnsupported(feature, n)
	}
}

func (t tally) unsupportedTotal() int {
	total := 0
	for _, n := range t.unsupported {
		total += n
	}
	return total
}

func (t tally) features() []string { return slices.Sorted(maps.Keys(t.unsupported)) }

// String is a line for the terminal.
func (t tally) String() string {
	return fmt.Sprintf("passed %d, failed %d, unsupported %d, not converted %d",
		t.passed, t.failed, t.unsupportedTotal(), t.notConverted)
}

// cell is the tally in a table: what passed, and what else there is.
func (t tally) cell() string {
	parts := []string{fmt.Sprint(t.passed)}
	if t.failed > 0 {
		parts = append(parts, fmt.Sprintf("**%d failed**", t.failed))
	}
	if t.notConverted > 0 {
		parts = append(parts, fmt.Sprintf("%d not converted", t.notConverted))
	}
	for _, feature := range t.features() {
		parts = append(parts, fmt.Sprintf("%d %s", t.unsupported[feature], feature))
	}
	return strings.Join(parts, ", ")
}

// column is what one engine did.
type column struct {
	name     string
	scripts  map[string]tally
	total    tally
	failures []failure
}

type failure struct {
	script string
	suite.Result
}

func (f failure) String() string {
	return fmt.Sprintf("%s.wast:%d: %s: %s", f.script, f.Line, f.Type, firstLine(f.Reason))
}

func (c *column) add(script string, results []suite.Result) {
	var t tally
	for _, result := range results {
		t.add(result)
		if result.Outcome == suite.Failed || result.Outcome == suite.NotConverted {
			c.failures = append(c.failures, failure{script, result})
		}
	}
	if c.scripts == nil {
		c.scripts = map[string]tally{}
	}
	c.scripts[script] = t
	c.total.addAll(t)
}

// firstLine keeps a list of failures a list.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	const most = 200
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	return line
}
