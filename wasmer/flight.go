package wasmer

import (
	"context"
	"errors"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// flights lets goroutines that want the same module wait for one that makes it.
type flights struct {
	mu    sync.Mutex
	under map[CacheKey]*flight
}

// flight is a module in the making. It goes on as long as somebody waits for it.
type flight struct {
	// waiting belongs to the lock of all.
	waiting int
	cancel  context.CancelFunc
	// The rest is there when done is closed.
	done     chan struct{}
	module   *ffi.Module
	made     bool
	err      error
	panicked any
}

var errCacheGoexit = errors.New("wasmer: compile: a function of the cache has ended its goroutine")

// join makes a module, or waits for the one who does; made is what the first one says of it. Each caller gets a handle of its
// own. It is made on a goroutine of its own: when the context of the first caller ends, the others go on. A panic is that of all
// callers.
func (all *flights) join(ctx context.Context, key CacheKey, land func(context.Context) (module *ffi.Module, made bool, err error)) (
	module *ffi.Module, first, made bool, err error,
) {
	if ctx == nil {
		ctx = context.Background()
	}
	all.mu.Lock()
	f := all.under[key]
	if first = f == nil; first {
		f = all.start(ctx, key, land)
	}
	f.waiting++
	all.mu.Unlock()

	select {
	case <-f.done:
	case <-ctx.Done():
		if all.leave(key, f) {
			return nil, first, false, interrupted(ctx)
		}
		f.cancel()
		<-f.done // nothing goes on behind the caller's back
	}
	if module, err = all.take(f); errors.Is(err, ErrInterrupted) && ctx.Err() != nil {
		err = interrupted(ctx) // which has a cause, as the flight's own context has not
	}
	return module, first, f.made, err
}

// start begins a flight, with the lock held.
func (all *flights) start(ctx context.Context, key CacheKey, land func(context.Context) (module *ffi.Module, made bool, err error)) *flight {
	f := &flight{done: make(chan struct{}), err: errCacheGoexit}
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if all.under == nil {
		all.under = map[CacheKey]*flight{}
	}
	all.under[key] = f
	go func() {
		defer func() {
			f.panicked = recover()
			f.cancel()
			all.mu.Lock()
			all.remove(key, f)
			all.mu.Unlock()
			close(f.done)
		}()
		f.module, f.made, f.err = land(ctx)
	}()
	return f
}

func (all *flights) remove(key CacheKey, f *flight) {
	if all.under[key] == f {
		delete(all.under, key)
	}
}

// leave reports whether others are left that wait. The last one stays, and nobody joins it any more.
func (all *flights) leave(key CacheKey, f *flight) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	if f.waiting > 1 {
		f.waiting--
		return true
	}
	all.remove(key, f)
	return false
}

// take gives what was made: to the last one as it is, to the others another handle of it.
func (all *flights) take(f *flight) (*ffi.Module, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	f.waiting--
	switch {
	case f.panicked != nil:
		panic(f.panicked)
	case f.module == nil || f.waiting == 0:
		return f.module, f.err
	}
	return f.module.Share(), nil
}
