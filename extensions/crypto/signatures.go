package crypto

import (
	"hash"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// signatures is wasi_ephemeral_crypto_signatures.
func (m *Module) signatures() map[string]any {
	return map[string]any{
		"signature_export":                    m.signatureExport,
		"signature_import":                    m.signatureImport,
		"signature_state_open":                m.signatureStateOpen,
		"signature_state_update":              m.signatureStateUpdate,
		"signature_state_sign":                m.signatureStateSign,
		"signature_state_close":               m.signatureStateClose,
		"signature_verification_state_open":   m.verificationStateOpen,
		"signature_verification_state_update": m.verificationStateUpdate,
		"signature_verification_state_verify": m.verificationStateVerify,
		"signature_verification_state_close":  m.verificationStateClose,
		"signature_close":                     m.signatureClose,
	}
}

// signature is one in its raw encoding.
type signature struct {
	algorithm *algorithm
	data      []byte
}

func (*signature) close() {}

// signatureEncoding is a number of signature_encoding.
type signatureEncoding uint32

const (
	signatureRaw signatureEncoding = iota
	signatureDER
)

func (m *Module) signatureExport(c *wasmer.Caller, h handle, e signatureEncoding, output uint32) errno {
	g := m.enter(c)
	s, err := get[*signature](g, h)
	switch {
	case err != success:
		return err
	case e == signatureRaw:
		return g.output(output, append([]byte{}, s.data...))
	case e == signatureDER && s.algorithm.signing.der:
		return g.output(output, derSignature(s.data))
	}
	return unsupportedEncoding
}

func (m *Module) signatureImport(c *wasmer.Caller, name, nameLen, encoded, encodedLen uint32, e signatureEncoding, h uint32) errno {
	g := m.enter(c)
	a, err := g.algorithm(typeSignatures, name, nameLen)
	if err == success {
		err = g.inBounds(encoded, encodedLen)
	}
	switch {
	case err != success:
		return err
	case e > signatureDER || e == signatureDER && !a.signing.der:
		return unsupportedEncoding
	case encodedLen > maxEncoded:
		return invalidSignature
	}
	data, err := g.read(encoded, encodedLen)
	if err != success {
		return err
	}
	if e == signatureDER {
		data = rawSignature(data, a.signing.size)
	}
	if len(data) != a.signing.size {
		return invalidSignature
	}
	return g.open(h, &signature{a, data}, len(data))
}

func (m *Module) signatureClose(c *wasmer.Caller, h handle) errno {
	return closeHandle[*signature](m.enter(c), h)
}

// transcript is what is signed or checked: a hash, or the message itself.
type transcript struct {
	hash    hash.Hash
	message []byte
}

func newTranscript(s *signing) transcript {
	if s.newHash == nil {
		return transcript{}
	}
	return transcript{hash: s.newHash()}
}

// update adds to the transcript of a handle.
func (t *transcript) update(g guest, h handle, input, inputLen uint32) errno {
	if t.hash != nil {
		return g.stream(input, inputLen, func(data []byte) { _, _ = t.hash.Write(data) })
	}
	data, err := g.read(input, inputLen)
	if err == success {
		err = g.charge(h, len(data))
	}
	if err == success {
		t.message = append(t.message, data...)
	}
	return err
}

// sum does not end the transcript: more can be added, and signed again.
func (t *transcript) sum() []byte {
	if t.hash != nil {
		return t.hash.Sum(nil)
	}
	return t.message
}

// signatureState makes signatures.
type signatureState struct {
	*sharedSecret
	transcript
}

func (m *Module) signatureStateOpen(c *wasmer.Caller, pair handle, h uint32) errno {
	g := m.enter(c)
	k, err := get[*pairObject](g, pair)
	switch {
	case err != success:
		return err
	case k.algorithm.signing == nil:
		return invalidKey
	}
	return g.open(h, &signatureState{k.share(), newTranscript(k.algorithm.signing)}, 0)
}

func (m *Module) signatureStateUpdate(c *wasmer.Caller, h handle, input, inputLen uint32) errno {
	g := m.enter(c)
	s, err := get[*signatureState](g, h)
	if err != success {
		return err
	}
	return s.update(g, h, input, inputLen)
}

func (m *Module) signatureStateSign(c *wasmer.Caller, h handle, out uint32) errno {
	g := m.enter(c)
	s, err := get[*signatureState](g, h)
	if err == success {
		err = g.inBounds(out, 4)
	}
	if err != success {
		return err
	}
	data, failed := s.key.(signer).sign(s.sum())
	if failed != nil || len(data) != s.algorithm.signing.size {
		return algorithmFailure
	}
	return g.open(out, &signature{s.algorithm, data}, len(data))
}

func (m *Module) signatureStateClose(c *wasmer.Caller, h handle) errno {
	return closeHandle[*signatureState](m.enter(c), h)
}

// verificationState checks signatures.
type verificationState struct {
	*publicObject
	transcript
}

func (m *Module) verificationStateOpen(c *wasmer.Caller, public handle, h uint32) errno {
	g := m.enter(c)
	k, err := get[*publicObject](g, public)
	switch {
	case err != success:
		return err
	case k.algorithm.signing == nil:
		return invalidKey
	}
	return g.open(h, &verificationState{k, newTranscript(k.algorithm.signing)}, 0)
}

func (m *Module) verificationStateUpdate(c *wasmer.Caller, h handle, input, inputLen uint32) errno {
	g := m.enter(c)
	s, err := get[*verificationState](g, h)
	if err != success {
		return err
	}
	return s.update(g, h, input, inputLen)
}

func (m *Module) verificationStateVerify(c *wasmer.Caller, h, sig handle) errno {
	g := m.enter(c)
	s, err := get[*verificationState](g, h)
	if err != success {
		return err
	}
	o, err := get[*signature](g, sig)
	switch {
	case err != success:
		return err
	case o.algorithm != s.algorithm:
		return invalidSignature
	case !s.key.(checker).check(s.sum(), o.data):
		return verificationFailed
	}
	return success
}

func (m *Module) verificationStateClose(c *wasmer.Caller, h handle) errno {
	return closeHandle[*verificationState](m.enter(c), h)
}
