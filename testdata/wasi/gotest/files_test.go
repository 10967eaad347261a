package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain makes one binary of the tests and the command, which would be as large again: Run's words come without a "-".
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") {
		os.Exit(m.Run())
	}
	if err := Run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "files:", err)
		os.Exit(1)
	}
}

func TestWords(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"none", " \n", ""},
		{"one", "a", "1 a\n"},
		{"several", "b a\nb\tc", "1 a\n2 b\n1 c\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			if err := Run([]string{"words"}, strings.NewReader(test.in), &out); err != nil || out.String() != test.want {
				t.Errorf("the words of %q are %q, %v; want %q", test.in, out.String(), err, test.want)
			}
		})
	}
}

func TestWalk(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	want := fmt.Sprintf("d - %s\nf 7 %s/file\n", dir, dir)
	if err := Run([]string{"walk", dir}, nil, &out); err != nil || out.String() != want {
		t.Errorf("the walk gives %q, %v; want %q", out.String(), err, want)
	}
}

func TestListOfNothing(t *testing.T) {
	err := Run([]string{"list", filepath.Join(t.TempDir(), "none")}, nil, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}

func TestSkipped(t *testing.T) {
	if os.Getenv("FILES_FAIL") == "" {
		t.Skip("FILES_FAIL is not set")
	}
	t.Error("fails as asked")
}
