package wasmer

import (
	"fmt"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Feature is a proposal that extends the first version of the specification.
//
// See https://github.com/WebAssembly/proposals
type Feature uint32

// The features, under the names of the proposals.
const (
	FeatureMutableGlobal Feature = iota + 1
	FeatureNontrappingFloatToInt
	FeatureSignExtension
	FeatureMultiValue
	FeatureBulkMemory
	FeatureReferenceTypes
	FeatureSIMD
	FeatureRelaxedSIMD
	FeatureExtendedConst
	FeatureMultiMemory
	FeatureThreads
	FeatureExceptionHandling
	FeatureTailCall
	FeatureWideArithmetic
	FeatureMemory64
	FeatureFunctionReferences
	FeatureGC
	FeatureCustomPageSizes
	FeatureStackSwitching
	FeatureCustomDescriptors
)

// The Rust side has them in the same order.
var featureNames = [...]string{
	"mutable-global", "nontrapping-float-to-int-conversions", "sign-extension-ops", "multi-value", "bulk-memory-operations",
	"reference-types", "simd", "relaxed-simd", "extended-const", "multi-memory", "threads", "exception-handling",
	"tail-call", "wide-arithmetic", "memory64", "function-references", "gc", "custom-page-sizes", "stack-switching",
	"custom-descriptors",
}

// String is the proposal's name, for instance "bulk-memory-operations".
func (f Feature) String() string {
	if f == 0 || int(f) > len(featureNames) {
		return fmt.Sprintf("Feature(%d)", uint32(f))
	}
	return featureNames[f-1]
}

func decodeFeature(number uint32) Feature {
	if number == ffi.NoFeature {
		return 0
	}
	return Feature(number + 1)
}

// Features is a set of features. The zero value stands for the default of the compiler: all that it supports. A set made
// by NewFeatures may be empty: the first version of the specification.
type Features struct {
	bits  uint64
	given bool
}

// NewFeatures makes a set.
func NewFeatures(features ...Feature) Features {
	return Features{given: true}.With(features...)
}

// SupportedFeatures is what a compiler of this build supports; DefaultCompiler stands for the default one, and Tiered for its
// default optimizer.
func SupportedFeatures(compiler Compiler) Features {
	if compiler == DefaultCompiler {
		if compilers := Compilers(); len(compilers) > 0 {
			compiler = compilers[0]
		}
	}
	if compiler == Tiered {
		compiler = defaultOptimizer()
	}
	return Features{bits: ffi.SupportedFeatures(uint32(compiler)), given: true}
}

// DefaultFeatures is what modules may use if EngineConfig.Features is not set: all that the compiler supports.
func DefaultFeatures(compiler Compiler) Features { return SupportedFeatures(compiler) }

// With is the set with the features added; see DefaultFeatures for one to start from, since the zero value counts as empty
// here.
func (s Features) With(features ...Feature) Features {
	s.given = true
	for _, f := range features {
		s.bits |= f.bit()
	}
	return s
}

// Without is the set with the features removed.
func (s Features) Without(features ...Feature) Features {
	s.given = true
	for _, f := range features {
		s.bits &^= f.bit()
	}
	return s
}

// bit is the feature's in a set; unknown ones share one, which NewEngine refuses.
func (f Feature) bit() uint64 {
	if f == 0 || int(f) > len(featureNames) {
		return unknownFeature
	}
	return 1 << (f - 1)
}

const unknownFeature = 1 << 63

func (s Features) unknown() bool { return s.bits&unknownFeature != 0 }

// Has reports whether the feature is in the set.
func (s Features) Has(f Feature) bool { return s.bits&^unknownFeature&f.bit() != 0 }

// List lists the features of the set.
func (s Features) List() []Feature {
	var list []Feature
	for f := FeatureMutableGlobal; int(f) <= len(featureNames); f++ {
		if s.Has(f) {
			list = append(list, f)
		}
	}
	return list
}

// String lists the names, "default" for the zero value.
func (s Features) String() string {
	if !s.given {
		return "default"
	}
	var names []string
	for _, f := range s.List() {
		names = append(names, f.String())
	}
	return strings.Join(names, ",")
}
