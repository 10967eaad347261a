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
	// New makes the T of an instance that has none yet.
	New func() *T

	mu     sync.Mutex
	states map[weak.Pointer[wasmer.Instance]]state[T]
}

// state is what there is of an instance since it was reset last.
type state[T any] struct {
	value  *T
	resets uint64
}

// Of is the T of the instance, a new one after each Reset: who uses an instance then must find nothing of who did before. Calls
// into one instance run one at a time, so a host function may use it without a lock.
func (s *State[T]) Of(instance *wasmer.Instance) *T {
	key := weak.Make(instance)
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, ok := s.states[key]
	if resets := instance.Resets(); !ok || kept.resets != resets {
		if s.states == nil {
			s.states = map[weak.Pointer[wasmer.Instance]]state[T]{}
		}
		if !ok {
			runtime.AddCleanup(instance, s.forget, key)
		}
		kept = state[T]{s.New(), resets}
		s.states[key] = kept
	}
	return kept.value
}

func (s *State[T]) forget(key weak.Pointer[wasmer.Instance]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.states, key)
}
