// Package tensorflow lets guests run frozen graphs of TensorFlow: it is the module wasmedge_tensorflow of [WasmEdge-tensorflow]
// 0.11.2, on the Rust crate tract.
//
// It needs an archive with tract and the build tag wasmer_nn, which chooses it: `./justw build nn`, then
// `go build -tags wasmer_nn`. Without the tag the package compiles, and New returns an error that says so.
//
// Sessions and tensors are numbers that are valid in one instance; a tensor is valid until its session runs again. What the
// original answers by a crash (a handle that is none, a pointer out of the memory) ends the guest with an error, where the
// function has no result to tell of it.
//
// [WasmEdge-tensorflow]: https://github.com/second-state/WasmEdge-tensorflow/tree/0.11.2
package tensorflow

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/inference"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// ModuleName is what guests import from.
const ModuleName = "wasmedge_tensorflow"

// Config says which models guests may run, and what these may use. The zero value allows none.
type Config struct {
	// Models are the frozen graphs that guests may bring.
	Models [][]byte
	// GuestModels lets guests bring any other. They are bounded like those of the host, but tract was not written against
	// hostile models: allow it for guests that you would also let choose a native library.
	GuestModels bool
	// MaxModelSize is the number of bytes of a model, 64 MiB if 0.
	MaxModelSize uint64
	// MaxMemory is the number of bytes that loading a model takes, and each run of one, and what the inputs of a session hold; 256 MiB if 0.
	MaxMemory uint64
	// MaxSessions is how many sessions an instance may have at a time, 32 if 0.
	MaxSessions int
	// Logger is told why a call of a guest has failed. None if nil.
	Logger *slog.Logger
}

// maxOutlets is how many inputs, and outputs, a session has at most.
const maxOutlets = 1024

// Module is the module wasmedge_tensorflow. It goes for any number of instances, whose handles are their own. Goroutines may
// share it.
type Module struct{ host *inference.Host }

// New loads the models of the host. It is a wasmer.ErrUnsupported if this build has no inference.
func New(config Config) (*Module, error) {
	host, err := inference.NewHost(inference.HostConfig{
		Module: ModuleName, Encoding: inference.TensorFlow, Models: config.Models, GuestModels: config.GuestModels,
		Limits:      inference.Limits{ModelSize: config.MaxModelSize, Memory: config.MaxMemory},
		MaxSessions: config.MaxSessions, Logger: config.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &Module{host}, nil
}

// AddTo defines the functions.
func (m *Module) AddTo(imports *wasmer.Imports) {
	imports.Namespace(ModuleName).
		Function("wasmedge_tensorflow_create_session", m.host.CreateSession).
		Function("wasmedge_tensorflow_delete_session", m.host.DeleteSession).
		Function("wasmedge_tensorflow_run_session", m.host.RunSession).
		Function("wasmedge_tensorflow_get_output_tensor", m.outputTensor).
		Function("wasmedge_tensorflow_get_tensor_len", m.host.TensorLen).
		Function("wasmedge_tensorflow_get_tensor_data", m.host.TensorData).
		Function("wasmedge_tensorflow_append_input", m.appendInput).
		Function("wasmedge_tensorflow_append_output", m.appendOutput).
		Function("wasmedge_tensorflow_clear_input", m.clearInput).
		Function("wasmedge_tensorflow_clear_output", m.clearOutput)
}

// types are TensorFlow's numbers of types.
var types = map[uint32]inference.Type{
	1: inference.Float32, 2: inference.Float64, 3: inference.Int32, 4: inference.Uint8, 5: inference.Int16, 6: inference.Int8,
	9: inference.Int64, 10: inference.Bool, 17: inference.Uint16, 19: inference.Float16, 22: inference.Uint32, 23: inference.Uint64,
}

// which is how the model knows an output of an operation.
func (m *Module) which(memory *wasmer.Memory, name, size, index uint32) (inference.Which, error) {
	operation, err := m.host.Name(memory, name, size)
	return inference.Which{Name: fmt.Sprintf("%s:%d", operation, index)}, err
}

func (m *Module) outputTensor(c *wasmer.Caller, handle uint64, name, size, index uint32) (uint64, error) {
	memory, session, sessions, err := m.host.Session(c, handle)
	if err != nil {
		return 0, err
	}
	which, err := m.which(memory, name, size, index)
	if err != nil {
		return 0, err
	}
	return uint64(sessions.Output(session, which)), nil
}

func (m *Module) appendInput(c *wasmer.Caller, handle uint64, name, nameLen, index, dims, rank, of, data, size uint32) error {
	memory, session, _, err := m.host.Session(c, handle)
	if err != nil {
		return err
	}
	which, err := m.which(memory, name, nameLen, index)
	if err != nil {
		return err
	}
	held := uint64(size)
	for _, input := range session.Inputs {
		held += uint64(len(input.Data))
	}
	if held > m.host.Limits.Memory || len(session.Inputs) == maxOutlets {
		return m.host.Errorf("the inputs of a session are %w", inference.ErrTooLarge)
	}
	tensor, err := m.tensor(memory, dims, rank, of, data, size)
	if err != nil {
		return err
	}
	session.Inputs = append(session.Inputs, inference.Input{Which: which, Tensor: tensor})
	return nil
}

// tensor reads an input, whose dimensions have 64 bits each.
func (m *Module) tensor(memory *wasmer.Memory, dims, rank, of, data, size uint32) (tensor inference.Tensor, err error) {
	var ok bool
	if tensor.Type, ok = types[of]; !ok {
		return tensor, m.host.Errorf("type %d of a tensor is not supported", of)
	}
	if rank > inference.MaxRank {
		return tensor, m.host.Errorf("a tensor of %d dimensions: %d are allowed", rank, inference.MaxRank)
	}
	bytes, err := memory.Read(uint64(dims), 8*uint64(rank))
	if err != nil {
		return tensor, err
	}
	for ; len(bytes) > 0; bytes = bytes[8:] {
		tensor.Shape = append(tensor.Shape, binary.LittleEndian.Uint64(bytes))
	}
	if n, ok := inference.Elements(tensor.Shape); !ok || n*tensor.Type.Size() != uint64(size) {
		return tensor, m.host.Errorf("a tensor of shape %d does not have %d bytes", tensor.Shape, size)
	}
	tensor.Data, err = memory.Read(uint64(data), uint64(size))
	return tensor, err
}

func (m *Module) appendOutput(c *wasmer.Caller, handle uint64, name, size, index uint32) error {
	memory, session, _, err := m.host.Session(c, handle)
	if err != nil {
		return err
	}
	which, err := m.which(memory, name, size, index)
	if err != nil {
		return err
	}
	if len(session.Outputs) == maxOutlets {
		return m.host.Errorf("the outputs of a session are %w", inference.ErrTooLarge)
	}
	session.Outputs = append(session.Outputs, which)
	return nil
}

func (m *Module) clearInput(c *wasmer.Caller, handle uint64) error {
	_, session, _, err := m.host.Session(c, handle)
	if err != nil {
		return err
	}
	session.Inputs = nil
	return nil
}

func (m *Module) clearOutput(c *wasmer.Caller, handle uint64) error {
	_, session, sessions, err := m.host.Session(c, handle)
	if err != nil {
		return err
	}
	sessions.Forget(session)
	session.Outputs = nil
	return nil
}
