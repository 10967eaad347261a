package wasmer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

var processStart = time.Now()

// StartPerfMap writes where the functions of guests are and what they are called to /tmp/perf-PID.map, where Linux' perf and
// other profilers look for code that no file holds: first those of all modules there are, then those of each one that is
// compiled or loaded until StopPerfMap. It returns the file's path; nobody removes the file. Calling it again writes all
// modules again, at the end of the file.
func StartPerfMap() (string, error) {
	path := filepath.Join("/tmp", fmt.Sprintf("perf-%d.map", os.Getpid()))
	if info, err := os.Lstat(path); err == nil && info.ModTime().Before(processStart) {
		// It is of an earlier process of the same number.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("wasmer: perf map: %w", err)
		}
	}
	// Others can write to the folder: what they may have put there is not followed.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", fmt.Errorf("wasmer: perf map: %w", err)
	}
	defer file.Close()
	own, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		return "", fmt.Errorf("wasmer: perf map: %w", err)
	}
	syscall.CloseOnExec(own)
	if err := ffi.StartPerfMap(own); err != nil {
		return "", translate("perf map", err)
	}
	return path, nil
}

// StopPerfMap ends what StartPerfMap began. The file stays.
func StopPerfMap() { ffi.StopPerfMap() }
