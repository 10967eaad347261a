// Package inference runs models of ONNX, TensorFlow and TensorFlow Lite, with the Rust crate tract. It needs an archive that
// has tract, and the build tag wasmer_nn, which links it; else Load returns ErrNotBuilt.
package inference

import (
	"errors"
	"fmt"
	"slices"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// ErrNotBuilt says how to build a program that can run models. It is a wasmer.ErrUnsupported.
var ErrNotBuilt = fmt.Errorf("%w: inference is not part of this build: run './justw build nn' in the module's root, and build "+
	"with '-tags wasmer_nn' (without wasmer_llvm and wasmer_headless)", wasmer.ErrUnsupported)

// The ways in which a model fails. What is none of them is a bug behind the border.
var (
	// ErrInvalid: the model, or the tensors that it is given, are not right.
	ErrInvalid = errors.New("invalid")
	// ErrTooLarge: the model, or its tensors, exceed a limit.
	ErrTooLarge = errors.New("too large")
	// ErrStopped is about a context that has ended; the error also is its cause.
	ErrStopped = errors.New("stopped while a model was at work")
)

// Encoding is the format of a model, by wasi-nn's number.
type Encoding uint32

// The encodings.
const (
	ONNX           Encoding = 1
	TensorFlow     Encoding = 2
	TensorFlowLite Encoding = 4
)

// Type is what a tensor is made of. The first six are wasi-nn's.
type Type uint32

// The types.
const (
	Float16 Type = iota
	Float32
	Float64
	Uint8
	Int32
	Int64
	Int8
	Int16
	Uint16
	Uint32
	Uint64
	Bool
)

var sizes = [...]uint64{Float16: 2, Float32: 4, Float64: 8, Uint8: 1, Int32: 4, Int64: 8, Int8: 1, Int16: 2, Uint16: 2, Uint32: 4, Uint64: 8, Bool: 1}

// Size is the number of bytes of one, 0 for an unknown type.
func (t Type) Size() uint64 {
	if uint64(t) >= uint64(len(sizes)) {
		return 0
	}
	return sizes[t]
}

// Tensor is a value of a model: its bytes are little-endian, row by row.
type Tensor struct {
	Type  Type
	Shape []uint64
	Data  []byte
}

// Open stands for a type that a model does not fix, OpenDimension for a dimension.
const (
	Open                 = ^Type(0)
	OpenDimension uint64 = ^uint64(0)
)

// Outlet is an input or output of a model.
type Outlet struct {
	Name string
	Type Type
	// Shape is nil if even the number of dimensions is open.
	Shape []uint64
}

// Which names an outlet: by its name, or by its index if that is empty.
type Which struct {
	Name  string
	Index uint32
}

// Input gives an input its value.
type Input struct {
	Which
	Tensor
}

// Limits bound what models may use.
type Limits struct {
	// ModelSize is the number of bytes of a model, 64 MiB if 0.
	ModelSize uint64
	// Memory is the number of bytes that loading a model takes, and each run; 256 MiB if 0.
	Memory uint64
}

// WithDefaults has no zeros.
func (l Limits) WithDefaults() Limits {
	if l.ModelSize == 0 {
		l.ModelSize = 64 << 20
	}
	if l.Memory == 0 {
		l.Memory = 256 << 20
	}
	return l
}

func (l Limits) check(size uint64) error {
	if size > l.ModelSize {
		return fmt.Errorf("%w: the model has %d bytes of at most %d", ErrTooLarge, size, l.ModelSize)
	}
	return nil
}

// MaxRank is how many dimensions a tensor of a guest may have.
const MaxRank = 32

// Elements is the number of elements of a shape, false if it has no such number.
func Elements(shape []uint64) (uint64, bool) {
	n := uint64(1)
	if slices.Contains(shape, 0) {
		return 0, true
	}
	for _, dim := range shape {
		if dim > 1<<40/n {
			return 0, false
		}
		n *= dim
	}
	return n, true
}
