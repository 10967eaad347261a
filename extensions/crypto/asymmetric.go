package crypto

import (
	"context"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// asymmetricCommon is wasi_ephemeral_crypto_asymmetric_common.
func (m *Module) asymmetricCommon() map[string]any {
	return map[string]any{
		"keypair_generate":         m.keypairGenerate,
		"keypair_import":           m.keypairImport,
		"keypair_generate_managed": func(_ handle, _, _, _, _, _ uint32) errno { return unsupportedFeature },
		"keypair_store_managed":    func(_, _ handle, _, _ uint32) errno { return unsupportedFeature },
		"keypair_replace_managed":  func(_, _, _ handle, _ uint32) errno { return unsupportedFeature },
		"keypair_id":               func(_ handle, _, _, _, _ uint32) errno { return unsupportedFeature },
		"keypair_from_id":          func(_ handle, _, _ uint32, _ uint64, _ uint32) errno { return unsupportedFeature },
		"keypair_from_pk_and_sk":   m.keypairFromPublicAndSecret,
		"keypair_export":           m.keypairExport,
		"keypair_publickey":        m.keypairPublic,
		"keypair_secretkey":        m.keypairSecret,
		"keypair_close":            m.keypairClose,
		"publickey_import":         m.publicImport,
		"publickey_export":         m.publicExport,
		"publickey_verify":         m.publicVerify,
		"publickey_from_secretkey": m.publicFromSecret,
		"publickey_close":          m.publicClose,
		"secretkey_import":         m.secretImport,
		"secretkey_export":         m.secretExport,
		"secretkey_close":          m.secretClose,
	}
}

// sharedSecret is a secret key that several handles may stand for, and their algorithm. It is overwritten with the last of them.
type sharedSecret struct {
	algorithm *algorithm
	key       secretKey
	handles   int
}

func (s *sharedSecret) share() *sharedSecret {
	s.handles++
	return s
}

func (s *sharedSecret) close() {
	if s.handles--; s.handles == 0 {
		s.key.wipe()
	}
}

// pairObject, secretObject and publicObject are what handles of keys stand for.
type (
	pairObject   struct{ *sharedSecret }
	secretObject struct{ *sharedSecret }
	publicObject struct {
		algorithm *algorithm
		key       publicKey
	}
)

func (*publicObject) close() {}

// algorithm finds one by its type and the guest's name.
func (g guest) algorithm(typ algorithmType, name, nameLen uint32) (*algorithm, errno) {
	s, err := g.name(name, nameLen)
	switch {
	case err != success:
		return nil, err
	case typ == typeSymmetric:
		return nil, invalidOperation
	}
	a := algorithms[s]
	if a == nil || a.typ != typ {
		return nil, unsupportedAlgorithm
	}
	return a, success
}

// encoded finds an algorithm, and reads a key for it.
func (g guest) encoded(typ algorithmType, name, nameLen, key, keyLen uint32) (*algorithm, []byte, errno) {
	a, err := g.algorithm(typ, name, nameLen)
	if err == success {
		err = g.inBounds(key, keyLen)
	}
	switch {
	case err != success:
		return nil, nil, err
	case keyLen > maxEncoded:
		return nil, nil, invalidKey
	}
	data, err := g.read(key, keyLen)
	return a, data, err
}

// keypairGenerate ends the guest if its context ends, or the instance is closed, before there is a key.
func (m *Module) keypairGenerate(c *wasmer.Caller, typ algorithmType, name, nameLen, opts, h uint32) (errno, error) {
	g := m.enter(c)
	a, err := g.algorithm(typ, name, nameLen)
	if err == success {
		_, err = g.options(opts, typ)
	}
	if err == success {
		err = g.inBounds(h, 4)
	}
	if err != success {
		return err, nil
	}
	ctx, stop := perinstance.Context(c)
	defer stop(nil)
	key, failed := m.generate(ctx, a)
	switch {
	case ctx.Err() != nil && failed != nil:
		return 0, failed
	case failed != nil:
		return algorithmFailure, nil
	}
	return g.open(h, &pairObject{&sharedSecret{a, key, 1}}, 0), nil
}

func (m *Module) generate(ctx context.Context, a *algorithm) (secretKey, error) {
	if !a.slow {
		return a.generate()
	}
	select {
	case m.generating <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	type generated struct {
		key secretKey
		err error
	}
	done := make(chan generated, 1) // nobody waits for it if ctx ends
	go func() {
		defer func() { <-m.generating }()
		key, err := a.generate()
		done <- generated{key, err}
	}()
	select {
	case g := <-done:
		return g.key, g.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (m *Module) keypairImport(c *wasmer.Caller, typ algorithmType, name, nameLen, key, keyLen uint32, e encoding, h uint32) errno {
	g := m.enter(c)
	a, data, err := g.encoded(typ, name, nameLen, key, keyLen)
	if err != success {
		return err
	}
	defer clear(data)
	secret, err := a.decodeSecret(data, pairEncoding(e), true)
	if err != success {
		return err
	}
	return g.open(h, &pairObject{&sharedSecret{a, secret, 1}}, 0)
}

func (m *Module) keypairFromPublicAndSecret(c *wasmer.Caller, public, secret handle, h uint32) errno {
	g := m.enter(c)
	p, err := get[*publicObject](g, public)
	if err != success {
		return err
	}
	s, err := get[*secretObject](g, secret)
	switch {
	case err != success:
		return err
	case p.algorithm != s.algorithm || !samePublic(p.key, s.key.public()):
		return incompatibleKeys
	}
	return g.open(h, &pairObject{s.share()}, 0)
}

func (m *Module) keypairExport(c *wasmer.Caller, h handle, e encoding, output uint32) errno {
	g := m.enter(c)
	k, err := get[*pairObject](g, h)
	if err != success {
		return err
	}
	data, err := k.algorithm.encodeSecret(k.key, pairEncoding(e), true)
	if err != success {
		return err
	}
	return g.output(output, data)
}

func (m *Module) keypairPublic(c *wasmer.Caller, h handle, public uint32) errno {
	g := m.enter(c)
	k, err := get[*pairObject](g, h)
	if err != success {
		return err
	}
	return g.open(public, &publicObject{k.algorithm, k.key.public()}, 0)
}

func (m *Module) keypairSecret(c *wasmer.Caller, h handle, secret uint32) errno {
	g := m.enter(c)
	k, err := get[*pairObject](g, h)
	if err != success {
		return err
	}
	return g.open(secret, &secretObject{k.share()}, 0)
}

func (m *Module) keypairClose(c *wasmer.Caller, h handle) errno {
	return closeHandle[*pairObject](m.enter(c), h)
}

func (m *Module) publicImport(c *wasmer.Caller, typ algorithmType, name, nameLen, key, keyLen uint32, e encoding, h uint32) errno {
	g := m.enter(c)
	a, data, err := g.encoded(typ, name, nameLen, key, keyLen)
	if err != success {
		return err
	}
	public, err := a.decodePublic(data, e)
	if err != success {
		return err
	}
	return g.open(h, &publicObject{a, public}, 0)
}

func (m *Module) publicExport(c *wasmer.Caller, h handle, e encoding, output uint32) errno {
	g := m.enter(c)
	k, err := get[*publicObject](g, h)
	if err != success {
		return err
	}
	data, err := encodePublic(k.key, e)
	if err != success {
		return err
	}
	return g.output(output, data)
}

func (m *Module) publicVerify(c *wasmer.Caller, h handle) errno {
	k, err := get[*publicObject](m.enter(c), h)
	if err == success && !k.key.verify() {
		err = invalidKey
	}
	return err
}

func (m *Module) publicFromSecret(c *wasmer.Caller, h handle, public uint32) errno {
	g := m.enter(c)
	k, err := get[*secretObject](g, h)
	if err != success {
		return err
	}
	return g.open(public, &publicObject{k.algorithm, k.key.public()}, 0)
}

func (m *Module) publicClose(c *wasmer.Caller, h handle) errno {
	return closeHandle[*publicObject](m.enter(c), h)
}

func (m *Module) secretImport(c *wasmer.Caller, typ algorithmType, name, nameLen, key, keyLen uint32, e encoding, h uint32) errno {
	g := m.enter(c)
	a, data, err := g.encoded(typ, name, nameLen, key, keyLen)
	if err != success {
		return err
	}
	defer clear(data)
	secret, err := a.decodeSecret(data, e, false)
	if err != success {
		return err
	}
	return g.open(h, &secretObject{&sharedSecret{a, secret, 1}}, 0)
}

func (m *Module) secretExport(c *wasmer.Caller, h handle, e encoding, output uint32) errno {
	g := m.enter(c)
	k, err := get[*secretObject](g, h)
	if err != success {
		return err
	}
	data, err := k.algorithm.encodeSecret(k.key, e, false)
	if err != success {
		return err
	}
	return g.output(output, data)
}

func (m *Module) secretClose(c *wasmer.Caller, h handle) errno {
	return closeHandle[*secretObject](m.enter(c), h)
}
