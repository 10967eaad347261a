package wasmer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Errors to be tested for with errors.Is.
var (
	// ErrClosed: the engine, module, store, instance, or what it belongs to, was closed.
	ErrClosed error = &codedError{text: "wasmer: closed", code: codeNoInstance}
	// ErrInterrupted: the guest was stopped because a context ended; the error also is that context's.
	ErrInterrupted error = &codedError{text: "wasmer: execution interrupted", code: codeInterrupted}
	// ErrUnsupported: this build, compiler or platform lacks what was asked for.
	ErrUnsupported = errors.New("wasmer: unsupported")
	// ErrIncompatible: an artifact was made by another build or for another CPU, or is damaged.
	ErrIncompatible = errors.New("wasmer: incompatible artifact")
	// ErrSignatureCollision: two function types cannot be told apart by the engine; see RATIONALE.md.
	ErrSignatureCollision = errors.New("wasmer: signature collision")
	// ErrResource: the operating system refused memory or address space, or a limit of the engine was reached.
	ErrResource = errors.New("wasmer: out of resources")
	// ErrDepth: host and guest call each other deeper than EngineConfig.MaxCallDepth or than the thread's stack.
	ErrDepth = errors.New("wasmer: calls nested too deeply")
	// ErrOutOfBounds: an access by the host lies outside of a memory.
	ErrOutOfBounds error = &codedError{text: "wasmer: out of bounds", code: codeMemoryBounds}
	// ErrStoreMismatch: what belongs to one store was given to another; see NewStore.
	ErrStoreMismatch = errors.New("wasmer: belongs to another store")
	// ErrImmutable: a constant global was to be set.
	ErrImmutable error = &codedError{text: "wasmer: immutable", code: codeImmutable}
	// ErrNameTaken: the store has an instance of this name, or the process a plug-in.
	ErrNameTaken error = &codedError{text: "wasmer: the name is taken", code: codeNameConflict}
	// ErrRunning: what takes a store that rests was asked for by a host function of a call of it, or while an instance ran.
	ErrRunning = errors.New("wasmer: a guest of the store is running")
	// ErrSnapshot: bytes are no snapshot, one of another module or version, or damaged, or what is to be made from it imports
	// other constants.
	ErrSnapshot = errors.New("wasmer: unusable snapshot")
	// ErrNotFound: there is no export of this name and kind.
	ErrNotFound error = &codedError{text: "wasmer: not found", code: codeNoFunction}
)

// CompileError says why a module was refused. It is ErrUnsupported if the compiler lacks a feature that the module needs.
type CompileError struct {
	// Message is what is wrong.
	Message string
	// Offset is the position in the binary, or -1 if unknown. For text it is in the binary made from it.
	Offset int64
	// FunctionIndex is the function that holds the offset, or -1.
	FunctionIndex int64
	// Function is that function's name in the name section, if any.
	Function string
	// Instruction is the instruction at the offset, as the text format names it; empty if it is not about one.
	Instruction string
	// Feature is the feature that the module needs and may not use; 0 if it is not about one.
	Feature Feature
	// Unsupported says that the compiler does not support the feature, rather than that it was turned off.
	Unsupported bool
}

// Unwrap gives ErrUnsupported if the compiler lacks the feature.
func (e *CompileError) Unwrap() error {
	if e.Unsupported {
		return ErrUnsupported
	}
	return nil
}

func (e *CompileError) Error() string {
	var b strings.Builder
	b.WriteString("wasmer: compile: ")
	if e.Unsupported {
		b.WriteString("unsupported: ")
	}
	if e.FunctionIndex >= 0 {
		fmt.Fprintf(&b, "function[%d]", e.FunctionIndex)
		if e.Function != "" {
			fmt.Fprintf(&b, " %s", e.Function)
		}
		b.WriteString(": ")
	}
	if e.Instruction != "" {
		fmt.Fprintf(&b, "%s: ", e.Instruction)
	}
	b.WriteString(e.Message)
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " (at offset %#x)", e.Offset)
	}
	return b.String()
}

// LinkError lists every import that could not be satisfied.
type LinkError struct {
	Imports []ImportError
}

// ImportError is one import that could not be satisfied.
type ImportError struct {
	// Module and Name identify the import.
	Module, Name string
	// Want is the type the module asks for.
	Want ExternType
	// Given is the type that was offered; nil if nothing was.
	Given *ExternType
	// Hint suggests what to do; may be empty.
	Hint string
}

func (e *LinkError) Error() string {
	var b strings.Builder
	b.WriteString("wasmer: link:")
	hint := ""
	for _, imp := range e.Imports {
		if len(e.Imports) > 1 {
			b.WriteString("\n\t")
		} else {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "import %q.%q: ", imp.Module, imp.Name)
		if imp.Given == nil {
			fmt.Fprintf(&b, "missing, want %s %s", imp.Want.Kind, imp.Want)
		} else {
			fmt.Fprintf(&b, "given %s %s, want %s %s", imp.Given.Kind, imp.Given, imp.Want.Kind, imp.Want)
		}
		if imp.Hint != "" && imp.Hint != hint { // many imports of one missing module have one hint
			fmt.Fprintf(&b, " (%s)", imp.Hint)
			hint = imp.Hint
		}
	}
	return b.String()
}

// TrapCode is the kind of a trap. It is an error, so that errors.Is(err, wasmer.TrapOutOfBounds) tells the kinds apart.
//
// See https://webassembly.github.io/spec/core/intro/overview.html#trap
type TrapCode uint32

