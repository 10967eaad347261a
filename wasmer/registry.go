package wasmer

import (
	"errors"
	"fmt"
	"maps"
)

// The instances of a store: those that are open, and those that have names.

// holdFor is hold for an instance, which the store closes if it is closed before.
func (s *Store) holdFor(i *Instance) {
	s.hold()
	s.mu.Lock()
	defer s.mu.Unlock()
	i.next = s.open
	if s.open != nil {
		s.open.previous = i
	}
	s.open = i
}

// forget frees the names of an instance that was closed, and its place among the open ones.
func (s *Store) forget(i *Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.named, func(_ string, named *Instance) bool { return named == i })
	switch {
	case i.previous != nil:
		i.previous.next = i.next
	case s.open == i:
		s.open = i.next
	}
	if i.next != nil {
		i.next.previous = i.previous
	}
	i.previous, i.next = nil, nil
}

// closeInstances closes the instances that are open.
func (s *Store) closeInstances() {
	for {
		s.mu.Lock()
		i := s.open
		s.mu.Unlock()
		if i == nil {
			return
		}
		_ = i.Close()
		s.forget(i) // in case that it is just being closed by somebody else
	}
}

// reserve takes a name before the instance exists, so that two goroutines cannot both have it.
func (s *Store) reserve(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.named[name]; taken {
		return fmt.Errorf("%w: %q", ErrNameTaken, name)
	}
	if s.named == nil {
		s.named = map[string]*Instance{}
	}
	s.named[name] = nil
	return nil
}

func (s *Store) settle(name string, instance *Instance) {
	if name == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if instance == nil || instance.closed.Load() {
		delete(s.named, name)
		return
	}
	if instance.name == "" {
		instance.name = name
	}
	s.named[name] = instance
}

// Register gives an instance of the store a name, under which other modules of the store can import from it. It may have
// several.
func (s *Store) Register(name string, instance *Instance) error {
	if s == nil || instance == nil || instance.closed.Load() {
		return ErrClosed
	}
	if name == "" {
		return errors.New("wasmer: register: the name is empty")
	}
	if instance.store != s {
		return fmt.Errorf("%w: the instance to be named %q", ErrStoreMismatch, name)
	}
	if err := s.reserve(name); err != nil {
		return err
	}
	s.settle(name, instance)
	return nil
}

// Instance is the instance of this name, or nil.
func (s *Store) Instance(name string) *Instance {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.named[name]
}

// Instances lists the instances that have a name, by that name.
func (s *Store) Instances() map[string]*Instance {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	named := make(map[string]*Instance, len(s.named))
	for name, instance := range s.named {
		if instance != nil { // it is being made otherwise
			named[name] = instance
		}
	}
	return named
}
