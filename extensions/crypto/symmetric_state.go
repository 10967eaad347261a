package crypto

import (
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// symmetricState is an operation under way.
type symmetricState struct{ operations }

func (m *Module) symmetricStateOpen(c *wasmer.Caller, name, nameLen, key, opts, h uint32) errno {
	g := m.enter(c)
	a, err := g.symmetricAlgorithm(name, nameLen)
	if err != success {
		return err
	}
	keyHandle, keyed, err := g.option(key)
	if err != success {
		return err
	}
	k := &symmetricKey{}
	if keyed {
		if k, err = get[*symmetricKey](g, keyHandle); err != success {
			return err
		}
	}
	o, err := g.options(opts, typeSymmetric)
	switch {
	case err != success:
		return err
	case o != nil && o.foreign:
		return unsupportedOption
	case a.keyless && keyed:
		return keyNotSupported
	case !a.keyless && !keyed:
		return keyRequired
	case keyed && k.algorithm != a:
		return invalidKey
	}
	operations, err := a.open(k.data, o)
	if err != success {
		return err
	}
	return g.open(h, &symmetricState{operations}, len(k.data))
}

func (m *Module) symmetricStateClone(c *wasmer.Caller, h handle, out uint32) errno {
	g := m.enter(c)
	s, err := get[*symmetricState](g, h)
	if err != success {
		return err
	}
	held := g.entries[h].bytes
	if err := g.makeRoom(held); err != success { // before anything large is copied
		return err
	}
	return g.open(out, &symmetricState{s.clone()}, held)
}

// symmetricStateOptionsGet gives the nonce.
func (m *Module) symmetricStateOptionsGet(c *wasmer.Caller, h handle, name, nameLen, value, valueLen, n uint32) errno {
	g := m.enter(c)
	s, err := get[*symmetricState](g, h)
	if err != success {
		return err
	}
	option, err := g.name(name, nameLen)
	if err == success {
		err = g.inBounds(value, valueLen)
	}
	if err == success {
		err = g.inBounds(n, 4)
	}
	nonce := s.nonce()
	switch {
	case err != success:
		return err
	case option != "NONCE" || nonce == nil:
		return unsupportedOption
	case int64(valueLen) < int64(len(nonce)):
		return overflow
	}
	if err := g.write(value, nonce); err != success {
		return err
	}
	return g.writeUint32(n, size(len(nonce)))
}

// symmetricStateOptionsGetU64 has nothing to give: no algorithm has such an option.
func (m *Module) symmetricStateOptionsGetU64(c *wasmer.Caller, h handle, name, nameLen, value uint32) errno {
	g := m.enter(c)
	_, err := get[*symmetricState](g, h)
	if err == success {
		_, err = g.name(name, nameLen)
	}
	if err == success {
		err = g.inBounds(value, 8)
	}
	if err == success {
		err = unsupportedOption
	}
	return err
}

func (m *Module) symmetricStateClose(c *wasmer.Caller, h handle) errno {
	return closeHandle[*symmetricState](m.enter(c), h)
}

func (m *Module) symmetricStateAbsorb(c *wasmer.Caller, h handle, data, dataLen uint32) errno {
	g := m.enter(c)
	s, err := get[*symmetricState](g, h)
	if err != success {
		return err
	}
	if !s.accumulates() {
		return g.stream(data, dataLen, s.absorb)
	}
	absorbed, err := g.read(data, dataLen)
	if err == success {
		err = g.charge(h, len(absorbed))
	}
	if err == success {
		s.absorb(absorbed)
	}
	return err
}

func (m *Module) symmetricStateSqueeze(c *wasmer.Caller, h handle, out, outLen uint32) errno {
	g := m.enter(c)
	s, err := get[*symmetricState](g, h)
	if err == success {
		err = g.inBounds(out, outLen)
	}
	if err != success {
		return err
	}
	data, err := s.squeeze(outLen)
	if err != success {
		return err
	}
	defer clear(data)
	return g.write(out, data)
}

func (m *Module) symmetricStateSqueezeTag(c *wasmer.Caller, h handle, out uint32) errno {
	g := m.enter(c)
	s, err := get[*symmetricState](g, h)
	if err != success {
		return err
	}
	tag, err := s.squeezeTag()
	if err != success {
		return err
	}
	return g.open(out, &symmetricTag{data: tag}, len(tag))
}

func (m *Module) symmetricStateSqueezeKey(c *wasmer.Caller, h handle, name, nameLen, out uint32) errno {
	g := m.enter(c)
	s, err := get[*symmetricState](g, h)
	if err != success {
		return err
	}
	a, err := g.symmetricAlgorithm(name, nameLen)
	if err != success {
		return err
	}
	key, err := s.squeezeKey(a)
	if err != success {
		return err
	}
	return g.open(out, &symmetricKey{a, key}, len(key))
}

func (m *Module) symmetricStateMaxTagLen(c *wasmer.Caller, h handle, n uint32) errno {
	g := m.enter(c)
	s, err := g.cipher(h)
	if err != success {
		return err
	}
	return g.writeUint32(n, size(s.maxTagLen()))
}

// symmetricStateRatchet: no algorithm has it.
func (m *Module) symmetricStateRatchet(c *wasmer.Caller, h handle) errno {
	if _, err := get[*symmetricState](m.enter(c), h); err != success {
		return err
	}
	return invalidOperation
}
