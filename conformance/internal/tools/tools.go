// Package tools builds the Rust tools of the conformance tests and runs them.
package tools

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

const name = "wasmer-go-conformance-tools"

// Wast2JSON converts all scripts below dir into folders below out.
func Wast2JSON(dir, out string) error {
	path, err := program()
	if err != nil {
		return err
	}
	return run(exec.Command(path, "wast2json", dir, out))
}

// Smith makes a random module for each seed, in the same order.
func Smith(seeds []uint64) ([][]byte, error) {
	path, err := program()
	if err != nil {
		return nil, err
	}
	var input strings.Builder
	for _, seed := range seeds {
		fmt.Fprintln(&input, seed)
	}
	var output bytes.Buffer
	command := exec.Command(path, "smith")
	command.Stdin, command.Stdout = strings.NewReader(input.String()), &output
	if err := run(command); err != nil {
		return nil, err
	}
	modules := make([][]byte, len(seeds))
	for i := range modules {
		if modules[i], err = readModule(&output); err != nil {
			return nil, fmt.Errorf("smith: module %d of %d: %w", i+1, len(seeds), err)
		}
	}
	return modules, nil
}

func readModule(r io.Reader) ([]byte, error) {
	var size uint32
	if err := binary.Read(r, binary.LittleEndian, &size); err != nil {
		return nil, err
	}
	module := make([]byte, size)
	_, err := io.ReadFull(r, module)
	return module, err
}

// program is the path of the built tool.
var program = sync.OnceValues(func() (string, error) {
	source, err := sourceFolder()
	if err != nil {
		return "", err
	}
	target, err := targetFolder()
	if err != nil {
		return "", err
	}
	build := exec.Command("cargo", "build", "--release", "--locked")
	build.Dir = source
	build.Env = append(os.Environ(), "CARGO_TARGET_DIR="+target)
	if err := run(build); err != nil {
		return "", fmt.Errorf("build the conformance tools, which takes Rust: %w", err)
	}
	return filepath.Join(target, "release", name), nil
})

func sourceFolder() (string, error) {
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/wasmerio/go-ext-wasm/conformance")
	dir, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("run this inside the conformance tests' module: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "tools"), nil
}

// targetFolder lies outside of the clone, so that every clone shares what is compiled, and beside the library's own
// target folder, so that the two builds do not wait for each other.
func targetFolder() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "wasmer-go", "tools-target"), err
}

// run reports what a failing command wrote to stderr.
func run(command *exec.Cmd) error {
	var stderr bytes.Buffer
	command.Stderr = &stderr
	err := command.Run()
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return err
	}
	return fmt.Errorf("%s: %w: %s", filepath.Base(command.Path), err, bytes.TrimSpace(stderr.Bytes()))
}
