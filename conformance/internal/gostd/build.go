// Package gostd runs the tests of Go's standard library, built for WASI preview 1, on any runtime.
package gostd

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Packages are those whose tests say most about a runtime: what uses the system, and what computes much.
func Packages() []string {
	return []string{
		"archive/tar", "archive/zip", "bufio", "crypto/rand", "encoding/json", "errors", "io", "io/fs", "net", "os",
		"path/filepath", "sort", "strings", "sync", "testing/fstest", "time",
	}
}

// A Test is the test program of a package.
type Test struct {
	Package string
	// folder is where the package's sources are, which its tests want to run in.
	folder string
	path   string
}

// Build builds the test program of a package into a folder, with the Go that is installed.
func Build(pkg, into string) (Test, error) {
	folder, err := goCommand("list", "-f", "{{.Dir}}", pkg)
	if err != nil {
		return Test{}, err
	}
	t := Test{
		Package: pkg,
		folder:  strings.TrimSpace(folder),
		path:    filepath.Join(into, strings.ReplaceAll(pkg, "/", "_")+".wasm"),
	}
	_, err = goCommand("test", "-c", "-o", t.path, pkg)
	return t, err
}

func goCommand(args ...string) (string, error) {
	command := exec.Command("go", args...)
	command.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
