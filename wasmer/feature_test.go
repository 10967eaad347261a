package wasmer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// allFeatures are the features under the names of their proposals.
var allFeatures = map[wasmer.Feature]string{
	wasmer.FeatureMutableGlobal: "mutable-global", wasmer.FeatureNontrappingFloatToInt: "nontrapping-float-to-int-conversions",
	wasmer.FeatureSignExtension: "sign-extension-ops", wasmer.FeatureMultiValue: "multi-value",
	wasmer.FeatureBulkMemory: "bulk-memory-operations", wasmer.FeatureReferenceTypes: "reference-types", wasmer.FeatureSIMD: "simd",
	wasmer.FeatureRelaxedSIMD: "relaxed-simd", wasmer.FeatureExtendedConst: "extended-const", wasmer.FeatureMultiMemory: "multi-memory",
	wasmer.FeatureThreads: "threads", wasmer.FeatureExceptionHandling: "exception-handling", wasmer.FeatureTailCall: "tail-call",
	wasmer.FeatureWideArithmetic: "wide-arithmetic", wasmer.FeatureMemory64: "memory64",
	wasmer.FeatureFunctionReferences: "function-references", wasmer.FeatureGC: "gc", wasmer.FeatureCustomPageSizes: "custom-page-sizes",
	wasmer.FeatureStackSwitching: "stack-switching", wasmer.FeatureCustomDescriptors: "custom-descriptors",
}

// unsupported are the features that a compiler lacks.
var unsupported = map[wasmer.Compiler][]wasmer.Feature{
	wasmer.Cranelift: {wasmer.FeatureTailCall},
	wasmer.Singlepass: {
		wasmer.FeatureSIMD, wasmer.FeatureRelaxedSIMD, wasmer.FeatureExceptionHandling, wasmer.FeatureTailCall, wasmer.FeatureWideArithmetic,
	},
	wasmer.LLVM: nil,
}

// nobodyHas are the features that no compiler has.
var nobodyHas = []wasmer.Feature{
	wasmer.FeatureMemory64, wasmer.FeatureFunctionReferences, wasmer.FeatureGC, wasmer.FeatureCustomPageSizes, wasmer.FeatureStackSwitching,
	wasmer.FeatureCustomDescriptors,
}

