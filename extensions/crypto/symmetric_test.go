package crypto_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestF077HashesOfNISTVectors(t *testing.T) {
	g := newGuest(t)
	for algorithm, digests := range map[string]struct{ empty, abc string }{
		"SHA-256": {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		"SHA-384": {"38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
			"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"},
		"SHA-512": {"cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
			"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
		"SHA-512/256": {"c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a",
			"53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"},
		"sha-256": {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	} {
		t.Run(algorithm, func(t *testing.T) {
			empty, abc := unhex(t, digests.empty), unhex(t, digests.abc)
			state := g.state(algorithm, nil, nil)
			out := make([]byte, len(empty))
			g.do("symmetric_state_squeeze", state, &out)
			require.Equal(t, empty, out)
			g.do("symmetric_state_absorb", state, "a")
			clone := g.open("symmetric_state_clone", state)
			g.do("symmetric_state_absorb", clone, "not bc")
			g.do("symmetric_state_absorb", state, "bc")
			for range 2 { // squeezing changes nothing
				g.do("symmetric_state_squeeze", state, &out)
				require.Equal(t, abc, out)
			}
			part := make([]byte, 20)
			g.do("symmetric_state_squeeze", state, &part)
			require.Equal(t, abc[:20], part)
			g.do("symmetric_state_squeeze", clone, &out)
			require.NotEqual(t, abc, out)

			g.fails(invalidLength, "symmetric_state_squeeze", state, make([]byte, len(abc)+1))
			g.fails(keyNotSupported, "symmetric_key_generate", algorithm, none, new(int32))
			g.fails(keyNotSupported, "symmetric_key_import", algorithm, "key", new(int32))
			g.fails(unsupportedOption, "symmetric_state_options_get", state, "nonce", make([]byte, 32), new(int32))
			g.fails(unsupportedOption, "symmetric_state_options_get_u64", state, "ops_limit", new(int32))
			g.fails(invalidOperation, "symmetric_state_squeeze_tag", state, new(int32))
			g.fails(invalidOperation, "symmetric_state_squeeze_key", state, "HMAC/SHA-256", new(int32))
			g.fails(invalidOperation, "symmetric_state_max_tag_len", state, new(int32))
			g.fails(invalidOperation, "symmetric_state_encrypt", state, "", "", new(int32))
			g.fails(invalidOperation, "symmetric_state_encrypt_detached", state, "", "", new(int32))
			g.fails(invalidOperation, "symmetric_state_decrypt", state, "", "", new(int32))
			g.fails(invalidOperation, "symmetric_state_decrypt_detached", state, "", "", "", new(int32))
			g.fails(invalidOperation, "symmetric_state_ratchet", state)
			g.do("symmetric_state_close", state)
			g.fails(closed, "symmetric_state_close", state)
			g.fails(invalidHandle, "symmetric_state_absorb", state, "more")
		})
	}
}

func TestF077MACsOfRFC4231(t *testing.T) {
	g := newGuest(t)
	long := bytes.Repeat([]byte{0xaa}, 131)
	for algorithm, tags := range map[string]struct{ short, long string }{
		"HMAC/SHA-256": {"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		"HMAC/SHA-384": {"af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
			"4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"},
		"HMAC/SHA-512": {"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
			"80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"},
	} {
		t.Run(algorithm, func(t *testing.T) {
			for _, vector := range []struct {
				key     []byte
				message string
				tag     string
			}{
				{[]byte("Jefe"), "what do ya want for nothing?", tags.short},
				{long, "Test Using Larger Than Block-Size Key - Hash Key First", tags.long},
			} {
				expected := unhex(t, vector.tag)
				state := g.state(algorithm, vector.key, nil)
				g.do("symmetric_state_absorb", state, vector.message[:5])
				clone := g.open("symmetric_state_clone", state)
				g.do("symmetric_state_absorb", clone, vector.message[5:])
				g.do("symmetric_state_absorb", state, vector.message[5:])
				for _, s := range []int32{state, clone} {
					tag := g.open("symmetric_state_squeeze_tag", s)
					require.EqualValues(t, len(expected), g.open("symmetric_tag_len", tag))
					g.do("symmetric_tag_verify", tag, expected)
					wrong := bytes.Clone(expected)
					wrong[len(wrong)-1] ^= 1
					g.fails(invalidTag, "symmetric_tag_verify", tag, wrong)
					g.fails(invalidTag, "symmetric_tag_verify", tag, expected[:len(expected)-1]) // a beginning is not enough
					g.fails(invalidTag, "symmetric_tag_verify", tag, "")
					g.fails(invalidTag, "symmetric_tag_verify", tag, append(bytes.Clone(expected), 0))
					g.fails(overflow, "symmetric_tag_pull", tag, make([]byte, len(expected)-1), new(int32))
					g.fails(invalidLength, "symmetric_tag_pull", tag, make([]byte, len(expected)+1), new(int32))
					out := make([]byte, len(expected))
					require.EqualValues(t, len(out), g.open("symmetric_tag_pull", tag, &out))
					require.Equal(t, expected, out)
					g.do("symmetric_tag_close", tag) // guests of WasmEdge do so
					g.fails(closed, "symmetric_tag_close", tag)
				}
				g.fails(invalidOperation, "symmetric_state_squeeze", state, make([]byte, 32))
			}
			key := g.open("symmetric_key_generate", algorithm, none)
			require.Len(t, g.export("symmetric_key_export", key), len(tags.short)/2)
			g.fails(keyRequired, "symmetric_state_open", algorithm, none, none, new(int32))
		})
	}
}

func TestF077KeysDerivedAsRFC5869(t *testing.T) {
	g := newGuest(t)
	count := func(from, to int) (data []byte) {
		for i := from; i < to; i++ {
			data = append(data, byte(i))
		}
		return data
	}
	secret := bytes.Repeat([]byte{0x0b}, 22)
	for name, vector := range map[string]struct {
		hash               string
		secret, salt, info []byte
		prk, okm           string
	}{
		"A.1": {"SHA-256", secret, count(0, 13), count(0xf0, 0xfa),
			"077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		"A.2": {"SHA-256", count(0, 0x50), count(0x60, 0xb0), count(0xb0, 0x100),
			"06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
			"b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
		"A.3": {"SHA-256", secret, nil, nil,
			"19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
		"A.1 of another implementation with SHA-384": {"SHA-384", secret, count(0, 13), count(0xf0, 0xfa),
			"704b39990779ce1dc548052c7dc39f303570dd13fb39f7acc564680bef80e8dec70ee9a7e1f3e293ef68eceb072a5ade",
			"9b5097a86038b805309076a44b3a9f38063e25b516dcbf369f394cfab43685f748b6457763e4f0204fc5"},
		"A.1 of another implementation with SHA-512": {"SHA-512", secret, count(0, 13), count(0xf0, 0xfa),
			"665799823737ded04a88e47e54a5890bb2c3d247c7a4254a8e61350723590a26c36238127d8661b88cf80ef802d57e2f7cebcf1e00e083848be19929c61b4237",
			"832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb"},
	} {
		t.Run(name, func(t *testing.T) {
			extract, expand := "HKDF-EXTRACT/"+vector.hash, "HKDF-EXPAND/"+vector.hash
			state := g.state(extract, vector.secret, nil)
			if len(vector.salt) > 0 {
				g.do("symmetric_state_absorb", state, vector.salt[:7])
				clone := g.open("symmetric_state_clone", state)
				g.do("symmetric_state_absorb", state, vector.salt[7:])
				g.do("symmetric_state_close", clone)
			}
			g.fails(unsupportedAlgorithm, "symmetric_state_squeeze_key", state, "AES-128-GCM", new(int32))
			g.fails(unsupportedAlgorithm, "symmetric_state_squeeze_key", state, "HKDF-EXPAND/SHA-1", new(int32))
			key := g.open("symmetric_state_squeeze_key", state, expand)
			require.Equal(t, unhex(t, vector.prk), g.export("symmetric_key_export", key))
			g.fails(invalidKey, "symmetric_state_open", extract, some(key), none, new(int32))

			expanding := g.open("symmetric_state_open", expand, some(key), none)
			g.do("symmetric_key_close", key) // the state has its own
			g.do("symmetric_state_absorb", expanding, vector.info)
			out := make([]byte, len(vector.okm)/2)
			g.do("symmetric_state_squeeze", g.open("symmetric_state_clone", expanding), &out)
			require.Equal(t, unhex(t, vector.okm), out)
			g.fails(invalidLength, "symmetric_state_squeeze", expanding, make([]byte, 255*len(vector.prk)/2+1))
			g.fails(invalidOperation, "symmetric_state_squeeze_key", expanding, expand, new(int32))
			g.fails(invalidOperation, "symmetric_state_squeeze", state, make([]byte, 1))
			g.fails(unsupportedFeature, "symmetric_key_generate", expand, none, new(int32))
			g.fails(invalidKey, "symmetric_key_import", expand, make([]byte, len(vector.prk)/2-1), new(int32))
			require.Len(t, g.export("symmetric_key_export", g.open("symmetric_key_generate", extract, none)), len(vector.prk)/2)
		})
	}
}

func TestClonesGoTheirOwnWay(t *testing.T) {
	g := newGuest(t)
	begin := bytes.Repeat([]byte{1}, 33) // which leaves room in a slice
	result := map[string]func(state int32) []byte{
		"SHA-256": func(state int32) []byte {
			out := make([]byte, 32)
			g.do("symmetric_state_squeeze", state, &out)
			return out
		},
		"HKDF-EXPAND/SHA-256": func(state int32) []byte {
			out := make([]byte, 32)
			g.do("symmetric_state_squeeze", state, &out)
			return out
		},
		"HMAC/SHA-256": func(state int32) []byte {
			out := make([]byte, 32)
			g.open("symmetric_tag_pull", g.open("symmetric_state_squeeze_tag", state), &out)
			return out
		},
		"HKDF-EXTRACT/SHA-256": func(state int32) []byte {
			return g.export("symmetric_key_export", g.open("symmetric_state_squeeze_key", state, "HKDF-EXPAND/SHA-256"))
		},
		"CHACHA20-POLY1305": func(state int32) []byte {
			out := make([]byte, 16)
			g.open("symmetric_state_encrypt", state, &out, "")
			return out
		},
	}
	for algorithm, result := range result {
		var key, nonce []byte
		if algorithm != "SHA-256" {
			key = make([]byte, 32)
		}
		if algorithm == "CHACHA20-POLY1305" {
			nonce = make([]byte, 12)
		}
		fresh := func(absorbed ...string) []byte {
			state := g.state(algorithm, key, nonce)
			for _, data := range absorbed {
				g.do("symmetric_state_absorb", state, data)
			}
			return result(state)
		}
		one := g.state(algorithm, key, nonce)
		g.do("symmetric_state_absorb", one, begin)
		other := g.open("symmetric_state_clone", one)
		g.do("symmetric_state_absorb", one, "one")
		g.do("symmetric_state_absorb", other, "two")
		if algorithm != "CHACHA20-POLY1305" { // of which only one encrypts
			require.Equal(t, fresh(string(begin), "two"), result(other), algorithm)
		}
		require.Equal(t, fresh(string(begin), "one"), result(one), algorithm)
		g.do("symmetric_state_close", one)
		g.do("symmetric_state_absorb", other, "more") // which does not need the other one
	}
}
