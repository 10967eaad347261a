//go:build wasmer_nn && !wasmer_llvm && !wasmer_headless

package inference

/*
#cgo CFLAGS: -std=c11 -DWASMERGO_NN -I${SRCDIR}/../../../wasmer/internal/ffi
#cgo linux,amd64 LDFLAGS: ${SRCDIR}/../../../wasmer/internal/ffi/libwasmer_go_nn_linux_amd64.a -lm -Wl,-z,noexecstack
#cgo linux,arm64 LDFLAGS: ${SRCDIR}/../../../wasmer/internal/ffi/libwasmer_go_nn_linux_arm64.a -lm -Wl,-z,noexecstack
#cgo darwin,amd64 LDFLAGS: ${SRCDIR}/../../../wasmer/internal/ffi/libwasmer_go_nn_darwin_amd64.a -framework CoreFoundation -framework Security -liconv
#cgo darwin,arm64 LDFLAGS: ${SRCDIR}/../../../wasmer/internal/ffi/libwasmer_go_nn_darwin_arm64.a -framework CoreFoundation -framework Security -liconv
#include "wasmer_go.h"
*/
import "C"

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// Available is nil if this build can run models.
func Available() error { return nil }

// Graph is a model that has been loaded. Goroutines may share it. It is freed when it is not reachable any more.
type Graph struct {
	// Inputs and Outputs are those of the model, in its order.
	Inputs, Outputs []Outlet
	graph           *C.wasmergo_nn_graph
}

// Load parses a model. It ends with the context's error once that ends.
func Load(ctx context.Context, encoding Encoding, model []byte, limits Limits) (*Graph, error) {
	limits = limits.WithDefaults()
	if err := limits.check(uint64(len(model))); err != nil {
		return nil, err
	}
	stop, ended := watch(ctx)
	defer ended()
	var graph *C.wasmergo_nn_graph
	data := (*C.uint8_t)(unsafe.SliceData(model))
	err := failure(C.wasmergo_nn_graph_new(C.uint32_t(encoding), data, C.size_t(len(model)), C.size_t(limits.Memory), stop, &graph))
	if err != nil {
		return nil, stopped(ctx, err)
	}
	g := &Graph{graph: graph}
	runtime.AddCleanup(g, func(graph *C.wasmergo_nn_graph) { C.wasmergo_nn_graph_delete(graph) }, graph)
	d := decoder{take(C.wasmergo_nn_graph_describe(graph))}
	g.Inputs, g.Outputs = d.outlets(), d.outlets()
	return g, nil
}

// Run computes outputs. The first run with inputs of these types and shapes prepares the model. It ends with the context's error
// once that ends, at the latest after the operation of the model that is being computed.
func (g *Graph) Run(ctx context.Context, inputs []Input, outputs []Which) ([]Tensor, error) {
	stop, ended := watch(ctx)
	defer ended()
	request := encode(inputs, outputs)
	var answer C.wasmergo_bytes
	err := failure(C.wasmergo_nn_graph_run(g.graph, (*C.uint8_t)(unsafe.SliceData(request)), C.size_t(len(request)), stop, &answer))
	runtime.KeepAlive(g)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	d := decoder{take(answer)}
	tensors := make([]Tensor, len(outputs))
	for i := range tensors {
		tensors[i] = d.tensor()
	}
	return tensors, nil
}

// watch gives a number that is not 0 once the context has ended, nil if it never does, and what ends the watch.
func watch(ctx context.Context) (*C.uint32_t, func() bool) {
	if ctx.Done() == nil {
		return nil, func() bool { return true }
	}
	stop := new(atomic.Uint32)
	if ctx.Err() != nil {
		stop.Store(1)
	}
	return (*C.uint32_t)(unsafe.Pointer(stop)), context.AfterFunc(ctx, func() { stop.Store(1) })
}

// stopped is the error of what has failed: why the context has ended, if it has.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrStopped, context.Cause(ctx))
	}
	return err
}

func encode(inputs []Input, outputs []Which) []byte {
	size := 8
	for _, input := range inputs {
		size += 32 + len(input.Name) + 8*len(input.Shape) + len(input.Data)
	}
	out := binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(len(inputs)))
	for _, input := range inputs {
		out = appendWhich(out, input.Which)
		out = binary.LittleEndian.AppendUint32(out, uint32(input.Type))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(input.Shape)))
		for _, dim := range input.Shape {
			out = binary.LittleEndian.AppendUint64(out, dim)
		}
		out = appendBytes(out, input.Data)
	}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(outputs)))
	for _, output := range outputs {
		out = appendWhich(out, output)
	}
	return out
}

func appendWhich(out []byte, which Which) []byte {
	index := which.Index
	if which.Name != "" {
		index = C.WASMERGO_NN_NAMED
	}
	return appendBytes(binary.LittleEndian.AppendUint32(out, index), []byte(which.Name))
}

func appendBytes(out, bytes []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(out, uint32(len(bytes))), bytes...)
}

func take(bytes C.wasmergo_bytes) []byte {
	out := make([]byte, int(bytes.len))
	copy(out, unsafe.Slice((*byte)(unsafe.Pointer(bytes.data)), int(bytes.len)))
	C.wasmergo_bytes_delete(bytes)
	return out
}

// failure takes over an error of the border, nil for success.
func failure(bytes C.wasmergo_bytes) error {
	if bytes.data == nil {
		return nil
	}
	d := decoder{take(bytes)}
	kind := d.uint32()
	d.next(4 + 8 + 4) // of traps and modules
	d.bytes()
	message := string(d.bytes())
	switch kind {
	case C.WASMERGO_ERROR_KIND_INVALID:
		return fmt.Errorf("%w: %s", ErrInvalid, message)
	case C.WASMERGO_ERROR_KIND_RESOURCE:
		return fmt.Errorf("%w: %s", ErrTooLarge, message)
	case C.WASMERGO_ERROR_KIND_INTERRUPTED:
		return errors.New(message)
	default:
		return fmt.Errorf("tract: %s", message)
	}
}

// decoder reads what Rust has encoded; see wasmer/internal/ffi.
type decoder struct{ rest []byte }

func (d *decoder) next(n int) []byte {
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out
}

func (d *decoder) uint32() uint32 { return binary.LittleEndian.Uint32(d.next(4)) }
func (d *decoder) uint64() uint64 { return binary.LittleEndian.Uint64(d.next(8)) }
func (d *decoder) bytes() []byte  { return d.next(int(d.uint32())) }

func (d *decoder) shape(rank uint32) []uint64 {
	if rank == C.WASMERGO_NN_OPEN {
		return nil
	}
	shape := make([]uint64, rank)
	for i := range shape {
		shape[i] = d.uint64()
	}
	return shape
}

func (d *decoder) outlets() []Outlet {
	outlets := make([]Outlet, d.uint32())
	for i := range outlets {
		outlets[i] = Outlet{Name: string(d.bytes()), Type: Type(d.uint32())}
		outlets[i].Shape = d.shape(d.uint32())
	}
	return outlets
}

func (d *decoder) tensor() Tensor {
	tensor := Tensor{Type: Type(d.uint32())}
	tensor.Shape = d.shape(d.uint32())
	tensor.Data = d.bytes()
	return tensor
}
