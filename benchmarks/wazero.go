package benchmarks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

func wazeroRivals() []rival {
	forms := []hostForm{
		{name: "GoFunction", fn: api.GoFunc(func(_ context.Context, stack []uint64) {
			stack[0] = api.EncodeI32(api.DecodeI32(stack[0]) + 1)
		})},
		{name: "GoModuleFunction", fn: api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
			stack[0] = api.EncodeI32(api.DecodeI32(stack[0]) + 1)
		})},
		{name: "Reflection", fn: addOne},
		{name: "Emit", fn: emitter(func(context.Context, []uint64) { emitted++ }), emits: true},
	}
	open := func(config wazero.RuntimeConfig) func(setup) (engine, error) {
		return func(s setup) (engine, error) { return openWazero(config, s) }
	}
	return []rival{
		{name: "wazero-compiler", open: open(wazero.NewRuntimeConfigCompiler()), hostForms: forms},
		{name: "wazero-interpreter", open: open(wazero.NewRuntimeConfigInterpreter()), hostForms: forms, interpreted: true},
	}
}

// emitter is an api.GoFunc without a result.
type emitter func(context.Context, []uint64)

type wazeroEngine struct {
	runtime wazero.Runtime
	// compiling is a context that tells on how many cores to compile.
	compiling context.Context
	cache     wazero.CompilationCache // nil without
}

func openWazero(config wazero.RuntimeConfig, s setup) (engine, error) {
	ctx := context.Background()
	e := wazeroEngine{compiling: ctx}
	if s.cache != "" {
		cache, err := wazero.NewCompilationCacheWithDir(s.cache)
		if err != nil {
			return nil, err
		}
		e.cache, config = cache, config.WithCompilationCache(cache)
	}
	e.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if s.allCores {
		e.compiling = experimental.WithCompilationWorkers(ctx, runtime.NumCPU())
	}
	if len(s.hosts) == 0 {
		return e, nil
	}
	env := e.runtime.NewHostModuleBuilder("env")
	i32 := []api.ValueType{api.ValueTypeI32}
	for name, fn := range s.hosts {
		builder := env.NewFunctionBuilder()
		switch fn := fn.(type) {
		case emitter:
			builder = builder.WithGoFunction(api.GoFunc(fn), i32, nil)
		case api.GoFunction:
			builder = builder.WithGoFunction(fn, i32, i32)
		case api.GoModuleFunction:
			builder = builder.WithGoModuleFunction(fn, i32, i32)
		default:
			builder = builder.WithFunc(fn)
		}
		builder.Export(name)
	}
	if _, err := env.Instantiate(ctx); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e wazeroEngine) compile(wasm []byte) (module, error) {
	m, err := e.runtime.CompileModule(e.compiling, wasm)
	if err != nil {
		return nil, err
	}
	return wazeroModule{e.runtime, m}, nil
}

func (e wazeroEngine) provideWASI() error {
	_, err := wasi_snapshot_preview1.Instantiate(context.Background(), e.runtime)
	return err
}

func (e wazeroEngine) close() error {
	err := e.runtime.Close(context.Background())
	if e.cache != nil {
		err = errors.Join(err, e.cache.Close(context.Background()))
	}
	return err
}

type wazeroModule struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

// anonymous lets many instances of a module live in one runtime, and calls no _start behind the benchmark's back.
var anonymous = wazero.NewModuleConfig().WithName("").WithStartFunctions()

func (m wazeroModule) instantiate() (instance, error) {
	i, err := m.runtime.InstantiateModule(context.Background(), m.module, anonymous)
	if err != nil {
		return nil, err
	}
	return wazeroInstance{i}, nil
}

// settle gives the real clocks, as the other rivals do by default.
func (m wazeroModule) settle(w world) (instance, error) {
	config := anonymous.WithArgs(w.args...).WithSysWalltime().WithSysNanotime()
	if w.stdin != nil {
		config = config.WithStdin(w.stdin)
	}
	if w.stdout != nil {
		config = config.WithStdout(w.stdout)
	}
	if w.folder != "" {
		config = config.WithFSConfig(wazero.NewFSConfig().WithDirMount(w.folder, "/"))
	}
	i, err := m.runtime.InstantiateModule(context.Background(), m.module, config)
	if err != nil {
		return nil, err
	}
	return wazeroInstance{i}, nil
}

// close also takes the module out of the runtime's cache, so that compiling it again is work again.
func (m wazeroModule) close() error { return m.module.Close(context.Background()) }

type wazeroInstance struct{ api.Module }

func (i wazeroInstance) export(name string) (api.Function, error) {
	fn := i.ExportedFunction(name)
	if fn == nil {
		return nil, fmt.Errorf("no export %q", name)
	}
	return fn, nil
}

func (i wazeroInstance) function(name string) (function, error) {
	fn, err := i.export(name)
	if err != nil {
		return nil, err
	}
	stack := make([]uint64, maxArgs)
	return func(args ...int32) (uint64, error) {
		for k, arg := range args {
			stack[k] = api.EncodeI32(arg)
		}
		err := fn.CallWithStack(context.Background(), stack)
		return stack[0], err
	}, nil
}

func (i wazeroInstance) sumForms() ([]callForm, error) {
	ctx := context.Background()
	fn, err := i.export("sum")
	if err != nil {
		return nil, err
	}
	stack := make([]uint64, 2)
	return []callForm{
		{name: "Call", call: func() (int32, error) {
			results, err := fn.Call(ctx, 5, 37)
			if err != nil {
				return 0, err
			}
			return api.DecodeI32(results[0]), nil
		}},
		{name: "CallWithStack", call: func() (int32, error) {
			stack[0], stack[1] = 5, 37
			err := fn.CallWithStack(ctx, stack)
			return api.DecodeI32(stack[0]), err
		}},
	}, nil
}

func (i wazeroInstance) greeter() (func(string) (string, error), error) {
	ctx, memory := context.Background(), i.Memory()
	allocate, errA := i.export("allocate")
	deallocate, errD := i.export("deallocate")
	greet, errG := i.export("greet")
	stack := make([]uint64, 2)
	return func(name string) (string, error) {
		size := uint64(len(name) + 1)
		stack[0] = size
		if err := allocate.CallWithStack(ctx, stack); err != nil {
			return "", err
		}
		ptr := stack[0]
		if !memory.WriteString(uint32(ptr), name) || !memory.WriteByte(uint32(ptr+size-1), 0) {
			return "", errors.New("no room for the name")
		}
		if err := greet.CallWithStack(ctx, stack); err != nil {
			return "", err
		}
		out := stack[0]
		text, _ := memory.Read(uint32(out), memory.Size()-uint32(out))
		end := bytes.IndexByte(text, 0)
		if end < 0 {
			return "", errors.New("what it said has no end")
		}
		said := string(text[:end])
		stack[0], stack[1] = ptr, size
		err := deallocate.CallWithStack(ctx, stack)
		stack[0], stack[1] = out, uint64(end+1)
		return said, errors.Join(err, deallocate.CallWithStack(ctx, stack))
	}, errors.Join(errA, errD, errG)
}

func (i wazeroInstance) poke() error {
	if !i.Memory().WriteByte(pageSize/2, 1) {
		return errors.New("no such page")
	}
	return nil
}

func (i wazeroInstance) start() error {
	fn, err := i.export("_start")
	if err != nil {
		return err
	}
	_, err = fn.Call(context.Background())
	if exit, ok := err.(*sys.ExitError); ok && exit.ExitCode() == 0 {
		return nil
	}
	return err
}

func (i wazeroInstance) close() error { return i.Close(context.Background()) }
