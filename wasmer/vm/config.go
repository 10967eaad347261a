package vm

import (
	"errors"
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Config are the options of a VM. The zero value is a good choice.
type Config struct {
	// Engine are the options of the VM's engine: compiler, MaxMemoryPages, OptLevel, Target, DumpIR, Logger and others. The zero value
	// of Features stands for DefaultFeatures. Metering and MeasureTime are for Statistics to set.
	Engine wasmer.EngineConfig
	// ForceBaseline has nothing run but code of Singlepass, also of what brings compiled code along: universal WebAssembly is compiled
	// anew, and an artifact of another compiler is wasmer.ErrUnsupported. Engine.Compiler must be left open.
	ForceBaseline bool
	// WASI gives guests WASI, with the streams of the process, and neither arguments, environment nor files; see VM.WASI for more.
	WASI bool
	// HostModules are registered from the beginning, and again by Cleanup.
	HostModules []wasmer.HostModule
	// ForbiddenPlugins are the names of plug-ins whose modules are not registered. Those of all others are.
	ForbiddenPlugins []string
	// NoMocks leaves out the stand-ins for the modules of plug-ins that are missing (wasmer.MockModules), so that a module that
	// imports from them is a *wasmer.LinkError.
	NoMocks bool
	// Store is where instances are made; nil for a store of the VM's own. It must stay open as long as the VM. Several VMs may
	// use one: they see each other's names, take turns in running, and share a meter; Cleanup and Close of one close what it has
	// made, and nothing else.
	Store *wasmer.Store
	// Statistics are what is counted.
	Statistics StatisticsConfig
	// WebAssemblyOnly takes no machine code. Else artifacts (wasmer.Module.Serialize), and the code in universal WebAssembly
	// (wasmer.Module.Embed), are taken wherever WebAssembly is, and whoever makes such a file can do what this process can: set it, or
	// Engine.ArtifactKey, for files that others bring. Artifacts are ErrMachineCode then, and universal WebAssembly is compiled anew.
	WebAssemblyOnly bool
	// Output is what Compile makes.
	Output OutputFormat
}

// StatisticsConfig says what is counted of what guests execute. All of it is off at first, and costs nothing then. Code that was
// compiled before (artifacts) must have been compiled with the same.
type StatisticsConfig struct {
	// Instructions counts instructions, as wasmer.Metering says.
	Instructions bool
	// Time measures the times that guests and host functions take.
	Time bool
	// Cost adds up what instructions and host functions cost.
	Cost bool
	// Costs is what each instruction costs; one that is missing costs nothing. With nil each costs 1. It takes Cost.
	Costs wasmer.CostTable
	// CostLimit ends guests with wasmer.ErrCostLimit before they would have cost more, all calls together; 0 means no limit. It
	// takes Cost.
	CostLimit uint64
}

// OutputFormat is the format of compiled modules.
type OutputFormat uint8

const (
	// Universal is WebAssembly with the compiled code in a section of its own: any engine runs it.
	Universal OutputFormat = iota
	// Native is the compiled code alone.
	Native
)

func (f OutputFormat) String() string {
	switch f {
	case Universal:
		return "universal"
	case Native:
		return "native"
	}
	return fmt.Sprintf("OutputFormat(%d)", uint8(f))
}

// DefaultFeatures is what modules may use if Config.Engine.Features is not set: mutable globals, conversions of floats that do not
// trap, sign extension, several results, bulk memory, reference types and SIMD. Add others by With, as tail calls, several
// memories, threads and extended constant expressions.
func DefaultFeatures() wasmer.Features {
	return wasmer.NewFeatures(wasmer.FeatureMutableGlobal, wasmer.FeatureNontrappingFloatToInt, wasmer.FeatureSignExtension,
		wasmer.FeatureMultiValue, wasmer.FeatureBulkMemory, wasmer.FeatureReferenceTypes, wasmer.FeatureSIMD)
}

// engine makes the VM's engine, and tells what options it has.
func (c *Config) engine() (*wasmer.Engine, wasmer.EngineConfig, error) {
	config := c.Engine
	if c.Output > Native {
		return nil, config, fmt.Errorf("vm: Config.Output is %v", c.Output)
	}
	if c.ForceBaseline {
		if config.Compiler != wasmer.DefaultCompiler && config.Compiler != wasmer.Singlepass {
			return nil, config, fmt.Errorf("vm: ForceBaseline is Singlepass, and Config.Engine.Compiler asks for %v", config.Compiler)
		}
		config.Compiler = wasmer.Singlepass
	}
	// A set that was given is kept as it is: what the compiler lacks of it is an error.
	if config.Features == (wasmer.Features{}) {
		features := DefaultFeatures()
		supported := wasmer.SupportedFeatures(config.Compiler)
		for _, feature := range features.List() {
			if !supported.Has(feature) {
				features = features.Without(feature)
			}
		}
		config.Features = features
	}
	config.TrustEmbeddedCode = !c.WebAssemblyOnly
	metering, err := c.Statistics.metering(config)
	if err != nil {
		return nil, config, err
	}
	config.MeasureTime = config.MeasureTime || c.Statistics.Time
	if metering.Mode != wasmer.MeteringOff {
		config.Metering = metering
	}
	engine, err := wasmer.NewEngine(config)
	if metering.Mode == wasmer.MeteringExact && errors.Is(err, wasmer.ErrUnsupported) { // LLVM
		config.Metering.Mode = wasmer.MeteringBlock
		if blocks, blockErr := wasmer.NewEngine(config); blockErr == nil {
			return blocks, config, nil
		}
	}
	return engine, config, err
}

// adapted are the options of an engine that loads an artifact which was made with others.
func adapted(config wasmer.EngineConfig, info *wasmer.ArtifactInfo) wasmer.EngineConfig {
	for _, compiler := range wasmer.Compilers() {
		if compiler.String() == info.Compiler {
			config.Compiler = compiler
		}
	}
	config.OptLevel, config.CanonicalizeNaNs = info.OptLevel, info.CanonicalizeNaNs
	config.Features, config.Memories = info.Features, info.Memories
	return config
}

// metering is what counts; exact where the compiler can.
func (s *StatisticsConfig) metering(config wasmer.EngineConfig) (wasmer.Metering, error) {
	switch {
	case !s.Cost && s.Costs != nil:
		return wasmer.Metering{}, errors.New("vm: Config.Statistics has Costs, which take Cost")
	case !s.Cost && s.CostLimit != 0:
		return wasmer.Metering{}, errors.New("vm: Config.Statistics has a CostLimit, which takes Cost")
	case !s.Cost && !s.Instructions:
		return wasmer.Metering{}, nil
	case config.Metering.Mode != wasmer.MeteringOff:
		return wasmer.Metering{}, errors.New("vm: both Config.Statistics and Config.Engine.Metering are set")
	}
	return wasmer.Metering{
		Mode: wasmer.MeteringExact, Costs: s.Costs, CountInstructions: s.Instructions, Limit: s.CostLimit,
	}, nil
}