// featureGuests need one feature each. Those with an instruction need it in the function with index 1.
var featureGuests = []struct {
	feature     wasmer.Feature
	text        string
	instruction string
	// with are others that the module needs.
	with []wasmer.Feature
}{
	{wasmer.FeatureMutableGlobal, `(module (import "env" "g" (global (mut i32))))`, "", nil},
	{wasmer.FeatureMutableGlobal, `(module (global (export "g") (mut i32) (i32.const 1)))`, "", nil},
	{wasmer.FeatureNontrappingFloatToInt, `(module (func) (func (drop (i32.trunc_sat_f32_s (f32.const 1)))))`, "i32.trunc_sat_f32_s", nil},
	{wasmer.FeatureSignExtension, `(module (func) (func (drop (i64.extend16_s (i64.const 1)))))`, "i64.extend16_s", nil},
	{wasmer.FeatureMultiValue, `(module (func (result i32 i32) (i32.const 1) (i32.const 2)))`, "", nil},
	{wasmer.FeatureMultiValue, `(module (func) (func (i32.const 1) (block (param i32) (drop))))`, "block", nil},
	{wasmer.FeatureBulkMemory, `(module (memory 1) (func) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))`, "memory.fill", nil},
	{wasmer.FeatureBulkMemory, `(module (memory 1) (func) (func (memory.copy (i32.const 0) (i32.const 0) (i32.const 0))))`, "memory.copy", nil},
	{wasmer.FeatureReferenceTypes, `(module (func (param externref)))`, "", nil},
	{wasmer.FeatureReferenceTypes, `(module (func) (func (drop (ref.null func))))`, "ref.null", nil},
	{wasmer.FeatureReferenceTypes, `(module (table 1 externref))`, "", nil},
	{wasmer.FeatureReferenceTypes, `(module (table 1 funcref) (func) (func (drop (table.size))))`, "table.size", nil},
	{wasmer.FeatureSIMD, `(module (func) (func (drop (v128.const i32x4 1 2 3 4))))`, "v128.const", nil},
	{wasmer.FeatureSIMD, `(module (func (param v128)))`, "", nil},
	{wasmer.FeatureRelaxedSIMD, `(module (func) (func (param v128) (result v128)
		(i8x16.relaxed_swizzle (local.get 0) (local.get 0))))`, "i8x16.relaxed_swizzle", []wasmer.Feature{wasmer.FeatureSIMD}},
	{wasmer.FeatureExtendedConst, `(module (global i32 (i32.add (i32.const 1) (i32.const 2))))`, "", nil},
	{wasmer.FeatureMultiMemory, `(module (memory 1) (memory 1))`, "", nil},
	{wasmer.FeatureMultiMemory, `(module (import "env" "a" (memory 1)) (import "env" "b" (memory 1)))`, "", nil},
	{wasmer.FeatureThreads, `(module (memory 1 2 shared))`, "", nil},
	{wasmer.FeatureThreads, `(module (memory 1) (func) (func (drop (i32.atomic.load (i32.const 0)))))`, "i32.atomic.load", nil},
	{wasmer.FeatureExceptionHandling, `(module (tag))`, "", nil},
	{wasmer.FeatureExceptionHandling, `(module (import "env" "t" (tag (param i32))))`, "", nil},
	{wasmer.FeatureExceptionHandling, `(module (func) (func (throw_ref (unreachable))))`, "throw_ref", nil},
	{wasmer.FeatureTailCall, `(module (func $f) (func (return_call $f)))`, "return_call", nil},
	{wasmer.FeatureTailCall, `(module (table 1 funcref) (func) (func (return_call_indirect (i32.const 0))))`, "return_call_indirect", nil},
	{wasmer.FeatureWideArithmetic, `(module (func) (func (result i64 i64) (i64.mul_wide_s (i64.const 1) (i64.const 2))))`, "i64.mul_wide_s", nil},
	{wasmer.FeatureMemory64, `(module (memory i64 1))`, "", nil},
	{wasmer.FeatureMemory64, `(module (table i64 1 funcref))`, "", nil},
	{wasmer.FeatureFunctionReferences, `(module (type $t (func)) (func (param (ref null $t))))`, "", nil},
	{wasmer.FeatureFunctionReferences, `(module (func $f) (elem declare func $f) (type $t (func)) (func (call_ref $t (ref.func $f))))`, "call_ref", nil},
	{wasmer.FeatureGC, `(module (type (struct (field i32))))`, "", nil},
	{wasmer.FeatureGC, `(module (type (array i8)))`, "", nil},
	{wasmer.FeatureGC, `(module (func) (func (drop (ref.i31 (i32.const 1)))))`, "ref.i31", nil},
	{wasmer.FeatureGC, `(module (func (param anyref)))`, "", nil},
	{wasmer.FeatureCustomPageSizes, `(module (memory 1 (pagesize 1)))`, "", nil},
	{wasmer.FeatureCustomDescriptors, `(module (import "env" "f" (func (exact))))`, "", nil},
	{wasmer.FeatureStackSwitching, `(module (type $f (func)) (type $c (cont $f)))`, "", nil},
}

func TestFeaturesHaveTheNamesOfTheirProposals(t *testing.T) {
	for feature, name := range allFeatures {
		require.Equal(t, name, feature.String())
		require.Equal(t, []wasmer.Feature{feature}, wasmer.NewFeatures(feature).List())
		require.Equal(t, name, wasmer.NewFeatures(feature).String())
	}
	require.Equal(t, "Feature(0)", wasmer.Feature(0).String())
	next := wasmer.Feature(len(allFeatures) + 1)
	require.Equal(t, fmt.Sprintf("Feature(%d)", next), next.String())
	require.Equal(t, "Feature(4294967295)", wasmer.Feature(1<<32-1).String())
}

