package crypto

import (
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// common is wasi_ephemeral_crypto_common.
func (m *Module) common() map[string]any {
	return map[string]any{
		"array_output_len":           m.arrayOutputLen,
		"array_output_pull":          m.arrayOutputPull,
		"options_open":               m.optionsOpen,
		"options_close":              m.optionsClose,
		"options_set":                m.optionsSet,
		"options_set_u64":            m.optionsSetU64,
		"options_set_guest_buffer":   m.optionsSetGuestBuffer,
		"secrets_manager_open":       func(_, _ uint32) errno { return unsupportedFeature },
		"secrets_manager_close":      func(_ handle) errno { return unsupportedFeature },
		"secrets_manager_invalidate": func(_ handle, _, _ uint32, _ uint64) errno { return unsupportedFeature },
	}
}

// arrayOutput is bytes for the guest, which pulls them piece by piece.
type arrayOutput struct {
	data   []byte
	pulled int
}

func (o *arrayOutput) close() { clear(o.data) }

// output opens an array output; it owns the data.
func (g guest) output(pointer uint32, data []byte) errno {
	return g.open(pointer, &arrayOutput{data: data}, len(data))
}

func (m *Module) arrayOutputLen(c *wasmer.Caller, h handle, n uint32) errno {
	g := m.enter(c)
	o, err := get[*arrayOutput](g, h)
	if err != success {
		return err
	}
	return g.writeUint32(n, size(len(o.data)))
}

// arrayOutputPull closes the output with its last byte.
func (m *Module) arrayOutputPull(c *wasmer.Caller, h handle, buffer, bufferLen, n uint32) errno {
	g := m.enter(c)
	o, err := get[*arrayOutput](g, h)
	if err == success {
		err = g.inBounds(buffer, bufferLen)
	}
	if err == success {
		err = g.inBounds(n, 4)
	}
	if err != success {
		return err
	}
	rest := o.data[o.pulled:]
	rest = rest[:min(uint64(len(rest)), uint64(bufferLen))]
	if err := g.write(buffer, rest); err != success {
		return err
	}
	pulled := size(len(rest))
	if o.pulled += len(rest); o.pulled == len(o.data) {
		g.remove(h)
	}
	return g.writeUint32(n, pulled)
}

// algorithmType is what algorithms are for.
type algorithmType uint32

const (
	typeSignatures algorithmType = iota
	typeSymmetric
	typeKeyExchange
)

// options are parameters of an operation. Of all the names that the specification reserves, only nonce means something to algorithms
// that there are.
type options struct {
	typ   algorithmType
	nonce []byte
	// foreign is set if there is a salt or a context, which must not be ignored silently.
	foreign bool
}

func (*options) close() {}

// maxOption is how many bytes the value of an option has at most.
const maxOption = 1024

// options finds optional options of the type; nil for none.
func (g guest) options(pointer uint32, typ algorithmType) (*options, errno) {
	h, given, err := g.option(pointer)
	if err != success || !given {
		return nil, err
	}
	o, err := get[*options](g, h)
	if err == success && o.typ != typ {
		err = invalidHandle
	}
	return o, err
}

func (m *Module) optionsOpen(c *wasmer.Caller, typ algorithmType, h uint32) errno {
	if typ > typeKeyExchange {
		return unsupportedAlgorithm
	}
	return m.enter(c).open(h, &options{typ: typ}, 0)
}

func (m *Module) optionsClose(c *wasmer.Caller, h handle) errno {
	return closeHandle[*options](m.enter(c), h)
}

// symmetricOptions finds options and a name for them: no other type of algorithm has any.
func (g guest) symmetricOptions(h handle, name, nameLen uint32) (*options, string, errno) {
	option, err := g.name(name, nameLen)
	if err != success {
		return nil, "", err
	}
	o, err := get[*options](g, h)
	if err == success && o.typ != typeSymmetric {
		err = unsupportedOption
	}
	return o, option, err
}

func (m *Module) optionsSet(c *wasmer.Caller, h handle, name, nameLen, value, valueLen uint32) errno {
	g := m.enter(c)
	if err := g.inBounds(value, valueLen); err != success {
		return err
	}
	o, option, err := g.symmetricOptions(h, name, nameLen)
	if err != success {
		return err
	}
	switch option {
	case "NONCE":
		if valueLen > maxOption {
			return overflow
		}
		o.nonce, err = g.read(value, valueLen)
		return err
	case "CONTEXT", "SALT":
		o.foreign = true
		return success
	}
	return unsupportedOption
}

func (m *Module) optionsSetU64(c *wasmer.Caller, h handle, name, nameLen uint32, _ uint64) errno {
	_, option, err := m.enter(c).symmetricOptions(h, name, nameLen)
	if err != success {
		return err
	}
	switch option {
	case "MEMORY_LIMIT", "OPS_LIMIT", "PARALLELISM":
		return success // bounds for password hashing, which no algorithm is
	}
	return unsupportedOption
}

func (m *Module) optionsSetGuestBuffer(c *wasmer.Caller, h handle, name, nameLen, buffer, bufferLen uint32) errno {
	g := m.enter(c)
	if err := g.inBounds(buffer, bufferLen); err != success {
		return err
	}
	_, option, err := g.symmetricOptions(h, name, nameLen)
	if err == success && option != "BUFFER" {
		err = unsupportedOption
	}
	return err
}
