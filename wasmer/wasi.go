package wasmer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"net"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// WASIConfig is what a guest gets of its surroundings: nothing that is not said here. The zero value is a guest without
// arguments, environment, files and input, whose output is discarded; it has the time, and randomness.
type WASIConfig struct {
	// Args are the arguments, the program's name first. None may be empty or hold a NUL.
	Args []string
	// Env is the environment. A key may not be empty or hold "=", neither key nor value a NUL. The guest sees it in the
	// order of the keys.
	Env map[string]string

	// Stdin is what the guest reads; nil is at its end at once. It is read when the guest reads, and never closed. A
	// reader that may wait is read on a goroutine of its own, so that the guest can be ended meanwhile; what it
	// brings after that is for the next guest that has the WASI.
	Stdin io.Reader
	// Stdout and Stderr take what the guest writes, when it writes; nil discards it. An error of theirs is an error for
	// the guest. They are never closed, and used by one guest at a time. Pipes, terminals, connections, writers with a
	// method SetWriteDeadline or WriteHeader and those that MayWait marks are written on a goroutine of their own when
	// they would wait: one that does is left alone 100 ms after its guest was ended. Other writers hold a guest as
	// long as they wait.
	Stdout, Stderr io.Writer

	// Mounts are the file systems that the guest sees, open as its file descriptors from 3 on.
	Mounts []Mount
	// Listeners and Conns are sockets for the guest: file descriptors that follow those of the mounts, in this order.
	// They are shared by the instances, and never closed. A guest waits for them unless it sets the flag NONBLOCK of
	// their descriptors, as servers written in Go must (syscall.SetNonblock).
	Listeners []net.Listener
	Conns     []net.Conn

	// Now is the wall clock, Monotonic the other one, which never goes back; nil stands for the real ones.
	Now       func() time.Time
	Monotonic func() time.Duration
	// Sleep waits, until the context ends at the latest; nil waits really.
	Sleep func(ctx context.Context, d time.Duration) error
	// Yield lets others run; nil is runtime.Gosched.
	Yield func()
	// Random is where random bytes come from, read by one guest at a time; nil is crypto/rand.
	Random io.Reader
	// Deterministic makes each run the same: what of the clocks, Sleep and Random is nil starts at a fixed value for each
	// instance, and the clocks go on by sleeping, and by a microsecond each time that they are read.
	Deterministic bool
}

// Mount is a file system that a guest sees under a path: a folder of the host, or any fs.FS. Whatever the guest does, and
// whoever changes the folder meanwhile, it reaches what lies beneath, and nothing else: symbolic links that lead outside
// are not followed.
type Mount struct {
	// Guest is the path for the guest, such as "/" or "/data".
	Guest string
	// Host is a folder of the host. The process must be allowed to read, not only to search, the folders on the way to a
	// file in it.
	Host string
	// FS is a file system in place of Host. It is read only, but for a *MemFS. What os.DirFS makes, which itself follows
	// links out of its folder, is taken as that folder.
	FS fs.FS
	// ReadOnly refuses all changes through this mount; another mount of the same folder may allow them.
	ReadOnly bool
}

// WASI is a checked WASIConfig, for any number of instances at once, each with file descriptors and clocks of its own.
// Goroutines may share it.
//
// See https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md
type WASI struct {
	system *wasip1.System
	err    error
	closed atomic.Bool
}

// NewWASI checks the configuration and opens its folders. Its error is kept for Err, and for whatever instantiates.
func NewWASI(config WASIConfig) *WASI {
	w := &WASI{}
	if w.err = config.check(); w.err != nil {
		return w
	}
	var preopens []wasip1.Preopen
	if preopens, w.err = openMounts(config.Mounts); w.err != nil {
		return w
	}
	var env []string
	for _, key := range slices.Sorted(maps.Keys(config.Env)) {
		env = append(env, key+"="+config.Env[key])
	}
	w.system = wasip1.NewSystem(wasip1.Config{
		Args: slices.Clone(config.Args), Env: env, Stdin: config.Stdin, Stdout: config.Stdout, Stderr: config.Stderr,
		Preopens: preopens, Listeners: slices.Clone(config.Listeners), Conns: slices.Clone(config.Conns),
		Now: config.Now, Monotonic: config.Monotonic, Sleep: config.Sleep, Yield: config.Yield, Random: config.Random,
		Deterministic: config.Deterministic,
	})
	return w
}

// Err is what is wrong with the configuration; it names the setting.
func (w *WASI) Err() error {
	switch {
	case w == nil || w.closed.Load():
		return ErrClosed
	default:
		return w.err
	}
}

// Close gives back the folders, which otherwise happens when the WASI is collected. Instances that have it keep the files
// that they have open, and can open no others. Closing twice, or nil, does nothing.
func (w *WASI) Close() error {
	if w == nil || w.closed.Swap(true) || w.system == nil {
		return nil
	}
	return w.system.Close()
}

// wasiErrorf makes an error about a setting, whose name comes first.
func wasiErrorf(format string, args ...any) error {
	return fmt.Errorf("wasmer: WASI: "+format, args...)
}

