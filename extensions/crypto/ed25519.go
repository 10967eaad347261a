package crypto

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"math/big"
	"slices"
)

// newEd25519 is RFC 8032.
func newEd25519() *algorithm {
	secret := func(seed []byte) secretKey {
		if len(seed) != ed25519.SeedSize {
			return nil
		}
		return ed25519Secret(ed25519.NewKeyFromSeed(seed))
	}
	return &algorithm{
		typ:     typeSignatures,
		signing: &signing{size: ed25519.SignatureSize},
		generate: func() (secretKey, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return ed25519Secret(key), err
		},
		secret: secret,
		// A pair whose halves do not belong together would give the secret away with its second signature.
		pair: func(pair []byte) secretKey {
			if len(pair) != ed25519.PrivateKeySize {
				return nil
			}
			key := secret(pair[:ed25519.SeedSize])
			if !bytes.Equal(key.public().raw(), pair[ed25519.SeedSize:]) {
				return nil
			}
			return key
		},
		public: func(key []byte) publicKey {
			if len(key) != ed25519.PublicKeySize {
				return nil
			}
			return ed25519Public(bytes.Clone(key))
		},
		secretOf: func(key any) secretKey {
			if key, ok := key.(ed25519.PrivateKey); ok {
				return ed25519Secret(key)
			}
			return nil
		},
		publicOf: func(key any) publicKey {
			if key, ok := key.(ed25519.PublicKey); ok {
				return ed25519Public(key)
			}
			return nil
		},
	}
}

type ed25519Secret ed25519.PrivateKey

func (k ed25519Secret) public() publicKey { return ed25519Public(bytes.Clone(k[ed25519.SeedSize:])) }
func (k ed25519Secret) raw() []byte       { return bytes.Clone(k[:ed25519.SeedSize]) }
func (k ed25519Secret) pair() []byte      { return bytes.Clone(k) }
func (k ed25519Secret) forX509() any      { return ed25519.PrivateKey(k) }
func (k ed25519Secret) wipe()             { clear(k) }

func (k ed25519Secret) sign(message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), message), nil
}

type ed25519Public ed25519.PublicKey

func (k ed25519Public) raw() []byte   { return k }
func (k ed25519Public) point() []byte { return nil }
func (k ed25519Public) forX509() any  { return ed25519.PublicKey(k) }

func (k ed25519Public) check(message, signature []byte) bool {
	return ed25519.Verify(ed25519.PublicKey(k), message, signature)
}

// edwards25519 has the prime and d of the curve -x² + y² = 1 + d x² y².
var edwards25519 = func() (curve struct{ p, d *big.Int }) {
	curve.p = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	curve.d = new(big.Int).ModInverse(big.NewInt(-121666), curve.p)
	curve.d.Mul(curve.d, big.NewInt(121665)).Mod(curve.d, curve.p)
	return curve
}()

// verify tells whether the key is a point of the curve (RFC 8032, 5.1.3), y in range and x² = (y² - 1) / (d y² + 1) a square, and not
// of small order, for which anybody can make signatures. Public keys are no secret, so this need not take constant time.
func (k ed25519Public) verify() bool {
	p, d, one := edwards25519.p, edwards25519.d, big.NewInt(1)
	encoded := slices.Clone(k)
	slices.Reverse(encoded)
	encoded[0] &= 0x7f // the sign of x
	y := new(big.Int).SetBytes(encoded)
	if y.Cmp(p) >= 0 {
		return false
	}
	// Points of order 1 and 2 have x = 0, those of order 4 have y = 0, and twice one of order 8 is one of these: x² + y² = 0.
	square := new(big.Int).Mul(y, y)
	v := new(big.Int).Mul(d, square)
	v.Add(v, one).ModInverse(v.Mod(v, p), p)
	x := new(big.Int).Sub(square, one)
	x.Mul(x, v).Mod(x, p)
	sum := square.Add(square, x)
	return y.Sign() != 0 && sum.Mod(sum, p).Sign() != 0 && big.Jacobi(x, p) == 1
}
