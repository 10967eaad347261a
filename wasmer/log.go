package wasmer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// processLogger is of engines that have none.
var processLogger atomic.Pointer[slog.Logger]

// SetLogger sets the logger of all engines whose EngineConfig.Logger is nil, the default engine among them; nil, as at the
// start, is silence. See EngineConfig.Logger for what is logged. It can be called at any time.
func SetLogger(logger *slog.Logger) { processLogger.Store(logger) }

// Logger is what the engine tells its events to, that of SetLogger if it has none of its own; nil if nobody listens.
func (e *Engine) Logger() *slog.Logger {
	if e == nil {
		return processLogger.Load()
	}
	return e.account.log()
}

// log is the engine's logger, or the process's. The account may be nil.
func (a *engineAccount) log() *slog.Logger {
	if a == nil || a.logger == nil {
		return processLogger.Load()
	}
	return a.logger
}

// listener is the logger for an event of this level; nil if nobody wants to know. The account may be nil.
func (a *engineAccount) listener(ctx context.Context, level slog.Level) *slog.Logger {
	logger := a.log()
	if ctx == nil {
		ctx = context.Background()
	}
	if logger == nil || !enabled(ctx, logger, level) {
		return nil
	}
	return logger
}

// enabled and tell drop a panic of the logger's handler: events happen where nothing may fail.
func enabled(ctx context.Context, logger *slog.Logger, level slog.Level) (is bool) {
	defer func() { _ = recover() }()
	return logger.Enabled(ctx, level)
}

func tell(ctx context.Context, logger *slog.Logger, level slog.Level, message string, attributes ...slog.Attr) {
	if ctx == nil {
		ctx = context.Background()
	}
	defer func() { _ = recover() }()
	logger.LogAttrs(ctx, level, message, attributes...)
}

// failed counts a call that failed, while the store is held. The instance is nil for a function of none.
func (s *Store) failed(called *Instance, err error) {
	var t *tally
	if called != nil {
		t = called.tally
	}
	s.account.failed(t, err)
}

// tellCall tells of a call that failed, with the store left. The error is nil for a panic with the value.
func (s *Store) tellCall(ctx context.Context, called *Instance, function string, err error, value any) {
	level, message := slog.LevelError, "execution failed"
	if err == nil {
		err = fmt.Errorf("panic: %v", value)
	} else {
		level, message = severity(err, message)
	}
	var t *tally
	if called != nil {
		t = called.tally
	}
	engine := s.account.engine.Load()
	engine.tellError(ctx, level, message, err, t.name(), function)
	engine.tellRefusals(ctx, t)
}

// severity is how bad the end of a call is.
func severity(err error, message string) (slog.Level, string) {
	switch {
	case errors.Is(err, ErrClosed): // also *ExitError
		return slog.LevelDebug, "guest ended"
	case errors.Is(err, ErrInterrupted):
		return slog.LevelInfo, "interrupted"
	case errors.Is(err, ErrCostLimit):
		return slog.LevelError, "Cost exceeded limit. Force terminate the execution."
	}
	return slog.LevelError, message
}

// tellError tells of an error. Names that are empty are left out.
func (a *engineAccount) tellError(ctx context.Context, level slog.Level, message string, err error, module, function string) {
	logger := a.listener(ctx, level)
	if logger == nil {
		return
	}
	attributes := []slog.Attr{
		slog.String("module", module), slog.String("function", function),
		slog.Any("error", err), slog.String("limit", limitOf(err)),
	}
	empty := slog.StringValue("")
	attributes = slices.DeleteFunc(attributes, func(attribute slog.Attr) bool { return attribute.Value.Equal(empty) })
	tell(ctx, logger, level, message, attributes...)
}

// tellModule tells of a module that was made, or was not.
func (a *engineAccount) tellModule(ctx context.Context, op string, size int, took time.Duration, module *Module, err error) {
	switch {
	case errors.Is(err, ErrIncompatible): // the module can be compiled anew
		a.tellError(ctx, slog.LevelWarn, "artifact rejected", err, "", "")
	case err != nil && op == opDeserialize:
		level, message := severity(err, "deserialization failed")
		a.tellError(ctx, level, message, err, "", "")
	case err != nil:
		level, message := severity(err, "compilation failed")
		a.tellError(ctx, level, message, err, "", "")
	default:
		module.tellMade(ctx, op, size, took)
	}
}

