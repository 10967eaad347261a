package wasip1

import (
	"errors"
	"reflect"
	"time"
)

// wait waits until the channel is closed. It is false if the guest is to end before.
func (c *Call) wait(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
	}
	select {
	case <-done:
		return true
	case <-c.Context.Done():
	case <-c.ended:
	case <-c.Outer:
	}
	return false
}

// isEnding reports whether the guest is to end.
func (c *Call) isEnding() bool {
	select {
	case <-c.Context.Done():
		return true
	case <-c.ended:
		return true
	case <-c.Outer:
		return true
	default:
		return false
	}
}

// waitAny waits for one of several channels, at most until the timer rings; a nil timer never does. It is not ok if the guest
// is to end.
func (c *Call) waitAny(channels waits, timer <-chan time.Time) (rang, ok bool) {
	cases := []reflect.SelectCase{
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c.Context.Done())},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c.ended)},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c.Outer)},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(timer)},
	}
	for channel := range channels {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(channel)})
	}
	chosen, _, _ := reflect.Select(cases)
	return chosen == 3, chosen >= 3
}

// pending is a call of the host that may take for ever, made on a goroutine of its own, so that a guest that waits for it
// can be ended. It outlives the guest: what it brings is for whoever asks next.
type pending[T any] struct {
	done  chan struct{}
	value T
	err   error
	// panicked is what it panicked with, for the goroutine that waits.
	panicked any
}

func begin[T any](call func() (T, error)) *pending[T] {
	p := &pending[T]{done: make(chan struct{}), err: errGone}
	go func() {
		defer close(p.done)
		defer func() { p.panicked = recover() }()
		p.value, p.err = call()
	}()
	return p
}

// errGone stays if the goroutine ends in the midst of the call.
var errGone = errors.New("the goroutine ended")

// result is what the call brought, after done.
func (p *pending[T]) result() (T, error) {
	if p.panicked != nil {
		panic(p.panicked)
	}
	return p.value, p.err
}

// within waits for the end for a while.
func (p *pending[T]) within(d time.Duration) bool {
	if p.isDone() {
		return true
	}
	select {
	case <-p.done:
		return true
	case <-time.After(d):
		return false
	}
}

func (p *pending[T]) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
