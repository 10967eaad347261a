// Package nn lets guests run neural networks: it is the module wasi_ephemeral_nn of [wasi-nn], on the Rust crate tract.
//
// It needs an archive with tract and the build tag wasmer_nn, which chooses it: `./justw build nn`, then
// `go build -tags wasmer_nn`. Without the tag the package compiles, and New returns an error that says so.
//
// Guests run the models that the host has given, by name, or by their bytes. Models that the host has not given are refused
// unless Config.GuestModels lets guests bring them.
//
// [wasi-nn]: https://github.com/WebAssembly/wasi-nn/blob/main/wasi-nn.witx
package nn

import (
	"fmt"
	"log/slog"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/inference"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// ModuleName is what guests import from.
const ModuleName = "wasi_ephemeral_nn"

// Encoding is the format of a model.
type Encoding uint32

// The encodings that guests may use, by their numbers.
const (
	ONNX           = Encoding(inference.ONNX)
	TensorFlow     = Encoding(inference.TensorFlow) // a frozen graph
	TensorFlowLite = Encoding(inference.TensorFlowLite)
)

// Model is a model of the host.
type Model struct {
	Encoding Encoding
	Data     []byte
}

// Config says which models guests may run, and what these may use. The zero value allows none.
type Config struct {
	// Models are those of the host, by the names that guests load them by. A guest may also bring the very bytes of one.
	Models map[string]Model
	// GuestModels lets guests bring models of their own. They are bounded like those of the host, but tract was not written against
	// hostile models: allow it for guests that you would also let choose a native library.
	GuestModels bool
	// MaxModelSize is the number of bytes of a model, 64 MiB if 0.
	MaxModelSize uint64
	// MaxMemory is the number of bytes that loading a model takes, and each run of one; 256 MiB if 0.
	MaxMemory uint64
	// MaxHandles is how many graphs, and how many contexts, an instance may have at a time; 32 if 0.
	MaxHandles int
	// Logger is told why a call of a guest has failed, of which the guest sees a number. None if nil.
	Logger *slog.Logger
}

// Module is the module wasi_ephemeral_nn. It goes for any number of instances, whose handles are their own. Goroutines may
// share it.
type Module struct {
	library *inference.Library
	named   map[string]*inference.Graph
	config  Config
	state   perinstance.State[state]
}

// New loads the models of the host. It is a wasmer.ErrUnsupported if this build has no inference.
func New(config Config) (*Module, error) {
	limits := inference.Limits{ModelSize: config.MaxModelSize, Memory: config.MaxMemory}
	library, err := inference.NewLibrary(config.GuestModels, limits)
	if err != nil {
		return nil, fmt.Errorf("nn: %w", err)
	}
	if config.MaxHandles == 0 {
		config.MaxHandles = 32
	}
	m := &Module{library: library, named: map[string]*inference.Graph{}, config: config}
	m.state.New = func() *state { return &state{} }
	for name, model := range config.Models {
		graph, err := library.Add(inference.Encoding(model.Encoding), model.Data)
		if err != nil {
			return nil, fmt.Errorf("nn: model %q: %w", name, err)
		}
		m.named[name] = graph
	}
	return m, nil
}

// AddTo defines the functions.
func (m *Module) AddTo(imports *wasmer.Imports) {
	imports.Namespace(ModuleName)
	define := func(name string, function any) { imports.Function(name, function) }
	define("load", func(c *wasmer.Caller, builders, count, encoding, target, out uint32) (uint32, error) {
		return m.do(c, "load", func(g guest) error { return g.load(builders, count, encoding, target, out) })
	})
	define("load_by_name", func(c *wasmer.Caller, name, nameLen, out uint32) (uint32, error) {
		return m.do(c, "load_by_name", func(g guest) error { return g.loadByName(name, nameLen, out) })
	})
	define("init_execution_context", func(c *wasmer.Caller, graph, out uint32) (uint32, error) {
		return m.do(c, "init_execution_context", func(g guest) error { return g.initContext(graph, out) })
	})
	define("set_input", func(c *wasmer.Caller, context, index, tensor uint32) (uint32, error) {
		return m.do(c, "set_input", func(g guest) error { return g.setInput(context, index, tensor) })
	})
	define("compute", func(c *wasmer.Caller, context uint32) (uint32, error) {
		return m.do(c, "compute", func(g guest) error { return g.compute(context) })
	})
	define("get_output", func(c *wasmer.Caller, context, index, buffer, size, out uint32) (uint32, error) {
		return m.do(c, "get_output", func(g guest) error { return g.getOutput(context, index, buffer, size, out) })
	})
	// WasmEdge has these too.
	define("unload", func(c *wasmer.Caller, graph uint32) (uint32, error) {
		return m.do(c, "unload", func(g guest) error { return g.unload(graph) })
	})
	define("finalize_execution_context", func(c *wasmer.Caller, context uint32) (uint32, error) {
		return m.do(c, "finalize_execution_context", func(g guest) error { return g.finalizeContext(context) })
	})
	// Of language models, which give their output token by token.
	unsupported := func(name string) func(guest) error {
		return func(guest) error { return fail(UnsupportedOperation, "%s: there are no language models here", name) }
	}
	define("load_by_name_with_config", func(c *wasmer.Caller, _, _, _, _, _ uint32) (uint32, error) {
		return m.do(c, "load_by_name_with_config", unsupported("load_by_name_with_config"))
	})
	define("compute_single", func(c *wasmer.Caller, _ uint32) (uint32, error) {
		return m.do(c, "compute_single", unsupported("compute_single"))
	})
	define("get_output_single", func(c *wasmer.Caller, _, _, _, _, _ uint32) (uint32, error) {
		return m.do(c, "get_output_single", unsupported("get_output_single"))
	})
	define("fini_single", func(c *wasmer.Caller, _ uint32) (uint32, error) {
		return m.do(c, "fini_single", unsupported("fini_single"))
	})
}

// do runs a function for a guest, and makes a number of its error.
func (m *Module) do(c *wasmer.Caller, name string, function func(guest) error) (uint32, error) {
	err := m.with(c, function)
	if err != nil && m.config.Logger != nil {
		m.config.Logger.WarnContext(c.Context(), ModuleName+": "+name, "error", err)
	}
	errno, err := errnoOf(err)
	return uint32(errno), err
}

func (m *Module) with(c *wasmer.Caller, function func(guest) error) error {
	instance := c.Instance()
	if instance == nil || instance.Memory == nil {
		return fail(MissingMemory, "the guest exports no memory")
	}
	return function(guest{m, c, instance.Memory, m.state.Of(instance)})
}
