package crypto_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sign signs parts of a message by a pair of keys, and gives the raw signature.
func (g guest) sign(pair int32, parts ...string) []byte {
	g.t.Helper()
	state := g.open("signature_state_open", pair)
	for _, part := range parts {
		g.do("signature_state_update", state, part)
	}
	signature := g.open("signature_state_sign", state)
	g.do("signature_state_close", state)
	defer g.do("signature_close", signature)
	return g.export("signature_export", signature, raw)
}

// verify is what verification of a signature answers; that of its import if it is refused.
func (g guest) verify(algorithm string, public int32, message string, encoded []byte, encoding int) int32 {
	g.t.Helper()
	var signature int32
	if answer := g.call("signature_import", algorithm, encoded, encoding, &signature); answer != success {
		return answer
	}
	defer g.do("signature_close", signature)
	state := g.open("signature_verification_state_open", public)
	defer g.do("signature_verification_state_close", state)
	g.do("signature_verification_state_update", state, message)
	return g.call("signature_verification_state_verify", state, signature)
}

func TestF077Ed25519OfRFC8032(t *testing.T) {
	g := newGuest(t)
	for _, vector := range []struct{ name, seed, public, message, signature string }{
		{"1", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
			"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"2", "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
			"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
		{"3", "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
			"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
			"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
	} {
		t.Run(vector.name, func(t *testing.T) {
			seed, public, expected := unhex(t, vector.seed), unhex(t, vector.public), unhex(t, vector.signature)
			message := string(unhex(t, vector.message))
			pair := g.open("keypair_import", typeSignatures, "Ed25519", append(bytes.Clone(seed), public...), raw)
			require.Equal(t, expected, g.sign(pair, message))
			require.Equal(t, expected, g.sign(pair, message[:len(message)/2], message[len(message)/2:]))
			key := g.open("keypair_publickey", pair)
			require.Equal(t, public, g.export("publickey_export", key, raw))
			g.do("publickey_verify", key)
			require.EqualValues(t, success, g.verify("Ed25519", key, message, expected, raw))
			require.EqualValues(t, verificationFailed, g.verify("Ed25519", key, message+"x", expected, raw))
			for _, at := range []int{0, 31, 32, 63} {
				changed := bytes.Clone(expected)
				changed[at] ^= 1
				require.EqualValues(t, verificationFailed, g.verify("Ed25519", key, message, changed, raw))
			}
			require.EqualValues(t, invalidSignature, g.verify("Ed25519", key, message, expected[:63], raw))
			require.EqualValues(t, unsupportedEncoding, g.verify("Ed25519", key, message, expected, der))

			// S + L is another form of the same number: who could take it could change signatures.
			order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
			malleable := bytes.Clone(expected)
			sum := new(big.Int).Add(order, new(big.Int).SetBytes(reversed(malleable[32:])))
			copy(malleable[32:], reversed(sum.FillBytes(make([]byte, 32))))
			require.EqualValues(t, verificationFailed, g.verify("Ed25519", key, message, malleable, raw))

			// The public half belongs to the secret one, or the pair would give it away.
			g.fails(invalidKey, "keypair_import", typeSignatures, "Ed25519", append(bytes.Clone(seed), seed...), raw, new(int32))
			g.fails(invalidKey, "keypair_import", typeSignatures, "Ed25519", seed, raw, new(int32))
		})
	}
}

func reversed(data []byte) []byte {
	result := make([]byte, len(data))
	for i, b := range data {
		result[len(data)-1-i] = b
	}
	return result
}

func TestPublicKeysThatAreNoPointsAreFound(t *testing.T) {
	g := newGuest(t)
	verify := func(encoded []byte) int32 {
		key := g.open("publickey_import", typeSignatures, "Ed25519", encoded, raw)
		defer g.do("publickey_close", key)
		return g.call("publickey_verify", key)
	}
	off := make([]byte, 32)
	off[0] = 2 // y = 2: no point
	require.EqualValues(t, invalidKey, verify(off))
	outside := bytes.Repeat([]byte{0xff}, 32)
	outside[31] = 0x7f // y = 2²⁵⁵ - 1, beyond the prime
	require.EqualValues(t, invalidKey, verify(outside))
	one := make([]byte, 32)
	one[0] = 1 // y = 1: x = 0
	require.EqualValues(t, invalidKey, verify(one), "the neutral element")
	one[31] = 0x80 // and x = -0
	require.EqualValues(t, invalidKey, verify(one))
	// Others of small order, as other libraries list them: of order 2, 4 and 8.
	for _, y := range []string{
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", strings.Repeat("00", 32),
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		for _, sign := range []byte{0, 0x80} {
			point := unhex(t, y)
			point[31] |= sign
			require.EqualValues(t, invalidKey, verify(point), "%x", point)
		}
	}
	for range 50 {
		pair := g.open("keypair_generate", typeSignatures, "Ed25519", none)
		public := g.open("keypair_publickey", pair)
		require.EqualValues(t, success, verify(g.export("publickey_export", public, raw)))
		g.do("publickey_close", public)
		g.do("keypair_close", pair)
	}
	g.fails(invalidKey, "publickey_import", typeSignatures, "Ed25519", make([]byte, 31), raw, new(int32))
}

// curves are the keys and signatures of RFC 6979, A.2.5 and A.2.6, of the message "sample".
var curves = map[string]struct{ scalar, point, r, s string }{
	"ECDSA_P256_SHA256": {"c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
		"0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
		"efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
		"f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"},
	"ECDSA_P384_SHA384": {"6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
		`04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc138015d9b72d7d57244ea8ef9ac0c62189
		6708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720`,
		"94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
		"99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"},
}

func TestF077ECDSAOfRFC6979(t *testing.T) {
	g := newGuest(t)
	for algorithm, vector := range curves {
		t.Run(algorithm, func(t *testing.T) {
			point, expected := unhex(t, vector.point), unhex(t, vector.r+vector.s)
			half := len(expected) / 2
			pair := g.open("keypair_import", typeSignatures, algorithm, unhex(t, vector.scalar), raw)
			public := g.open("keypair_publickey", pair)
			require.Equal(t, point, g.export("publickey_export", public, sec))
			g.do("publickey_verify", public)
			require.EqualValues(t, success, g.verify(algorithm, public, "sample", expected, raw))
			signature := g.sign(pair, "sam", "ple")
			require.Len(t, signature, len(expected))
			require.EqualValues(t, success, g.verify(algorithm, public, "sample", signature, raw))
			require.EqualValues(t, verificationFailed, g.verify(algorithm, public, "Sample", signature, raw))

			inDER := g.export("signature_export", g.open("signature_import", algorithm, expected, raw), der)
			require.EqualValues(t, 0x30, inDER[0])
			require.EqualValues(t, success, g.verify(algorithm, public, "sample", inDER, der))
			require.Equal(t, expected, g.export("signature_export", g.open("signature_import", algorithm, inDER, der), raw))

			zero := make([]byte, half)
			for name, forged := range map[string][]byte{
				"r is 0": append(bytes.Clone(zero), expected[half:]...), "s is 0": append(bytes.Clone(expected[:half]), zero...),
				"both are 0": make([]byte, 2*half), "swapped": append(bytes.Clone(expected[half:]), expected[:half]...),
				"largest": bytes.Repeat([]byte{0xff}, 2*half),
			} {
				require.EqualValues(t, verificationFailed, g.verify(algorithm, public, "sample", forged, raw), name)
			}
			for name, forged := range map[string][]byte{
				"empty": {}, "more behind it": append(bytes.Clone(inDER), 0), "cut": inDER[:len(inDER)-1],
				"r is 0": {0x30, 6, 2, 1, 0, 2, 1, 1}, "s is negative": {0x30, 6, 2, 1, 1, 2, 1, 0xff},
				"not the shortest": {0x30, 7, 2, 2, 0, 1, 2, 1, 1},
			} {
				require.EqualValues(t, invalidSignature, g.verify(algorithm, public, "sample", forged, der), name)
			}
			require.EqualValues(t, invalidSignature, g.verify(algorithm, public, "sample", expected[1:], raw))
			require.EqualValues(t, unsupportedEncoding, g.verify(algorithm, public, "sample", expected, 2))
		})
	}
	// A signature of another algorithm is none.
	pair := g.open("keypair_generate", typeSignatures, "ECDSA_P256_SHA256", none)
	other := g.open("signature_import", "Ed25519", make([]byte, 64), raw)
	state := g.open("signature_verification_state_open", g.open("keypair_publickey", pair))
	g.fails(invalidSignature, "signature_verification_state_verify", state, other)
	g.fails(invalidHandle, "signature_state_update", state, "states are not interchangeable")
	g.fails(invalidHandle, "signature_verification_state_update", g.open("signature_state_open", pair), "in both directions")
}

// rsaKeys are files of OpenSSL, and the SHA-256 of its signatures of "sample" by PKCS #1.
var rsaKeys = map[string]struct{ key, signature string }{
	"RSA_PKCS1_2048_SHA256": {"rsa2048", "a1fdd7faa4d2be49643a8c6595c335886306e1df234affcd3b14c5306620bb12"},
	"RSA_PKCS1_2048_SHA384": {"rsa2048", "9dcae06152c98f41ffe9bdbe7367ba7d8d8b841dfaba3981c00bfd3f0f1f6af8"},
	"RSA_PKCS1_2048_SHA512": {"rsa2048", "2db6692e1f259e9c7de7055a7492857350cd5ee01260c92fd28ddff8ed776493"},
	"RSA_PKCS1_3072_SHA384": {"rsa3072", "6ed27ff20798443bd36149f0d7328c40c8180f284309c46bb3f99daabf7b4d72"},
	"RSA_PKCS1_3072_SHA512": {"rsa3072", "497d5a86afd7fe2c63f8fcb805deef6b47b81830abfac532297c2bd4c87b4003"},
	"RSA_PKCS1_4096_SHA512": {"rsa4096", "d8c2b8c167086d3ff9c6b329f040d7374468f447ab98ad6780a773aabc48bf18"},
	"RSA_PSS_2048_SHA256":   {"rsa2048", ""}, "RSA_PSS_2048_SHA384": {"rsa2048", ""}, "RSA_PSS_2048_SHA512": {"rsa2048", ""},
	"RSA_PSS_3072_SHA384": {"rsa3072", ""}, "RSA_PSS_3072_SHA512": {"rsa3072", ""}, "RSA_PSS_4096_SHA512": {"rsa4096", ""},
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return data
}

func TestF077RSALikeOpenSSL(t *testing.T) {
	g := newGuest(t)
	for algorithm, vector := range rsaKeys {
		t.Run(algorithm, func(t *testing.T) {
			pair := g.open("keypair_import", typeSignatures, algorithm, file(t, vector.key+".pem"), pem)
			public := g.open("publickey_import", typeSignatures, algorithm, file(t, vector.key+"_public.pem"), pem)
			g.do("publickey_verify", public)
			signature := g.sign(pair, "sam", "ple")
			if vector.signature != "" {
				digest := sha256.Sum256(signature)
				require.Equal(t, vector.signature, hex.EncodeToString(digest[:]))
			}
			require.EqualValues(t, success, g.verify(algorithm, public, "sample", signature, raw))
			require.EqualValues(t, verificationFailed, g.verify(algorithm, public, "Sample", signature, raw))
			changed := bytes.Clone(signature)
			changed[len(changed)/2] ^= 1
			require.EqualValues(t, verificationFailed, g.verify(algorithm, public, "sample", changed, raw))
			require.EqualValues(t, verificationFailed, g.verify(algorithm, public, "sample", bytes.Repeat([]byte{0xff}, len(signature)), raw))
			require.EqualValues(t, invalidSignature, g.verify(algorithm, public, "sample", signature[1:], raw))
			require.EqualValues(t, unsupportedEncoding, g.verify(algorithm, public, "sample", signature, der))
			g.do("keypair_close", pair)
			g.do("publickey_close", public)
		})
	}
	for _, vector := range []struct{ algorithm, key, signature string }{
		{"RSA_PSS_2048_SHA256", "rsa2048", "pss_2048_sha256.sig"},
		{"RSA_PSS_3072_SHA384", "rsa3072", "pss_3072_sha384.sig"},
		{"RSA_PSS_4096_SHA512", "rsa4096", "pss_4096_sha512.sig"},
	} {
		public := g.open("publickey_import", typeSignatures, vector.algorithm, file(t, vector.key+"_public.pem"), pem)
		require.EqualValues(t, success, g.verify(vector.algorithm, public, "sample", file(t, vector.signature), raw))
		require.EqualValues(t, verificationFailed, g.verify(vector.algorithm, public, "other", file(t, vector.signature), raw))
	}
}

func TestSigningGoesOnAfterASignature(t *testing.T) {
	g := newGuest(t)
	for _, algorithm := range []string{"Ed25519", "ECDSA_P256_SHA256"} {
		pair := g.open("keypair_generate", typeSignatures, algorithm, none)
		public := g.open("keypair_publickey", pair)
		signing, verifying := g.open("signature_state_open", pair), g.open("signature_verification_state_open", public)
		g.do("keypair_close", pair) // the state keeps the key
		g.do("publickey_close", public)
		for _, part := range []string{"one", "two", "three"} {
			g.do("signature_state_update", signing, part)
			g.do("signature_verification_state_update", verifying, part)
			signature := g.open("signature_state_sign", signing)
			g.do("signature_verification_state_verify", verifying, signature)
		}
	}
}
