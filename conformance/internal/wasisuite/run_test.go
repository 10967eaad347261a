package wasisuite

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasi"
)

// TestRun proves that cases fail that should, and that each has what it names.
func TestRun(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(folder, "c", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	write("bare.wasm", "bare")
	write("full.wasm", "full")
	write("full.json", `{"args": ["a"], "env": {"k": "v"}, "dirs": ["d"], "exit_code": 3, "stdout": "out"}`)
	write("d/file", "content")
	cases, err := read(folder)
	require.NoError(t, err)
	require.Len(t, cases, 2)
	bare, full := cases[0], cases[1]
	require.Equal(t, "c/bare", bare.Name)

	require.NoError(t, Run(t.Context(), engine{}, bare))
	require.ErrorContains(t, Run(t.Context(), engine{code: 1}, bare), "exit code 1, want 0")
	require.ErrorContains(t, Run(t.Context(), engine{err: errors.New("trap")}, bare), "trap")

	stale := engine{code: 3, stdout: "out", check: func(p wasi.Program) {
		require.Equal(t, "full", string(p.Wasm))
		require.Equal(t, []string{"full.wasm", "a"}, p.Args)
		require.Equal(t, map[string]string{"k": "v"}, p.Env)
		require.Equal(t, "d", p.Mounts[0].Guest)
		path := filepath.Join(p.Mounts[0].Host, "file")
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "content", string(content), "a run left something to the next")
		require.NoError(t, os.WriteFile(path, nil, 0o644))
	}}
	for range 2 {
		require.NoError(t, Run(t.Context(), stale, full))
	}
	require.ErrorContains(t, Run(t.Context(), engine{code: 3, stdout: "other"}, full), `stdout "other", want "out"`)

	write("full.json", `{"stdin": "more than a case can be given"}`)
	_, err = read(folder)
	require.ErrorContains(t, err, "stdin")
}

func TestFailureSummary(t *testing.T) {
	rust := Failure{Reason: errors.New("trap\nat f"), Stderr: "thread panicked:\nleft is not right\nnote: run with more"}
	require.Equal(t, "thread panicked: left is not right", rust.Summary())
	silent := Failure{Reason: errors.New("trap\nat f")}
	require.Equal(t, "trap", silent.Summary())
}

// engine ends each program in the same way.
type engine struct {
	code   uint32
	stdout string
	err    error
	check  func(wasi.Program)
}

func (engine) Name() string { return "fake" }

func (e engine) Start(_ context.Context, p wasi.Program, stdout, _ io.Writer) (uint32, error) {
	if e.check != nil {
		e.check(p)
	}
	_, err := io.WriteString(stdout, e.stdout)
	return e.code, errors.Join(e.err, err)
}
