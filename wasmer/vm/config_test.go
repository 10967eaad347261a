package vm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// loads reports whether a module is accepted.
func loads(t *testing.T, v *vm.VM, source string) error {
	t.Helper()
	require.NoError(t, v.LoadBytes(background, []byte(source)))
	return v.Validate()
}

// proposals have a module that needs each.
var proposals = map[wasmer.Feature]string{
	wasmer.FeatureMutableGlobal:         `(module (global (export "g") (mut i32) (i32.const 0)))`,
	wasmer.FeatureNontrappingFloatToInt: `(module (func (drop (i32.trunc_sat_f32_s (f32.const 0)))))`,
	wasmer.FeatureSignExtension:         `(module (func (drop (i32.extend8_s (i32.const 0)))))`,
	wasmer.FeatureMultiValue:            `(module (func (result i32 i32) (i32.const 0) (i32.const 0)))`,
	wasmer.FeatureBulkMemory:            `(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))`,
	wasmer.FeatureReferenceTypes:        `(module (func (param externref)))`,
	wasmer.FeatureSIMD:                  `(module (func (drop (v128.const i32x4 0 0 0 0))))`,
	wasmer.FeatureMultiMemory:           `(module (memory 1) (memory 1))`,
	wasmer.FeatureThreads:               `(module (memory 1 1 shared))`,
	wasmer.FeatureExtendedConst:         `(module (global i32 (i32.add (i32.const 1) (i32.const 1))))`,
	wasmer.FeatureTailCall:              `(module (func return_call 0))`,
	wasmer.FeatureExceptionHandling:     `(module (tag))`,
}

func TestF040F041F042ProposalsAreSwitchedOnAndOff(t *testing.T) {
	defaults := vm.DefaultFeatures()
	require.Equal(t, "mutable-global, nontrapping-float-to-int-conversions, sign-extension-ops, multi-value, bulk-memory-operations, "+
		"reference-types, simd", strings.Join(names(defaults), ", "))
	for feature, source := range proposals {
		v := newVM(t, vm.Config{})
		err := loads(t, v, source)
		if defaults.Has(feature) {
			require.NoError(t, err, feature)
		} else {
			require.Error(t, err, "%v is off", feature)
		}
		require.Equal(t, defaults.Has(feature), v.Engine().Features().Has(feature))
		if !wasmer.SupportedFeatures(wasmer.DefaultCompiler).Has(feature) {
			none := vm.New(vm.Config{Engine: wasmer.EngineConfig{Features: defaults.With(feature)}})
			require.ErrorIs(t, none.Err(), wasmer.ErrUnsupported, "what the compiler lacks is an error")
			require.NoError(t, none.Close())
			continue
		}
		with := newVM(t, vm.Config{Engine: wasmer.EngineConfig{Features: defaults.With(feature)}})
		require.NoError(t, loads(t, with, source), feature)
		if feature == wasmer.FeatureMutableGlobal {
			continue // part of all since
		}
		without := newVM(t, vm.Config{Engine: wasmer.EngineConfig{Features: defaults.Without(feature)}})
		err = loads(t, without, source)
		require.ErrorAs(t, err, new(*wasmer.CompileError), "%v is off", feature)
		require.NotErrorIs(t, err, wasmer.ErrUnsupported)
	}
}

func names(features wasmer.Features) (list []string) {
	for _, feature := range features.List() {
		list = append(list, feature.String())
	}
	return list
}

func TestF045MemoriesAreBounded(t *testing.T) {
	grower := `(module (memory 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`
	v := newVM(t, vm.Config{Engine: wasmer.EngineConfig{MaxMemoryPages: 1234}})
	ready(t, v, grower)
	gives(t, 1, v, "grow", 1232)
	gives(t, -1, v, "grow", 2)
	gives(t, 1233, v, "grow", 1)
	err := func() error {
		require.NoError(t, v.LoadBytes(background, []byte(`(module (memory 1235))`)))
		require.NoError(t, v.Validate())
		return v.Instantiate(background)
	}()
	require.ErrorIs(t, err, wasmer.ErrResource)
	require.ErrorContains(t, err, "1234")
	ready(t, newVM(t, vm.Config{}), `(module (memory 65536))`) // the default
}

