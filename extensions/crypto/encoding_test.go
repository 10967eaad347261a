package crypto_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// encodings of each algorithm: those of public keys, of secret ones, and of pairs.
var encodings = map[string]struct {
	typ                   int
	public, secret, pairs []int
}{
	"Ed25519":             {typeSignatures, []int{raw, pkcs8, pem, local}, []int{raw, pkcs8, pem, local}, []int{raw, pkcs8, pem, pairLocal}},
	"ECDSA_P256_SHA256":   {typeSignatures, []int{pkcs8, pem, sec, local}, []int{raw, pkcs8, pem, sec, local}, []int{raw, pkcs8, pem, pairLocal}},
	"ECDSA_P384_SHA384":   {typeSignatures, []int{pkcs8, pem, sec, local}, []int{raw, pkcs8, pem, sec, local}, []int{raw, pkcs8, pem, pairLocal}},
	"RSA_PSS_2048_SHA256": {typeSignatures, []int{pkcs8, pem, local}, []int{pkcs8, pem, local}, []int{pkcs8, pem, pairLocal}},
	"X25519":              {typeKeyExchange, []int{raw, pkcs8, pem, local}, []int{raw, pkcs8, pem, local}, []int{raw, pkcs8, pem, pairLocal}},
	"P256-SHA256":         {typeKeyExchange, []int{pkcs8, pem, sec, local}, []int{raw, pkcs8, pem, sec, local}, []int{raw, pkcs8, pem, pairLocal}},
	"P384-SHA384":         {typeKeyExchange, []int{pkcs8, pem, sec, local}, []int{raw, pkcs8, pem, sec, local}, []int{raw, pkcs8, pem, pairLocal}},
	"ML-KEM-768":          {typeKeyExchange, []int{raw, local}, []int{raw, local}, []int{raw, pairLocal}},
	"ML-KEM-1024":         {typeKeyExchange, []int{raw, local}, []int{raw, local}, []int{raw, pairLocal}},
}

func TestF077KeysAreExportedAndImported(t *testing.T) {
	g := newGuest(t)
	for algorithm, has := range encodings {
		t.Run(algorithm, func(t *testing.T) {
			var pair int32
			if strings.HasPrefix(algorithm, "RSA") {
				pair = g.open("keypair_import", has.typ, algorithm, file(t, "rsa2048.pem"), pem)
			} else {
				pair = g.open("keypair_generate", has.typ, algorithm, none)
			}
			public, secret := g.open("keypair_publickey", pair), g.open("keypair_secretkey", pair)
			for kind, handle := range map[string]int32{"publickey": public, "secretkey": secret, "keypair": pair} {
				supported := map[string][]int{"publickey": has.public, "secretkey": has.secret, "keypair": has.pairs}[kind]
				for encoding := range 7 {
					if !slices.Contains(supported, encoding) {
						g.fails(unsupportedEncoding, kind+"_export", handle, encoding, new(int32))
						g.fails(unsupportedEncoding, kind+"_import", has.typ, algorithm, "key", encoding, new(int32))
						continue
					}
					name := fmt.Sprint(kind, " in encoding ", encoding)
					encoded := g.export(kind+"_export", handle, encoding)
					imported := g.open(kind+"_import", has.typ, algorithm, encoded, encoding)
					require.Equal(t, encoded, g.export(kind+"_export", imported, encoding), name)
					for _, broken := range [][]byte{{}, encoded[:len(encoded)/2], encoded[1:], bytes.Repeat([]byte{0xff}, len(encoded)), make([]byte, 5000)} {
						if kind == "secretkey" && algorithm == "X25519" && len(broken) == 32 || algorithm == "Ed25519" && len(broken) == 32 ||
							strings.HasPrefix(algorithm, "ML-KEM") && len(broken) == 64 || algorithm == "X25519" && len(broken) == 32 {
							continue // any bytes are a key
						}
						g.fails(invalidKey, kind+"_import", has.typ, algorithm, broken, encoding, new(int32))
					}
					g.do(kind+"_close", imported)
				}
			}
			// The parts are of one key, however they went.
			joined := g.open("keypair_from_pk_and_sk", public, secret)
			require.Equal(t, g.export("keypair_export", pair, pairLocal), g.export("keypair_export", joined, pairLocal))
			require.Equal(t, g.export("publickey_export", public, local),
				g.export("publickey_export", g.open("publickey_from_secretkey", secret), local))
			for _, object := range []struct {
				kind   string
				handle int32
			}{{"keypair", pair}, {"secretkey", secret}} { // the joined one outlives both
				g.do(object.kind+"_close", object.handle)
				g.fails(closed, object.kind+"_close", object.handle)
				g.fails(invalidHandle, object.kind+"_export", object.handle, pkcs8, new(int32))
			}
			again := g.open("keypair_secretkey", joined)
			require.Equal(t, g.export("publickey_export", public, local),
				g.export("publickey_export", g.open("publickey_from_secretkey", again), local))
		})
	}
}

