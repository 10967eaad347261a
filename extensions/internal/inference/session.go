package inference

import (
	"context"
	"fmt"
	"slices"
)

// Sessions are those of one instance of a guest, and the tensors that they have computed: handles are numbers above 0.
type Sessions struct {
	sessions Table[*Session]
	tensors  Table[Tensor]
}

// Session is a graph with what it is to be given and what it is to compute.
type Session struct {
	Graph   *Graph
	Inputs  []Input
	Outputs []Which

	results []Tensor
	handles map[int]uint32 // of results, by index
}

// Create keeps a session of the graph, if there are fewer than limit.
func (s *Sessions) Create(graph *Graph, limit int) (uint32, error) {
	return s.sessions.Add(&Session{Graph: graph, handles: map[int]uint32{}}, limit)
}

// Get is a session.
func (s *Sessions) Get(handle uint64) (*Session, error) {
	if handle >= 1<<32 {
		return nil, fmt.Errorf("%w: there is no session %d", ErrInvalid, handle)
	}
	return s.sessions.Get(uint32(handle))
}

// Delete forgets a session and its tensors. 0 is no session.
func (s *Sessions) Delete(handle uint64) error {
	if handle == 0 {
		return nil
	}
	session, err := s.Get(handle)
	if err != nil {
		return err
	}
	s.Forget(session)
	s.sessions.Remove(uint32(handle))
	return nil
}

// Forget makes the tensors of the last run invalid.
func (s *Sessions) Forget(session *Session) {
	for _, handle := range session.handles {
		s.tensors.Remove(handle)
	}
	clear(session.handles)
	session.results = nil
}

// Run computes the outputs of a session.
func (s *Sessions) Run(ctx context.Context, session *Session) (err error) {
	s.Forget(session)
	session.results, err = session.Graph.Run(ctx, session.Inputs, session.Outputs)
	return err
}

// Output is the handle of a tensor that was computed, 0 if there is none. It is valid until the session runs again.
func (s *Sessions) Output(session *Session, which Which) uint32 {
	at := slices.Index(session.Outputs, which)
	if at < 0 || at >= len(session.results) {
		return 0
	}
	if handle, ok := session.handles[at]; ok {
		return handle
	}
	handle, err := s.tensors.Add(session.results[at], 1<<20)
	if err != nil {
		return 0
	}
	session.handles[at] = handle
	return handle
}

// Tensor is a tensor that was computed. 0 is an empty one.
func (s *Sessions) Tensor(handle uint64) (Tensor, error) {
	if handle == 0 {
		return Tensor{}, nil
	}
	if handle >= 1<<32 {
		return Tensor{}, fmt.Errorf("%w: there is no tensor %d", ErrInvalid, handle)
	}
	return s.tensors.Get(uint32(handle))
}