// The kinds of traps.
const (
	TrapStackOverflow       TrapCode = 0
	TrapOutOfBounds         TrapCode = 1
	TrapMisaligned          TrapCode = 2
	TrapTableOutOfBounds    TrapCode = 3
	TrapNullIndirectCall    TrapCode = 4
	TrapBadSignature        TrapCode = 5
	TrapIntegerOverflow     TrapCode = 6
	TrapDivisionByZero      TrapCode = 7
	TrapBadConversion       TrapCode = 8
	TrapUnreachable         TrapCode = 9
	TrapUnalignedAtomic     TrapCode = 10
	TrapUncaughtException   TrapCode = 11
	TrapNullExceptionRef    TrapCode = 12
	TrapReadonlyTable       TrapCode = 15
	TrapCostLimit           TrapCode = ffi.TrapCostLimit
	TrapUnknown             TrapCode = ffi.NoTrapCode
	trapYieldOutsideOfAsync TrapCode = 13
	trapHostInterrupt       TrapCode = 14
)

var trapMessages = map[TrapCode]string{
	TrapStackOverflow:       "call stack exhausted",
	TrapOutOfBounds:         "out of bounds memory access",
	TrapMisaligned:          "misaligned memory access",
	TrapTableOutOfBounds:    "out of bounds table access",
	TrapNullIndirectCall:    "uninitialized element",
	TrapBadSignature:        "indirect call type mismatch",
	TrapIntegerOverflow:     "integer overflow",
	TrapDivisionByZero:      "integer divide by zero",
	TrapBadConversion:       "invalid conversion to integer",
	TrapUnreachable:         "unreachable",
	TrapUnalignedAtomic:     "unaligned atomic access",
	TrapUncaughtException:   "uncaught exception",
	TrapNullExceptionRef:    "null exception reference",
	TrapReadonlyTable:       "read-only table modified",
	TrapCostLimit:           "cost limit exceeded",
	trapYieldOutsideOfAsync: "asynchronous yield",
	trapHostInterrupt:       "interrupted",
}

func (c TrapCode) Error() string {
	if message, ok := trapMessages[c]; ok {
		return message
	}
	return "trap"
}

// Trap is a guest's abnormal end. errors.Is compares its code: errors.Is(err, wasmer.TrapUnreachable).
type Trap struct {
	Code TrapCode
	// Frames are the guest's call stack, innermost first. A stack overflow has none.
	Frames []Frame
	// message is the engine's, for codes that are unknown here.
	message string
}

func (t *Trap) Error() string {
	return "wasmer: " + t.headline() + t.stackTrace(32, 0)
}

// Unwrap gives the code.
func (t *Trap) Unwrap() error { return t.Code }

// CallError is a call that was refused before any guest code ran: wrong number or type of arguments.
type CallError struct {
	// Function is the function's export name.
	Function string
	// Position is the argument's, counted from 0; -1 if it is not about one argument.
	Position int
	// Message is what is wrong.
	Message string
}

func (e *CallError) Error() string {
	if e.Position < 0 {
		return fmt.Sprintf("wasmer: call %q: %s", e.Function, e.Message)
	}
	return fmt.Sprintf("wasmer: call %q: argument %d %s", e.Function, e.Position, e.Message)
}

// translate makes the package's error from one of the Rust side.
func translate(op string, err error) error {
	var e *ffi.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case ffi.KindUnsupported:
		if e.Offset == ffi.NoOffset {
			return fmt.Errorf("%w: %s: %s", ErrUnsupported, op, e.Message)
		}
		fallthrough
	case ffi.KindInvalid, ffi.KindCompile:
		out := &CompileError{
			Message: e.Message, Offset: -1, FunctionIndex: -1, Instruction: e.Instruction,
			Feature: decodeFeature(e.Feature), Unsupported: e.Kind == ffi.KindUnsupported,
		}
		if e.Offset != ffi.NoOffset {
			out.Offset = int64(e.Offset)
		}
		if stack := e.Stack; len(stack.Frames) > 0 {
			f := stack.Functions[stack.Frames[0].Function]
			out.FunctionIndex, out.Function = int64(f.Index), f.RawName
		}
		return out
	case ffi.KindTrap:
		return &Trap{Code: TrapCode(e.TrapCode), message: e.Message, Frames: decodeFrames(e.Stack)}
	case ffi.KindSignatureCollision:
		return fmt.Errorf("%w: %s: %s", ErrSignatureCollision, op, e.Message)
	case ffi.KindIncompatible:
		return fmt.Errorf("%w: %s: %s", ErrIncompatible, op, e.Message)
	case ffi.KindResource:
		return fmt.Errorf("%w: %s: %s", ErrResource, op, e.Message)
	case ffi.KindDepth:
		return fmt.Errorf("%w: %s: %s", ErrDepth, op, e.Message)
	case ffi.KindState:
		return &StateError{Op: op, Reasons: strings.Split(e.Message, "\n")}
	case ffi.KindSnapshot:
		return fmt.Errorf("%w: %s: %s", ErrSnapshot, op, e.Message)
	case ffi.KindNative:
		return &NativeError{Message: e.Message}
	case ffi.KindInternal:
		return fmt.Errorf("wasmer: internal error: %s: %s", op, e.Message)
	}
	return fmt.Errorf("wasmer: %s: %s", op, e.Message)
}
