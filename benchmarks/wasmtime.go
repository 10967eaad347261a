package benchmarks

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"

	"github.com/bytecodealliance/wasmtime-go/v39"
)

// wasmtimeFunc is the form of a host function that wasmtime calls without reflection.
type wasmtimeFunc func(*wasmtime.Caller, []wasmtime.Val) ([]wasmtime.Val, *wasmtime.Trap)

func wasmtimeRivals() []rival {
	return []rival{{
		name:      "wasmtime",
		open:      openWasmtime,
		filesOnly: true,
		hostForms: []hostForm{
			{name: "FuncNew", fn: wasmtimeFunc(func(_ *wasmtime.Caller, args []wasmtime.Val) ([]wasmtime.Val, *wasmtime.Trap) {
				return []wasmtime.Val{wasmtime.ValI32(args[0].I32() + 1)}, nil
			})},
			{name: "FuncWrap", fn: addOne},
			{name: "Emit", fn: emit, emits: true},
		},
	}}
}

type wasmtimeEngine struct {
	engine *wasmtime.Engine
	linker *wasmtime.Linker
}

func openWasmtime(s setup) (engine, error) {
	config := wasmtime.NewConfig()
	config.SetParallelCompilation(s.allCores)
	if s.cache != "" {
		if err := wasmtimeCache(config, s.cache); err != nil {
			return nil, err
		}
	}
	e := &wasmtimeEngine{engine: wasmtime.NewEngineWithConfig(config)}
	e.linker = wasmtime.NewLinker(e.engine)
	i32 := []*wasmtime.ValType{wasmtime.NewValType(wasmtime.KindI32)}
	for name, fn := range s.hosts {
		var err error
		if raw, ok := fn.(wasmtimeFunc); ok {
			err = e.linker.FuncNew("env", name, wasmtime.NewFuncType(i32, i32), raw)
		} else {
			err = e.linker.FuncWrap("env", name, fn)
		}
		if err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	return e, nil
}

// wasmtimeCache writes the file by which alone a cache is asked for.
func wasmtimeCache(config *wasmtime.Config, folder string) error {
	name := filepath.Join(folder, "config.toml")
	text := fmt.Sprintf("[cache]\ndirectory = %q\n", filepath.Join(folder, "entries"))
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return err
	}
	return config.CacheConfigLoad(name)
}

func (e *wasmtimeEngine) save(m module, name string) error {
	artifact, err := m.(*wasmtimeModule).module.Serialize()
	if err != nil {
		return err
	}
	return os.WriteFile(name, artifact, 0o600)
}

func (e *wasmtimeEngine) load(name string) (module, error) {
	m, err := wasmtime.NewModuleDeserializeFile(e.engine, name)
	if err != nil {
		return nil, err
	}
	return &wasmtimeModule{e, m}, nil
}

func (e *wasmtimeEngine) compile(wasm []byte) (module, error) {
	m, err := wasmtime.NewModule(e.engine, wasm)
	if err != nil {
		return nil, err
	}
	return &wasmtimeModule{e, m}, nil
}

func (e *wasmtimeEngine) provideWASI() error { return e.linker.DefineWasi() }

func (e *wasmtimeEngine) close() error {
	e.linker.Close()
	e.engine.Close()
	return nil
}

type wasmtimeModule struct {
	from   *wasmtimeEngine
	module *wasmtime.Module
}

func (m *wasmtimeModule) instantiate() (instance, error) {
	return m.instantiateIn(wasmtime.NewStore(m.from.engine))
}

func (m *wasmtimeModule) instantiateIn(store *wasmtime.Store) (instance, error) {
	i, err := m.from.linker.Instantiate(store, m.module)
	if err != nil {
		store.Close()
		return nil, err
	}
	return &wasmtimeInstance{store, i}, nil
}

func (m *wasmtimeModule) settle(w world) (instance, error) {
	config, err := wasmtimeWASI(w)
	if err != nil {
		return nil, err
	}
	store := wasmtime.NewStore(m.from.engine)
	store.SetWasi(config)
	return m.instantiateIn(store)
}

