package crypto

import (
	"crypto/rand"
	"crypto/subtle"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// symmetric is wasi_ephemeral_crypto_symmetric.
func (m *Module) symmetric() map[string]any {
	return map[string]any{
		"symmetric_key_generate":           m.symmetricKeyGenerate,
		"symmetric_key_import":             m.symmetricKeyImport,
		"symmetric_key_export":             m.symmetricKeyExport,
		"symmetric_key_close":              m.symmetricKeyClose,
		"symmetric_key_generate_managed":   func(_ handle, _, _, _, _ uint32) errno { return unsupportedFeature },
		"symmetric_key_store_managed":      func(_, _ handle, _, _ uint32) errno { return unsupportedFeature },
		"symmetric_key_replace_managed":    func(_, _, _ handle, _ uint32) errno { return unsupportedFeature },
		"symmetric_key_id":                 func(_ handle, _, _, _, _ uint32) errno { return unsupportedFeature },
		"symmetric_key_from_id":            func(_ handle, _, _ uint32, _ uint64, _ uint32) errno { return unsupportedFeature },
		"symmetric_state_open":             m.symmetricStateOpen,
		"symmetric_state_clone":            m.symmetricStateClone,
		"symmetric_state_options_get":      m.symmetricStateOptionsGet,
		"symmetric_state_options_get_u64":  m.symmetricStateOptionsGetU64,
		"symmetric_state_close":            m.symmetricStateClose,
		"symmetric_state_absorb":           m.symmetricStateAbsorb,
		"symmetric_state_squeeze":          m.symmetricStateSqueeze,
		"symmetric_state_squeeze_tag":      m.symmetricStateSqueezeTag,
		"symmetric_state_squeeze_key":      m.symmetricStateSqueezeKey,
		"symmetric_state_max_tag_len":      m.symmetricStateMaxTagLen,
		"symmetric_state_encrypt":          m.symmetricStateEncrypt,
		"symmetric_state_encrypt_detached": m.symmetricStateEncryptDetached,
		"symmetric_state_decrypt":          m.symmetricStateDecrypt,
		"symmetric_state_decrypt_detached": m.symmetricStateDecryptDetached,
		"symmetric_state_ratchet":          m.symmetricStateRatchet,
		"symmetric_tag_len":                m.symmetricTagLen,
		"symmetric_tag_pull":               m.symmetricTagPull,
		"symmetric_tag_verify":             m.symmetricTagVerify,
		"symmetric_tag_close":              m.symmetricTagClose,
	}
}

// symmetricKey is a key and what it is for.
type symmetricKey struct {
	algorithm *symmetricAlgorithm
	data      []byte
}

func (k *symmetricKey) close() { clear(k.data) }

// symmetricAlgorithm finds one by the guest's name.
func (g guest) symmetricAlgorithm(name, nameLen uint32) (*symmetricAlgorithm, errno) {
	s, err := g.name(name, nameLen)
	if err != success {
		return nil, err
	}
	a := symmetricAlgorithms[s]
	if a == nil {
		return nil, unsupportedAlgorithm
	}
	return a, success
}

func (m *Module) symmetricKeyGenerate(c *wasmer.Caller, name, nameLen, opts, h uint32) errno {
	g := m.enter(c)
	a, err := g.symmetricAlgorithm(name, nameLen)
	if err == success {
		_, err = g.options(opts, typeSymmetric)
	}
	switch {
	case err != success:
		return err
	case a.keyless:
		return keyNotSupported
	case a.generated == 0:
		return unsupportedFeature
	}
	data := make([]byte, a.generated)
	_, _ = rand.Read(data) // which ends the program rather than fail
	return g.open(h, &symmetricKey{a, data}, len(data))
}

func (m *Module) symmetricKeyImport(c *wasmer.Caller, name, nameLen, raw, rawLen, h uint32) errno {
	g := m.enter(c)
	a, err := g.symmetricAlgorithm(name, nameLen)
	switch {
	case err != success:
		return err
	case a.keyless:
		return keyNotSupported
	case a.keySize != 0 && int64(rawLen) != int64(a.keySize):
		return invalidKey
	}
	data, err := g.read(raw, rawLen)
	if err != success {
		return err
	}
	return g.open(h, &symmetricKey{a, data}, len(data))
}

func (m *Module) symmetricKeyExport(c *wasmer.Caller, h handle, output uint32) errno {
	g := m.enter(c)
	k, err := get[*symmetricKey](g, h)
	if err != success {
		return err
	}
	return g.output(output, append([]byte{}, k.data...))
}

func (m *Module) symmetricKeyClose(c *wasmer.Caller, h handle) errno {
	return closeHandle[*symmetricKey](m.enter(c), h)
}

// symmetricTag is an authentication tag.
type symmetricTag struct {
	data []byte
	// pulled is set by a pull, which is the end of a tag: see closeSpent.
	pulled bool
}

func (t *symmetricTag) close() { clear(t.data) }

func (m *Module) symmetricTagLen(c *wasmer.Caller, h handle, n uint32) errno {
	g := m.enter(c)
	t, err := get[*symmetricTag](g, h)
	if err != success {
		return err
	}
	return g.writeUint32(n, size(len(t.data)))
}

func (m *Module) symmetricTagPull(c *wasmer.Caller, h handle, buffer, bufferLen, n uint32) errno {
	g := m.enter(c)
	t, err := get[*symmetricTag](g, h)
	if err == success {
		err = fits(bufferLen, len(t.data))
	}
	if err == success {
		err = g.inBounds(n, 4)
	}
	if err == success {
		err = g.write(buffer, t.data)
	}
	if err != success {
		return err
	}
	t.pulled = true
	return g.writeUint32(n, size(len(t.data)))
}

// fits tells whether a guest's buffer has exactly the size that it must have.
func fits(bufferLen uint32, n int) errno {
	switch {
	case int64(bufferLen) < int64(n):
		return overflow
	case int64(bufferLen) > int64(n):
		return invalidLength
	}
	return success
}

// symmetricTagVerify compares all bytes of both tags in constant time.
func (m *Module) symmetricTagVerify(c *wasmer.Caller, h handle, tag, tagLen uint32) errno {
	g := m.enter(c)
	t, err := get[*symmetricTag](g, h)
	if err == success {
		err = g.inBounds(tag, tagLen)
	}
	switch {
	case err != success:
		return err
	case int64(tagLen) != int64(len(t.data)):
		return invalidTag
	}
	expected, err := g.read(tag, tagLen)
	if err == success && subtle.ConstantTimeCompare(expected, t.data) != 1 {
		err = invalidTag
	}
	return err
}

func (m *Module) symmetricTagClose(c *wasmer.Caller, h handle) errno {
	return closeHandle[*symmetricTag](m.enter(c), h)
}
