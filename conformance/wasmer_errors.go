package conformance

import (
	"errors"

	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

var wasmerTraps = map[wasmer.TrapCode]suite.TrapKind{
	wasmer.TrapStackOverflow:    suite.StackOverflow,
	wasmer.TrapOutOfBounds:      suite.MemoryBounds,
	wasmer.TrapMisaligned:       suite.Unaligned,
	wasmer.TrapTableOutOfBounds: suite.TableBounds,
	wasmer.TrapNullIndirectCall: suite.NullElement,
	wasmer.TrapBadSignature:     suite.SignatureClash,
	wasmer.TrapIntegerOverflow:  suite.Overflow,
	wasmer.TrapDivisionByZero:   suite.DivisionByZero,
	wasmer.TrapBadConversion:    suite.BadConversion,
	wasmer.TrapUnreachable:      suite.Unreachable,
	wasmer.TrapUnalignedAtomic:  suite.Unaligned,
	wasmer.TrapNullExceptionRef: suite.NullReference,
}

// compileError takes what says nothing about the module for a failure, whatever the script wants.
func compileError(err error) error {
	var refusal *wasmer.CompileError
	if errors.As(err, &refusal) || errors.Is(err, wasmer.ErrUnsupported) {
		return unsupported(err)
	}
	return &suite.Broken{Err: err}
}

// unsupported excuses a refusal only if it names the feature.
func unsupported(err error) error {
	var refusal *wasmer.CompileError
	if errors.Is(err, wasmer.ErrUnsupported) && errors.As(err, &refusal) && refusal.Feature != 0 {
		return &suite.Unsupported{Feature: refusal.Feature.String(), Err: err}
	}
	return err
}

func wasmerError(err error) error {
	var trap *wasmer.Trap
	var link *wasmer.LinkError
	switch {
	case errors.Is(err, wasmer.TrapUncaughtException):
		return &suite.Exception{Err: err}
	case errors.As(err, &trap):
		// A code that is not in the list is no kind that the suite knows, which is a failure.
		return &suite.Trap{Kinds: []suite.TrapKind{wasmerTraps[trap.Code]}, Err: err}
	case errors.As(err, &link):
		unlinkable := &suite.Unlinkable{Err: err}
		for _, missing := range link.Imports {
			if missing.Given == nil {
				unlinkable.Modules = append(unlinkable.Modules, missing.Module)
			}
		}
		return unlinkable
	}
	return unsupported(err)
}
