package crypto

import (
	"crypto/mlkem"
)

// newMLKEM768 and newMLKEM1024 are FIPS 203. The raw encoding of a secret key, and of a pair, is its seed of 64 bytes.
func newMLKEM768() *algorithm {
	return newMLKEM(mlkem.GenerateKey768, mlkem.NewDecapsulationKey768, mlkem.NewEncapsulationKey768)
}

func newMLKEM1024() *algorithm {
	return newMLKEM(mlkem.GenerateKey1024, mlkem.NewDecapsulationKey1024, mlkem.NewEncapsulationKey1024)
}

// decapsulationKey is a secret key of Go's library with public keys P.
type decapsulationKey[P any] interface {
	Bytes() []byte
	EncapsulationKey() P
	Decapsulate(ciphertext []byte) ([]byte, error)
}

type encapsulationKey interface {
	Bytes() []byte
	Encapsulate() (sharedKey, ciphertext []byte)
}

func newMLKEM[S decapsulationKey[P], P encapsulationKey](generate func() (S, error), newSecret func([]byte) (S, error),
	newPublic func([]byte) (P, error)) *algorithm {
	secret := func(seed []byte) secretKey {
		key, err := newSecret(seed)
		if err != nil {
			return nil
		}
		return mlkemSecret[S, P]{key}
	}
	return &algorithm{
		typ: typeKeyExchange,
		generate: func() (secretKey, error) {
			key, err := generate()
			return mlkemSecret[S, P]{key}, err
		},
		secret: secret,
		pair:   secret,
		// Coefficients that are too large are refused here: what was imported is safe.
		public: func(encoded []byte) publicKey {
			key, err := newPublic(encoded)
			if err != nil {
				return nil
			}
			return mlkemPublic[P]{key}
		},
	}
}

type mlkemSecret[S decapsulationKey[P], P encapsulationKey] struct{ key S }

func (k mlkemSecret[S, P]) public() publicKey { return mlkemPublic[P]{k.key.EncapsulationKey()} }
func (k mlkemSecret[S, P]) raw() []byte       { return k.key.Bytes() }
func (k mlkemSecret[S, P]) pair() []byte      { return k.key.Bytes() }
func (k mlkemSecret[S, P]) forX509() any      { return nil }
func (k mlkemSecret[S, P]) wipe()             {} // Go's library shows copies only

func (k mlkemSecret[S, P]) decapsulate(encapsulated []byte) ([]byte, error) {
	return k.key.Decapsulate(encapsulated)
}

type mlkemPublic[P encapsulationKey] struct{ key P }

func (k mlkemPublic[P]) raw() []byte   { return k.key.Bytes() }
func (k mlkemPublic[P]) point() []byte { return nil }
func (k mlkemPublic[P]) forX509() any  { return nil }
func (k mlkemPublic[P]) verify() bool  { return true }

func (k mlkemPublic[P]) encapsulate() (secret, encapsulated []byte) { return k.key.Encapsulate() }
