package wasmer

import (
	"runtime"
	"sync/atomic"
)

// handle owns something of the Rust side that goroutines share. It is freed once: when it is closed and no use is
// left, or when its owner is collected.
type handle[T any] struct {
	ptr    *T
	delete func(*T)
	// state counts the uses under way; closedBit marks that no new one may begin.
	state   atomic.Int64
	cleanup runtime.Cleanup
}

const closedBit = 1 << 62

// init takes over ptr. The owner is the Go object whose collection ends it, by collected.
func (h *handle[T]) init(owner any, ptr *T, free, collected func(*T)) {
	h.ptr, h.delete = ptr, free
	switch owner := owner.(type) {
	case *Engine:
		h.cleanup = runtime.AddCleanup(owner, collected, ptr)
	case *Module:
		h.cleanup = runtime.AddCleanup(owner, collected, ptr)
	}
}

// use begins a use, which release ends; ErrClosed after close.
func (h *handle[T]) use() (*T, error) {
	if h.ptr == nil {
		return nil, ErrClosed
	}
	if h.state.Add(1)&closedBit != 0 {
		h.release()
		return nil, ErrClosed
	}
	return h.ptr, nil
}

func (h *handle[T]) release() {
	if h.state.Add(-1) == closedBit {
		h.free()
	}
}

// close lets no new use begin; the last use, or close itself, frees.
func (h *handle[T]) close() {
	if h.ptr == nil {
		return
	}
	for {
		state := h.state.Load()
		if state&closedBit != 0 {
			return
		}
		if h.state.CompareAndSwap(state, state|closedBit) {
			if state == 0 {
				h.free()
			}
			return
		}
	}
}

// free may be reached twice, by a late use that backs off: the second bit decides.
func (h *handle[T]) free() {
	const freedBit = closedBit >> 1
	if h.state.CompareAndSwap(closedBit, closedBit|freedBit) {
		h.cleanup.Stop()
		h.delete(h.ptr)
	}
}