func TestF046ForcedBaseline(t *testing.T) {
	if !wasmer.Available(wasmer.Singlepass) || !wasmer.Available(wasmer.Cranelift) {
		t.Skip("it takes Singlepass and Cranelift")
	}
	compiler := newVM(t, vm.Config{Engine: wasmer.EngineConfig{Compiler: wasmer.Cranelift}})
	universal := wasmer.Must(compiler.Compile(background, fibonacci))
	baseline := newVM(t, vm.Config{ForceBaseline: true})
	require.Equal(t, wasmer.Singlepass, baseline.Engine().Compiler())
	require.NoError(t, baseline.LoadBytes(background, universal))
	require.NoError(t, baseline.Validate())
	require.NoError(t, baseline.Instantiate(background))
	gives(t, 17711, baseline, "fib", 21)
	require.Equal(t, wasmer.Singlepass, baseline.ActiveInstance().Module().Compiler(), "it was compiled anew")
	require.NotZero(t, baseline.Engine().Stats().Compilations)

	module := wasmer.Must(compiler.Engine().Compile(background, fibonacci))
	defer module.Close()
	artifact := wasmer.Must(module.Serialize())
	for name, err := range map[string]error{
		"load": baseline.LoadBytes(background, artifact), "register": baseline.RegisterBytes(background, "x", artifact),
		"run":    second(baseline.RunBytes(background, artifact, "fib", 1)),
		"module": baseline.LoadModule(module), "register module": baseline.RegisterModule(background, "x", module),
	} {
		require.ErrorIs(t, err, wasmer.ErrUnsupported, name)
		require.ErrorContains(t, err, "cranelift", name)
	}
	if wasmer.Available(wasmer.Tiered) {
		engine := wasmer.Must(wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Tiered, Tiering: wasmer.Tiering{Off: true}}))
		defer engine.Close()
		tiered := wasmer.Must(engine.Compile(background, fibonacci))
		defer tiered.Close()
		require.Equal(t, wasmer.Singlepass, tiered.Compiler(), "it is as yet")
		require.ErrorIs(t, baseline.LoadModule(tiered), wasmer.ErrUnsupported)
	}
	gives(t, 3, baseline, "fib", 3)

	native := newVM(t, vm.Config{ForceBaseline: true, Output: vm.Native})
	values, err := native.RunBytes(background, wasmer.Must(native.Compile(background, fibonacci)), "fib", 21)
	require.NoError(t, err, "an artifact of Singlepass")
	require.Equal(t, int32(17711), values[0].ToI32())
}

// Each load and run takes both formats of what was compiled, like WebAssembly.
func TestF048F129F130CompiledModulesAreTakenLikeWebAssembly(t *testing.T) {
	for _, compiler := range wasmer.Compilers() {
		for _, format := range []vm.OutputFormat{vm.Universal, vm.Native} {
			t.Run(compiler.String()+" "+format.String(), func(t *testing.T) {
				config := vm.Config{Output: format, Engine: wasmer.EngineConfig{Compiler: compiler}}
				maker := newVM(t, config)
				compiled := wasmer.Must(maker.Compile(background, fibonacci))
				path, in := filepath.Join(t.TempDir(), "fib.so"), file(t, "fib.wasm", fibonacci)
				require.NoError(t, maker.CompileFile(background, in, path))
				require.Equal(t, compiled, wasmer.Must(os.ReadFile(path)))
				entries := wasmer.Must(os.ReadDir(filepath.Dir(path)))
				require.Len(t, entries, 1, "nothing else is left")
				require.Equal(t, vm.Initiated, maker.State())

				for name, run := range map[string]func(v *vm.VM) ([]wasmer.Value, error){
					"RunBytes": func(v *vm.VM) ([]wasmer.Value, error) { return v.RunBytes(background, compiled, "fib", 21) },
					"RunFile":  func(v *vm.VM) ([]wasmer.Value, error) { return v.RunFile(background, path, "fib", 21) },
					"AsyncBytes": func(v *vm.VM) ([]wasmer.Value, error) {
						return v.AsyncRunBytes(background, compiled, "fib", 21).Result()
					},
					"AsyncFile": func(v *vm.VM) ([]wasmer.Value, error) { return v.AsyncRunFile(background, path, "fib", 21).Result() },
					"Register": func(v *vm.VM) ([]wasmer.Value, error) {
						require.NoError(t, v.RegisterBytes(background, "a", compiled))
						require.NoError(t, v.RegisterFile(background, "b", path))
						return v.ExecuteRegistered(background, "b", "fib", 21)
					},
				} {
					v := newVM(t, config)
					values, err := run(v)
					require.NoError(t, err, name)
					require.Equal(t, []wasmer.Value{wasmer.I32(17711)}, values, name)
					require.Zero(t, v.Engine().Stats().Compilations, "%s compiles nothing", name)
				}

				careful := newVM(t, vm.Config{Engine: config.Engine, WebAssemblyOnly: true})
				values, err := careful.RunBytes(background, compiled, "fib", 21)
				if format == vm.Native {
					require.ErrorIs(t, err, vm.ErrMachineCode)
					return
				}
				require.NoError(t, err, "the code is ignored, and the module compiled")
				require.Equal(t, []wasmer.Value{wasmer.I32(17711)}, values)
				require.Equal(t, uint64(1), careful.Engine().Stats().Compilations)
			})
		}
	}
}