func TestKeysOfOtherAlgorithmsAreRefused(t *testing.T) {
	g := newGuest(t)
	typed := func(algorithm string) int { return encodings[algorithm].typ }
	names := slices.Sorted(maps.Keys(encodings))
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "ML-KEM") || strings.HasPrefix(name, "RSA") })
	curve := func(name string) string { return strings.ReplaceAll(strings.TrimPrefix(name, "ECDSA_"), "_", "-") }
	for _, from := range names {
		pair := g.open("keypair_generate", typed(from), from, none)
		public, secret := g.open("keypair_publickey", pair), g.open("keypair_secretkey", pair)
		for _, to := range names {
			if curve(from) == curve(to) {
				continue // whose keys are the same
			}
			for _, encoding := range []int{pkcs8, pem} {
				g.fails(invalidKey, "publickey_import", typed(to), to, g.export("publickey_export", public, encoding), encoding, new(int32))
				g.fails(invalidKey, "secretkey_import", typed(to), to, g.export("secretkey_export", secret, encoding), encoding, new(int32))
			}
			other := g.open("keypair_generate", typed(to), to, none)
			g.fails(incompatibleKeys, "keypair_from_pk_and_sk", g.open("keypair_publickey", other), secret, new(int32))
		}
		stranger := g.open("keypair_generate", typed(from), from, none)
		g.fails(incompatibleKeys, "keypair_from_pk_and_sk", g.open("keypair_publickey", stranger), secret, new(int32))
	}
	for algorithm := range rsaKeys {
		if !strings.Contains(algorithm, "2048") {
			g.fails(invalidKey, "keypair_import", typeSignatures, algorithm, file(t, "rsa2048.pem"), pem, new(int32))
			g.fails(invalidKey, "publickey_import", typeSignatures, algorithm, file(t, "rsa2048_public.pem"), pem, new(int32))
		}
	}
}

// WasmEdge writes pairs of keys in older forms, and says of RSA keys for PSS that they are.
func TestKeysThatWasmEdgeWroteAreRead(t *testing.T) {
	g := newGuest(t)
	scalar := curves["ECDSA_P256_SHA256"].scalar
	older := unhex(t, "30770201010420"+scalar+"a00a06082a8648ce3d030107a14403420004"+curves["ECDSA_P256_SHA256"].point[2:])
	pair := g.open("keypair_import", typeSignatures, "ECDSA_P256_SHA256", older, pkcs8)
	require.Equal(t, unhex(t, scalar), g.export("keypair_export", pair, raw))

	const pss = "RSA_PSS_2048_SHA256"
	pair = g.open("keypair_import", typeSignatures, pss, file(t, "rsa2048_pss.pem"), pem)
	public := g.open("publickey_import", typeSignatures, pss, file(t, "rsa2048_pss_public.pem"), pem)
	require.EqualValues(t, success, g.verify(pss, public, "sample", g.sign(pair, "sample"), raw))
	const pkcs1 = "RSA_PKCS1_2048_SHA256" // which such a key is not for
	g.fails(invalidKey, "keypair_import", typeSignatures, pkcs1, file(t, "rsa2048_pss.pem"), pem, new(int32))
	g.fails(invalidKey, "publickey_import", typeSignatures, pkcs1, file(t, "rsa2048_pss_public.pem"), pem, new(int32))
}

func TestCompressedPointsAreRead(t *testing.T) {
	g := newGuest(t)
	for algorithm, vector := range curves {
		point := unhex(t, vector.point)
		half := len(point) / 2
		compressed := append([]byte{2 + point[len(point)-1]&1}, point[1:half+1]...)
		for _, name := range []string{algorithm, strings.ReplaceAll(strings.TrimPrefix(algorithm, "ECDSA_"), "_", "-")} {
			typ := typeSignatures
			if name != algorithm {
				typ = typeKeyExchange
			}
			public := g.open("publickey_import", typ, name, compressed, sec)
			require.Equal(t, point, g.export("publickey_export", public, sec))
		}
	}
}
