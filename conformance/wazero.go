package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const wazeroFeatures = api.CoreFeaturesV2 | experimental.CoreFeaturesThreads | experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst | experimental.CoreFeaturesExceptionHandling |
	experimental.CoreFeaturesTypedFunctionReferences

type wazeroEngine struct{}

func (wazeroEngine) Name() string { return "wazero" }

func (wazeroEngine) Open(string) (suite.Store, error) {
	s := &wazeroStore{
		runtime: wazero.NewRuntimeWithConfig(context.Background(),
			wazero.NewRuntimeConfigCompiler().WithCoreFeatures(wazeroFeatures)),
		modules: map[string]api.Module{},
	}
	// The host module is not wazero's own, which can hold functions only.
	host, err := spectest("")
	if err != nil {
		return nil, err
	}
	s.modules[hostModule], err = s.runtime.InstantiateWithConfig(context.Background(), host, anonymous)
	return s, err
}

var anonymous = wazero.NewModuleConfig().WithName("").WithStartFunctions()

type wazeroStore struct {
	runtime wazero.Runtime
	modules map[string]api.Module
}

func (s *wazeroStore) Compile(source suite.Source) (suite.Module, error) {
	if source.Binary == nil {
		return nil, suite.API("text format")
	}
	module, err := s.runtime.CompileModule(context.Background(), source.Binary)
	if err != nil {
		return nil, refused(err)
	}
	return &wazeroModule{module, source.Binary}, nil
}

type wazeroModule struct {
	compiled wazero.CompiledModule
	wasm     []byte
}

// imports are the names of the modules that this one imports from. wazero tells one that is missing, but looks for them
// in an order that changes from run to run, and may find something else wrong first.
func (m *wazeroModule) imports() []string {
	var names []string
	if info, err := wasmer.Inspect(m.wasm); err == nil {
		for _, i := range info.Imports() {
			names = append(names, i.Module)
		}
	}
	return names
}

// refused is the error of rivals that do not tell an invalid module from one that they lack a feature for.
func refused(err error) error { return &suite.Unsupported{Feature: "module refused", Err: err} }

func (s *wazeroStore) Instantiate(module suite.Module) (suite.Instance, error) {
	m := module.(*wazeroModule)
	resolve := func(name string) api.Module { return s.modules[name] }
	ctx := experimental.WithImportResolver(context.Background(), resolve)
	instance, err := s.runtime.InstantiateModule(ctx, m.compiled, anonymous)
	if err == nil {
		return &wazeroInstance{instance}, nil
	}
	if err := wazeroError(err); isTrap(err) {
		return nil, err
	} else if strings.Contains(err.Error(), "too large") {
		return nil, &suite.Trap{Err: err} // a segment that does not fit: wazero tells it apart from no other error
	} else if strings.Contains(err.Error(), `"shared_memory" is not exported`) {
		return nil, &suite.Unsupported{Feature: "multi-memory", Err: err} // the host module has one memory for wazero
	}
	return nil, &suite.Unlinkable{Modules: m.imports(), Err: err}
}

func isTrap(err error) bool {
	var trap *suite.Trap
	var exception *suite.Exception
	return errors.As(err, &trap) || errors.As(err, &exception)
}

func (s *wazeroStore) Register(name string, instance suite.Instance) error {
	s.modules[name] = instance.(*wazeroInstance).module
	return nil
}

func (s *wazeroStore) Close() error { return s.runtime.Close(context.Background()) }

type wazeroInstance struct{ module api.Module }

func (i *wazeroInstance) Invoke(field string, args []suite.Value) ([]suite.Value, error) {
	f := i.module.ExportedFunction(field)
	if f == nil {
		return nil, fmt.Errorf("no function %q", field)
	}
	var stack []uint64
	for _, arg := range args {
		stack = append(stack, arg.Lo)
		switch {
		case arg.Type == "v128":
			stack = append(stack, arg.Hi)
		case suite.IsReference(arg.Type) && !arg.Null:
			stack[len(stack)-1]++ // wazero's reference 0 is null
		}
	}
	results, err := f.Call(context.Background(), stack...)
	if err != nil {
		return nil, wazeroError(err)
	}
	return wazeroValues(f.Definition().ResultTypes(), results)
}

func (i *wazeroInstance) Get(field string) (suite.Value, error) {
	g := i.module.ExportedGlobal(field)
	if g == nil {
		return suite.Value{}, fmt.Errorf("no global %q", field)
	}
	if g.Type() == wazeroV128 {
		return suite.Value{}, suite.API("v128 globals")
	}
	values, err := wazeroValues([]api.ValueType{g.Type()}, []uint64{g.Get()})
	if err != nil {
		return suite.Value{}, err
	}
	return values[0], nil
}

// Types that wazero's API has no names for.
const (
	wazeroV128    api.ValueType = 0x7b
	wazeroFuncRef api.ValueType = 0x70
)

func wazeroValues(types []api.ValueType, stack []uint64) ([]suite.Value, error) {
	values := make([]suite.Value, len(types))
	for i, t := range types {
		v := &values[i]
		v.Lo, stack = stack[0], stack[1:]
		switch t {
		case api.ValueTypeI32, api.ValueTypeF32:
			v.Type, v.Lo = api.ValueTypeName(t), uint64(uint32(v.Lo))
		case api.ValueTypeI64, api.ValueTypeF64:
			v.Type = api.ValueTypeName(t)
		case wazeroV128:
			v.Type, v.Hi, stack = "v128", stack[0], stack[1:]
		case wazeroFuncRef:
			v.Type, v.Null, v.Opaque = "funcref", v.Lo == 0, true
		case api.ValueTypeExternref:
			v.Type, v.Null = "externref", v.Lo == 0
			v.Lo--
		default:
			return nil, suite.API(fmt.Sprintf("values of type %#x", t))
		}
	}
	return values, nil
}

// wazeroTraps are the texts of wazero's errors, which it exports no values for.
var wazeroTraps = map[string][]suite.TrapKind{
	"stack overflow":                {suite.StackOverflow},
	"invalid conversion to integer": {suite.BadConversion},
	"integer overflow":              {suite.Overflow},
	"integer divide by zero":        {suite.DivisionByZero},
	"unreachable":                   {suite.Unreachable},
	"out of bounds memory access":   {suite.MemoryBounds},
	"invalid table access":          {suite.TableBounds, suite.NullElement},
	"indirect call type mismatch":   {suite.SignatureClash},
	"unaligned atomic":              {suite.Unaligned},
	"null reference":                {suite.NullReference},
	"expected shared memory":        {"expected shared memory"},
}

func wazeroError(err error) error {
	text := err.Error()
	if at := strings.Index(text, "wasm error: "); at >= 0 {
		reason, _, _ := strings.Cut(text[at+len("wasm error: "):], "\n")
		if reason == "uncaught exception" {
			return &suite.Exception{Err: err}
		}
		return &suite.Trap{Kinds: wazeroTraps[reason], Err: err}
	}
	// Instantiation reports what a start function did without the prefix.
	for reason, kinds := range wazeroTraps {
		if strings.Contains(text, reason) {
			return &suite.Trap{Kinds: kinds, Err: err}
		}
	}
	return err
}

// Memory is for comparisons of what a guest leaves behind.
func (i *wazeroInstance) Memory(name string) ([]byte, error) {
	m := i.module.ExportedMemory(name)
	if m == nil {
		return nil, fmt.Errorf("no memory %q", name)
	}
	data, _ := m.Read(0, m.Size())
	return data, nil
}
