// Package wasisuite runs the official test suite of WASI preview 1 on any runtime.
package wasisuite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wasmerio/go-ext-wasm/conformance/internal/data"
)

// A Case is one program of the suite, with what it is given and what it must do.
type Case struct {
	// Name is the program's path below the suite's folder, without its extension.
	Name string
	Wasm []byte
	// folder holds the program, and what is mounted.
	folder string

	specification
}

// specification is the file beside a program; all of it is optional.
type specification struct {
	// Args are those after the program's name.
	Args []string          `json:"args"`
	Env  map[string]string `json:"env"`
	// Dirs are folders beside the program, which it sees under the same names.
	Dirs     []string `json:"dirs"`
	ExitCode uint32   `json:"exit_code"`
	Stdout   *string  `json:"stdout"`
}

// Load unpacks the suite into a folder, where it must stay, and returns its cases in the order of their names. The error is
// data.ErrMissing where there is no suite, or nothing to unpack it with.
func Load(repository, into string) ([]Case, error) {
	archive, err := data.Find(repository, "wasi.tar.xz")
	if err != nil {
		return nil, err
	}
	for _, tool := range []string{"tar", "xz"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w that can be unpacked: %w", data.ErrMissing, err)
		}
	}
	if out, err := exec.Command("tar", "-xJf", archive, "-C", into).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("unpack %s: %w: %s", archive, err, bytes.TrimSpace(out))
	}
	return read(filepath.Join(into, "wasi"))
}

func read(folder string) ([]Case, error) {
	programs, err := filepath.Glob(filepath.Join(folder, "*", "*.wasm"))
	if err != nil {
		return nil, err
	}
	slices.Sort(programs)
	cases := make([]Case, len(programs))
	for i, program := range programs {
		if cases[i], err = readCase(program); err != nil {
			return nil, fmt.Errorf("%s: %w", program, err)
		}
	}
	return cases, nil
}

func readCase(program string) (c Case, err error) {
	c.folder = filepath.Dir(program)
	c.Name = filepath.Base(c.folder) + "/" + strings.TrimSuffix(filepath.Base(program), ".wasm")
	if c.Wasm, err = os.ReadFile(program); err != nil {
		return c, err
	}
	document, err := os.ReadFile(strings.TrimSuffix(program, ".wasm") + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields() // a case that is given less than it wants proves nothing
	return c, decoder.Decode(&c.specification)
}
