package benchmarks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// keep is the folder, outside of the repository, for what takes long to make: the same for all versions of the library.
func keep(name ...string) (string, error) {
	folder, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder = filepath.Join(append([]string{folder, "wasmer-go", "benchmarks"}, name...)...)
	return folder, os.MkdirAll(folder, 0o755)
}

// goCommand is a command of Go's distribution, built for WASI.
func goCommand(command string) ([]byte, error) {
	folder, err := keep(runtime.Version())
	if err != nil {
		return nil, err
	}
	name := filepath.Join(folder, path.Base(command)+".wasm")
	if wasm, err := os.ReadFile(name); !errors.Is(err, fs.ErrNotExist) {
		return wasm, err
	}
	// Under another name first: what is half written must never count as made.
	partial := fmt.Sprintf("%s.%d", name, os.Getpid())
	defer os.Remove(partial)
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", partial, command)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if printed, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", build, err, printed)
	}
	if err := os.Rename(partial, name); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

// npmFile is a file of a package of npm, "name@version".
func npmFile(pkg, file string) ([]byte, error) {
	folder, err := keep("npm", strings.ReplaceAll(pkg, "/", "-"))
	if err != nil {
		return nil, err
	}
	name := filepath.Join(folder, "node_modules", pkg[:strings.LastIndex(pkg, "@")], file)
	if wasm, err := os.ReadFile(name); !errors.Is(err, fs.ErrNotExist) {
		return wasm, err
	}
	install := exec.Command("npm", "install", "--silent", "--no-save", "--ignore-scripts", "--prefix", folder, pkg)
	if printed, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", install, err, printed)
	}
	return os.ReadFile(name)
}