// check names the setting that is wrong.
func (c *WASIConfig) check() error {
	size := 0
	for i, arg := range c.Args {
		size += len(arg) + 1
		switch {
		case arg == "":
			return wasiErrorf("Args[%d] is empty", i)
		case strings.Contains(arg, "\x00"):
			return wasiErrorf("Args[%d], %q, holds a NUL", i, arg)
		}
	}
	for key, value := range c.Env {
		size += len(key) + len(value) + 2
		switch {
		case key == "":
			return wasiErrorf("Env has an empty key")
		case strings.ContainsAny(key, "=\x00"):
			return wasiErrorf("the key %q of Env holds %q or a NUL", key, "=")
		case strings.Contains(value, "\x00"):
			return wasiErrorf("Env[%q], %q, holds a NUL", key, value)
		}
	}
	if size > math.MaxInt32 {
		return wasiErrorf("Args and Env have %d bytes, more than a guest can hold", size)
	}
	settings := map[string]any{"Stdin": c.Stdin, "Stdout": c.Stdout, "Stderr": c.Stderr, "Random": c.Random}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if isNilPointer(settings[name]) {
			return wasiErrorf("%s is a nil %T", name, settings[name])
		}
	}
	for i, l := range c.Listeners {
		if l == nil || isNilPointer(l) {
			return wasiErrorf("Listeners[%d] is nil", i)
		}
	}
	for i, conn := range c.Conns {
		if conn == nil || isNilPointer(conn) {
			return wasiErrorf("Conns[%d] is nil", i)
		}
	}
	return nil
}

// isNilPointer finds interfaces that are not nil, but hold a nil.
func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

func openMounts(mounts []Mount) (preopens []wasip1.Preopen, err error) {
	defer func() {
		if err != nil {
			for _, p := range preopens {
				_ = p.Dir.Close()
			}
		}
	}()
	seen := map[string]int{}
	for i, mount := range mounts {
		guest, err := mount.path()
		if err != nil {
			return preopens, wasiErrorf("Mounts[%d].Guest, %q, %w", i, mount.Guest, err)
		}
		if other, taken := seen[guest]; taken {
			return preopens, wasiErrorf("Mounts[%d].Guest, %q, is that of Mounts[%d] too", i, mount.Guest, other)
		}
		seen[guest] = i
		dir, err := mount.open()
		if err != nil {
			return preopens, wasiErrorf("Mounts[%d], for %q: %w", i, mount.Guest, err)
		}
		preopens = append(preopens, wasip1.Preopen{Guest: guest, Dir: dir})
	}
	return preopens, nil
}

// path is the guest's path in its shortest form.
func (m *Mount) path() (string, error) {
	switch cleaned := path.Clean(m.Guest); {
	case m.Guest == "":
		return "", errors.New("is empty")
	case strings.Contains(m.Guest, "\x00"):
		return "", errors.New("holds a NUL")
	case cleaned == ".." || strings.HasPrefix(cleaned, "../"):
		return "", errors.New("leads upwards")
	default:
		return cleaned, nil
	}
}

func (m *Mount) open() (dir wasip1.Dir, err error) {
	if (m.Host == "") == (m.FS == nil) || isNilPointer(m.FS) {
		return nil, errors.New("either Host or FS is to be set")
	}
	folder, isFolder := m.Host, m.FS == nil
	if !isFolder {
		folder, isFolder = wasip1.HostFolder(m.FS)
	}
	readOnly := m.ReadOnly || m.FS != nil
	if memory, ok := m.FS.(*MemFS); ok && memory.files == nil {
		return nil, errors.New("the MemFS was not made by NewMemFS")
	} else if ok {
		dir, readOnly = memory.files.Root(), m.ReadOnly
	} else if isFolder {
		info, err := os.Stat(folder)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%q is no folder", folder)
		}
		if err != nil {
			return nil, err
		}
		if dir, err = wasip1.OpenHost(folder); err != nil {
			return nil, err
		}
	} else {
		if _, err := fs.Stat(m.FS, "."); err != nil {
			return nil, err
		}
		dir = wasip1.NewFS(m.FS)
	}
	if readOnly {
		dir = wasip1.ReadOnly(dir)
	}
	return dir, nil
}

// Inherit takes over from the process what the configuration leaves open: its arguments, environment, standard input,
// output and errors. Files are not among it.
func (c WASIConfig) Inherit() WASIConfig {
	if c.Args == nil {
		c.Args = slices.Clone(os.Args)
	}
	if c.Env == nil {
		c.Env = map[string]string{}
		for _, variable := range os.Environ() {
			if key, value, ok := strings.Cut(variable, "="); ok && key != "" {
				c.Env[key] = value
			}
		}
	}
	if c.Stdin == nil {
		c.Stdin = os.Stdin
	}
	if c.Stdout == nil {
		c.Stdout = os.Stdout
	}
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	return c
}

// MayWait marks a writer for Stdout or Stderr that may wait for long, so that the guest can be ended meanwhile. Each write then
// takes some microseconds longer.
func MayWait(w io.Writer) io.Writer { return wasip1.Waiting{Writer: w} }

// Capture makes buffers for what the guests write to Stdout and Stderr.
func (c *WASIConfig) Capture() (stdout, stderr *Buffer) {
	stdout, stderr = &Buffer{}, &Buffer{}
	c.Stdout, c.Stderr = stdout, stderr
	return stdout, stderr
}