func TestSetsOfFeatures(t *testing.T) {
	var zero wasmer.Features
	require.Equal(t, "default", zero.String())
	require.Empty(t, zero.List())
	require.False(t, zero.Has(wasmer.FeatureSIMD))
	none := wasmer.NewFeatures()
	require.NotEqual(t, zero, none, "no features are not the default ones")
	require.Equal(t, "", none.String())
	set := none.With(wasmer.FeatureThreads, wasmer.FeatureSIMD, wasmer.FeatureThreads)
	require.Equal(t, "simd,threads", set.String())
	require.Equal(t, []wasmer.Feature{wasmer.FeatureSIMD, wasmer.FeatureThreads}, set.List())
	require.True(t, set.Has(wasmer.FeatureSIMD))
	require.False(t, set.Has(wasmer.FeatureGC))
	require.False(t, set.Has(0))
	require.Equal(t, none, set.Without(wasmer.FeatureThreads, wasmer.FeatureSIMD, wasmer.FeatureGC))
	require.Equal(t, "simd,threads", set.String(), "a set is a value")
	require.Equal(t, set, wasmer.NewFeatures(wasmer.FeatureThreads).With(wasmer.FeatureSIMD))
	require.Equal(t, none, zero.Without(wasmer.FeatureSIMD))
	require.Equal(t, set, set.With().Without())
	require.False(t, none.With(0).Has(0), "0 is no feature")
}

func TestWhatCompilersSupport(t *testing.T) {
	for _, compiler := range wasmer.Compilers() {
		lacks := append(append([]wasmer.Feature{}, nobodyHas...), unsupported[compiler]...)
		supported := wasmer.SupportedFeatures(compiler)
		require.Equal(t, supported, wasmer.DefaultFeatures(compiler))
		require.Len(t, supported.List(), len(allFeatures)-len(lacks), "%s: %s", compiler, supported)
		for _, feature := range lacks {
			require.False(t, supported.Has(feature), "%s %s", compiler, feature)
			for _, features := range []wasmer.Features{supported.With(feature), wasmer.NewFeatures(feature)} {
				engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, Features: features})
				require.ErrorIs(t, err, wasmer.ErrUnsupported)
				require.ErrorContains(t, err, compiler.String())
				require.ErrorContains(t, err, feature.String())
				require.Nil(t, engine)
			}
		}
		engine, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: compiler, Features: supported})
		require.NoError(t, err)
		require.Equal(t, supported, engine.Features())
		require.NoError(t, engine.Close())
	}
	require.Equal(t, wasmer.SupportedFeatures(wasmer.Compilers()[0]), wasmer.SupportedFeatures(wasmer.DefaultCompiler))
	require.Empty(t, wasmer.SupportedFeatures(99).List())
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{Features: wasmer.NewFeatures(wasmer.Feature(len(allFeatures) + 1))})
	require.Error(t, err, "a feature that is unknown")
	require.Nil(t, engine)
}

// refusal is why an engine refuses a module, both ways.
func refusal(t *testing.T, engine *wasmer.Engine, text string) *wasmer.CompileError {
	t.Helper()
	err := engine.Validate([]byte(text))
	var refused, again *wasmer.CompileError
	require.ErrorAs(t, err, &refused, text)
	module, err := engine.Compile(background, []byte(text))
	require.ErrorAs(t, err, &again, text)
	require.Equal(t, refused, again)
	require.Nil(t, module)
	return refused
}

