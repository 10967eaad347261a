package crypto

import (
	"crypto/hmac"
	"hash"
)

// hashing is a hash function under way.
type hashing struct {
	noOperations
	hash.Hash
}

func newHash(newHash func() hash.Hash) *symmetricAlgorithm {
	return &symmetricAlgorithm{keyless: true, open: func([]byte, *options) (operations, errno) {
		return hashing{Hash: newHash()}, success
	}}
}

func (h hashing) clone() operations  { return hashing{Hash: cloneHash(h.Hash)} }
func (h hashing) absorb(data []byte) { _, _ = h.Write(data) }

func (h hashing) squeeze(n uint32) ([]byte, errno) {
	if int64(n) > int64(h.Size()) {
		return nil, invalidLength
	}
	return h.Sum(nil)[:n], success
}

// authenticating is an HMAC under way.
type authenticating struct {
	noOperations
	hash.Hash
}

func newHMAC(newHash func() hash.Hash) *symmetricAlgorithm {
	return &symmetricAlgorithm{generated: newHash().Size(), open: func(key []byte, _ *options) (operations, errno) {
		return authenticating{Hash: hmac.New(newHash, key)}, success
	}}
}

func (a authenticating) clone() operations           { return authenticating{Hash: cloneHash(a.Hash)} }
func (a authenticating) absorb(data []byte)          { _, _ = a.Write(data) }
func (a authenticating) squeezeTag() ([]byte, errno) { return a.Sum(nil), success }

// cloneHash copies a hash of Go's library or an HMAC of one, all of which can be cloned.
func cloneHash(h hash.Hash) hash.Hash {
	clone, err := h.(hash.Cloner).Clone()
	if err != nil {
		panic(err) // only hashes that are no hash.Cloner
	}
	return clone
}
