package wasmer

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Async is a call under way on a goroutine of its own. Goroutines may share it. Nothing needs to be released.
type Async struct {
	cancel context.CancelFunc
	done   chan struct{}

	// The rest is written before done is closed.
	results  []Value
	err      error
	panicked any
}

// errGoroutineEnded is for a call whose host function has ended its goroutine.
var errGoroutineEnded = errors.New("wasmer: async: a host function ended its goroutine (runtime.Goexit)")

// CallAsync starts Call on a new goroutine and returns at once. The call waits its turn for the store as any other. If ctx
// ends, so does the call; nil stands for context.Background().
func (f *Function) CallAsync(ctx context.Context, args ...any) *Async {
	args = slices.Clone(args)
	return NewAsync(ctx, func(ctx context.Context) ([]Value, error) { return f.Call(ctx, args...) })
}

// NewAsync starts a Go function that calls guests on a new goroutine and returns at once: for what is more than one call. Cancel
// ends the context that it is given. If ctx ends, so does that; nil stands for context.Background().
func NewAsync(ctx context.Context, call func(context.Context) ([]Value, error)) *Async {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &Async{cancel: cancel, done: make(chan struct{}), err: errGoroutineEnded}
	go func() {
		defer close(a.done)
		defer cancel()
		defer func() { a.panicked = recover() }()
		a.results, a.err = call(ctx)
	}()
	return a
}

// Result waits for the end of the call, and gives what Call returned; every time the same. A call that was cancelled before it
// ended is ErrInterrupted, "execution interrupted". A panic of a host function goes on here.
func (a *Async) Result() ([]Value, error) {
	<-a.done
	if a.panicked != nil {
		panic(a.panicked)
	}
	return a.results, a.err
}

// WaitFor waits for the end of the call, but no longer than d, and reports whether the call has ended.
func (a *Async) WaitFor(d time.Duration) bool {
	select { // also if both are ready
	case <-a.done:
		return true
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-a.done:
		return true
	case <-timer.C:
		return false
	}
}

// Done is closed when the call has ended.
func (a *Async) Done() <-chan struct{} { return a.done }

// Cancel stops the guest, if the call has not ended. It does not wait for that: Result does. Cancelling twice does nothing.
func (a *Async) Cancel() { a.cancel() }
