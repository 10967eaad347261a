package crypto_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// sealed are messages of the specifications of the ciphers.
var sealed = map[string]struct{ algorithm, key, nonce, additional, message, ciphertext, tag string }{
	"test case 1 of GCM": {"AES-128-GCM", "00000000000000000000000000000000", "000000000000000000000000", "", "", "",
		"58e2fccefa7e3061367f1d57a4e7455a"},
	"test case 4 of GCM": {"AES-128-GCM", "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
		"feedfacedeadbeeffeedfacedeadbeefabaddad2",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
		"5bc94fbc3221a5db94fae95ae7121a47"},
	"test case 16 of GCM": {"AES-256-GCM", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
		"feedfacedeadbeeffeedfacedeadbeefabaddad2",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
		"76fc6ece0f4e1768cddf8853bb2d551b"},
	"RFC 8439, 2.8.2": {"CHACHA20-POLY1305", "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647",
		"50515253c0c1c2c3c4c5c6c7", sunscreen,
		`d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
		92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116`,
		"1ae10b594f09e26a7e902ecbd0600691"},
	"draft-irtf-cfrg-xchacha-03, A.3.1": {"XCHACHA20-POLY1305", "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
		"404142434445464748494a4b4c4d4e4f5051525354555657", "50515253c0c1c2c3c4c5c6c7", sunscreen,
		`bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452
		2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52e`,
		"c0875924c1c7987947deafd8780acf49"},
}

const sunscreen = `4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64206f6666657220796f
	75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c642062652069742e`

func TestF077CiphersOfPublishedVectors(t *testing.T) {
	g := newGuest(t)
	for name, vector := range sealed {
		t.Run(name, func(t *testing.T) {
			key, nonce, additional := unhex(t, vector.key), unhex(t, vector.nonce), unhex(t, vector.additional)
			message, ciphertext, tag := unhex(t, vector.message), unhex(t, vector.ciphertext), unhex(t, vector.tag)
			whole := append(bytes.Clone(ciphertext), tag...)
			state := func() int32 {
				s := g.state(vector.algorithm, key, nonce)
				g.do("symmetric_state_absorb", s, additional[:len(additional)/3])
				g.do("symmetric_state_absorb", s, additional[len(additional)/3:])
				return s
			}
			s := state()
			require.EqualValues(t, 16, g.open("symmetric_state_max_tag_len", s))
			observed := make([]byte, len(nonce))
			require.EqualValues(t, len(nonce), g.open("symmetric_state_options_get", s, "Nonce", &observed))
			require.Equal(t, nonce, observed)
			g.fails(overflow, "symmetric_state_options_get", s, "nonce", make([]byte, len(nonce)-1), new(int32))
			g.fails(unsupportedOption, "symmetric_state_options_get", s, "salt", make([]byte, 24), new(int32))
			g.fails(overflow, "symmetric_state_encrypt", s, make([]byte, len(whole)-1), message, new(int32))
			g.fails(invalidLength, "symmetric_state_encrypt", s, make([]byte, len(whole)+1), message, new(int32))
			clone := g.open("symmetric_state_clone", s)
			out := make([]byte, len(whole))
			require.EqualValues(t, len(whole), g.open("symmetric_state_encrypt", s, &out, message))
			require.Equal(t, whole, out)

			// The nonce was used: neither the state nor its clone encrypts again.
			g.fails(nonceRequired, "symmetric_state_encrypt", s, make([]byte, len(whole)), message, new(int32))
			g.fails(nonceRequired, "symmetric_state_encrypt_detached", clone, make([]byte, len(message)), message, new(int32))

			out = make([]byte, len(message))
			require.EqualValues(t, len(message), g.open("symmetric_state_decrypt", clone, &out, whole))
			require.Equal(t, message, out)
			out = make([]byte, len(message))
			require.EqualValues(t, len(message), g.open("symmetric_state_decrypt_detached", clone, &out, ciphertext, tag))
			require.Equal(t, message, out)

			out = make([]byte, len(message))
			tagHandle := g.open("symmetric_state_encrypt_detached", state(), &out, message)
			require.Equal(t, ciphertext, out)
			g.do("symmetric_tag_verify", tagHandle, tag)
		})
	}
}

func TestChangedMessagesAreNotDecrypted(t *testing.T) {
	g := newGuest(t)
	for name, vector := range sealed {
		t.Run(name, func(t *testing.T) {
			key, nonce, additional := unhex(t, vector.key), unhex(t, vector.nonce), unhex(t, vector.additional)
			whole := unhex(t, vector.ciphertext+vector.tag)
			untouched := bytes.Repeat([]byte{0x55}, len(whole)-16)
			refuses := func(state int32, sealed []byte) {
				t.Helper()
				out := bytes.Clone(untouched)
				g.fails(invalidTag, "symmetric_state_decrypt", state, &out, sealed, new(int32))
				require.Equal(t, untouched, out, "nothing of the message may be seen")
				out = bytes.Clone(untouched)
				at := len(sealed) - 16
				g.fails(invalidTag, "symmetric_state_decrypt_detached", state, &out, sealed[:at], sealed[at:], new(int32))
				require.Equal(t, untouched, out)
			}
			right := g.state(vector.algorithm, key, nonce)
			g.do("symmetric_state_absorb", right, additional)
			for _, at := range []int{0, len(whole) / 2, len(whole) - 16, len(whole) - 1} {
				changed := bytes.Clone(whole)
				changed[at] ^= 0x80
				refuses(right, changed)
			}
			more := g.open("symmetric_state_clone", right)
			g.do("symmetric_state_absorb", more, "x")
			refuses(more, whole)
			nonce[0] ^= 1
			other := g.state(vector.algorithm, key, nonce)
			g.do("symmetric_state_absorb", other, additional)
			refuses(other, whole)
			g.fails(invalidTag, "symmetric_state_decrypt", right, "", whole[:15], new(int32))
			g.fails(invalidTag, "symmetric_state_decrypt_detached", right, untouched, whole[:len(untouched)], whole[:8], new(int32))
			g.fails(overflow, "symmetric_state_decrypt", right, "", append([]byte{0}, whole...), new(int32))
			g.fails(invalidLength, "symmetric_state_decrypt", right, append([]byte{0}, untouched...), whole, new(int32))
		})
	}
}