func TestAModuleThatNeedsAFeature(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		seen := map[wasmer.Feature]bool{}
		for _, guest := range featureGuests {
			seen[guest.feature] = true
			supported := engine.Features()
			lacks := !supported.Has(guest.feature)
			off, missing := engine, guest.feature
			if !lacks {
				require.NoError(t, engine.Validate([]byte(guest.text)), guest.text)
				compile(t, engine, guest.text)
				off = engineOf(t, engine, wasmer.EngineConfig{Features: supported.Without(guest.feature)})
				require.False(t, off.Features().Has(guest.feature))
				compile(t, off, `(module (func (export "f") (param i32) (result i32) (local.get 0)))`)
			}
			for _, other := range guest.with {
				if !supported.Has(other) {
					missing = other // what is missing first
				}
			}
			refused := refusal(t, off, guest.text)
			if missing == guest.feature {
				require.Equal(t, guest.feature.String(), refused.Feature.String(), "%s: %v", guest.text, refused)
				require.ErrorContains(t, refused, guest.feature.String())
			}
			require.Equal(t, lacks, refused.Unsupported)
			if lacks {
				require.ErrorIs(t, refused, wasmer.ErrUnsupported, guest.text)
				require.ErrorContains(t, refused, engine.Compiler().String())
			} else {
				require.NotErrorIs(t, refused, wasmer.ErrUnsupported)
				require.ErrorContains(t, refused, "turned off")
			}
			require.Positive(t, refused.Offset, guest.text)
			if guest.instruction != "" && missing == guest.feature {
				require.EqualValues(t, 1, refused.FunctionIndex, "%s: %v", guest.text, refused)
				require.Equal(t, guest.instruction, refused.Instruction, guest.text)
				require.ErrorContains(t, refused, guest.instruction)
			} else if guest.instruction == "" {
				require.EqualValues(t, -1, refused.FunctionIndex, "%s: %v", guest.text, refused)
				require.Empty(t, refused.Instruction, guest.text)
			}
		}
		for feature := range allFeatures {
			require.True(t, seen[feature], "no guest for %s", feature)
		}
	})
}

func TestTheFirstVersionOfTheSpecification(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		plain := engineOf(t, engine, wasmer.EngineConfig{Features: wasmer.NewFeatures()})
		require.Empty(t, plain.Features().List())
		instance := instantiate(t, plain, `(module (memory (export "memory") 1 2) (table 1 funcref) (elem (i32.const 0) $f) (global $g (mut f64) (f64.const 1))
			(data (i32.const 0) "x") (func $f (export "f") (param i32) (result i32) (global.set $g (f64.const 2))
			(drop (memory.grow (i32.const 1))) (i32.add (local.get 0) (i32.load8_u (i32.const 0)))))`, nil)
		require.EqualValues(t, 'x'+1, call(t, instance, "f", 1).ToI32())
		for _, guest := range featureGuests {
			require.Error(t, plain.Validate([]byte(guest.text)), guest.text)
		}
	})
}

func TestAHostFunctionOfAnEngineWithoutTheFeature(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		plain := engineOf(t, engine, wasmer.EngineConfig{Features: wasmer.NewFeatures()})
		store := newStore(t, plain)
		f := hostConstant(t, store, 3)
		results, err := f.Call(background)
		require.NoError(t, err)
		require.EqualValues(t, 3, results[0].ToI32())
		// What the host makes is not the guest's: it works, or says what is missing.
		g := hostFunction(t, store, types(wasmer.ValueTypeExternRef), types(wasmer.ValueTypeExternRef), echo)
		if results, err = g.Call(background, "x"); err == nil {
			require.Equal(t, "x", results[0].ToExternRef())
		} else {
			require.ErrorContains(t, err, "reference-types")
			require.NotContains(t, err.Error(), "internal error")
		}
	})
}

func TestAnErrorOfACompilationNamesTheInstruction(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		for instruction, text := range map[string]string{
			"i32.add":   `(module (import "a" "b" (func)) (func $fine) (func $broken (result i32) (i32.add (i64.const 1) (i32.const 2))))`,
			"call":      `(module (import "a" "b" (func)) (func $fine) (func $broken (call 9)))`,
			"local.get": `(module (import "a" "b" (func)) (func $fine) (func $broken (drop (local.get 3))))`,
		} {
			refused := refusal(t, engine, text)
			require.EqualValues(t, 2, refused.FunctionIndex, instruction)
			require.Equal(t, "broken", refused.Function)
			require.Equal(t, instruction, refused.Instruction)
			require.Zero(t, refused.Feature)
			require.False(t, refused.Unsupported)
			require.True(t, strings.HasPrefix(refused.Error(), "wasmer: compile: function[2] broken: "+instruction+": "), refused.Error())
		}
	})
}
