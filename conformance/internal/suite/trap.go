package suite

import (
	"slices"
	"strings"
)

// A TrapKind is a reason for a trap.
type TrapKind string

// The kinds of traps; their text is the suite's.
const (
	MemoryBounds   TrapKind = "out of bounds memory access"
	TableBounds    TrapKind = "out of bounds table access"
	ArrayBounds    TrapKind = "out of bounds array access"
	NullElement    TrapKind = "uninitialized element"
	SignatureClash TrapKind = "indirect call type mismatch"
	Overflow       TrapKind = "integer overflow"
	DivisionByZero TrapKind = "integer divide by zero"
	BadConversion  TrapKind = "invalid conversion to integer"
	Unreachable    TrapKind = "unreachable"
	Unaligned      TrapKind = "unaligned atomic"
	NullReference  TrapKind = "null reference"
	CastFailure    TrapKind = "cast failure"
	StackOverflow  TrapKind = "call stack exhausted"
)

// Trap is a guest's abnormal end.
type Trap struct {
	// Kinds are those that the runtime's code for this trap stands for; empty if the runtime does not tell.
	Kinds []TrapKind
	Err   error
}

func (e *Trap) Error() string { return e.Err.Error() }
func (e *Trap) Unwrap() error { return e.Err }

// is reports whether this is the trap that the suite describes with the text. Wording is free, the kind is not.
func (e *Trap) is(text string) bool {
	return len(e.Kinds) == 0 || slices.Contains(e.Kinds, kindOf(text))
}

// kindOf finds the kind for the texts of the suite, some of which name details.
func kindOf(text string) TrapKind {
	switch {
	case text == "undefined element": // an indirect call through an index outside of the table
		return TableBounds
	case strings.HasPrefix(text, string(NullElement)):
		return NullElement
	case strings.HasPrefix(text, "null ") && strings.HasSuffix(text, " reference"):
		return NullReference
	case strings.HasSuffix(text, string(CastFailure)):
		return CastFailure
	}
	return TrapKind(text)
}