func (m *Module) tellMade(ctx context.Context, op string, size int, took time.Duration) {
	logger := m.engine.account.listener(ctx, slog.LevelDebug)
	if logger == nil {
		return
	}
	ptr, err := m.use()
	if err != nil {
		return
	}
	functions, bytes := ptr.Code()
	m.handle.release()
	message := map[string]string{opCompile: "module compiled", opDeserialize: "module loaded"}[op]
	tell(ctx, logger, slog.LevelDebug, message, slog.String("module", m.name), slog.Int("size", size),
		slog.String("compiler", m.Compiler().String()), slog.Uint64("functions", functions),
		slog.Uint64("code", bytes), slog.Duration("duration", took))
}

// tellOptimized tells of a module whose optimization has ended.
func (a *engineAccount) tellOptimized(m *Module, took time.Duration, err error) {
	ctx := context.Background()
	if err != nil {
		a.tellError(ctx, slog.LevelWarn, "optimization failed", err, m.name, "")
	} else if logger := a.listener(ctx, slog.LevelDebug); logger != nil {
		tell(ctx, logger, slog.LevelDebug, "module optimized", slog.String("module", m.name),
			slog.String("compiler", m.Compiler().String()), slog.Duration("duration", took))
	}
}

// tellInstance tells of an instance that was made, or was not: the error is nil too if a host function panicked.
func (a *engineAccount) tellInstance(ctx context.Context, module *Module, instance *Instance, err error) {
	if instance == nil && err == nil {
		err = errors.New("a host function panicked or ended its goroutine")
	}
	if err != nil {
		level, message := severity(err, "instantiation failed")
		a.tellError(ctx, level, message, err, module.name, "")
	} else if logger := a.listener(ctx, slog.LevelDebug); logger != nil {
		tell(ctx, logger, slog.LevelDebug, "instance made", slog.String("module", module.name))
	}
}

// tellEnd tells of an instance that was closed.
func (i *Instance) tellEnd(exit *ExitError) {
	ctx := context.Background()
	engine := i.store.account.engine.Load()
	engine.tellRefusals(ctx, i.tally)
	if logger := engine.listener(ctx, slog.LevelDebug); logger != nil {
		tell(ctx, logger, slog.LevelDebug, "instance closed",
			slog.String("module", i.tally.name()), slog.Uint64("code", uint64(exit.Code)))
	}
}

// limitOf names the limit that an error is about; empty if it is about none.
func limitOf(err error) string {
	switch {
	case errors.Is(err, TrapStackOverflow):
		return "stack"
	case errors.Is(err, ErrCostLimit):
		return "cost"
	case errors.Is(err, ErrDepth):
		return "call depth"
	case errors.Is(err, ErrResource):
		return "resource"
	}
	return ""
}

// name is the module's, for messages; the tally may be nil.
func (t *tally) name() string {
	if t == nil {
		return ""
	}
	return t.title
}

// tellRefusals tells of memories and tables that did not grow since the last time. The guest knows at once; Go code is not
// run for it.
func (a *engineAccount) tellRefusals(ctx context.Context, t *tally) {
	if t == nil {
		return
	}
	if logger := a.listener(ctx, slog.LevelWarn); logger != nil {
		if refused := t.refusals(); refused > 0 {
			tell(ctx, logger, slog.LevelWarn, "growth refused",
				slog.String("module", t.title), slog.String("limit", "memory or table"), slog.Uint64("times", refused))
		}
	}
}

// tellLimit tells the host, which has the error too, of a limit that it has hit.
func (s *Store) tellLimit(err error) {
	if !errors.Is(err, ErrResource) {
		return
	}
	s.account.engine.Load().tellError(context.Background(), slog.LevelWarn, "limit reached", err, "", "")
}

// tellCollected tells of something that was freed because it was forgotten.
func (a *engineAccount) tellCollected(kind, name string) {
	ctx := context.Background()
	if logger := a.listener(ctx, slog.LevelWarn); logger != nil {
		tell(ctx, logger, slog.LevelWarn, "freed by the garbage collector: Close was not called",
			slog.String("kind", kind), slog.String("name", name))
	}
}
