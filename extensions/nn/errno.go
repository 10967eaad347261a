package nn

import (
	"errors"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/inference"
)

// Errno is what the functions of the module return to the guest.
type Errno uint32

// The numbers, as in [wasi-nn].
//
// [wasi-nn]: https://github.com/WebAssembly/wasi-nn/blob/main/wasi-nn.witx
const (
	Success Errno = iota
	InvalidArgument
	InvalidEncoding
	MissingMemory
	Busy
	RuntimeError
	UnsupportedOperation
	TooLarge
	NotFound
)

var errnoNames = [...]string{
	"success", "invalid argument", "invalid encoding", "missing memory", "busy", "runtime error", "unsupported operation",
	"too large", "not found",
}

func (e Errno) String() string {
	if uint64(e) < uint64(len(errnoNames)) {
		return errnoNames[e]
	}
	return fmt.Sprintf("errno %d", uint32(e))
}

// failed is an error that the guest sees as this number.
type failed struct {
	errno  Errno
	reason string
}

func (f *failed) Error() string { return f.reason }

func fail(errno Errno, format string, args ...any) error {
	return &failed{errno, fmt.Sprintf(format, args...)}
}

// errnoOf is what the guest sees of an error. A context that has ended ends the guest too.
func errnoOf(err error) (Errno, error) {
	if err == nil {
		return Success, nil
	}
	if errors.Is(err, inference.ErrStopped) {
		return RuntimeError, err
	}
	var known *failed
	switch {
	case errors.As(err, &known):
		return known.errno, nil
	case errors.Is(err, inference.ErrInvalid):
		return InvalidArgument, nil
	case errors.Is(err, inference.ErrTooLarge):
		return TooLarge, nil
	case errors.Is(err, inference.ErrRefused):
		return UnsupportedOperation, nil
	}
	return RuntimeError, nil
}
