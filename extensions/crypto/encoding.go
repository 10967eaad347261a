package crypto

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
)

// encoding is how a key is written, by the numbers of publickey_encoding and secretkey_encoding.
type encoding uint32

const (
	raw encoding = iota
	pkcs8
	pemText
	sec
	local
)

// pairEncoding is a number of keypair_encoding, which has no sec.
func pairEncoding(e encoding) encoding {
	switch {
	case e == 3:
		return local
	case e > 3:
		return local + 1 // none
	}
	return e
}

// maxEncoded is how many bytes an encoded key has at most. PEM of RSA keys of 4096 bits has 3.3 KB; to check larger ones would take
// time that the guest decides about.
const maxEncoded = 4608

// decodeSecret reads a secret key, or a pair of keys.
func (a *algorithm) decodeSecret(encoded []byte, e encoding, pair bool) (secretKey, errno) {
	ofBytes := a.secret
	if pair {
		ofBytes = a.pair
	}
	if e == local {
		if e = pkcs8; ofBytes != nil {
			e = raw
		}
	}
	var key secretKey
	switch {
	case e == raw && ofBytes != nil:
		key = ofBytes(encoded)
	case e == sec && a.point != nil && !pair:
		key = a.secret(encoded)
	case e == pkcs8 && a.secretOf != nil:
		key = a.secretOf(parseSecret(encoded))
	case e == pemText && a.secretOf != nil:
		block, _ := pem.Decode(encoded)
		if block == nil {
			return nil, invalidKey
		}
		defer clear(block.Bytes)
		key = a.secretOf(parseSecret(block.Bytes))
	default:
		return nil, unsupportedEncoding
	}
	if key == nil {
		return nil, invalidKey
	}
	return key, success
}

// pssOnly is an RSA key whose encoding says that it is for PSS, as WasmEdge writes those of RSA_PSS algorithms.
type pssOnly struct{ key any }

var oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

// parseSecret reads PKCS #8, and the older forms of RSA and elliptic curves, which WasmEdge writes for pairs of keys.
func parseSecret(der []byte) any {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key
	}
	var wrapped struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	if _, err := asn1.Unmarshal(der, &wrapped); err == nil && wrapped.Algorithm.Algorithm.Equal(oidPSS) {
		key, _ := x509.ParsePKCS1PrivateKey(wrapped.Key)
		return pssOnly{key}
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	return nil
}

// encodeSecret writes a secret key, or a pair of keys.
func (a *algorithm) encodeSecret(key secretKey, e encoding, pair bool) ([]byte, errno) {
	toBytes := key.raw
	if pair {
		toBytes = key.pair
	}
	if e == raw || e == local || e == sec && a.point != nil && !pair {
		if data := toBytes(); data != nil {
			return data, success
		}
		if e == local {
			e = pkcs8
		}
	}
	if e != pkcs8 && e != pemText || key.forX509() == nil {
		return nil, unsupportedEncoding
	}
	der, err := x509.MarshalPKCS8PrivateKey(key.forX509())
	switch {
	case err != nil:
		return nil, algorithmFailure
	case e == pkcs8:
		return der, success
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), success
}

// decodePublic reads a public key.
func (a *algorithm) decodePublic(encoded []byte, e encoding) (publicKey, errno) {
	if e == local {
		if e = pkcs8; a.public != nil {
			e = raw
		}
	}
	var key publicKey
	switch {
	case e == raw && a.public != nil:
		key = a.public(encoded)
	case e == sec && a.point != nil:
		key = a.point(encoded)
	case e == pkcs8 && a.publicOf != nil:
		key = a.publicOf(parsePublic(encoded))
	case e == pemText && a.publicOf != nil:
		block, _ := pem.Decode(encoded)
		if block == nil {
			return nil, invalidKey
		}
		key = a.publicOf(parsePublic(block.Bytes))
	default:
		return nil, unsupportedEncoding
	}
	if key == nil {
		return nil, invalidKey
	}
	return key, success
}

// parsePublic reads a SubjectPublicKeyInfo.
func parsePublic(der []byte) any {
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return key
	}
	var wrapped struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &wrapped); err == nil && wrapped.Algorithm.Algorithm.Equal(oidPSS) {
		key, _ := x509.ParsePKCS1PublicKey(wrapped.Key.RightAlign())
		return pssOnly{key}
	}
	return nil
}

// encodePublic writes a public key.
func encodePublic(key publicKey, e encoding) ([]byte, errno) {
	data := key.raw()
	if e == local {
		if e = pkcs8; data != nil {
			e = raw
		}
	}
	switch {
	case e == raw && data != nil:
		return bytes.Clone(data), success
	case e == sec && key.point() != nil:
		return key.point(), success
	case (e == pkcs8 || e == pemText) && key.forX509() != nil:
		der, err := x509.MarshalPKIXPublicKey(key.forX509())
		switch {
		case err != nil:
			return nil, algorithmFailure
		case e == pkcs8:
			return der, success
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), success
	}
	return nil, unsupportedEncoding
}

// samePublic compares two public keys of one algorithm.
func samePublic(a, b publicKey) bool {
	x, err := encodePublic(a, local)
	y, failed := encodePublic(b, local)
	return err == success && failed == success && bytes.Equal(x, y)
}
