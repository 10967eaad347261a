// Package logging gives guests the module wasi:logging/logging, whose messages go to a slog.Logger.
//
// See https://github.com/WebAssembly/wasi-logging
package logging

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Config says where messages go.
type Config struct {
	// Logger gets them, with the attributes "context", as the guest says, and "module", the instance's name; what is empty is
	// left out. Nil is slog.Default(). Its handler is used by as many goroutines as there are guests.
	Logger *slog.Logger
	// MaxMessage is how many bytes of a message, and of its context, are kept; 0 is 64 KiB. How many were cut off is the
	// attribute "lost".
	MaxMessage int
}

// Levels that slog has no names for. Those between are slog's.
const (
	LevelTrace    = slog.LevelDebug - 4
	LevelCritical = slog.LevelError + 4
)

// levels are in the order of the interface's enumeration.
var levels = [...]slog.Level{LevelTrace, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, LevelCritical}

// ErrLevel: a guest used a level that there is not. It ends the guest.
var ErrLevel = errors.New("logging: unknown level")

// Module is the host module wasi:logging/logging. Goroutines may share it.
type Module struct{ config Config }

// New makes the module.
func New(config Config) *Module {
	if config.MaxMessage <= 0 {
		config.MaxMessage = 64 << 10
	}
	return &Module{config}
}

// AddTo implements wasmer.HostModule.
func (m *Module) AddTo(imports *wasmer.Imports) {
	imports.Namespace("wasi:logging/logging").Function("log", m.log)
}

func (m *Module) log(c *wasmer.Caller, level, contextPtr, contextLength, ptr, length uint32) error {
	if uint64(level) >= uint64(len(levels)) {
		return fmt.Errorf("%w: %d is not between 0, trace, and %d, critical", ErrLevel, level, len(levels)-1)
	}
	memory := c.Memory()
	for _, text := range [...][2]uint32{{contextPtr, contextLength}, {ptr, length}} { // whether the level is enabled or not
		if end := uint64(text[0]) + uint64(text[1]); memory == nil || end > memory.Size() {
			_, err := memory.Read(uint64(text[0]), uint64(text[1]))
			return err
		}
	}
	logger := m.config.Logger
	if logger == nil {
		logger = slog.Default()
	}
	ctx := c.Context()
	if !logger.Enabled(ctx, levels[level]) {
		return nil
	}
	message, lost, err := m.read(memory, ptr, length)
	if err != nil {
		return err
	}
	context, lostContext, err := m.read(memory, contextPtr, contextLength)
	if err != nil {
		return err
	}
	var attributes []slog.Attr
	if context != "" {
		attributes = append(attributes, slog.String("context", context))
	}
	if name := c.Instance().Name(); name != "" {
		attributes = append(attributes, slog.String("module", name))
	}
	if lost += lostContext; lost > 0 {
		attributes = append(attributes, slog.Int("lost", lost))
	}
	logger.LogAttrs(ctx, levels[level], message, attributes...)
	return nil
}

// read reads a text as far as it is kept, and says how many bytes are lost. What is no UTF-8 is replaced.
func (m *Module) read(memory *wasmer.Memory, ptr, length uint32) (text string, lost int, err error) {
	kept := min(uint64(length), uint64(m.config.MaxMessage))
	text, err = memory.ReadString(uint64(ptr), kept)
	return strings.ToValidUTF8(text, "\uFFFD"), int(uint64(length) - kept), err
}
