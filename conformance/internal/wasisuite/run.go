package wasisuite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasi"
)

// limit is the time for one case, compilation included.
const limit = 30 * time.Second

// A Failure says what the program did that it should not have.
type Failure struct {
	Reason error
	// Stderr is what the program wrote there, where nearly all of them say which assertion failed.
	Stderr string
}

func (f *Failure) Error() string { return strings.TrimSpace(f.Reason.Error() + "\n" + f.Stderr) }
func (f *Failure) Unwrap() error { return f.Reason }

// Summary is the failure in a line.
func (f *Failure) Summary() string {
	var lines []string
	for line := range strings.Lines(f.Stderr) {
		if !strings.HasPrefix(line, "note: ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	if len(lines) == 0 {
		line, _, _ := strings.Cut(f.Reason.Error(), "\n")
		return line
	}
	return strings.Join(lines, " ")
}

// Run runs a case with fresh copies of its folders. A case that fails is a *Failure; any other error is that it could not
// be run.
func Run(ctx context.Context, engine wasi.Engine, c Case) (err error) {
	scratch, err := os.MkdirTemp("", "wasmer-go-wasi")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	program, err := c.program(scratch)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result := wasi.Run(ctx, engine, program)
	if reason := c.check(result); reason != nil {
		return &Failure{reason, strings.TrimSpace(string(result.Stderr))}
	}
	return nil
}

func (c *Case) program(scratch string) (wasi.Program, error) {
	p := wasi.Program{
		Wasm: c.Wasm,
		Args: append([]string{path.Base(c.Name) + ".wasm"}, c.Args...),
		Env:  c.Env,
	}
	for _, name := range c.Dirs {
		host := filepath.Join(scratch, name)
		if err := os.CopyFS(host, os.DirFS(filepath.Join(c.folder, name))); err != nil {
			return p, err
		}
		p.Mounts = append(p.Mounts, wasi.Mount{Guest: name, Host: host})
	}
	return p, nil
}

func (c *Case) check(r wasi.Result) error {
	switch {
	case r.Err != nil:
		return r.Err
	case r.ExitCode != c.ExitCode:
		return fmt.Errorf("exit code %d, want %d", r.ExitCode, c.ExitCode)
	case c.Stdout != nil && string(r.Stdout) != *c.Stdout:
		return fmt.Errorf("stdout %q, want %q", r.Stdout, *c.Stdout)
	}
	return nil
}
