package crypto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"golang.org/x/crypto/chacha20poly1305"
)

// aead is authenticated encryption of one message.
type aead struct {
	noOperations
	cipher.AEAD
	fixed      []byte // the nonce
	additional []byte
	// used is set when a message has the nonce. Clones share it.
	used *bool
}

func newAEAD(keySize int, newCipher func(key []byte) (cipher.AEAD, error)) *symmetricAlgorithm {
	return &symmetricAlgorithm{keySize: keySize, generated: keySize, open: func(key []byte, o *options) (operations, errno) {
		made, err := newCipher(key)
		if err != nil {
			return nil, invalidKey
		}
		a := &aead{AEAD: made, used: new(bool)}
		switch {
		case o != nil && o.nonce != nil:
			a.fixed = bytes.Clone(o.nonce)
		case made.NonceSize() == chacha20poly1305.NonceSizeX: // long enough for random ones never to be the same
			a.fixed = make([]byte, made.NonceSize())
			_, _ = rand.Read(a.fixed) // which ends the program rather than fail
		default:
			return nil, nonceRequired
		}
		if len(a.fixed) != made.NonceSize() {
			return nil, invalidNonce
		}
		return a, success
	}}
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (a *aead) accumulates() bool  { return true }
func (a *aead) absorb(data []byte) { a.additional = append(a.additional, data...) }
func (a *aead) nonce() []byte      { return a.fixed }
func (a *aead) maxTagLen() int     { return a.Overhead() }

func (a *aead) clone() operations {
	clone := *a
	clone.additional = bytes.Clone(a.additional)
	return &clone
}

func (a *aead) encrypt(message []byte) ([]byte, errno) {
	if *a.used {
		return nil, nonceRequired
	}
	*a.used = true
	return a.Seal(message[:0], a.fixed, message, a.additional), success
}

func (a *aead) decrypt(sealed []byte) ([]byte, errno) {
	message, err := a.Open(sealed[:0], a.fixed, sealed, a.additional)
	if err != nil {
		return nil, invalidTag
	}
	*a.used = true // by whoever has encrypted it
	return message, success
}
