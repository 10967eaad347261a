package crypto

import (
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// symmetricAlgorithm is what states are opened for.
type symmetricAlgorithm struct {
	// keyless: keys are an error.
	keyless bool
	// keySize is how many bytes a key has; 0 for any number.
	keySize int
	// generated is how many bytes a generated key has; 0 if none is generated.
	generated int
	// open makes a state. It does not keep the key.
	open func(key []byte, o *options) (operations, errno)
}

// operations are what a state can do. Those that an algorithm lacks come from noOperations.
type operations interface {
	object
	clone() operations
	// absorb takes data in. What accumulates is kept until the state is closed.
	absorb(data []byte)
	accumulates() bool
	// nonce is nil for an algorithm that has none.
	nonce() []byte
	squeeze(n uint32) ([]byte, errno)
	squeezeTag() ([]byte, errno)
	// squeezeKey gives a key for the algorithm.
	squeezeKey(a *symmetricAlgorithm) ([]byte, errno)
	// maxTagLen is 0 for an algorithm that does not encrypt.
	maxTagLen() int
	// encrypt replaces a message by its ciphertext and tag. It has room for the tag.
	encrypt(message []byte) ([]byte, errno)
	// decrypt replaces a ciphertext with its tag by the message.
	decrypt(sealed []byte) ([]byte, errno)
}

// noOperations has none of what some algorithms lack.
type noOperations struct{}

func (noOperations) close()                                         {}
func (noOperations) accumulates() bool                              { return false }
func (noOperations) nonce() []byte                                  { return nil }
func (noOperations) squeeze(uint32) ([]byte, errno)                 { return nil, invalidOperation }
func (noOperations) squeezeTag() ([]byte, errno)                    { return nil, invalidOperation }
func (noOperations) squeezeKey(*symmetricAlgorithm) ([]byte, errno) { return nil, invalidOperation }
func (noOperations) maxTagLen() int                                 { return 0 }
func (noOperations) encrypt([]byte) ([]byte, errno)                 { return nil, invalidOperation }
func (noOperations) decrypt([]byte) ([]byte, errno)                 { return nil, invalidOperation }

// symmetricAlgorithms are all, by their names in capitals.
var symmetricAlgorithms = newSymmetricAlgorithms()

func newSymmetricAlgorithms() map[string]*symmetricAlgorithm {
	all := map[string]*symmetricAlgorithm{
		"SHA-512/256":        newHash(sha512.New512_256),
		"AES-128-GCM":        newAEAD(16, newGCM),
		"AES-256-GCM":        newAEAD(32, newGCM),
		"CHACHA20-POLY1305":  newAEAD(32, chacha20poly1305.New),
		"XCHACHA20-POLY1305": newAEAD(32, chacha20poly1305.NewX),
	}
	for name, hash := range map[string]func() hash.Hash{"SHA-256": sha256.New, "SHA-384": sha512.New384, "SHA-512": sha512.New} {
		all[name] = newHash(hash)
		all["HMAC/"+name] = newHMAC(hash)
		all["HKDF-EXTRACT/"+name], all["HKDF-EXPAND/"+name] = newHKDF(hash)
	}
	return all
}
