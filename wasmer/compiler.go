package wasmer

import (
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Compiler turns modules into machine code.
type Compiler uint32

// The compilers. The zero value stands for the best one of this build: Cranelift, else LLVM, else Singlepass.
const (
	// DefaultCompiler chooses.
	DefaultCompiler Compiler = 0
	// Cranelift compiles fast to fast code.
	Cranelift Compiler = ffi.Cranelift
	// Singlepass compiles fastest, in linear time, to slower code. It knows neither SIMD nor exceptions.
	Singlepass Compiler = ffi.Singlepass
	// LLVM compiles slowly to the fastest code. It is part of builds with the feature llvm only.
	LLVM Compiler = ffi.LLVM
	// Tiered stands for several: a module is compiled by Singlepass at first, or by Cranelift where Singlepass cannot, and optimized
	// in the background for the instances that are made after that. See Tiering.
	Tiered Compiler = 1 << 16
)

func (c Compiler) String() string {
	switch c {
	case DefaultCompiler:
		return "default"
	case Cranelift:
		return "cranelift"
	case Singlepass:
		return "singlepass"
	case LLVM:
		return "llvm"
	case Tiered:
		return "tiered"
	}
	return fmt.Sprintf("Compiler(%d)", uint32(c))
}

// Available reports whether this build contains the compiler.
func Available(c Compiler) bool {
	if c == Tiered {
		return defaultOptimizer() != DefaultCompiler
	}
	return c == DefaultCompiler || ffi.CompilerAvailable(uint32(c))
}

// Compilers lists the compilers of this build.
func Compilers() []Compiler {
	var out []Compiler
	for _, c := range []Compiler{Cranelift, LLVM, Singlepass} {
		if Available(c) {
			out = append(out, c)
		}
	}
	return out
}