func TestCiphersNeedKeysAndNonces(t *testing.T) {
	g := newGuest(t)
	for algorithm, sizes := range map[string]struct{ key, nonce int }{
		"AES-128-GCM": {16, 12}, "AES-256-GCM": {32, 12}, "CHACHA20-POLY1305": {32, 12}, "XCHACHA20-POLY1305": {32, 24},
	} {
		t.Run(algorithm, func(t *testing.T) {
			key := g.open("symmetric_key_generate", algorithm, none)
			require.Len(t, g.export("symmetric_key_export", key), sizes.key)
			g.fails(keyRequired, "symmetric_state_open", algorithm, none, none, new(int32))
			for _, size := range []int{0, sizes.key - 1, sizes.key + 1} {
				g.fails(invalidKey, "symmetric_key_import", algorithm, make([]byte, size), new(int32))
			}
			opts := g.open("options_open", typeSymmetric)
			g.do("options_set", opts, "nonce", make([]byte, sizes.nonce-1))
			g.fails(invalidNonce, "symmetric_state_open", algorithm, some(key), some(opts), new(int32))
			g.do("options_set", opts, "nonce", make([]byte, sizes.nonce))
			g.do("symmetric_state_close", g.open("symmetric_state_open", algorithm, some(key), some(opts)))
			g.fails(invalidOperation, "symmetric_state_squeeze", g.open("symmetric_state_open", algorithm, some(key), some(opts)), "")

			g.do("options_set", opts, "nonce", "")
			g.fails(invalidNonce, "symmetric_state_open", algorithm, some(key), some(opts), new(int32))

			empty := g.open("options_open", typeSymmetric)
			for _, without := range []option{none, some(empty)} {
				if sizes.nonce == 12 {
					g.fails(nonceRequired, "symmetric_state_open", algorithm, some(key), without, new(int32))
					continue
				}
				nonces := [2][]byte{make([]byte, 24), make([]byte, 24)}
				for i := range nonces {
					state := g.open("symmetric_state_open", algorithm, some(key), without)
					g.open("symmetric_state_options_get", state, "nonce", &nonces[i])
				}
				require.NotEqual(t, nonces[0], nonces[1])
			}
		})
	}
}

// The nonce of a message that was decrypted is used: another one with it would give both away.
func TestStatesThatHaveDecryptedDoNotEncrypt(t *testing.T) {
	g := newGuest(t)
	vector := sealed["RFC 8439, 2.8.2"]
	message, whole := unhex(t, vector.message), unhex(t, vector.ciphertext+vector.tag)
	s := g.state(vector.algorithm, unhex(t, vector.key), unhex(t, vector.nonce))
	g.do("symmetric_state_absorb", s, unhex(t, vector.additional))
	clone := g.open("symmetric_state_clone", s)
	other := bytes.Clone(whole)
	other[0] ^= 1
	out := make([]byte, len(message))
	g.fails(invalidTag, "symmetric_state_decrypt", s, out, other, new(int32))
	for range 2 {
		require.EqualValues(t, len(message), g.open("symmetric_state_decrypt", s, &out, whole))
		require.Equal(t, message, out)
	}
	for _, state := range []int32{s, clone} {
		g.fails(nonceRequired, "symmetric_state_encrypt", state, make([]byte, 20), "abcd", new(int32))
		g.fails(nonceRequired, "symmetric_state_encrypt_detached", state, make([]byte, 4), "abcd", new(int32))
	}
}

// A guest may give the same place for input and output, or places that overlap.
func TestMessagesAreEncryptedInPlace(t *testing.T) {
	g := newGuest(t)
	vector := sealed["RFC 8439, 2.8.2"]
	message, whole := unhex(t, vector.message), unhex(t, vector.ciphertext+vector.tag)
	state := func() int32 {
		s := g.state(vector.algorithm, unhex(t, vector.key), unhex(t, vector.nonce))
		g.do("symmetric_state_absorb", s, unhex(t, vector.additional))
		return s
	}
	for _, distance := range []int{-5, 0, 7} {
		const place = 4096
		s := state()
		require.NoError(t, g.Memory.Write(place, message))
		g.do("symmetric_state_encrypt", s, place+distance, len(whole), place, len(message), 8)
		out, err := g.Memory.Read(uint64(place+distance), uint64(len(whole)))
		require.NoError(t, err)
		require.Equal(t, whole, out, distance)

		g.do("symmetric_state_decrypt", s, place, len(message), place+distance, len(whole), 8)
		out, err = g.Memory.Read(place, uint64(len(message)))
		require.NoError(t, err)
		require.Equal(t, message, out, distance)
	}
}
