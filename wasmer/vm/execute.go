package vm

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Execute calls a function of the active instance with Go values, as wasmer.Function.Call does, whose errors it has. A guest that
// exits with 0 has succeeded, and gives no results. The VM must be Instantiated.
func (v *VM) Execute(ctx context.Context, name string, args ...any) ([]wasmer.Value, error) {
	v.mu.Lock()
	instance, err := v.active, v.check("Execute", Instantiated)
	v.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return v.call(ctx, instance, name, args)
}

// ExecuteRegistered is Execute for a function of what is registered under a name, host modules included. It can be called in any
// state. If nothing has the name it is wasmer.ErrNotFound.
func (v *VM) ExecuteRegistered(ctx context.Context, module, name string, args ...any) ([]wasmer.Value, error) {
	instance, err := v.registeredToCall(module)
	if err != nil {
		return nil, err
	}
	return v.call(ctx, instance, name, args)
}

func (v *VM) registeredToCall(module string) (*wasmer.Instance, error) {
	instance, err := v.registered("ExecuteRegistered", module, false)
	if errors.Is(err, wasmer.ErrNotFound) {
		err = &codedError{err, 0x80} // wrong instance address
	}
	return instance, err
}

func (v *VM) call(ctx context.Context, instance *wasmer.Instance, name string, args []any) ([]wasmer.Value, error) {
	f, err := instance.Function(name)
	if err != nil {
		return nil, err
	}
	values, err := f.Call(ctx, args...)
	return values, v.ended(ctx, name, err)
}

// ended notes how a call has ended, tells of one that has succeeded, and gives its error.
func (v *VM) ended(ctx context.Context, name string, err error) error {
	v.wasi.ended(err)
	var exit *wasmer.ExitError
	if errors.As(err, &exit) && exit.Code == 0 && !exit.Closed() {
		err = nil
	}
	if err == nil {
		v.tellSuccess(ctx, name)
	}
	return err
}

// tellSuccess logs a call that has succeeded, and what was counted until now.
func (v *VM) tellSuccess(ctx context.Context, name string) {
	if ctx == nil {
		ctx = context.Background()
	}
	logger := v.engine.Logger()
	if logger == nil || !logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	logger.DebugContext(ctx, succeeded, slog.String("function", name))
	if counted := v.config.Statistics; counted.Instructions || counted.Time || counted.Cost {
		logger.DebugContext(ctx, "statistics", slog.Any("statistics", v.Statistics()))
	}
}

// RunFile is LoadFile, Validate, Instantiate and Execute. The VM is Instantiated then, if that has come so far. If another goroutine
// loads or instantiates meanwhile, it is ErrChanged or wasmer.ErrClosed.
func (v *VM) RunFile(ctx context.Context, path, name string, args ...any) ([]wasmer.Value, error) {
	source, err := v.loadFile(ctx, path)
	return v.run(ctx, source, err, name, args)
}

// RunBytes is RunFile for the contents of a file.
func (v *VM) RunBytes(ctx context.Context, data []byte, name string, args ...any) ([]wasmer.Value, error) {
	source, err := v.load(ctx, bytes.Clone(data))
	return v.run(ctx, source, err, name, args)
}

// RunModule is RunFile for a module that is compiled already; see LoadModule.
func (v *VM) RunModule(ctx context.Context, module *wasmer.Module, name string, args ...any) ([]wasmer.Value, error) {
	source, err := v.loadModule(module)
	return v.run(ctx, source, err, name, args)
}

// run goes on after Load, with what that has loaded and nothing else.
func (v *VM) run(ctx context.Context, source *source, err error, name string, args []any) ([]wasmer.Value, error) {
	if err == nil {
		err = v.validate(source)
	}
	var instance *wasmer.Instance
	if err == nil {
		instance, err = v.instantiate(ctx, source)
	}
	if err != nil {
		return nil, err
	}
	return v.call(ctx, instance, name, args)
}

// AsyncExecute starts Execute on a goroutine of its own, and returns at once.
func (v *VM) AsyncExecute(ctx context.Context, name string, args ...any) *wasmer.Async {
	return async(ctx, args, func(ctx context.Context, args []any) ([]wasmer.Value, error) { return v.Execute(ctx, name, args...) })
}

// AsyncExecuteRegistered starts ExecuteRegistered as AsyncExecute does Execute.
func (v *VM) AsyncExecuteRegistered(ctx context.Context, module, name string, args ...any) *wasmer.Async {
	return async(ctx, args, func(ctx context.Context, args []any) ([]wasmer.Value, error) {
		return v.ExecuteRegistered(ctx, module, name, args...)
	})
}

// AsyncRunFile starts RunFile as AsyncExecute does Execute.
func (v *VM) AsyncRunFile(ctx context.Context, path, name string, args ...any) *wasmer.Async {
	return async(ctx, args, func(ctx context.Context, args []any) ([]wasmer.Value, error) {
		return v.RunFile(ctx, path, name, args...)
	})
}

// AsyncRunBytes starts RunBytes as AsyncExecute does Execute. The bytes are copied.
func (v *VM) AsyncRunBytes(ctx context.Context, data []byte, name string, args ...any) *wasmer.Async {
	data = bytes.Clone(data)
	return async(ctx, args, func(ctx context.Context, args []any) ([]wasmer.Value, error) {
		source, err := v.load(ctx, data)
		return v.run(ctx, source, err, name, args)
	})
}

// AsyncRunModule starts RunModule as AsyncExecute does Execute.
func (v *VM) AsyncRunModule(ctx context.Context, module *wasmer.Module, name string, args ...any) *wasmer.Async {
	return async(ctx, args, func(ctx context.Context, args []any) ([]wasmer.Value, error) {
		return v.RunModule(ctx, module, name, args...)
	})
}

func async(ctx context.Context, args []any, call func(context.Context, []any) ([]wasmer.Value, error)) *wasmer.Async {
	args = slices.Clone(args)
	return wasmer.NewAsync(ctx, func(ctx context.Context) ([]wasmer.Value, error) { return call(ctx, args) })
}
