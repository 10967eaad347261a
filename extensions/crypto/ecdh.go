package crypto

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
)

// newECDH is Diffie-Hellman on a curve: RFC 7748 if sec1 is nil, else that of SEC 1.
func newECDH(curve ecdh.Curve, sec1 elliptic.Curve) *algorithm {
	a := &algorithm{
		typ: typeKeyExchange,
		generate: func() (secretKey, error) {
			key, err := curve.GenerateKey(rand.Reader)
			return ecdhSecret{key, sec1}, err
		},
		secret: func(scalar []byte) secretKey {
			key, err := curve.NewPrivateKey(scalar)
			if err != nil {
				return nil
			}
			return ecdhSecret{key, sec1}
		},
		secretOf: func(key any) secretKey {
			if pair, ok := key.(*ecdsa.PrivateKey); ok {
				key, _ = pair.ECDH()
			}
			if key, ok := key.(*ecdh.PrivateKey); ok && key != nil && key.Curve() == curve {
				return ecdhSecret{key, sec1}
			}
			return nil
		},
		publicOf: func(key any) publicKey {
			if point, ok := key.(*ecdsa.PublicKey); ok {
				key, _ = point.ECDH()
			}
			if key, ok := key.(*ecdh.PublicKey); ok && key != nil && key.Curve() == curve {
				return ecdhPublic{key, sec1}
			}
			return nil
		},
	}
	public := func(encoded []byte) publicKey {
		key, err := curve.NewPublicKey(encoded)
		if err != nil {
			return nil
		}
		return ecdhPublic{key, sec1}
	}
	if sec1 != nil {
		a.pair = a.secret
		a.point = func(encoded []byte) publicKey { return public(uncompressed(sec1, encoded)) }
		return a
	}
	a.public = public
	// A pair is the public key, and then the secret one, as WasmEdge has it.
	a.pair = func(pair []byte) secretKey {
		if len(pair) != 64 {
			return nil
		}
		if key := a.secret(pair[32:]); slices.Equal(key.pair(), pair) {
			return key
		}
		return nil
	}
	return a
}

type ecdhSecret struct {
	*ecdh.PrivateKey
	sec1 elliptic.Curve
}

func (k ecdhSecret) public() publicKey { return ecdhPublic{k.PublicKey(), k.sec1} }
func (k ecdhSecret) raw() []byte       { return k.Bytes() }
func (k ecdhSecret) forX509() any      { return k.PrivateKey }
func (k ecdhSecret) wipe()             {} // Go's library shows copies only

func (k ecdhSecret) pair() []byte {
	if k.sec1 != nil {
		return k.raw()
	}
	return append(k.PublicKey().Bytes(), k.Bytes()...)
}

func (k ecdhSecret) agree(public publicKey) []byte {
	p, ok := public.(ecdhPublic)
	if !ok {
		return nil
	}
	secret, err := k.ECDH(p.PublicKey)
	if err != nil {
		return nil
	}
	return secret
}

type ecdhPublic struct {
	*ecdh.PublicKey
	sec1 elliptic.Curve
}

func (k ecdhPublic) forX509() any { return k.PublicKey }

func (k ecdhPublic) raw() []byte {
	if k.sec1 != nil {
		return nil
	}
	return k.Bytes()
}

func (k ecdhPublic) point() []byte {
	if k.sec1 == nil {
		return nil
	}
	return k.Bytes()
}

// verify refuses points of small order, with which every agreement gives zeros: any other secret key would do.
func (k ecdhPublic) verify() bool {
	other, err := k.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return false
	}
	_, err = other.ECDH(k.PublicKey)
	return err == nil
}
