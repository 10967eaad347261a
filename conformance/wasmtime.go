package conformance

import (
	"errors"
	"fmt"
	"math"
	"regexp"

	"github.com/bytecodealliance/wasmtime-go/v39"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
)

type wasmtimeEngine struct{}

func (wasmtimeEngine) Name() string { return "wasmtime" }

func (wasmtimeEngine) Open(string) (suite.Store, error) {
	config := wasmtime.NewConfig()
	for _, enable := range []func(bool){
		config.SetWasmBulkMemory, config.SetWasmReferenceTypes, config.SetWasmMultiValue, config.SetWasmSIMD,
		config.SetWasmRelaxedSIMD, config.SetWasmThreads, config.SetWasmTailCall, config.SetWasmMultiMemory,
		config.SetWasmMemory64, config.SetWasmFunctionReferences, config.SetWasmGC, config.SetWasmWideArithmetic,
	} {
		enable(true)
	}
	s := &wasmtimeStore{engine: wasmtime.NewEngineWithConfig(config)}
	s.store = wasmtime.NewStore(s.engine)
	s.linker = wasmtime.NewLinker(s.engine)
	s.linker.AllowShadowing(true)
	host, err := spectest(`(table (export "table64") i64 10 20 funcref) (memory (export "shared_memory") 1 2 shared)`)
	if err != nil {
		return nil, err
	}
	module, err := s.Compile(suite.Source{Binary: host})
	if err != nil {
		return nil, err
	}
	instance, err := s.Instantiate(module)
	if err != nil {
		return nil, err
	}
	return s, s.Register(hostModule, instance)
}

type wasmtimeStore struct {
	engine *wasmtime.Engine
	store  *wasmtime.Store
	linker *wasmtime.Linker
}

func (s *wasmtimeStore) Compile(source suite.Source) (suite.Module, error) {
	if source.Binary == nil {
		return nil, suite.API("text format")
	}
	module, err := wasmtime.NewModule(s.engine, source.Binary)
	if err != nil {
		return nil, refused(err)
	}
	return module, nil
}

var wasmtimeMissing = regexp.MustCompile("unknown import: `(.*)::")

func (s *wasmtimeStore) Instantiate(module suite.Module) (suite.Instance, error) {
	instance, err := s.linker.Instantiate(s.store, module.(*wasmtime.Module))
	if err == nil {
		return &wasmtimeInstance{s.store, instance}, nil
	}
	if err := wasmtimeError(err); isTrap(err) {
		return nil, err
	}
	unlinkable := &suite.Unlinkable{Err: err}
	if name := wasmtimeMissing.FindStringSubmatch(err.Error()); name != nil {
		unlinkable.Modules = name[1:]
	}
	return nil, unlinkable
}

func (s *wasmtimeStore) Register(name string, instance suite.Instance) error {
	return s.linker.DefineInstance(s.store, name, instance.(*wasmtimeInstance).instance)
}

func (s *wasmtimeStore) Close() error {
	s.linker.Close()
	s.store.Close()
	s.engine.Close()
	return nil
}

type wasmtimeInstance struct {
	store    *wasmtime.Store
	instance *wasmtime.Instance
}

func (i *wasmtimeInstance) Invoke(field string, args []suite.Value) (values []suite.Value, err error) {
	f := i.instance.GetFunc(i.store, field)
	if f == nil {
		return nil, fmt.Errorf("no function %q", field)
	}
	given := make([]any, len(args))
	for n, arg := range args {
		if given[n], err = toWasmtime(arg); err != nil {
			return nil, err
		}
	}
	defer recoverUnknownType(&err)
	result, err := f.Call(i.store, given...)
	if err != nil {
		return nil, wasmtimeError(err)
	}
	switch len(f.Type(i.store).Results()) {
	case 0:
		return nil, nil
	case 1:
		return []suite.Value{fromWasmtime(result)}, nil
	}
	for _, v := range result.([]wasmtime.Val) {
		values = append(values, fromWasmtime(v.Get()))
	}
	return values, nil
}

func (i *wasmtimeInstance) Get(field string) (v suite.Value, err error) {
	e := i.instance.GetExport(i.store, field)
	if e == nil || e.Global() == nil {
		return suite.Value{}, fmt.Errorf("no global %q", field)
	}
	defer recoverUnknownType(&err)
	return fromWasmtime(e.Global().Get(i.store).Get()), nil
}

// recoverUnknownType catches the panic of the Go API that meets a value of a type it has no words for. There is no
// way to ask before: of a type that it does not know, wasmtime's C API ends the process.
func recoverUnknownType(err *error) {
	if p := recover(); p != nil {
		*err = suite.API("values of this type")
	}
}

func toWasmtime(v suite.Value) (wasmtime.Val, error) {
	switch v.Type {
	case "i32":
		return wasmtime.ValI32(int32(v.Lo)), nil
	case "i64":
		return wasmtime.ValI64(int64(v.Lo)), nil
	case "f32":
		return wasmtime.ValF32(math.Float32frombits(uint32(v.Lo))), nil
	case "f64":
		return wasmtime.ValF64(math.Float64frombits(v.Lo)), nil
	case "funcref":
		return wasmtime.ValFuncref(nil), nil
	case "externref":
		if v.Null {
			return wasmtime.ValExternref(nil), nil
		}
		return wasmtime.ValExternref(v.Lo), nil
	}
	return wasmtime.Val{}, suite.API("arguments of type " + v.Type)
}

func fromWasmtime(v any) suite.Value {
	switch v := v.(type) {
	case int32:
		return suite.Value{Type: "i32", Lo: uint64(uint32(v))}
	case int64:
		return suite.Value{Type: "i64", Lo: uint64(v)}
	case float32:
		return suite.Value{Type: "f32", Lo: uint64(math.Float32bits(v))}
	case float64:
		return suite.Value{Type: "f64", Lo: math.Float64bits(v)}
	case *wasmtime.Func:
		return suite.Value{Type: "funcref", Null: v == nil, Opaque: true}
	case uint64:
		return suite.Value{Type: "externref", Lo: v}
	}
	return suite.Value{Type: "externref", Null: true}
}

// wasmtimeTraps has the codes of wasmtime's C API; the Go API has no names for the last ones.
var wasmtimeTraps = map[wasmtime.TrapCode]suite.TrapKind{
	wasmtime.StackOverflow:          suite.StackOverflow,
	wasmtime.MemoryOutOfBounds:      suite.MemoryBounds,
	wasmtime.HeapMisaligned:         suite.Unaligned,
	wasmtime.TableOutOfBounds:       suite.TableBounds,
	wasmtime.IndirectCallToNull:     suite.NullElement,
	wasmtime.BadSignature:           suite.SignatureClash,
	wasmtime.IntegerOverflow:        suite.Overflow,
	wasmtime.IntegerDivisionByZero:  suite.DivisionByZero,
	wasmtime.BadConversionToInteger: suite.BadConversion,
	wasmtime.UnreachableCodeReached: suite.Unreachable,

	14: suite.NullReference,
	15: suite.ArrayBounds,
	17: suite.CastFailure,
}

func wasmtimeError(err error) error {
	var trap *wasmtime.Trap
	if !errors.As(err, &trap) {
		return err
	}
	t := &suite.Trap{Err: errors.New(trap.Message())} // a copy: whoever keeps the error need not keep the trap
	if code := trap.Code(); code != nil {
		if kind, ok := wasmtimeTraps[*code]; ok {
			t.Kinds = []suite.TrapKind{kind}
		}
	}
	return t
}
