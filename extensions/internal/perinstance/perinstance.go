// Package perinstance keeps what a host module knows of each of its guests, so that a handle of one is useless in another.
package perinstance

import (
	"runtime"
	"sync"
	"weak"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// State holds a T for each instance, and does not keep the instance. Goroutines may share it.
type State[T any] struct {
	// New makes the T of an instance that has none yet, or was reset.
	New func() *T

	mu     sync.Mutex
	states map[weak.Pointer[wasmer.Instance]]kept[T]
}

type kept[T any] struct {
	state  *T
	resets uint64
}

// Of is the T of the instance. Calls into one instance run one at a time, so a host function may use it without a lock.
func (s *State[T]) Of(instance *wasmer.Instance) *T {
	key, resets := weak.Make(instance), instance.Resets()
	s.mu.Lock()
	defer s.mu.Unlock()
	is, ok := s.states[key]
	if ok && is.resets == resets {
		return is.state
	}
	if !ok {
		runtime.AddCleanup(instance, s.forget, key)
	}
	if s.states == nil {
		s.states = map[weak.Pointer[wasmer.Instance]]kept[T]{}
	}
	is = kept[T]{s.New(), resets}
	s.states[key] = is
	return is.state
}

func (s *State[T]) forget(key weak.Pointer[wasmer.Instance]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.states, key)
}
