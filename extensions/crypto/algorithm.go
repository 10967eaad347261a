package crypto

import (
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	gocrypto "crypto"
)

// algorithm is an asymmetric one. Functions that are nil stand for encodings that it has not.
type algorithm struct {
	typ      algorithmType
	generate func() (secretKey, error)
	// slow: generate takes long enough to be stopped.
	slow bool
	// secret, pair and public decode raw keys, point public ones in SEC 1. They are nil for what is not a key.
	secret, pair  func([]byte) secretKey
	public, point func([]byte) publicKey
	// secretOf and publicOf take keys that crypto/x509 has parsed.
	secretOf func(any) secretKey
	publicOf func(any) publicKey
	// signing is nil if the algorithm does not sign.
	signing *signing
}

// secretKey is the secret part of a key, which knows its public part.
type secretKey interface {
	public() publicKey
	// raw is nil where there is no such encoding, as is pair, that of a pair of keys.
	raw() []byte
	pair() []byte
	// forX509 is what crypto/x509 encodes; nil for what it does not know.
	forX509() any
	// wipe overwrites what Go's library leaves in reach.
	wipe()
}

// publicKey is the public part of a key.
type publicKey interface {
	raw() []byte
	// point is the encoding of SEC 1; nil where there is none.
	point() []byte
	forX509() any
	// verify tells whether the key is safe to use.
	verify() bool
}

// signing is how an algorithm signs.
type signing struct {
	// newHash makes the hash of messages; nil if the algorithm takes them whole.
	newHash func() hash.Hash
	// size is how many bytes a signature has in its raw encoding.
	size int
	// der: signatures are a pair of integers, which have another encoding.
	der bool
}

// signer is a secret key that signs, and checker a public one that tells whether a signature is right, both of a hash, or of a
// message without newHash. Signatures are raw.
type signer interface {
	sign(data []byte) ([]byte, error)
}

type checker interface {
	check(data, signature []byte) bool
}

// agreement is a secret key for Diffie-Hellman; it gives nil for a public key that is not safe.
type agreement interface {
	agree(publicKey) []byte
}

// encapsulator is a public key, and decapsulator a secret one, of an encapsulation mechanism.
type encapsulator interface {
	encapsulate() (secret, encapsulated []byte)
}

type decapsulator interface {
	decapsulate(encapsulated []byte) ([]byte, error)
}

// algorithms are all asymmetric ones, by their names in capitals.
var algorithms = map[string]*algorithm{
	"ED25519":               newEd25519(),
	"ECDSA_P256_SHA256":     newECDSA(elliptic.P256(), sha256.New),
	"ECDSA_P384_SHA384":     newECDSA(elliptic.P384(), sha512.New384),
	"RSA_PKCS1_2048_SHA256": newRSA(2048, gocrypto.SHA256, false),
	"RSA_PKCS1_2048_SHA384": newRSA(2048, gocrypto.SHA384, false),
	"RSA_PKCS1_2048_SHA512": newRSA(2048, gocrypto.SHA512, false),
	"RSA_PKCS1_3072_SHA384": newRSA(3072, gocrypto.SHA384, false),
	"RSA_PKCS1_3072_SHA512": newRSA(3072, gocrypto.SHA512, false),
	"RSA_PKCS1_4096_SHA512": newRSA(4096, gocrypto.SHA512, false),
	"RSA_PSS_2048_SHA256":   newRSA(2048, gocrypto.SHA256, true),
	"RSA_PSS_2048_SHA384":   newRSA(2048, gocrypto.SHA384, true),
	"RSA_PSS_2048_SHA512":   newRSA(2048, gocrypto.SHA512, true),
	"RSA_PSS_3072_SHA384":   newRSA(3072, gocrypto.SHA384, true),
	"RSA_PSS_3072_SHA512":   newRSA(3072, gocrypto.SHA512, true),
	"RSA_PSS_4096_SHA512":   newRSA(4096, gocrypto.SHA512, true),
	"X25519":                newECDH(ecdh.X25519(), nil),
	"P256-SHA256":           newECDH(ecdh.P256(), elliptic.P256()),
	"P384-SHA384":           newECDH(ecdh.P384(), elliptic.P384()),
	"ML-KEM-768":            newMLKEM768(),
	"ML-KEM-1024":           newMLKEM1024(),
}
