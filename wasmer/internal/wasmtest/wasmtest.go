// Package wasmtest supports the tests of package wasmer: guest programs, host functions made by cgo, function types that
// collide. It does not import the package it tests, so that internal tests can use it too.
package wasmtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Fixture reads a guest program of the repository's folder testdata, whose README tells what each exports.
func Fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Path is the path of a file of the folder testdata. It is looked for from the working directory upwards.
func Path(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		path := filepath.Join(dir, "testdata", filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return path
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("there is no testdata/%s in any folder above the working directory", name)
		}
		dir = parent
	}
}
