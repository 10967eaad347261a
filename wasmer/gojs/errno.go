package gojs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasip1"
)

// errnoError is what a call of fs fails with, by its code, such as "ENOENT".
type errnoError string

func (e errnoError) Error() string { return string(e) }

// knownCodes are those that Go programs know; any other makes them panic.
var knownCodes = func() map[string]bool {
	known := map[string]bool{}
	for e := wasip1.E2BIG; e <= wasip1.EXDEV; e++ {
		known[e.Error()] = true
	}
	for _, e := range []wasip1.Errno{wasip1.EOWNERDEAD, wasip1.ENOTRECOVERABLE, wasip1.ETXTBSY} {
		delete(known, e.Error())
	}
	return known
}()

// codeOf is the code that tells a guest of an error.
func codeOf(err error) string {
	if code := errnoCode(err); knownCodes[code] {
		return code
	}
	return "EIO"
}

func errnoCode(err error) string {
	var own errnoError
	if errors.As(err, &own) {
		return string(own)
	}
	var wasi wasip1.Errno
	if errors.As(err, &wasi) {
		if wasi == wasip1.ENOTCAPABLE {
			return "EPERM"
		}
		return wasi.Error()
	}
	var system syscall.Errno
	if errors.As(err, &system) {
		return unix.ErrnoName(system)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "ENOENT"
	case errors.Is(err, fs.ErrExist):
		return "EEXIST"
	case errors.Is(err, fs.ErrPermission):
		return "EACCES"
	case errors.Is(err, fs.ErrInvalid):
		return "EINVAL"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "ETIMEDOUT"
	case errors.Is(err, io.ErrClosedPipe):
		return "EPIPE"
	case errors.Is(err, fs.ErrClosed):
		return "EBADF"
	case errors.Is(err, errors.ErrUnsupported):
		return "ENOSYS"
	}
	return ""
}

// newErrno makes the JavaScript error of a call that failed.
func (g *guest) newErrno(err error, call string) (*object, error) {
	code := codeOf(err)
	o, err := g.make(&object{prototype: g.prototypes.error})
	o.properties.set("code", code)
	o.properties.set("message", code+": "+call)
	return o, err
}

// throwErrno is for calls without a callback.
func (g *guest) throwErrno(err error, call string) error {
	o, failed := g.newErrno(err, call)
	if failed != nil {
		return failed
	}
	return &exception{o}
}
