package gostd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasi"
)

// limit is the time for one test program, compilation included.
const limit = 5 * time.Minute

// stackSize is what Go itself gives its tests where the runtime's default is too little.
const stackSize = 8 << 20

// A Report is what became of a test program.
type Report struct {
	Counts
	// Err says why the program ended otherwise than with success.
	Err error
	// Output is what it wrote.
	Output []byte
}

// Run runs a test program as Go's own go_wasip1_wasm_exec does: it sees the whole file system of the host, and is told the
// folder to be in, and the PATH. Long tests are left out.
func (t Test) Run(ctx context.Context, engine wasi.Engine) (Report, error) {
	wasm, err := os.ReadFile(t.path)
	if err != nil {
		return Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result := wasi.Run(ctx, engine, wasi.Program{
		Wasm:      wasm,
		Args:      []string{t.path, "-test.short", "-test.v=test2json"},
		Env:       map[string]string{"PWD": t.folder, "PATH": os.Getenv("PATH")},
		Mounts:    []wasi.Mount{{Guest: "/", Host: "/"}},
		StackSize: stackSize,
	})
	report := Report{Counts: count(result.Stdout), Err: result.Err, Output: append(result.Stdout, result.Stderr...)}
	if report.Err == nil && result.ExitCode != 0 {
		report.Err = fmt.Errorf("exit code %d", result.ExitCode)
	}
	return report, nil
}

// String is a line for the terminal.
func (r Report) String() string {
	text := fmt.Sprintf("passed %d, failed %d, skipped %d", r.Passed, r.Failed, r.Skipped)
	if r.Err == nil {
		return text
	}
	reason, _, _ := strings.Cut(r.Err.Error(), "\n")
	return fmt.Sprintf("%s, %s: %s", text, reason, strings.Join(r.Guilty(), " "))
}

// Guilty are the tests that failed, and those that the program's end cut short.
func (r Report) Guilty() []string { return slices.Concat(r.Failures, r.Unfinished) }
