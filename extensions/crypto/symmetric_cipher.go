package crypto

import (
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// cipher is a state that encrypts.
func (g guest) cipher(h handle) (*symmetricState, errno) {
	s, err := get[*symmetricState](g, h)
	if err == success && s.maxTagLen() == 0 {
		err = invalidOperation
	}
	return s, err
}

// message reads a message with room for a tag behind it. Output and input may overlap in the guest's memory, so work is done on
// this copy.
func (g guest) message(data, dataLen uint32, tagLen int) ([]byte, errno) {
	if int64(dataLen)+int64(tagLen) > int64(g.table.config.MaxBytes) {
		return nil, overflow
	}
	if err := g.inBounds(data, dataLen); err != success {
		return nil, err
	}
	message := make([]byte, dataLen, int(dataLen)+tagLen)
	if _, err := g.memory.ReadAt(message, int64(data)); err != nil {
		return nil, algorithmFailure
	}
	return message, success
}

func (m *Module) symmetricStateEncrypt(c *wasmer.Caller, h handle, out, outLen, data, dataLen, n uint32) errno {
	g := m.enter(c)
	s, err := g.cipher(h)
	if err == success {
		err = fits(outLen, int(dataLen)+s.maxTagLen())
	}
	if err == success {
		err = g.inBounds(out, outLen)
	}
	if err == success {
		err = g.inBounds(n, 4)
	}
	if err != success {
		return err
	}
	sealed, err := g.seal(s, data, dataLen)
	if err == success {
		err = g.write(out, sealed)
	}
	if err == success {
		err = g.writeUint32(n, outLen)
	}
	return err
}

func (g guest) seal(s *symmetricState, data, dataLen uint32) ([]byte, errno) {
	message, err := g.message(data, dataLen, s.maxTagLen())
	if err != success {
		return nil, err
	}
	return s.encrypt(message)
}

func (m *Module) symmetricStateEncryptDetached(c *wasmer.Caller, h handle, out, outLen, data, dataLen, tag uint32) errno {
	g := m.enter(c)
	s, err := g.cipher(h)
	if err == success {
		err = fits(outLen, int(dataLen))
	}
	if err == success {
		err = g.inBounds(out, outLen)
	}
	if err == success {
		err = g.inBounds(tag, 4)
	}
	if err != success {
		return err
	}
	sealed, err := g.seal(s, data, dataLen)
	if err != success {
		return err
	}
	if err := g.open(tag, &symmetricTag{data: append([]byte{}, sealed[dataLen:]...)}, s.maxTagLen()); err != success {
		return err
	}
	return g.write(out, sealed[:dataLen])
}

func (m *Module) symmetricStateDecrypt(c *wasmer.Caller, h handle, out, outLen, data, dataLen, n uint32) errno {
	g := m.enter(c)
	s, err := g.cipher(h)
	if err != success {
		return err
	}
	if int64(dataLen) < int64(s.maxTagLen()) {
		return invalidTag // which cannot be whole
	}
	if err := fits(outLen, int(dataLen)-s.maxTagLen()); err != success {
		return err
	}
	sealed, err := g.message(data, dataLen, 0)
	if err != success {
		return err
	}
	return g.unseal(s, sealed, out, outLen, n)
}

func (m *Module) symmetricStateDecryptDetached(c *wasmer.Caller, h handle, out, outLen, data, dataLen, tag, tagLen, n uint32) errno {
	g := m.enter(c)
	s, err := g.cipher(h)
	if err == success {
		err = fits(outLen, int(dataLen))
	}
	if err == success {
		err = g.inBounds(tag, tagLen)
	}
	switch {
	case err != success:
		return err
	case int64(tagLen) != int64(s.maxTagLen()):
		return invalidTag
	}
	sealed, err := g.message(data, dataLen, s.maxTagLen())
	if err != success {
		return err
	}
	detached, err := g.read(tag, tagLen)
	if err != success {
		return err
	}
	return g.unseal(s, append(sealed, detached...), out, outLen, n)
}

// unseal decrypts and writes. If the tag is wrong, nothing is written.
func (g guest) unseal(s *symmetricState, sealed []byte, out, outLen, n uint32) errno {
	err := g.inBounds(out, outLen)
	if err == success {
		err = g.inBounds(n, 4)
	}
	if err != success {
		return err
	}
	message, err := s.decrypt(sealed)
	if err != success {
		return err
	}
	defer clear(message)
	if err := g.write(out, message); err != success {
		return err
	}
	return g.writeUint32(n, outLen)
}
