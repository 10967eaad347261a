package wasmer

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// AssemblyScriptConfig is what the functions use that AssemblyScript's programs import.
type AssemblyScriptConfig struct {
	// Messages takes the message of abort and the lines of trace; nil discards them. It is used by one guest at a time.
	Messages io.Writer
	// Random is where the seed comes from, read by one guest at a time; nil is crypto/rand.
	Random io.Reader
}

// abortCode is the exit code of a guest that aborts.
const abortCode = 255

// AssemblyScript gives the guest what AssemblyScript's programs import of module env:
//
//   - abort(message, file, line, column), when an assertion fails or something is thrown: it writes
//     "message at file:line:column", and closes the instance with exit code 255.
//   - trace(message, n, a0...a4): it writes "trace: message a0, a1...".
//   - seed(): 64 random bits, for Math.random.
//
// Definitions of the same names, before or after, take their place.
//
// See https://www.assemblyscript.org/concepts.html#special-imports
func (i *Imports) AssemblyScript(config AssemblyScriptConfig) *Imports {
	a := &assemblyScript{messages: config.Messages, random: config.Random}
	if a.messages == nil {
		a.messages = io.Discard
	}
	if a.random == nil {
		a.random = rand.Reader
	}
	number, integer := ValueTypeF64, ValueTypeI32
	i.defineBehind("env", "abort", &hostDefinition{
		typ: FunctionType{Params: []ValueType{integer, integer, integer, integer}}, call: a.abort,
	})
	i.defineBehind("env", "trace", &hostDefinition{
		typ: FunctionType{Params: []ValueType{integer, integer, number, number, number, number, number}}, call: a.trace,
	})
	return i.defineBehind("env", "seed", &hostDefinition{typ: FunctionType{Results: []ValueType{number}}, call: a.seed})
}

// assemblyScript is shared by all guests of the imports.
type assemblyScript struct {
	mu       sync.Mutex
	messages io.Writer
	random   io.Reader
}

func (a *assemblyScript) abort(c *Caller, v []ffi.Slot) error {
	a.write(fmt.Sprintf("%s at %s:%d:%d\n", c.assemblyScriptString(v[0]), c.assemblyScriptString(v[1]),
		uint32(v[2].Lo), uint32(v[3].Lo)))
	return c.Exit(abortCode)
}

func (a *assemblyScript) trace(c *Caller, v []ffi.Slot) error {
	var line strings.Builder
	line.WriteString("trace: " + c.assemblyScriptString(v[0]))
	for i := range min(max(int32(v[1].Lo), 0), 5) {
		separator := ", "
		if i == 0 {
			separator = " "
		}
		line.WriteString(separator + strconv.FormatFloat(math.Float64frombits(v[2+i].Lo), 'g', -1, 64))
	}
	a.write(line.String() + "\n")
	return nil
}

func (a *assemblyScript) seed(_ *Caller, v []ffi.Slot) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var bits [8]byte
	if _, err := io.ReadFull(a.random, bits[:]); err != nil {
		return fmt.Errorf("wasmer: AssemblyScript: seed: %w", err)
	}
	v[0].Lo = binary.LittleEndian.Uint64(bits[:])
	return nil
}

func (a *assemblyScript) write(line string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = io.WriteString(a.messages, line)
}

// assemblyScriptString reads a string: UTF-16, its length in bytes before it. What lies outside of the memory is told.
func (c *Caller) assemblyScriptString(pointer ffi.Slot) string {
	const unreadable, longest = "(unreadable string)", 64 << 10
	address, memory := uint32(pointer.Lo), c.instance.wasiMemory()
	if address == 0 {
		return "(no string)"
	}
	if address < 4 || uint64(address) > uint64(len(memory)) {
		return unreadable
	}
	size := binary.LittleEndian.Uint32(memory[address-4:])
	if size%2 != 0 || uint64(size) > uint64(len(memory))-uint64(address) {
		return unreadable
	}
	data := memory[address:][:min(size, longest)]
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(data[2*i:])
	}
	return string(utf16.Decode(units))
}
