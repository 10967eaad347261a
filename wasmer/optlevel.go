package wasmer

import (
	"fmt"
	"slices"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// OptLevel says how much a compiler does for the code it makes. Results are the same at each level.
//
//	                  Cranelift  LLVM  Singlepass
//	OptDefault        speed      O3    (none)
//	OptNone           none       O0    (none)
//	OptLess                      O1
//	OptMore                      O2
//	OptSpeed          speed      O3
//	OptSpeedAndSize   speed and size
//	OptSize
//
// Where the table is empty the compiler lacks the level, and NewEngine fails with ErrUnsupported. LLVM could have Os and Oz for
// the last two, but Wasmer has no way to ask for them. LLVM's level is that of code generation, after transformations that
// are the same at all levels; functions of more than 100,000 bytes are always compiled at O1.
type OptLevel uint32

// The levels. The zero value stands for the compiler's best.
const (
	OptDefault      OptLevel = ffi.OptDefault
	OptNone         OptLevel = ffi.OptNone
	OptLess         OptLevel = ffi.OptLess
	OptMore         OptLevel = ffi.OptMore
	OptSpeed        OptLevel = ffi.OptSpeed
	OptSpeedAndSize OptLevel = ffi.OptSpeedAndSize
	OptSize         OptLevel = ffi.OptSize
)

var optLevelNames = []string{"default", "none", "less", "more", "speed", "speed-and-size", "size"}

// The levels as compilers of C name them.
var optLevelLetters = map[string]OptLevel{
	"0": OptNone, "1": OptLess, "2": OptMore, "3": OptSpeed, "s": OptSpeedAndSize, "z": OptSize,
}

// String is the level's name, for instance "speed-and-size".
func (l OptLevel) String() string {
	if int(l) < len(optLevelNames) {
		return optLevelNames[l]
	}
	return fmt.Sprintf("OptLevel(%d)", uint32(l))
}

// ParseOptLevel finds a level by its name as String gives it, or as compilers of C know it: 0, 1, 2, 3, s, z, also with an O
// before.
func ParseOptLevel(name string) (OptLevel, error) {
	if i := slices.Index(optLevelNames, name); i >= 0 {
		return OptLevel(i), nil
	}
	letter := name
	if len(name) == 2 && name[0] == 'O' {
		letter = name[1:]
	}
	if level, ok := optLevelLetters[letter]; ok {
		return level, nil
	}
	return 0, fmt.Errorf("wasmer: there is no optimization level %q; they are %q, or 0, 1, 2, 3, s, z", name, optLevelNames)
}
