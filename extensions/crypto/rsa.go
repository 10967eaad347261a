package crypto

import (
	gocrypto "crypto"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
)

// rsaScheme is how an algorithm of RFC 8017 signs.
type rsaScheme struct {
	hash gocrypto.Hash
	// pss: RSASSA-PSS with a salt as long as the hash, else RSASSA-PKCS1-v1_5. A check takes salts of any length.
	pss bool
}

func newRSA(bits int, hash gocrypto.Hash, pss bool) *algorithm {
	scheme := &rsaScheme{hash, pss}
	return &algorithm{
		typ:     typeSignatures,
		signing: &signing{newHash: hash.New, size: bits / 8},
		slow:    true,
		generate: func() (secretKey, error) {
			key, err := rsa.GenerateKey(rand.Reader, bits)
			return rsaSecret{key, scheme}, err
		},
		secretOf: func(key any) secretKey {
			if only, ok := key.(pssOnly); ok && pss {
				key = only.key
			}
			if key, ok := key.(*rsa.PrivateKey); ok && key != nil && key.N.BitLen() == bits {
				return rsaSecret{key, scheme}
			}
			return nil
		},
		publicOf: func(key any) publicKey {
			if only, ok := key.(pssOnly); ok && pss {
				key = only.key
			}
			if key, ok := key.(*rsa.PublicKey); ok && key != nil && key.N.BitLen() == bits {
				return rsaPublic{key, scheme}
			}
			return nil
		},
	}
}

type rsaSecret struct {
	*rsa.PrivateKey
	scheme *rsaScheme
}

func (k rsaSecret) public() publicKey { return rsaPublic{&k.PublicKey, k.scheme} }
func (k rsaSecret) raw() []byte       { return nil }
func (k rsaSecret) pair() []byte      { return nil }
func (k rsaSecret) forX509() any      { return k.PrivateKey }

func (k rsaSecret) wipe() {
	for _, secret := range append([]*big.Int{k.D, k.Precomputed.Dp, k.Precomputed.Dq, k.Precomputed.Qinv}, k.Primes...) {
		if secret != nil {
			clear(secret.Bits())
		}
	}
}

func (k rsaSecret) sign(hash []byte) ([]byte, error) {
	if k.scheme.pss {
		return rsa.SignPSS(rand.Reader, k.PrivateKey, k.scheme.hash, hash, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return rsa.SignPKCS1v15(rand.Reader, k.PrivateKey, k.scheme.hash, hash)
}

type rsaPublic struct {
	*rsa.PublicKey
	scheme *rsaScheme
}

func (k rsaPublic) raw() []byte   { return nil }
func (k rsaPublic) point() []byte { return nil }
func (k rsaPublic) forX509() any  { return k.PublicKey }

// verify: a modulus of the right size and an odd exponent are all that can be told of a public key.
func (k rsaPublic) verify() bool { return k.N.Bit(0) == 1 && k.E > 1 && k.E&1 == 1 }

func (k rsaPublic) check(hash, signature []byte) bool {
	if k.scheme.pss {
		return rsa.VerifyPSS(k.PublicKey, k.scheme.hash, hash, signature, nil) == nil
	}
	return rsa.VerifyPKCS1v15(k.PublicKey, k.scheme.hash, hash, signature) == nil
}
