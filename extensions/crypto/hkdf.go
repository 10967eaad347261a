package crypto

import (
	"bytes"
	"crypto/hkdf"
	"hash"
)

// newHKDF makes both halves of RFC 5869.
func newHKDF(newHash func() hash.Hash) (extract, expand *symmetricAlgorithm) {
	n := newHash().Size()
	expand = &symmetricAlgorithm{keySize: n, open: func(key []byte, _ *options) (operations, errno) {
		return &expanding{newHash: newHash, key: bytes.Clone(key)}, success
	}}
	extract = &symmetricAlgorithm{generated: n, open: func(key []byte, _ *options) (operations, errno) {
		return &extracting{newHash: newHash, expand: expand, key: bytes.Clone(key)}, success
	}}
	return extract, expand
}

// extracting absorbs a salt, and gives a key to expand.
type extracting struct {
	noOperations
	newHash   func() hash.Hash
	expand    *symmetricAlgorithm
	key, salt []byte
}

func (e *extracting) close()             { clear(e.key) }
func (e *extracting) accumulates() bool  { return true }
func (e *extracting) absorb(data []byte) { e.salt = append(e.salt, data...) }

func (e *extracting) clone() operations {
	return &extracting{newHash: e.newHash, expand: e.expand, key: bytes.Clone(e.key), salt: bytes.Clone(e.salt)}
}

func (e *extracting) squeezeKey(a *symmetricAlgorithm) ([]byte, errno) {
	if a != e.expand {
		return nil, unsupportedAlgorithm
	}
	key, err := hkdf.Extract(e.newHash, e.key, e.salt)
	if err != nil {
		return nil, algorithmFailure
	}
	return key, success
}

// expanding absorbs what a key is for, and gives it.
type expanding struct {
	noOperations
	newHash   func() hash.Hash
	key, info []byte
}

func (e *expanding) close()             { clear(e.key) }
func (e *expanding) accumulates() bool  { return true }
func (e *expanding) absorb(data []byte) { e.info = append(e.info, data...) }

func (e *expanding) clone() operations {
	return &expanding{newHash: e.newHash, key: bytes.Clone(e.key), info: bytes.Clone(e.info)}
}

func (e *expanding) squeeze(n uint32) ([]byte, errno) {
	if int64(n) > 255*int64(len(e.key)) {
		return nil, invalidLength
	}
	key, err := hkdf.Expand(e.newHash, e.key, string(e.info), int(n))
	if err != nil {
		return nil, algorithmFailure
	}
	return key, success
}
