package vm

import (
	"errors"
	"os"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// wasiModules are the names that guests import WASI by.
var wasiModules = []string{"wasi_snapshot_preview1", "wasi_unstable"}

// WASI is what the guests of a VM get of WASI. Goroutines may share it.
type WASI struct {
	mu   sync.Mutex
	wasi *wasmer.WASI
	exit uint32
}

func newWASI() *WASI {
	w := &WASI{}
	w.reset()
	return w
}

// reset gives guests the streams of the process, and nothing else.
func (w *WASI) reset() {
	_ = w.Configure(wasmer.WASIConfig{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
}

// Configure sets what guests get that are instantiated from now on: arguments, environment, streams, folders and so on, and nothing
// of what they had before. Guests that are there keep what they have. It fails, and changes nothing, if something is wrong with
// the configuration.
func (w *WASI) Configure(config wasmer.WASIConfig) error {
	if w == nil {
		return errors.New("vm: WASI is not configured: see Config.WASI")
	}
	wasi := wasmer.NewWASI(config)
	if err := wasi.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wasi, w.exit = wasi, 0 // the old one is freed with its last guest
	return nil
}

// ExitCode is that of the guest that was called last: 0 unless it has exited with another.
func (w *WASI) ExitCode() uint32 {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.exit
}

// ended notes how a call has ended.
func (w *WASI) ended(err error) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var exit *wasmer.ExitError
	w.exit = 0
	if errors.As(err, &exit) {
		w.exit = exit.Code
	}
}

func (w *WASI) current() *wasmer.WASI {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wasi
}

func (w *WASI) close() error {
	if w == nil {
		return nil
	}
	return w.current().Close()
}
