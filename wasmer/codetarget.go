package wasmer

import "strings"

// CodeTarget is what code is made for. The zero value is this machine, with all that its CPU has. Modules for another one can be
// serialized; to instantiate them here is ErrUnsupported. NewEngine fails with ErrUnsupported for a target that is not known,
// or for which the compiler makes no code.
type CodeTarget struct {
	// Triple is architecture, vendor and system as LLVM names them, for instance "aarch64-unknown-linux-gnu"; empty is this
	// machine's. Cranelift, LLVM and Singlepass know x86_64, aarch64 and riscv64, on Linux and macOS; LLVM makes code for
	// macOS only there.
	Triple string
	// CPU says what the code may use of the CPU. "native" is all that this machine has, and the same as empty for its
	// own architecture. "generic" is what each CPU of the architecture has (of x86_64 since 2009: up to SSE4.2 and POPCNT), and
	// the same as empty for another architecture. Anything else is a list of features between commas, under the names that
	// GCC's options have: "sse4.2,popcnt,avx,avx2,bmi,bmi2,lzcnt,fma". On x86_64 Singlepass needs avx,
	// which "generic" is without.
	CPU string
}

// GenericTarget is each machine with this one's architecture and system.
func GenericTarget() CodeTarget { return CodeTarget{CPU: "generic"} }

// String is the triple and the CPU, with a plus between them.
func (t CodeTarget) String() string {
	parts := []string{t.Triple, t.CPU}
	if t.Triple == "" {
		parts[0] = Target()
	}
	if t.CPU == "" {
		parts = parts[:1]
	}
	return strings.Join(parts, "+")
}