// An artifact brings the options that it was compiled with.
func TestF130ArtifactsOfOtherOptionsAreTaken(t *testing.T) {
	plain := newVM(t, vm.Config{})
	for _, config := range []wasmer.EngineConfig{
		{Compiler: wasmer.Cranelift, OptLevel: wasmer.OptNone}, {Compiler: wasmer.Singlepass}, {CanonicalizeNaNs: true},
		{Features: vm.DefaultFeatures().With(wasmer.FeatureThreads)},
	} {
		maker := newVM(t, vm.Config{Output: vm.Native, Engine: config})
		for range 2 {
			values, err := plain.RunBytes(background, wasmer.Must(maker.Compile(background, fibonacci)), "fib", 21)
			require.NoError(t, err, "%+v", config)
			require.Equal(t, []wasmer.Value{wasmer.I32(17711)}, values)
		}
	}
	require.Zero(t, plain.Engine().Stats().Compilations)
	counting := newVM(t, vm.Config{Statistics: vm.StatisticsConfig{Instructions: true}})
	uncounted := wasmer.Must(newVM(t, vm.Config{Output: vm.Native}).Compile(background, fibonacci))
	require.ErrorIs(t, counting.LoadBytes(background, uncounted), wasmer.ErrIncompatible, "code that does not count")
	damaged := append([]byte{}, uncounted...)
	damaged[len(damaged)/2] ^= 1
	require.ErrorIs(t, plain.LoadBytes(background, damaged), wasmer.ErrIncompatible)
	require.ErrorIs(t, plain.LoadBytes(background, uncounted[:100]), wasmer.ErrIncompatible)
}

func TestF048TheDefaultFormatIsUniversal(t *testing.T) {
	compiled := wasmer.Must(newVM(t, vm.Config{}).Compile(background, fibonacci))
	info, err := wasmer.Inspect(compiled)
	require.NoError(t, err, "it is still WebAssembly")
	require.NotEmpty(t, info.CustomSectionNames())
	require.Equal(t, []string{"universal", "native", "OutputFormat(7)"}, []string{vm.Universal.String(), vm.Native.String(), vm.OutputFormat(7).String()})
}

func TestF129WhatCannotBeCompiledIsRefused(t *testing.T) {
	v := newVM(t, vm.Config{Output: vm.Native})
	require.ErrorAs(t, second(v.Compile(background, []byte(`(module (func (result i32)))`))), new(*wasmer.CompileError))
	require.ErrorIs(t, second(v.Compile(background, wasmer.Must(v.Compile(background, fibonacci)))), wasmer.ErrUnsupported)
	out := filepath.Join(t.TempDir(), "out")
	requireCode(t, 0x20, v.CompileFile(background, "no such file", out))
	require.Error(t, v.CompileFile(background, file(t, "bad.wasm", []byte("\x00asm")), out))
	require.NoFileExists(t, out)
	require.Error(t, newVM(t, vm.Config{}).CompileFile(background, file(t, "fib.wasm", fibonacci), filepath.Join(out, "nowhere", "x")))
}

func TestF047F049F050OptionsForCode(t *testing.T) {
	require.Equal(t, wasmer.OptDefault, vm.Config{}.Engine.OptLevel)
	dir := t.TempDir()
	v := newVM(t, vm.Config{Engine: wasmer.EngineConfig{
		Compiler: wasmer.Cranelift, OptLevel: wasmer.OptNone, DumpIR: dir, Target: wasmer.GenericTarget(),
	}, Output: vm.Native})
	artifact := wasmer.Must(v.Compile(background, fibonacci))
	info := wasmer.Must(wasmer.InspectArtifact(artifact))
	require.Equal(t, wasmer.OptNone, info.OptLevel)
	require.NotContains(t, info.CPUFeatures, "avx2", "each CPU of the architecture runs it")
	entries := wasmer.Must(os.ReadDir(dir))
	require.Len(t, entries, 1)
	dumped := wasmer.Must(os.ReadDir(filepath.Join(dir, entries[0].Name())))
	require.NotEmpty(t, dumped)
	for name, level := range map[string]wasmer.OptLevel{"O0": wasmer.OptNone, "O3": wasmer.OptSpeed, "Os": wasmer.OptSpeedAndSize, "Oz": wasmer.OptSize} {
		parsed, err := wasmer.ParseOptLevel(name)
		require.NoError(t, err)
		require.Equal(t, level, parsed, name)
	}
}

func TestF043F070WASIIsOffUnlessConfigured(t *testing.T) {
	require.Nil(t, newVM(t, vm.Config{}).WASI())
	require.NotNil(t, newVM(t, vm.Config{WASI: true}).WASI())
	require.Error(t, (*vm.WASI)(nil).Configure(wasmer.WASIConfig{}))
	require.Zero(t, (*vm.WASI)(nil).ExitCode())
}

func TestF044HostModulesOfTheConfigurationAreRegistered(t *testing.T) {
	v := newVM(t, vm.Config{HostModules: []wasmer.HostModule{adder()}})
	require.Contains(t, v.Registered(), "extern")
	ready(t, v, string(addTwo))
	gives(t, 6912, v, "addTwo", 1234, 5678)
}
