package inference

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// HostConfig is what the modules of TensorFlow and TensorFlow Lite differ in, and what their users configure.
type HostConfig struct {
	Module      string // its name in errors
	Encoding    Encoding
	Models      [][]byte
	GuestModels bool
	Limits      Limits
	MaxSessions int // 32 if 0
	Logger      *slog.Logger
}

// Host is what the modules of TensorFlow and TensorFlow Lite have in common: functions on sessions and their tensors.
type Host struct {
	HostConfig
	library *Library
	state   perinstance.State[Sessions]
}

// NewHost loads the models.
func NewHost(config HostConfig) (*Host, error) {
	library, err := NewLibrary(config.GuestModels, config.Limits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Module, err)
	}
	config.Limits = config.Limits.WithDefaults()
	if config.MaxSessions == 0 {
		config.MaxSessions = 32
	}
	for i, model := range config.Models {
		if _, err := library.Add(config.Encoding, model); err != nil {
			return nil, fmt.Errorf("%s: model %d: %w", config.Module, i, err)
		}
	}
	h := &Host{HostConfig: config, library: library}
	h.state.New = func() *Sessions { return &Sessions{} }
	return h, nil
}

// Errorf is an error that ends the guest.
func (h *Host) Errorf(format string, args ...any) error {
	return fmt.Errorf(h.Module+": "+format, args...)
}

// log tells why a function gives the guest a result that says no more than that it failed.
func (h *Host) log(c *wasmer.Caller, what string, err error) {
	if h.Logger != nil {
		h.Logger.WarnContext(c.Context(), h.Module+": "+what, "error", err)
	}
}

func (h *Host) sessions(c *wasmer.Caller) (*wasmer.Memory, *Sessions, error) {
	instance := c.Instance()
	if instance == nil || instance.Memory == nil {
		return nil, nil, h.Errorf("the guest exports no memory")
	}
	return instance.Memory, h.state.Of(instance), nil
}

// Session is a session of the guest that calls.
func (h *Host) Session(c *wasmer.Caller, handle uint64) (*wasmer.Memory, *Session, *Sessions, error) {
	memory, sessions, err := h.sessions(c)
	if err != nil {
		return nil, nil, nil, err
	}
	session, err := sessions.Get(handle)
	if err != nil {
		return nil, nil, nil, h.Errorf("%w", err)
	}
	return memory, session, sessions, nil
}

// Name reads the name of an operation or a tensor.
func (h *Host) Name(memory *wasmer.Memory, ptr, size uint32) (string, error) {
	if size == 0 || size > 1024 {
		return "", h.Errorf("a name has %d bytes", size)
	}
	return memory.ReadString(uint64(ptr), uint64(size))
}

// CreateSession is the host function: 0 if it fails.
func (h *Host) CreateSession(c *wasmer.Caller, model, size uint32) (uint64, error) {
	memory, sessions, err := h.sessions(c)
	if err != nil {
		return 0, err
	}
	ctx, stop := perinstance.Context(c)
	defer stop(nil)
	handle, err := func() (uint32, error) {
		if err := h.library.MayLoad(uint64(size)); err != nil {
			return 0, err
		}
		bytes, err := memory.Read(uint64(model), uint64(size))
		if err != nil {
			return 0, err
		}
		graph, err := h.library.Load(ctx, h.Encoding, bytes)
		if err != nil {
			return 0, err
		}
		return sessions.Create(graph, h.MaxSessions)
	}()
	if err != nil {
		h.log(c, "create_session", err)
		return 0, context.Cause(ctx)
	}
	return uint64(handle), nil
}

// DeleteSession is the host function.
func (h *Host) DeleteSession(c *wasmer.Caller, handle uint64) error {
	_, sessions, err := h.sessions(c)
	if err != nil {
		return err
	}
	return sessions.Delete(handle)
}

// RunSession is the host function: 0 for success, 1 for failure.
func (h *Host) RunSession(c *wasmer.Caller, handle uint64) (uint32, error) {
	_, session, sessions, err := h.Session(c, handle)
	if err != nil {
		return 0, err
	}
	ctx, stop := perinstance.Context(c)
	defer stop(nil)
	if err := sessions.Run(ctx, session); err != nil {
		h.log(c, "run_session", err)
		return 1, context.Cause(ctx)
	}
	return 0, nil
}

// TensorLen is the host function: the number of bytes.
func (h *Host) TensorLen(c *wasmer.Caller, handle uint64) (uint32, error) {
	_, sessions, err := h.sessions(c)
	if err != nil {
		return 0, err
	}
	tensor, err := sessions.Tensor(handle)
	return uint32(len(tensor.Data)), err
}

// TensorData is the host function: the guest's buffer has room for all bytes.
func (h *Host) TensorData(c *wasmer.Caller, handle uint64, buffer uint32) error {
	memory, sessions, err := h.sessions(c)
	if err != nil {
		return err
	}
	tensor, err := sessions.Tensor(handle)
	if err != nil {
		return err
	}
	return memory.Write(uint64(buffer), tensor.Data)
}