func wasmtimeWASI(w world) (config *wasmtime.WasiConfig, err error) {
	config = wasmtime.NewWasiConfig()
	defer func() {
		if err != nil {
			config.Close()
		}
	}()
	config.SetArgv(w.args)
	if w.stdin != nil {
		if err := config.SetStdinFile(w.stdin.Name()); err != nil {
			return config, err
		}
	}
	if w.stdout != nil {
		file, ok := w.stdout.(*os.File)
		if !ok {
			return config, fmt.Errorf("standard output is a %T, not a file", w.stdout)
		}
		if err := config.SetStdoutFile(file.Name()); err != nil {
			return config, err
		}
	}
	if w.folder == "" {
		return config, nil
	}
	const dir, files = wasmtime.DIR_READ | wasmtime.DIR_WRITE, wasmtime.FILE_READ | wasmtime.FILE_WRITE
	return config, config.PreopenDir(w.folder, "/", dir, files)
}

func (m *wasmtimeModule) close() error {
	m.module.Close()
	return nil
}

type wasmtimeInstance struct {
	store    *wasmtime.Store
	instance *wasmtime.Instance
}

func (i *wasmtimeInstance) export(name string) (*wasmtime.Func, error) {
	fn := i.instance.GetFunc(i.store, name)
	if fn == nil {
		return nil, fmt.Errorf("no export %q", name)
	}
	return fn, nil
}

func (i *wasmtimeInstance) function(name string) (function, error) {
	fn, err := i.export(name)
	if err != nil {
		return nil, err
	}
	boxed := make([]any, 0, maxArgs)
	return func(args ...int32) (uint64, error) {
		boxed = boxed[:0]
		for _, arg := range args {
			boxed = append(boxed, arg)
		}
		result, err := fn.Call(i.store, boxed...)
		if err != nil {
			return 0, err
		}
		return bits(result)
	}, nil
}

// bits widens a result as the other rivals have it in their stacks.
func bits(result any) (uint64, error) {
	switch r := result.(type) {
	case nil:
		return 0, nil
	case int32:
		return uint64(uint32(r)), nil
	case int64:
		return uint64(r), nil
	case float64:
		return math.Float64bits(r), nil
	}
	return 0, fmt.Errorf("unexpected result %T", result)
}

func (i *wasmtimeInstance) sumForms() ([]callForm, error) {
	fn, err := i.export("sum")
	if err != nil {
		return nil, err
	}
	return []callForm{{name: "Call", call: func() (int32, error) {
		result, err := fn.Call(i.store, int32(5), int32(37))
		if err != nil {
			return 0, err
		}
		return result.(int32), nil
	}}}, nil
}

func (i *wasmtimeInstance) greeter() (func(string) (string, error), error) {
	allocate, errA := i.export("allocate")
	deallocate, errD := i.export("deallocate")
	greet, errG := i.export("greet")
	if err := errors.Join(errA, errD, errG); err != nil {
		return nil, err
	}
	memory := i.instance.GetExport(i.store, "memory").Memory()
	return func(name string) (string, error) {
		size := int32(len(name) + 1)
		ptr, err := allocate.Call(i.store, size)
		if err != nil {
			return "", err
		}
		at := ptr.(int32)
		copy(memory.UnsafeData(i.store)[at:at+size], name+"\x00")
		out, err := greet.Call(i.store, at)
		if err != nil {
			return "", err
		}
		text := memory.UnsafeData(i.store)[out.(int32):]
		end := bytes.IndexByte(text, 0)
		if end < 0 {
			return "", errors.New("what it said has no end")
		}
		said := string(text[:end])
		runtime.KeepAlive(i)
		_, err = deallocate.Call(i.store, at, size)
		_, errOut := deallocate.Call(i.store, out, int32(end+1))
		return said, errors.Join(err, errOut)
	}, nil
}

func (i *wasmtimeInstance) poke() error {
	i.instance.GetExport(i.store, "memory").Memory().UnsafeData(i.store)[pageSize/2] = 1
	runtime.KeepAlive(i)
	return nil
}

func (i *wasmtimeInstance) start() error {
	fn, err := i.export("_start")
	if err != nil {
		return err
	}
	_, err = fn.Call(i.store)
	if failed, ok := err.(*wasmtime.Error); ok {
		if code, exited := failed.ExitStatus(); exited && code == 0 {
			return nil
		}
	}
	return err
}

func (i *wasmtimeInstance) close() error {
	i.store.Close()
	return nil
}
