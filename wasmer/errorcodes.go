package wasmer

import "strings"

// trapErrorCodes are the codes of traps; those that WasmEdge does not know are generic.
var trapErrorCodes = map[TrapCode]ErrorCode{
	TrapOutOfBounds:      codeMemoryBounds,
	TrapMisaligned:       codeUnaligned,
	TrapTableOutOfBounds: codeTableBounds,
	TrapNullIndirectCall: codeUninitialized,
	TrapBadSignature:     codeIndirectType,
	TrapIntegerOverflow:  codeIntegerOverflow,
	TrapDivisionByZero:   codeDivisionByZero,
	TrapBadConversion:    codeConversion,
	TrapUnreachable:      codeUnreachable,
	TrapUnalignedAtomic:  codeUnaligned,
	TrapCostLimit:        codeCostLimit,
	trapHostInterrupt:    codeNotShared, // of memory.atomic.wait, which is what else it is for
}

func (c TrapCode) errorCode() ErrorCode {
	if code, ok := trapErrorCodes[c]; ok {
		return code
	}
	return codeFailed
}

// Is makes a trap the error of its ErrorCode.
func (c TrapCode) Is(target error) bool { return target == error(c.errorCode()) }

// As finds the ErrorCode.
func (c TrapCode) As(target any) bool { return c.errorCode().found(target) }

// Is makes it the error of its ErrorCode.
func (e *CompileError) Is(target error) bool { return target == error(e.errorCode()) }

// As finds the ErrorCode.
func (e *CompileError) As(target any) bool { return e.errorCode().found(target) }

// compileTexts are beginnings of what the compiler says where that is not WasmEdge's text of the same.
var compileTexts = map[string]uint32{
	"empty input":                     0x22,
	"neither a WebAssembly binary":    0x23,
	"section out of order":            0x28,
	"malformed global flags":          0x2f,
	"shared globals require":          0x2f,
	"invalid value type":              0x31,
	"only the function external type": 0x32,
	"control frames remain":           0x38,
	"operators remaining after end":   0x38,
	"memory size must be at most":     0x53,
	"invalid start function type":     0x54,
	"SIMD index out of bounds":        0x55,
}

// errorCode finds the text of a code that the message begins with, or that stands first in it. What may not be used is an
// illegal opcode, what is none of it breaks the grammar. Kinds of imports and exports have one text, and that of imports.
func (e *CompileError) errorCode() ErrorCode {
	if strings.HasPrefix(e.Message, "invalid leading byte") && strings.HasSuffix(e.Message, "external kind") {
		return 0x2c
	}
	found, at, length := codeGrammar, len(e.Message), 0
	look := func(text string, code uint32) {
		if i := strings.Index(e.Message, text); i >= 0 && (i < at || i == at && len(text) > length) {
			found, at, length = ErrorCode(code), i, len(text)
		}
	}
	for _, group := range errorTexts {
		for i, text := range group.texts {
			if group.first == 0x20 || group.first == 0x40 {
				look(text, group.first+uint32(i))
			}
		}
	}
	for text, code := range compileTexts {
		look(text, code)
	}
	switch {
	case found != codeGrammar || e.Feature == 0:
		return found
	case e.Feature == FeatureMultiMemory:
		return 0x51
	}
	return codeIllegalOpcode
}

// Is makes it the error of its ErrorCode.
func (e *LinkError) Is(target error) bool { return target == error(e.errorCode()) }

// As finds the ErrorCode.
func (e *LinkError) As(target any) bool { return e.errorCode().found(target) }

// errorCode is that of the first import.
func (e *LinkError) errorCode() ErrorCode {
	if len(e.Imports) > 0 && e.Imports[0].Given != nil {
		return codeImportType
	}
	return codeUnknownImport
}

// Is makes it the error of its ErrorCode.
func (e *CallError) Is(target error) bool { return target == error(codeSignature) }

// As finds the ErrorCode.
func (e *CallError) As(target any) bool { return codeSignature.found(target) }

// As finds the ErrorCode, that of termination. errors.Is compares exit codes, and does not find it.
func (e *ExitError) As(target any) bool { return codeTerminated.found(target) }
