package crypto_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestF077AgreementsOfRFC7748AndRFC5903(t *testing.T) {
	g := newGuest(t)
	for algorithm, vector := range map[string]struct {
		secret, public, shared string
		encoding               int
	}{
		"X25519": {"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
			"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
			"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", raw},
		"P256-SHA256": {"c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
			"04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
			"d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de", sec},
		"P384-SHA384": {"099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194",
			`04e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571dcfbec7aacf3196472169e83843036
			7f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c`,
			"11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746", sec},
	} {
		t.Run(algorithm, func(t *testing.T) {
			secret := g.open("secretkey_import", typeKeyExchange, algorithm, unhex(t, vector.secret), raw)
			public := g.open("publickey_import", typeKeyExchange, algorithm, unhex(t, vector.public), vector.encoding)
			g.do("publickey_verify", public)
			require.Equal(t, unhex(t, vector.shared), g.export("kx_dh", public, secret))

			pair := g.open("keypair_generate", typeKeyExchange, algorithm, none)
			one := g.export("kx_dh", g.open("keypair_publickey", pair), secret)
			require.Equal(t, one, g.export("kx_dh", g.open("publickey_from_secretkey", secret), g.open("keypair_secretkey", pair)))

			g.fails(invalidOperation, "kx_encapsulate", public, new(int32), new(int32))
			g.fails(invalidOperation, "kx_decapsulate", secret, make([]byte, 1088), new(int32))
			g.fails(invalidKey, "signature_state_open", pair, new(int32))
			g.fails(invalidKey, "signature_verification_state_open", public, new(int32))
			other := g.open("keypair_publickey", g.open("keypair_generate", typeKeyExchange, "ML-KEM-768", none))
			g.fails(incompatibleKeys, "kx_dh", other, secret, new(int32))
		})
	}
	pair := g.open("keypair_generate", typeSignatures, "Ed25519", none)
	g.fails(invalidKey, "kx_dh", g.open("keypair_publickey", pair), g.open("keypair_secretkey", pair), new(int32))
}

func TestUnsafePublicKeysAgreeOnNothing(t *testing.T) {
	g := newGuest(t)
	secret := g.open("secretkey_import", typeKeyExchange, "X25519", bytes.Repeat([]byte{7}, 32), raw)
	for _, point := range []string{ // of small order
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		public := g.open("publickey_import", typeKeyExchange, "X25519", unhex(t, point), raw)
		g.fails(invalidKey, "publickey_verify", public)
		g.fails(invalidKey, "kx_dh", public, secret, new(int32))
	}
	for algorithm, size := range map[string]int{"P256-SHA256": 32, "P384-SHA384": 48} {
		for _, point := range [][]byte{
			append([]byte{4}, bytes.Repeat([]byte{0xff}, 2*size)...), append([]byte{4}, make([]byte, 2*size)...), {0}, {},
			append([]byte{2}, bytes.Repeat([]byte{0xff}, size)...),
		} {
			g.fails(invalidKey, "publickey_import", typeKeyExchange, algorithm, point, sec, new(int32))
		}
		g.fails(invalidKey, "secretkey_import", typeKeyExchange, algorithm, make([]byte, size), raw, new(int32)) // 0
		g.fails(invalidKey, "secretkey_import", typeKeyExchange, algorithm, bytes.Repeat([]byte{0xff}, size), raw, new(int32))
	}
}

func TestF077EncapsulationLikeAnotherImplementation(t *testing.T) {
	g := newGuest(t)
	seed := make([]byte, 64)
	for i := range seed {
		seed[i] = byte(i)
	}
	for algorithm, vector := range map[string]struct{ file, public, shared, rejected string }{
		"ML-KEM-768": {"mlkem768.ciphertext", "0b7934c83125c788995e2ba6bd761e33046b3e40571be53e023309a29f398cc9",
			"f5355212acf7679bd74b64c35acd5219d595cc48cb977fdc7525237ed0be33f3",
			"1cd7b2362ab338625c78b63025c95555ad2b279508e9a2187d39b13ac9039653"},
		"ML-KEM-1024": {"mlkem1024.ciphertext", "c7b8fa0aa471d5ae18922d6ccad5b31e1d84f92ae723abfd13747018740a8530",
			"814a727354a24f13d39f5cd0cd08da237d8590e2109c99bc0871d4d259d054a4",
			"f3d0be1f63f84be3afb53f975c74fa4ccef4393c533fd293585ce66594e4bc8f"},
	} {
		t.Run(algorithm, func(t *testing.T) {
			ciphertext := file(t, vector.file)
			secret := g.open("secretkey_import", typeKeyExchange, algorithm, seed, raw)
			public := g.open("publickey_from_secretkey", secret)
			g.do("publickey_verify", public)
			encoded := g.export("publickey_export", public, raw)
			digest := sha256.Sum256(encoded)
			require.Equal(t, unhex(t, vector.public), digest[:])
			require.Equal(t, seed, g.export("secretkey_export", secret, raw))
			require.Equal(t, unhex(t, vector.shared), g.export("kx_decapsulate", secret, ciphertext))

			// What was changed gives another secret, which tells nothing.
			changed := bytes.Clone(ciphertext)
			changed[0] ^= 1
			require.Equal(t, unhex(t, vector.rejected), g.export("kx_decapsulate", secret, changed))
			g.fails(verificationFailed, "kx_decapsulate", secret, ciphertext[1:], new(int32))
			g.fails(verificationFailed, "kx_decapsulate", secret, "", new(int32))

			var shared, sealed int32
			imported := g.open("publickey_import", typeKeyExchange, algorithm, encoded, raw)
			g.do("kx_encapsulate", imported, &shared, &sealed)
			require.Equal(t, g.pull(shared), g.export("kx_decapsulate", secret, g.pull(sealed)))

			copy(encoded, bytes.Repeat([]byte{0xff}, 3)) // coefficients beyond the prime
			g.fails(invalidKey, "publickey_import", typeKeyExchange, algorithm, encoded, raw, new(int32))
			g.fails(invalidKey, "publickey_import", typeKeyExchange, algorithm, encoded[1:], raw, new(int32))
			g.fails(invalidKey, "secretkey_import", typeKeyExchange, algorithm, seed[1:], raw, new(int32))
			g.fails(unsupportedEncoding, "secretkey_export", secret, pkcs8, new(int32))
			g.fails(unsupportedEncoding, "publickey_import", typeKeyExchange, algorithm, encoded, pkcs8, new(int32))
			g.fails(invalidOperation, "kx_dh", public, secret, new(int32))
		})
	}
}
