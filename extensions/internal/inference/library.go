package inference

import (
	"context"
	"crypto/sha256"
	"errors"
)

// ErrRefused: a guest brings a model that the host has not allowed.
var ErrRefused = errors.New("the model is none of the host's, and models of guests are not allowed")

// Library holds the models that guests may run. Goroutines may share it.
type Library struct {
	limits  Limits
	guests  bool
	byBytes map[[sha256.Size]byte]*Graph
}

// NewLibrary makes a library that lets guests bring any model, or only those of the host.
func NewLibrary(guests bool, limits Limits) (*Library, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	return &Library{limits.WithDefaults(), guests, map[[sha256.Size]byte]*Graph{}}, nil
}

// Add loads a model of the host. It is not to be called once guests use the library.
func (l *Library) Add(encoding Encoding, model []byte) (*Graph, error) {
	key := keyOf(encoding, model)
	if graph, ok := l.byBytes[key]; ok {
		return graph, nil
	}
	graph, err := Load(context.Background(), encoding, model, l.limits)
	if err != nil {
		return nil, err
	}
	l.byBytes[key] = graph
	return graph, nil
}

// MayLoad is an error if no model of so many bytes is allowed.
func (l *Library) MayLoad(size uint64) error {
	if err := l.limits.check(size); err != nil {
		return err
	}
	if !l.guests && len(l.byBytes) == 0 {
		return ErrRefused
	}
	return nil
}

// Load is the graph of a model that a guest brings: the host's if they are the same.
func (l *Library) Load(ctx context.Context, encoding Encoding, model []byte) (*Graph, error) {
	if graph, ok := l.byBytes[keyOf(encoding, model)]; ok {
		return graph, nil
	}
	if !l.guests {
		return nil, ErrRefused
	}
	return Load(ctx, encoding, model, l.limits)
}

// Memory is what a run may take.
func (l *Library) Memory() uint64 { return l.limits.Memory }

func keyOf(encoding Encoding, model []byte) (key [sha256.Size]byte) {
	hash := sha256.New()
	hash.Write([]byte{byte(encoding)})
	hash.Write(model)
	hash.Sum(key[:0])
	return key
}
