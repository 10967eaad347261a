package wasmer

import (
	"errors"
	"fmt"
)

// ErrorCode is the number of an error: a category in the upper 8 bits, and a code of 24 bits. It is an error itself, which host
// functions may return, see UserError. Errors of this package have codes too, those of WasmEdge: errors.As with an *ErrorCode
// finds them, and errors.Is(err, wasmer.UserError(7)) compares. See CodeOf.
type ErrorCode uint32

// ErrorCategory says whose code an ErrorCode has.
type ErrorCategory uint8

const (
	// CategoryWASM: the code is the engine's. Its text is what Error gives.
	CategoryWASM ErrorCategory = 0
	// CategoryUser: the code is the host's, which made it by UserError.
	CategoryUser ErrorCategory = 1
)

func (c ErrorCategory) String() string {
	switch c {
	case CategoryWASM:
		return "wasm"
	case CategoryUser:
		return "user"
	}
	return fmt.Sprintf("ErrorCategory(%d)", uint8(c))
}

// MaxUserCode is the largest code for UserError.
const MaxUserCode = 1<<24 - 1

const (
	codeSuccess         ErrorCode = 0x00
	codeTerminated      ErrorCode = 0x01
	codeFailed          ErrorCode = 0x02
	codeCostLimit       ErrorCode = 0x03
	codeNoFunction      ErrorCode = 0x05
	codeInterrupted     ErrorCode = 0x07
	codeUser            ErrorCode = 0x09
	codeIllegalOpcode   ErrorCode = 0x37
	codeGrammar         ErrorCode = 0x39
	codeImmutable       ErrorCode = 0x4e
	codeNameConflict    ErrorCode = 0x60
	codeImportType      ErrorCode = 0x61
	codeUnknownImport   ErrorCode = 0x62
	codeNoInstance      ErrorCode = 0x80
	codeSignature       ErrorCode = 0x83
	codeDivisionByZero  ErrorCode = 0x84
	codeIntegerOverflow ErrorCode = 0x85
	codeConversion      ErrorCode = 0x86
	codeTableBounds     ErrorCode = 0x87
	codeMemoryBounds    ErrorCode = 0x88
	codeUnreachable     ErrorCode = 0x89
	codeUninitialized   ErrorCode = 0x8a
	codeIndirectType    ErrorCode = 0x8c
	codeReferenceType   ErrorCode = 0x8e
	codeUnaligned       ErrorCode = 0x8f
	codeNotShared       ErrorCode = 0x90
)

var (
	// ErrTerminate is for host functions to return: the guest ends, and the call that led here succeeds, with zeros for results. A
	// batch or a program ends with it as an error, and so does an instantiation.
	ErrTerminate error = codeTerminated
	// ErrFail is for host functions to return that fail and have nothing to tell.
	ErrFail error = codeFailed
)

// UserError makes an error with a code of the host's own, up to MaxUserCode, for a host function to return. The call that led
// there gives it. For a larger code it is an error that says so, and has no code of the category CategoryUser.
func UserError(code uint32) error {
	if code > MaxUserCode {
		return fmt.Errorf("wasmer: user error: the code %#x has more than 24 bits", code)
	}
	return ErrorCode(uint32(CategoryUser)<<24 | code)
}

// CodeOf is the code of an error: that which errors.As finds, 0 (success) for nil, else 2 (generic runtime error).
func CodeOf(err error) ErrorCode {
	var code ErrorCode
	switch {
	case err == nil:
		return codeSuccess
	case errors.As(err, &code):
		return code
	}
	return codeFailed
}

// Category says whose code it is.
func (c ErrorCode) Category() ErrorCategory { return ErrorCategory(c >> 24) }

// Code is the number within the category.
func (c ErrorCode) Code() uint32 { return uint32(c) & MaxUserCode }

// Phase is what failed: "wasmedge runtime", "loading", "validation", "instantiation", "execution" or "user defined".
func (c ErrorCode) Phase() string {
	switch code := c.Code(); {
	case c.Category() != CategoryWASM:
		return "user defined"
	case code < 0x20:
		return "wasmedge runtime"
	case code < 0x40:
		return "loading"
	case code < 0x60:
		return "validation"
	case code < 0x80:
		return "instantiation"
	}
	return "execution"
}

// Error is the text of the code; each of the category CategoryUser has the same.
func (c ErrorCode) Error() string {
	code := c.Code()
	if c.Category() != CategoryWASM {
		code = uint32(codeUser)
	}
	for _, group := range errorTexts {
		if code >= group.first && code-group.first < uint32(len(group.texts)) {
			return group.texts[code-group.first]
		}
	}
	return fmt.Sprintf("error code %#02x", code)
}

// found is As for what has the code.
func (c ErrorCode) found(target any) bool {
	code, ok := target.(*ErrorCode)
	if ok {
		*code = c
	}
	return ok
}

// codedError is an error to be tested for with errors.Is that has a code.
type codedError struct {
	text string
	code ErrorCode
	// kind is an error that it is too; nil for none.
	kind error
}

func (e *codedError) Error() string { return e.text }

// Is makes it the error of its code, and that of its kind.
func (e *codedError) Is(target error) bool {
	return target == error(e.code) || e.kind != nil && target == e.kind
}

// As finds its code.
func (e *codedError) As(target any) bool { return e.code.found(target) }

// errorTexts are those of WasmEdge, with the first code of each group.
var errorTexts = []struct {
	first uint32
	texts []string
}{
	{0x00, []string{
		"success", "terminated", "generic runtime error", "cost limit exceeded", "wrong VM workflow", "wasm function not found",
		"AOT runtime is disabled in this build", "execution interrupted", "wasm module hasn't passed validation yet",
		"user defined error code",
	}},
	{0x20, []string{
		"invalid path", "read error", "unexpected end", "magic header not detected", "unknown binary version",
		"malformed section id", "section size mismatch", "length out of bounds", "unexpected content after last section",
		"function and code section have inconsistent lengths", "data count and data section have inconsistent lengths",
		"data count section required", "malformed import kind", "malformed export kind", "zero byte expected",
		"malformed mutability", "too many locals", "malformed value type", "malformed element type", "malformed reference type",
		"malformed UTF-8 encoding", "integer too large", "integer representation too long", "illegal opcode",
		"END opcode expected", "invalid wasm grammar", "shared memory must have maximum", "intrinsics table not found",
	}},
	{0x40, []string{
		"alignment must not be larger than natural", "type mismatch", "unknown label", "unknown local", "unknown type",
		"unknown function", "unknown table", "unknown memory", "unknown global", "unknown elem segment", "unknown data segment",
		"undeclared function reference", "constant expression required", "duplicate export name", "global is immutable",
		"invalid result arity", "multiple tables", "multiple memories", "size minimum must not be greater than maximum",
		"memory size must be at most 65536 pages (4GiB)", "start function", "invalid lane index",
	}},
	{0x60, []string{
		"module name conflict", "incompatible import type", "unknown import", "data segment does not fit",
		"elements segment does not fit",
	}},
	{0x80, []string{
		"wrong instance address", "wrong instance index", "instruction type mismatch", "function signature mismatch",
		"integer divide by zero", "integer overflow", "invalid conversion to integer", "out of bounds table access",
		"out of bounds memory access", "unreachable", "uninitialized element", "undefined element",
		"indirect call type mismatch", "host function failed", "reference type mismatch", "unaligned atomic",
		"expected shared memory",
	}},
}
