// Package tensorflowlite lets guests run models of TensorFlow Lite: it is the module wasmedge_tensorflowlite of
// [WasmEdge-tensorflow] 0.11.2, on the Rust crate tract.
//
// It needs an archive with tract and the build tag wasmer_nn, which chooses it: `./justw build nn`, then
// `go build -tags wasmer_nn`. Without the tag the package compiles, and New returns an error that says so.
//
// Sessions and tensors are numbers that are valid in one instance; a tensor is valid until its session runs again. What the
// original answers by a crash (a handle that is none, a pointer out of the memory) ends the guest with an error, where the
// function has no result to tell of it.
//
// [WasmEdge-tensorflow]: https://github.com/second-state/WasmEdge-tensorflow/tree/0.11.2
package tensorflowlite

import (
	"log/slog"
	"slices"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/inference"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// ModuleName is what guests import from.
const ModuleName = "wasmedge_tensorflowlite"

// Config says which models guests may run, and what these may use. The zero value allows none.
type Config struct {
	// Models are those that guests may bring.
	Models [][]byte
	// GuestModels lets guests bring any other. They are bounded like those of the host, but tract was not written against
	// hostile models: allow it for guests that you would also let choose a native library.
	GuestModels bool
	// MaxModelSize is the number of bytes of a model, 64 MiB if 0.
	MaxModelSize uint64
	// MaxMemory is the number of bytes that loading a model takes, and each run of one; 256 MiB if 0.
	MaxMemory uint64
	// MaxSessions is how many sessions an instance may have at a time, 32 if 0.
	MaxSessions int
	// Logger is told why a call of a guest has failed. None if nil.
	Logger *slog.Logger
}

// Module is the module wasmedge_tensorflowlite. It goes for any number of instances, whose handles are their own. Goroutines may
// share it.
type Module struct{ host *inference.Host }

// New loads the models of the host. It is a wasmer.ErrUnsupported if this build has no inference.
func New(config Config) (*Module, error) {
	host, err := inference.NewHost(inference.HostConfig{
		Module: ModuleName, Encoding: inference.TensorFlowLite, Models: config.Models, GuestModels: config.GuestModels,
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
		Function("wasmedge_tensorflowlite_create_session", m.createSession).
		Function("wasmedge_tensorflowlite_delete_session", m.host.DeleteSession).
		Function("wasmedge_tensorflowlite_run_session", m.host.RunSession).
		Function("wasmedge_tensorflowlite_get_output_tensor", m.outputTensor).
		Function("wasmedge_tensorflowlite_get_tensor_len", m.host.TensorLen).
		Function("wasmedge_tensorflowlite_get_tensor_data", m.host.TensorData).
		Function("wasmedge_tensorflowlite_append_input", m.appendInput)
}

// createSession makes a session that computes all outputs of the model.
func (m *Module) createSession(c *wasmer.Caller, model, size uint32) (uint64, error) {
	handle, err := m.host.CreateSession(c, model, size)
	if handle == 0 || err != nil {
		return 0, err
	}
	_, session, _, err := m.host.Session(c, handle)
	if err != nil {
		return 0, err
	}
	for i := range session.Graph.Outputs {
		session.Outputs = append(session.Outputs, inference.Which{Index: uint32(i)})
	}
	return handle, nil
}

func (m *Module) outputTensor(c *wasmer.Caller, handle uint64, name, size uint32) (uint64, error) {
	memory, session, sessions, err := m.host.Session(c, handle)
	if err != nil {
		return 0, err
	}
	at, err := m.find(memory, session.Graph.Outputs, name, size)
	if at < 0 || err != nil {
		return 0, err
	}
	return uint64(sessions.Output(session, session.Outputs[at])), nil
}

// find is the index of the outlet whose name the memory has, -1 if there is none.
func (m *Module) find(memory *wasmer.Memory, outlets []inference.Outlet, name, size uint32) (int, error) {
	text, err := m.host.Name(memory, name, size)
	if err != nil {
		return -1, err
	}
	return slices.IndexFunc(outlets, func(o inference.Outlet) bool { return o.Name == text }), nil
}

// appendInput sets an input, whose type and shape the model has. Like the original it ignores a name that the model has not.
func (m *Module) appendInput(c *wasmer.Caller, handle uint64, name, nameLen, data, size uint32) error {
	memory, session, _, err := m.host.Session(c, handle)
	if err != nil {
		return err
	}
	at, err := m.find(memory, session.Graph.Inputs, name, nameLen)
	if at < 0 || err != nil {
		return err
	}
	outlet := session.Graph.Inputs[at]
	if n, ok := inference.Elements(outlet.Shape); !ok || n*outlet.Type.Size() != uint64(size) {
		return m.host.Errorf("input %q of shape %d does not have %d bytes", outlet.Name, outlet.Shape, size)
	}
	bytes, err := memory.Read(uint64(data), uint64(size))
	if err != nil {
		return err
	}
	input := inference.Input{
		Which:  inference.Which{Index: uint32(at)},
		Tensor: inference.Tensor{Type: outlet.Type, Shape: outlet.Shape, Data: bytes},
	}
	set := func(i inference.Input) bool { return i.Which == input.Which }
	session.Inputs = append(slices.DeleteFunc(session.Inputs, set), input)
	return nil
}
