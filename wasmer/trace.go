package wasmer

import (
	"fmt"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// Frame is a function on a guest's call stack, and where in it the guest was.
type Frame struct {
	// Module is the module's name in the name section, if any.
	Module string
	// Function is the function's name in the name section as its source has it: names of Rust and C++ are demangled.
	// Empty if the module does not name it.
	Function string
	// RawName is the name as the name section has it.
	RawName string
	// FunctionIndex is the function's index, imports counted.
	FunctionIndex uint32
	// FunctionOffset is the position of the instruction in the function, ModuleOffset in the binary, in bytes. Of a function
	// that called another it is the call. Of code that Singlepass made they are near the instruction, or the start of the
	// function; of LLVM's they are the start of the function.
	FunctionOffset, ModuleOffset uint32
	// Type is the function's type.
	Type FunctionType

	trace *ffi.Trace
	index int
}

// SourceLocation is a place in the source of a guest.
type SourceLocation struct {
	// File is as the compiler noted it, mostly an absolute path of the machine that built the guest.
	File string
	// Line and Column count from 1; 0 is unknown.
	Line, Column int
	// Function is the name of the function in the source.
	Function string
	// Inlined says that the function has become a part of the one that called it, which is the next location.
	Inlined bool
}

func (l SourceLocation) String() string {
	s := fmt.Sprintf("%s:%d", l.File, l.Line)
	if l.Column > 0 {
		s += fmt.Sprintf(":%d", l.Column)
	}
	if l.Inlined {
		s += " (inlined)"
	}
	return s
}

// Source is where the instruction comes from, by the debug information (DWARF) of the module: the line, and if its function
// was inlined the calls that lead to it, innermost first. Empty if the module has none, or it is unusable. The first
// question reads the debug information of the module, which can take milliseconds; the answers stay the same after the
// module was closed.
func (f Frame) Source() []SourceLocation {
	if f.trace == nil {
		return nil
	}
	return decodeSources(f.trace.Sources(f.index, 1))
}

func decodeSources(d *ffi.Decoder) []SourceLocation {
	locations := make([]SourceLocation, d.Uint32())
	for i := range locations {
		locations[i] = SourceLocation{
			File: d.String(), Line: int(d.Uint32()), Column: int(d.Uint32()), Function: d.String(), Inlined: d.Uint8() != 0,
		}
	}
	return locations
}

// String is the function with its module and type: "shop.price(i32) i32". A function without a name has its index: "$7".
func (f Frame) String() string {
	var b strings.Builder
	b.WriteString(f.Module)
	b.WriteByte('.')
	b.WriteString(f.name())
	b.WriteByte('(')
	writeList(&b, f.Type.Params)
	b.WriteByte(')')
	switch len(f.Type.Results) {
	case 0:
	case 1:
		b.WriteByte(' ')
		writeList(&b, f.Type.Results)
	default:
		b.WriteString(" (")
		writeList(&b, f.Type.Results)
		b.WriteByte(')')
	}
	return b.String()
}

func (f Frame) name() string {
	if f.Function == "" {
		return fmt.Sprintf("$%d", f.FunctionIndex)
	}
	return f.Function
}

func writeList(b *strings.Builder, types []ValueType) {
	for i, t := range types {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(t.String())
	}
}

// writeTo adds the frame to a stack trace: a line for the function, below it where it was.
func (f Frame) writeTo(b *strings.Builder) {
	offset := fmt.Sprintf("%#x", f.ModuleOffset)
	fmt.Fprintf(b, "\n\t%s\n\t\t%s", f, offset)
	for i, location := range f.Source() {
		if i == 0 {
			b.WriteString(": ")
		} else {
			fmt.Fprintf(b, "\n\t\t%*s", len(offset)+2, "")
		}
		b.WriteString(location.String())
	}
}

// headline says in which function of which module the guest was called, and what ended it.
func (t *Trap) headline() string {
	message := t.Code.Error()
	if t.Code == TrapUnknown && t.message != "" {
		message = t.message
	}
	if len(t.Frames) == 0 {
		return "wasm error: " + message
	}
	outermost := t.Frames[len(t.Frames)-1]
	return fmt.Sprintf("module[%s] function[%s] failed: wasm error: %s", outermost.Module, outermost.name(), message)
}

// stackTrace shows both ends of the stack, which can be thousands of functions deep.
func (t *Trap) stackTrace(first, last int) string {
	if len(t.Frames) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nwasm stack trace:")
	left := len(t.Frames) - first - last
	for i, frame := range t.Frames {
		switch {
		case i < first || i >= len(t.Frames)-last || left == 1:
			frame.writeTo(&b)
		case i == first:
			fmt.Fprintf(&b, "\n\t... and %d more", left)
		}
	}
	return b.String()
}

func decodeValueTypes(codes []byte) []ValueType {
	var types []ValueType
	for _, code := range codes {
		types = append(types, ValueType(code))
	}
	return types
}

func decodeFrames(stack ffi.Stack) []Frame {
	types := make([]FunctionType, len(stack.Functions))
	for i, f := range stack.Functions {
		types[i] = FunctionType{Params: decodeValueTypes(f.Params), Results: decodeValueTypes(f.Results)}
	}
	frames := make([]Frame, len(stack.Frames))
	for i, f := range stack.Frames {
		function := &stack.Functions[f.Function]
		frames[i] = Frame{
			Module: function.Module, Function: function.Name, RawName: function.RawName, FunctionIndex: function.Index,
			FunctionOffset: f.FunctionOffset, ModuleOffset: f.ModuleOffset, Type: types[f.Function],
			trace: stack.Trace, index: i,
		}
	}
	return frames
}
