package gojs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// event is a function to be called when the guest waits.
type event struct {
	function value
	args     []value
	// spent is an array that nobody needs after the event, in all likelihood.
	spent *byteArray
}

// timers wait for their time, the next one first.
type timers struct {
	pending []timer
	last    int32
}

// timer wakes the guest up, or calls a function if it has one.
type timer struct {
	id       int32
	at       time.Duration
	function value
	args     []value
}

// maxTimers bounds the timers, maxEvents the events that wait.
const (
	maxTimers = 10_000
	maxEvents = 1 << 20
)

func (t *timers) clear(id int32) {
	t.pending = slices.DeleteFunc(t.pending, func(t timer) bool { return t.id == id })
}

func (t *timers) add(new timer) {
	at, _ := slices.BinarySearchFunc(t.pending, new, func(t, new timer) int {
		if t.at <= new.at { // of those of the same time the older one comes first
			return -1
		}
		return 1
	})
	t.pending = slices.Insert(t.pending, at, new)
}

func (g *guest) addTimer(delay time.Duration, function value, args []value) (id int32, err error) {
	if len(g.timers.pending) >= maxTimers {
		return 0, fmt.Errorf("%w: the guest has %d timers", wasmer.ErrResource, maxTimers)
	}
	g.timers.last = max(g.timers.last+1, 1)
	g.timers.add(timer{g.timers.last, g.clock.monotonic() + delay, function, args})
	return g.timers.last, nil
}

// post makes an event.
func (g *guest) post(function value, args ...value) error {
	if len(g.events) >= maxEvents {
		return fmt.Errorf("%w: %d JavaScript events wait for the guest", wasmer.ErrResource, maxEvents)
	}
	g.events = append(g.events, event{function: function, args: args})
	return nil
}

// loop serves the guest until it ends, always with an error.
func (g *guest) loop() error {
	for {
		if err := g.interrupted(); err != nil {
			return err
		}
		err := g.step()
		var thrown *exception
		if errors.As(err, &thrown) {
			return fmt.Errorf("gojs: uncaught JavaScript exception: %w", err)
		}
		if err != nil {
			return err
		}
	}
}

// step does what is next.
func (g *guest) step() error {
	if g.transfers > 0 && g.host.config.Deterministic {
		return g.await()
	}
	select {
	case done := <-g.completions:
		return g.complete(done)
	default:
	}
	if len(g.events) > 0 {
		next := g.events[0]
		g.events[0] = event{}
		g.events = g.events[1:]
		err := g.dispatch(next.function, next.args)
		if next.spent != nil {
			next.spent.spent = g.calls
		}
		return err
	}
	if len(g.timers.pending) == 0 && g.transfers == 0 {
		return g.starve()
	}
	return g.wait()
}

func (g *guest) dispatch(function value, args []value) error {
	f, ok := functionOf(function)
	if !ok {
		return g.typeError(typeOf(function) + " is not a function")
	}
	_, err := g.call(f.call, nil, args)
	return err
}

// starve tells the guest that nothing is ever going to happen, for which it has a message.
func (g *guest) starve() error {
	if g.starved {
		return errors.New("gojs: the guest waits, and nothing can happen any more")
	}
	g.starved = true
	deadlock := &object{prototype: g.prototypes.object}
	deadlock.properties.set("id", 0.0)
	return g.resumeWith(deadlock)
}

// wait lets time pass until a timer is due or a transfer has ended.
func (g *guest) wait() error {
	if len(g.timers.pending) == 0 {
		return g.await()
	}
	first := g.timers.pending[0]
	if delay := first.at - g.clock.monotonic(); delay > 0 {
		woken, err := g.sleep(delay)
		if woken || err != nil {
			return err
		}
	}
	return g.fire(first.id)
}

// await lets time pass until a transfer has ended.
func (g *guest) await() error {
	select {
	case done := <-g.completions:
		return g.complete(done)
	case <-g.waiting.Done():
		return g.interrupted()
	}
}

// sleep reports whether a transfer has ended before the time.
func (g *guest) sleep(delay time.Duration) (woken bool, err error) {
	if g.transfers == 0 {
		return false, g.slept(g.clock.sleep(g.waiting, delay))
	}
	ctx, cancel := context.WithCancel(g.waiting)
	defer cancel()
	slept := g.beginSleep(ctx, delay)
	select {
	case end := <-slept:
		return false, g.slept(end.result())
	case done := <-g.completions:
		cancel()
		if end := <-slept; end.panicked != nil {
			panic(end.panicked)
		}
		return true, g.complete(done)
	}
}

// beginSleep sleeps on a goroutine of its own.
func (g *guest) beginSleep(ctx context.Context, delay time.Duration) <-chan completion {
	slept := make(chan completion, 1)
	go func() {
		end := completion{err: errGone}
		defer func() {
			end.panicked = recover()
			slept <- end
		}()
		end.err = g.clock.sleep(ctx, delay)
	}()
	return slept
}

func (g *guest) slept(err error) error {
	if interrupted := g.interrupted(); interrupted != nil {
		return interrupted
	}
	if err != nil {
		return fmt.Errorf("gojs: Sleep: %w", err)
	}
	return nil
}

// fire does what a timer is for. One of Go's stays until Go clears it; if it was woken too early, by a clock that is at
// odds with Sleep, it is woken again.
func (g *guest) fire(id int32) error {
	at := slices.IndexFunc(g.timers.pending, func(t timer) bool { return t.id == id })
	t := g.timers.pending[at]
	if t.function != nil {
		g.timers.clear(id)
		return g.dispatch(t.function, t.args)
	}
	if err := g.resume(); err != nil {
		return err
	}
	at = slices.IndexFunc(g.timers.pending, func(t timer) bool { return t.id == id })
	if at >= 0 {
		g.timers.clear(id)
		t.at = g.clock.monotonic() + time.Millisecond
		g.timers.add(t)
	}
	return nil
}

// interrupted is an error when the context has ended, or the instance was closed.
func (g *guest) interrupted() error {
	if err := g.ctx.Err(); err != nil {
		if cause := context.Cause(g.ctx); cause != err {
			return fmt.Errorf("%w: %w: %w", wasmer.ErrInterrupted, err, cause)
		}
		return fmt.Errorf("%w: %w", wasmer.ErrInterrupted, err)
	}
	if !g.isClosed() {
		return nil
	}
	exit := &wasmer.ExitError{Module: g.instance.Name()}
	if _, err := g.instance.Function("resume"); errors.As(err, &exit) {
		return err
	}
	return exit // it was Close
}

func (g *guest) isClosed() bool {
	select {
	case <-g.instance.Done():
		return true
	default:
		return false
	}
}
