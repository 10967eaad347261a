package crypto

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"hash"
	"math/big"
)

// newECDSA is FIPS 186-5 on a curve.
func newECDSA(curve elliptic.Curve, newHash func() hash.Hash) *algorithm {
	size := 2 * scalarSize(curve)
	secret := func(scalar []byte) secretKey {
		key, err := ecdsa.ParseRawPrivateKey(curve, scalar)
		if err != nil {
			return nil
		}
		return ecdsaSecret{key, size}
	}
	return &algorithm{
		typ:     typeSignatures,
		signing: &signing{newHash: newHash, size: size, der: true},
		generate: func() (secretKey, error) {
			key, err := ecdsa.GenerateKey(curve, rand.Reader)
			return ecdsaSecret{key, size}, err
		},
		secret: secret,
		pair:   secret,
		point: func(encoded []byte) publicKey {
			key, err := ecdsa.ParseUncompressedPublicKey(curve, uncompressed(curve, encoded))
			if err != nil {
				return nil
			}
			return ecdsaPublic{key, size}
		},
		secretOf: func(key any) secretKey {
			if key, ok := key.(*ecdsa.PrivateKey); ok && key.Curve == curve {
				return ecdsaSecret{key, size}
			}
			return nil
		},
		publicOf: func(key any) publicKey {
			if key, ok := key.(*ecdsa.PublicKey); ok && key.Curve == curve {
				return ecdsaPublic{key, size}
			}
			return nil
		},
	}
}

func scalarSize(curve elliptic.Curve) int { return (curve.Params().BitSize + 7) / 8 }

// uncompressed is a point with both coordinates; what is no compressed one stays as it is, for others to judge.
func uncompressed(curve elliptic.Curve, point []byte) []byte {
	x, y := elliptic.UnmarshalCompressed(curve, point)
	if x == nil {
		return point
	}
	n := scalarSize(curve)
	both := make([]byte, 1+2*n)
	both[0] = 4
	x.FillBytes(both[1 : 1+n])
	y.FillBytes(both[1+n:])
	return both
}

type ecdsaSecret struct {
	*ecdsa.PrivateKey
	size int // of signatures
}

func (k ecdsaSecret) public() publicKey { return ecdsaPublic{&k.PublicKey, k.size} }
func (k ecdsaSecret) pair() []byte      { return k.raw() }
func (k ecdsaSecret) forX509() any      { return k.PrivateKey }
func (k ecdsaSecret) wipe()             { clear(k.D.Bits()) }

func (k ecdsaSecret) raw() []byte {
	scalar, err := k.Bytes()
	if err != nil {
		return nil
	}
	return scalar
}

func (k ecdsaSecret) sign(hash []byte) ([]byte, error) {
	der, err := ecdsa.SignASN1(rand.Reader, k.PrivateKey, hash)
	if err != nil {
		return nil, err
	}
	return rawSignature(der, k.size), nil
}

type ecdsaPublic struct {
	*ecdsa.PublicKey
	size int // of signatures
}

func (k ecdsaPublic) raw() []byte  { return nil }
func (k ecdsaPublic) forX509() any { return k.PublicKey }

func (k ecdsaPublic) point() []byte {
	point, err := k.Bytes()
	if err != nil {
		return nil
	}
	return point
}

// verify: what is not on the curve was not imported, and the curves have no small subgroups.
func (k ecdsaPublic) verify() bool { return true }

func (k ecdsaPublic) check(hash, signature []byte) bool {
	return ecdsa.VerifyASN1(k.PublicKey, hash, derSignature(signature))
}

// integers is a signature in DER.
type integers struct{ R, S *big.Int }

// rawSignature is a signature in DER as two numbers of the same size; nil if it is none.
func rawSignature(der []byte, size int) []byte {
	var pair integers
	rest, err := asn1.Unmarshal(der, &pair)
	if err != nil || len(rest) > 0 || pair.R.Sign() <= 0 || pair.S.Sign() <= 0 || max(pair.R.BitLen(), pair.S.BitLen()) > size*4 {
		return nil
	}
	signature := make([]byte, size)
	pair.R.FillBytes(signature[:size/2])
	pair.S.FillBytes(signature[size/2:])
	return signature
}

// derSignature is a raw signature in DER.
func derSignature(signature []byte) []byte {
	half := len(signature) / 2
	pair := integers{new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])}
	der, err := asn1.Marshal(pair)
	if err != nil {
		return nil
	}
	return der
}
