// Package data finds the test data of others, which the repository does not hold.
package data

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrMissing says that this machine does not have the data, or not what it takes to read it.
var ErrMissing = errors.New("no data of the official suite")

// Find returns the path of what has this name in the folder that WASMER_GO_TESTDATA names, or else in shared/data beside
// the repository, whose root is given.
func Find(repository, name string) (string, error) {
	folder := os.Getenv("WASMER_GO_TESTDATA")
	if folder == "" {
		folder = filepath.Join(repository, "..", "shared", "data")
	}
	path := filepath.Join(folder, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: %w; WASMER_GO_TESTDATA can name another folder", ErrMissing, err)
	}
	return path, nil
}
