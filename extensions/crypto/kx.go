package crypto

import (
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// kx is wasi_ephemeral_crypto_kx.
func (m *Module) kx() map[string]any {
	return map[string]any{
		"kx_dh":          m.kxDH,
		"kx_encapsulate": m.kxEncapsulate,
		"kx_decapsulate": m.kxDecapsulate,
	}
}

// exchanging finds keys that are for key exchange.
func exchanging(a *algorithm) errno {
	if a.typ != typeKeyExchange {
		return invalidKey
	}
	return success
}

func (m *Module) kxDH(c *wasmer.Caller, public, secret handle, output uint32) errno {
	g := m.enter(c)
	p, err := get[*publicObject](g, public)
	if err != success {
		return err
	}
	s, err := get[*secretObject](g, secret)
	if err == success {
		err = exchanging(s.algorithm)
	}
	if err != success {
		return err
	}
	if p.algorithm != s.algorithm {
		return incompatibleKeys
	}
	key, ok := s.key.(agreement)
	if !ok {
		return invalidOperation
	}
	shared := key.agree(p.key)
	if shared == nil {
		return invalidKey
	}
	return g.output(output, shared)
}

func (m *Module) kxEncapsulate(c *wasmer.Caller, public handle, secret, encapsulated uint32) errno {
	g := m.enter(c)
	p, err := get[*publicObject](g, public)
	if err == success {
		err = exchanging(p.algorithm)
	}
	if err == success {
		err = g.inBounds(secret, 4)
	}
	if err == success {
		err = g.inBounds(encapsulated, 4)
	}
	if err != success {
		return err
	}
	key, ok := p.key.(encapsulator)
	if !ok {
		return invalidOperation
	}
	shared, sealed := key.encapsulate()
	first, err := g.add(&arrayOutput{data: shared}, len(shared))
	if err != success {
		return err
	}
	if err := g.output(encapsulated, sealed); err != success {
		g.remove(first)
		return err
	}
	return g.writeUint32(secret, uint32(first))
}

func (m *Module) kxDecapsulate(c *wasmer.Caller, secret handle, encapsulated, encapsulatedLen, output uint32) errno {
	g := m.enter(c)
	s, err := get[*secretObject](g, secret)
	if err == success {
		err = exchanging(s.algorithm)
	}
	if err != success {
		return err
	}
	key, ok := s.key.(decapsulator)
	if !ok {
		return invalidOperation
	}
	sealed, err := g.read(encapsulated, encapsulatedLen)
	if err != success {
		return err
	}
	shared, failed := key.decapsulate(sealed)
	if failed != nil {
		return verificationFailed
	}
	return g.output(output, shared)
}
