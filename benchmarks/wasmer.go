package benchmarks

import (
	"context"
	"errors"
	"slices"
	"unsafe"

	"github.com/wasmerio/go-ext-wasm/benchmarks/internal/cgo"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func wasmerRivals() []rival {
	var rivals []rival
	for _, c := range []struct {
		name     string
		compiler wasmer.Compiler
	}{
		{"wasmer-cranelift", wasmer.Cranelift},
		{"wasmer-singlepass", wasmer.Singlepass},
		{"wasmer-llvm", wasmer.LLVM},
	} {
		if !wasmer.Available(c.compiler) {
			continue
		}
		rivals = append(rivals, rival{
			name:      c.name,
			open:      func(s setup) (engine, error) { return openWasmer(wasmer.EngineConfig{Compiler: c.compiler}, s) },
			slow:      c.compiler == wasmer.LLVM,
			lacksSIMD: !wasmer.DefaultFeatures(c.compiler).Has(wasmer.FeatureSIMD),
			hostForms: []hostForm{
				{name: "Func", fn: addOne},
				{name: "FuncWithCaller", fn: func(_ *wasmer.Caller, x int32) int32 { return x + 1 }},
				{name: "Host1", fn: wasmer.Host1(func(_ *wasmer.Caller, x int32) (int32, error) { return x + 1, nil })},
				{name: "Reflection", fn: func(x number) number { return x + 1 }},
				{name: "Native", fn: native{cgo.AddOne()}},
				{name: "Plugin", fn: ordinaryPlugin},
				{name: "PluginLeaf", fn: leafPlugin},
				{name: "Emit", fn: emit, emits: true},
				{name: "Queued", fn: queued{emit}, emits: true},
			},
		})
	}
	return rivals
}

// unoptimized is a rival in compilation only: Cranelift that does as little as it can.
func unoptimized() []rival {
	if !wasmer.Available(wasmer.Cranelift) {
		return nil
	}
	config := wasmer.EngineConfig{Compiler: wasmer.Cranelift, OptLevel: wasmer.OptNone}
	return []rival{{name: "wasmer-cranelift-none", open: func(s setup) (engine, error) { return openWasmer(config, s) }}}
}

// number is no type of the common signatures, so that a function of numbers can only be called by reflection.
type number int32

// native is a host function of C, from an i32 to an i32.
type native struct{ pointer unsafe.Pointer }

var increment = wasmer.FunctionType{Params: []wasmer.ValueType{wasmer.ValueTypeI32}, Results: []wasmer.ValueType{wasmer.ValueTypeI32}}

// queued is a host function whose calls are gathered.
type queued struct{ fn any }

type wasmerEngine struct {
	engine  *wasmer.Engine
	imports *wasmer.Imports
}

func openWasmer(config wasmer.EngineConfig, s setup) (engine, error) {
	config.CacheDir = s.cache
	if !s.allCores {
		config.CompileThreads = 1
	}
	imports := wasmer.NewImports().Namespace("env")
	for name, fn := range s.hosts {
		switch fn := fn.(type) {
		case native:
			imports.Native(name, fn.pointer, increment)
		case plugin:
			if err := fn.addTo(imports); err != nil {
				return nil, err
			}
		case queued:
			imports.Queued(name, fn.fn)
		default:
			imports.Function(name, fn)
		}
	}
	e, err := wasmer.NewEngine(config)
	if err != nil {
		return nil, err
	}
	return &wasmerEngine{e, imports}, nil
}

func (e *wasmerEngine) save(m module, name string) error {
	return m.(*wasmerModule).module.SerializeTo(name)
}

func (e *wasmerEngine) load(name string) (module, error) {
	m, err := e.engine.DeserializeFile(context.Background(), name)
	if err != nil {
		return nil, err
	}
	return &wasmerModule{m, e.imports}, nil
}

func (e *wasmerEngine) compile(wasm []byte) (module, error) {
	m, err := e.engine.Compile(context.Background(), wasm)
	if err != nil {
		return nil, err
	}
	return &wasmerModule{m, e.imports}, nil
}

// provideWASI has nothing to do: each instance brings its own.
func (e *wasmerEngine) provideWASI() error { return nil }

func (e *wasmerEngine) close() error { return e.engine.Close() }

type wasmerModule struct {
	module  *wasmer.Module
	imports *wasmer.Imports
}

func (m *wasmerModule) instantiate() (instance, error) {
	i, err := wasmer.Instantiate(context.Background(), m.module, m.imports)
	if err != nil {
		return nil, err
	}
	return &wasmerInstance{Instance: i, from: m}, nil
}

func (m *wasmerModule) settle(w world) (instance, error) {
	config := wasmer.WASIConfig{Args: w.args, Stdout: w.stdout}
	if w.stdin != nil {
		config.Stdin = w.stdin
	}
	if w.folder != "" {
		config.Mounts = []wasmer.Mount{{Guest: "/", Host: w.folder}}
	}
	wasi := wasmer.NewWASI(config)
	i, err := wasmer.Instantiate(context.Background(), m.module, wasmer.NewImports().WASI(wasi))
	if err != nil {
		return nil, errors.Join(err, wasi.Close())
	}
	return &wasmerInstance{Instance: i, from: m, wasi: wasi}, nil
}

func (m *wasmerModule) close() error { return m.module.Close() }

// wasmerPool hands out one instance after the other.
type wasmerPool struct {
	from   *wasmerModule
	pooled *wasmer.Pool
}

func (m *wasmerModule) pool() (pool, error) {
	pooled, err := wasmer.NewPool(context.Background(), m.module, m.imports, wasmer.PoolConfig{Prewarm: 1})
	return wasmerPool{m, pooled}, err
}

func (p wasmerPool) get() (instance, error) {
	i, err := p.pooled.Get(context.Background())
	return &wasmerInstance{Instance: i, from: p.from}, err
}

func (p wasmerPool) put(i instance) error { return p.pooled.Put(i.(*wasmerInstance).Instance) }

func (p wasmerPool) close() error { return p.pooled.Close() }

type wasmerInstance struct {
	*wasmer.Instance
	from *wasmerModule
	wasi *wasmer.WASI // nil without
	// legacy is the same guest made by the constructor that fills Exports; nil until sumForms asks for it.
	legacy *wasmer.Instance
}

func (i *wasmerInstance) function(name string) (function, error) {
	fn, err := i.Function(name)
	if err != nil {
		return nil, err
	}
	stack := make([]uint64, maxArgs)
	return func(args ...int32) (uint64, error) {
		for k, arg := range args {
			stack[k] = uint64(uint32(arg))
		}
		err := fn.CallRaw(context.Background(), stack)
		return stack[0], err
	}, nil
}

func (i *wasmerInstance) sumForms() ([]callForm, error) {
	ctx := context.Background()
	fn, err := i.Function("sum")
	if err != nil {
		return nil, err
	}
	typed, err := wasmer.Func2[int32, int32, int32](i.Instance, "sum")
	if err != nil {
		return nil, err
	}
	if i.legacy, err = i.from.module.InstantiateWithImports(i.from.imports); err != nil {
		return nil, err
	}
	stack := make([]uint64, 2)
	const batch = 1000
	rows, sums := slices.Repeat([]uint64{5, 37}, batch), make([]uint64, batch)
	return []callForm{
		{name: "Exports", call: func() (int32, error) {
			result, err := i.legacy.Exports["sum"](5, 37)
			if err != nil {
				return 0, err
			}
			return result.ToI32(), nil
		}},
		{name: "FunctionCall", call: func() (int32, error) {
			results, err := fn.Call(ctx, 5, 37)
			if err != nil {
				return 0, err
			}
			return results[0].ToI32(), nil
		}},
		{name: "Typed", call: func() (int32, error) { return typed(ctx, 5, 37) }},
		{name: "CallRaw", call: func() (int32, error) {
			stack[0], stack[1] = 5, 37
			err := fn.CallRaw(ctx, stack)
			return int32(stack[0]), err
		}},
		{name: "CallBatch", batch: batch, call: func() (int32, error) {
			_, err := fn.CallBatch(ctx, rows, sums)
			return int32(sums[batch-1]), err
		}},
	}, nil
}

func (i *wasmerInstance) greeter() (func(string) (string, error), error) {
	return func(name string) (string, error) {
		return i.CallString(context.Background(), "greet", name, true)
	}, nil
}

func (i *wasmerInstance) poke() error { return i.Memory.WriteByteAt(pageSize/2, 1) }

func (i *wasmerInstance) start() error { return i.Start(context.Background()) }

func (i *wasmerInstance) close() error {
	err := errors.Join(i.Close(), i.wasi.Close())
	if i.legacy != nil {
		err = errors.Join(err, i.legacy.Close())
	}
	return err
}
