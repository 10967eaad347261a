package wasmer

import (
	"runtime"
	"sync/atomic"
)

// handle owns something of the Rust side that goroutines share. It is freed once: when it is closed and no use is
// left, or when its owner is collected.
type handle[T any] struct {
	ptr       atomic.Pointer[T]
	delete    func(*T)
	collected func(*T)
	// state counts the uses under way; closedBit marks that no new one may begin, replacedBit that drop is to be called.
	state   atomic.Int64
	cleanup runtime.Cleanup
	// drop frees what was replaced.
	drop func()
}

const (
	closedBit   = 1 << 62
	freedBit    = closedBit >> 1
	replacedBit = closedBit >> 2
	useBits     = replacedBit - 1
)

// init takes over ptr. The owner is the Go object whose collection ends it, by collected.
func (h *handle[T]) init(owner any, ptr *T, free, collected func(*T)) {
	h.delete, h.collected = free, collected
	h.own(owner, ptr)
}

func (h *handle[T]) own(owner any, ptr *T) {
	h.ptr.Store(ptr)
	switch owner := owner.(type) {
	case *Engine:
		h.cleanup = runtime.AddCleanup(owner, h.collected, ptr)
	case *Module:
		h.cleanup = runtime.AddCleanup(owner, h.collected, ptr)
	case *Snapshot:
		h.cleanup = runtime.AddCleanup(owner, h.collected, ptr)
	}
}

// use begins a use, which release ends; ErrClosed after close.
func (h *handle[T]) use() (*T, error) {
	if h.ptr.Load() == nil {
		return nil, ErrClosed
	}
	if h.state.Add(1)&closedBit != 0 {
		h.release()
		return nil, ErrClosed
	}
	return h.ptr.Load(), nil // what is there now: it may have been replaced before the use began
}

func (h *handle[T]) release() {
	if state := h.state.Add(-1); state&useBits == 0 && state != 0 {
		h.settle()
	}
}

// replace puts another pointer in place: uses that begin from now on get it, and the last of those before calls drop with the
// old one. It fails if the handle is closed. It is called once at most.
func (h *handle[T]) replace(owner any, ptr *T, drop func(*T)) error {
	old, err := h.use() // which nobody frees meanwhile
	if err != nil {
		return err
	}
	h.cleanup.Stop()
	h.drop = func() { drop(old) }
	h.own(owner, ptr)
	h.state.Or(replacedBit)
	h.release()
	return nil
}

// close lets no new use begin; the last use, or close itself, frees.
func (h *handle[T]) close() {
	if h.ptr.Load() != nil && h.state.Or(closedBit)&closedBit == 0 {
		h.settle()
	}
}

// settle does what had to wait until there was a moment without uses. It may be reached more than once: the bits decide.
func (h *handle[T]) settle() {
	for {
		switch state := h.state.Load(); {
		case state&useBits != 0:
			return
		case state&replacedBit != 0:
			if h.state.CompareAndSwap(state, state&^replacedBit) {
				h.drop()
			}
		case state == closedBit:
			if h.state.CompareAndSwap(state, closedBit|freedBit) {
				h.cleanup.Stop()
				h.delete(h.ptr.Load())
			}
		default:
			return
		}
	}
}
