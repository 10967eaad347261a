package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

type options struct {
	pattern string
	// count is the number of passes, and long how many of them have the rows of longRows, too.
	count, long int
	time        string
	// rounds is how often the rows of shortRows are measured, with so little time for each that rivals meet the same disturbances.
	rounds int
	short  bool
}

// longRows are those of which an operation takes seconds, or what it needs takes seconds to make. A pass with them takes three
// times as long as one without, and they vary the least.
const longRows = "^BenchmarkThroughput$|^BenchmarkWarmStart$|^BenchmarkCompute$/.*/^snappy_compress$|" +
	"^BenchmarkWASI$/.*/^(copyfile|echo|ls|cat)$|^BenchmarkMemorySize$/.*/_(256MiB|1GiB)$|^BenchmarkModuleSize$/.*/_10000$"

// shortRows are those of which an operation takes nanoseconds or microseconds.
const shortRows = "^BenchmarkCall$|^BenchmarkHostCall$|^BenchmarkInstantiate$|^BenchmarkGoroutines$|^BenchmarkPrograms$/.*/^greet$"

const everything = "."

func (o options) longPasses() int { return min(o.long, o.count) }

// inRounds reports whether there are rounds beside the passes: only where all is measured.
func (o options) inRounds() bool { return o.rounds > 0 && o.pattern == everything }

// args are the flags of one pass.
func (o options) args(long bool) []string {
	var skipped []string
	if !long {
		skipped = append(skipped, longRows)
	}
	if o.inRounds() {
		skipped = append(skipped, shortRows)
	}
	return o.flags(o.pattern, o.time, strings.Join(skipped, "|"))
}

// roundArgs are the flags of one round.
func (o options) roundArgs() []string { return o.flags(shortRows, "20ms", "") }

func (o options) flags(pattern, time, skipped string) []string {
	args := []string{
		"-test.run=^$", "-test.bench=" + pattern, "-test.benchmem", "-test.cpu=1",
		"-test.count=1", "-test.benchtime=" + time, "-test.timeout=0",
	}
	if o.short {
		args = append(args, "-test.short")
	}
	if skipped != "" {
		args = append(args, "-test.skip="+skipped)
	}
	return args
}

const benchmarksModule = "github.com/wasmerio/go-ext-wasm/benchmarks"

func benchmarksFolder() (string, error) {
	folder, err := output("", "go", "list", "-m", "-f", "{{.Dir}}", benchmarksModule)
	if err != nil {
		return "", fmt.Errorf("run this inside the benchmarks' module: %w", err)
	}
	return folder, nil
}

// runPasses builds the benchmarks once and runs all of them as often as asked. A -test.count would measure each
// one several times in a row, and so within the same disturbance of a noisy machine.
func runPasses(folder string, o options) (printed []byte, failed error) {
	temporary, err := os.MkdirTemp("", "report")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temporary)
	binary := filepath.Join(temporary, "benchmarks.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Dir, build.Stderr = folder, os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}

	var buffer bytes.Buffer
	measure := func(what string, args []string) {
		fmt.Fprintln(os.Stderr, what)
		pass := exec.Command(binary, args...)
		pass.Dir, pass.Stderr = folder, os.Stderr
		pass.Stdout = io.MultiWriter(&buffer, os.Stderr)
		if err := pass.Run(); err != nil {
			// What did run is still worth its report.
			failed = errors.Join(failed, fmt.Errorf("%s: %w", what, err))
		}
	}
	for n := range o.count {
		measure(fmt.Sprintf("pass %d of %d", n+1, o.count), o.args(n < o.longPasses()))
	}
	if o.inRounds() {
		for n := range o.rounds {
			measure(fmt.Sprintf("round %d of %d", n+1, o.rounds), o.roundArgs())
		}
	}
	return buffer.Bytes(), failed
}

func output(folder, name string, args ...string) (string, error) {
	command := exec.Command(name, args...)
	command.Dir = folder
	out, err := command.Output()
	return strings.TrimSpace(string(out)), err
}
