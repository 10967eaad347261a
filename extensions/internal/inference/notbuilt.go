//go:build !wasmer_nn || wasmer_llvm || wasmer_headless

package inference

import "context"

// Available is nil if this build can run models.
func Available() error { return ErrNotBuilt }

// Graph is a model that has been loaded.
type Graph struct{ Inputs, Outputs []Outlet }

// Load parses a model.
func Load(context.Context, Encoding, []byte, Limits) (*Graph, error) { return nil, ErrNotBuilt }

// Run computes outputs.
func (*Graph) Run(context.Context, []Input, []Which) ([]Tensor, error) { return nil, ErrNotBuilt }
