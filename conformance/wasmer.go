package conformance

import (
	"context"
	"errors"
	"math"
	"strings"

	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// WasmerEngines lists this library with each of its compilers.
func WasmerEngines() []suite.Engine {
	var engines []suite.Engine
	for _, compiler := range wasmer.Compilers() {
		engines = append(engines, wasmerEngine{compiler: compiler})
	}
	return engines
}

// MeteredEngines lists this library with each of its compilers and each way to count.
func MeteredEngines() []suite.Engine {
	var engines []suite.Engine
	for _, compiler := range wasmer.Compilers() {
		for _, mode := range []wasmer.MeteringMode{wasmer.MeteringBlock, wasmer.MeteringExact} {
			if compiler == wasmer.LLVM && mode == wasmer.MeteringExact {
				continue // it has none
			}
			metering := wasmer.Metering{Mode: mode, CountInstructions: true, Costs: wasmer.CostTable{0x0b: 3, 0x05: 9, 0x41: 1}}
			engines = append(engines, wasmerEngine{compiler: compiler, metering: metering})
		}
	}
	return engines
}

// TieredEngines lists this library with the code of each tier: that which is there at once, and that which takes its place.
func TieredEngines() []suite.Engine {
	if !wasmer.Available(wasmer.Tiered) {
		return nil
	}
	return []suite.Engine{
		wasmerEngine{compiler: wasmer.Tiered, tiering: wasmer.Tiering{Off: true}}, wasmerEngine{compiler: wasmer.Tiered},
	}
}

// ArtifactEngines lists this library with each of its compilers, and modules that were serialized and loaded again.
func ArtifactEngines() []suite.Engine {
	var engines []suite.Engine
	for _, compiler := range wasmer.Compilers() {
		engines = append(engines, wasmerEngine{compiler: compiler, artifact: true})
	}
	return engines
}

type wasmerEngine struct {
	compiler wasmer.Compiler
	metering wasmer.Metering
	tiering  wasmer.Tiering
	// artifact has modules serialized, and loaded again.
	artifact bool
	// embedded is whether code that is found in modules is used.
	embedded bool
	// snapshots has instances replaced by restored ones, and counts them.
	snapshots *snapshotCount
}

func (e wasmerEngine) Name() string {
	switch {
	case e.metering.Mode != wasmer.MeteringOff:
		return e.compiler.String() + "-" + e.metering.Mode.String()
	case e.tiering.Off:
		return e.compiler.String() + "-" + wasmer.TierBaseline.String()
	case e.compiler == wasmer.Tiered:
		return e.compiler.String() + "-" + wasmer.TierOptimized.String()
	case e.artifact:
		return e.compiler.String() + "-artifact"
	case e.embedded:
		return e.compiler.String() + "-embedded"
	case e.snapshots != nil:
		return e.compiler.String() + "-snapshot"
	}
	return e.compiler.String()
}

// compile makes a module of the tier that is wanted.
func (e wasmerEngine) compile(ctx context.Context, engine *wasmer.Engine, code []byte) (*wasmer.Module, error) {
	module, err := engine.Compile(ctx, code)
	if err != nil {
		return nil, err
	}
	if err := module.WaitTier(ctx); err != nil {
		return nil, errors.Join(err, module.Close())
	}
	if !e.artifact {
		return module, nil
	}
	artifact, err := module.Serialize()
	if err = errors.Join(err, module.Close()); err != nil {
		return nil, err
	}
	return engine.Deserialize(ctx, artifact)
}

func (e wasmerEngine) Open(script string) (suite.Store, error) {
	features := wasmer.SupportedFeatures(e.compiler)
	if strings.HasPrefix(script, "proposals/threads/") {
		// This copy of the suite is older than these, and wants them refused.
		features = features.Without(wasmer.FeatureMultiMemory, wasmer.FeatureReferenceTypes)
	}
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{
		Compiler: e.compiler,
		Features: features,
		Metering: e.metering,
		Tiering:  e.tiering,

		TrustEmbeddedCode: e.embedded,
		// Scripts run in parallel; their modules are small.
		CompileThreads: 1,
	})
	if err != nil {
		return nil, err
	}
	store, err := wasmer.NewStore(engine)
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	s := &wasmerStore{subject: e, engine: engine, store: store, restorer: newRestorer(store, script, e.snapshots)}
	if err := makeSpectest(store); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

type wasmerStore struct {
	subject wasmerEngine
	engine  *wasmer.Engine
	store   *wasmer.Store
	modules []*wasmer.Module
	// restorer is nil unless instances are to be replaced.
	restorer *restorer
}

func (s *wasmerStore) Compile(source suite.Source) (suite.Module, error) {
	code := source.Text
	if code == nil {
		code = source.Binary
	}
	module, err := s.subject.compile(context.Background(), s.engine, code)
	if err != nil {
		return nil, compileError(err)
	}
	s.modules = append(s.modules, module)
	return module, nil
}

func (s *wasmerStore) Instantiate(module suite.Module) (suite.Instance, error) {
	instance, err := s.store.Instantiate(context.Background(), "", module.(*wasmer.Module), nil)
	if err != nil {
		return nil, wasmerError(err)
	}
	return &wasmerInstance{instance: instance, restorer: s.restorer}, nil
}

func (s *wasmerStore) Register(name string, instance suite.Instance) error {
	registered := instance.(*wasmerInstance)
	registered.shared = true
	return s.store.Register(name, registered.instance)
}

func (s *wasmerStore) Close() error {
	err := s.store.Close()
	for _, module := range s.modules {
		err = errors.Join(err, module.Close())
	}
	return errors.Join(err, s.engine.Close())
}

type wasmerInstance struct {
	instance *wasmer.Instance
	restorer *restorer
	// shared says that others can import from it.
	shared bool
}

func (i *wasmerInstance) Invoke(field string, args []suite.Value) ([]suite.Value, error) {
	if err := i.restorer.restore(i); err != nil {
		return nil, err
	}
	f, err := i.instance.Function(field)
	if err != nil {
		return nil, err
	}
	given := make([]any, len(args))
	for n, arg := range args {
		if given[n], err = toWasmer(arg); err != nil {
			return nil, err
		}
	}
	results, err := f.Call(context.Background(), given...)
	if err != nil {
		return nil, wasmerError(err)
	}
	values := make([]suite.Value, len(f.Type().Results))
	for n := range values {
		values[n] = fromWasmer(results[n])
	}
	return values, nil
}

func (i *wasmerInstance) Get(field string) (suite.Value, error) {
	if err := i.restorer.restore(i); err != nil {
		return suite.Value{}, err
	}
	g, err := i.instance.Global(field)
	if err != nil {
		return suite.Value{}, err
	}
	v, err := g.Get()
	if err != nil {
		return suite.Value{}, wasmerError(err)
	}
	return fromWasmer(v), nil
}

// Memory is for comparisons of what a guest leaves behind.
func (i *wasmerInstance) Memory(name string) ([]byte, error) {
	m, err := i.instance.ExportedMemory(name)
	if err != nil {
		return nil, err
	}
	return m.Data(), nil
}

func toWasmer(v suite.Value) (wasmer.Value, error) {
	switch v.Type {
	case "i32":
		return wasmer.I32(int32(v.Lo)), nil
	case "i64":
		return wasmer.I64(int64(v.Lo)), nil
	case "f32":
		return wasmer.F32(math.Float32frombits(uint32(v.Lo))), nil
	case "f64":
		return wasmer.F64(math.Float64frombits(v.Lo)), nil
	case "v128":
		return wasmer.V128(v.Lo, v.Hi), nil
	case "externref":
		if !v.Null {
			return wasmer.ExternRef(v.Lo), nil
		}
		return wasmer.NullRef(wasmer.ValueTypeExternRef), nil
	case "funcref":
		return wasmer.NullRef(wasmer.ValueTypeFuncRef), nil
	case "exnref":
		return wasmer.NullRef(wasmer.ValueTypeExnRef), nil
	}
	return wasmer.Value{}, suite.API("arguments of type " + v.Type)
}

func fromWasmer(v wasmer.Value) suite.Value {
	lo, hi := v.ToV128()
	value := suite.Value{Type: v.Type().String(), Lo: lo, Hi: hi}
	if v.IsReference() {
		value = suite.Value{Type: value.Type, Null: v.IsNull(), Opaque: true}
		if n, ok := v.ToExternRef().(uint64); ok {
			value.Lo, value.Opaque = n, false
		}
	}
	return value
}
