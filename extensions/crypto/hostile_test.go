package crypto_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/crypto"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// numbered tells whether an answer is a number of crypto_errno.
func numbered(answer uint64) error {
	if answer > 30 {
		return fmt.Errorf("%d is no error number", answer)
	}
	return nil
}

func TestHostileGuestsGetErrorNumbers(t *testing.T) {
	hostile.Fuzz(t, hostile.Config{
		Program: program(), Imports: wasmer.NewImports().Add(crypto.New(crypto.Config{MaxHandles: 100, MaxBytes: 1 << 20})),
		Data:    append([]string{"Ed25519", "X25519", "SHA-256", "HMAC/SHA-256", "AES-128-GCM", "nonce"}, strings.Repeat("k", 16)),
		Check:   func(_ string, results []uint64) error { return numbered(results[0]) },
		Refused: func(_ string, err error) error { return err }, // nothing traps
	})
}

// clever is a guest that mostly calls as one should, and so gets far, but mixes up everything that it has.
type clever struct {
	guest
	random *rand.Rand
	// names are of algorithms, by their type; data are keys, signatures and others.
	names map[int][]string
	data  [][]byte
	// handles are the last ones of each kind.
	handles map[rune][]uint64
}

const (
	cleverOutputs = 64 // for numbers of 8 bytes
	cleverOptions = 128
	cleverName    = 192
	cleverData    = 1024
	cleverRoom    = 32 << 10 // for each of three
)

// call calls a function with arguments of its shape.
func (c *clever) call(name, shape string) (uint64, error) {
	var arguments []uint64
	typ, output := typeSymmetric, false
	if strings.HasPrefix(name, "signature") {
		typ = typeSignatures
	}
	place, option := uint64(cleverData), uint64(cleverOptions)
	var written []rune
	for i, kind := range shape {
		at := len(arguments)
		switch {
		case kind == '>':
			output = true
			continue
		case output:
			arguments = append(arguments, cleverOutputs+uint64(8*len(written)))
			written = append(written, kind)
			output = false
		case kind == 'n':
			chosen := c.name(name, typ)
			require.NoError(c.t, c.Memory.WriteString(cleverName, chosen))
			arguments = append(arguments, cleverName, uint64(len(chosen)))
		case kind == 'd':
			data := bytes.Clone(c.data[c.random.IntN(len(c.data))])
			if len(data) > 0 && c.random.IntN(10) == 0 {
				data[c.random.IntN(len(data))] ^= 1 << c.random.IntN(8)
			}
			require.NoError(c.t, c.Memory.Write(place, data))
			arguments = append(arguments, place, uint64(len(data)))
			if i > 0 && shape[i-1] == 'd' && c.random.IntN(4) > 0 { // as long as the one before it, or that with or without a tag
				arguments[at+1] = uint64(max(0, int(arguments[at-1])+16*(c.random.IntN(3)-1)))
			}
			place += cleverRoom
		case kind == 'o' || kind == 'k':
			variant := []byte{byte(c.random.IntN(2)), 0, 0, 0, 0, 0, 0, 0}
			binary.LittleEndian.PutUint32(variant[4:], uint32(c.handle(unicode.ToUpper(kind))))
			require.NoError(c.t, c.Memory.Write(option, variant))
			arguments = append(arguments, option)
			option += 8
		case kind == 't':
			typ = c.random.IntN(3)
			arguments = append(arguments, uint64(typ))
		case kind == 'e':
			arguments = append(arguments, uint64(c.random.IntN(5)))
		case kind == 'l':
			arguments = append(arguments, c.random.Uint64())
		default:
			arguments = append(arguments, c.handle(kind))
		}
		if c.random.IntN(60) == 0 {
			arguments[at] = []uint64{0, 1, c.random.Uint64(), c.Memory.Size() - 2, 1<<32 - 1, 1 << 31}[c.random.IntN(6)]
		}
	}
	function, err := c.Function(name)
	require.NoError(c.t, err)
	stack := append(arguments, 0)
	if err := function.CallRaw(c.t.Context(), stack); err != nil || stack[0] != success {
		return stack[0], err
	}
	for i, kind := range written {
		h, err := c.Memory.ReadUint32Le(uint64(cleverOutputs + 8*i))
		require.NoError(c.t, err)
		c.handles[kind] = append(c.handles[kind], uint64(h))
		c.handles[kind] = c.handles[kind][max(0, len(c.handles[kind])-8):]
	}
	return success, nil
}

// name is mostly one that a function takes.
func (c *clever) name(function string, typ int) string {
	if c.random.IntN(8) == 0 {
		typ = c.random.IntN(3)
	}
	name := c.names[typ][c.random.IntN(len(c.names[typ]))]
	switch {
	case strings.Contains(function, "options"):
		name = []string{"nonce", "nonce", "nonce", "salt", "ops_limit", "buffer", name}[c.random.IntN(7)]
	case strings.HasPrefix(name, "RSA") && strings.Contains(function, "generate"):
		name = "Ed25519" // the others take too long
	}
	return name
}

// handle is mostly one of the kind.
func (c *clever) handle(kind rune) uint64 {
	if c.random.IntN(20) == 0 {
		kind = []rune("AOPUSGTVKYZ#")[c.random.IntN(12)]
	}
	if len(c.handles[kind]) == 0 {
		return 1
	}
	return c.handles[kind][c.random.IntN(len(c.handles[kind]))]
}

func TestCleverGuestsGetErrorNumbers(t *testing.T) {
	names := map[int][]string{typeSymmetric: {
		"SHA-256", "HMAC/SHA-384", "HKDF-EXTRACT/SHA-512", "HKDF-EXPAND/SHA-512", "AES-128-GCM", "CHACHA20-POLY1305", "XCHACHA20-POLY1305",
	}}
	for _, name := range slices.Sorted(maps.Keys(encodings)) {
		typ := encodings[name].typ
		names[typ] = append(names[typ], name)
	}
	data := [][]byte{
		{}, make([]byte, 12), make([]byte, 16), make([]byte, 24), []byte(strings.Repeat("k", 32)), make([]byte, 64), make([]byte, 2000),
		file(t, "rsa2048_pss.pem"), file(t, "rsa2048_public.pem"), file(t, "rsa4096.pem"), file(t, "mlkem768.ciphertext"),
		unhex(t, curves["ECDSA_P256_SHA256"].point), unhex(t, curves["ECDSA_P384_SHA384"].r+curves["ECDSA_P384_SHA384"].s),
	}
	shapes := map[string]string{}
	for _, module := range functions {
		maps.Copy(shapes, module)
	}
	order := slices.Sorted(maps.Keys(shapes))
	reached := map[string]bool{}
	for seed := range uint64(40) {
		g := newGuest(t, crypto.New(crypto.Config{MaxHandles: 100, MaxBytes: 100_000}))
		pair := g.open("keypair_generate", typeKeyExchange, "ML-KEM-768", none)
		c := &clever{guest: g, random: rand.New(rand.NewPCG(1, seed)), names: names, data: data, handles: map[rune][]uint64{
			// What takes many right guesses.
			'Y': {
				uint64(g.state("AES-128-GCM", make([]byte, 16), make([]byte, 12))), uint64(g.state("HMAC/SHA-256", []byte("key"), nil)),
				uint64(g.state("HKDF-EXTRACT/SHA-512", []byte("key"), nil)),
			},
			'S': {uint64(g.open("keypair_secretkey", pair))}, 'U': {uint64(g.open("keypair_publickey", pair))},
		}}
		for range 1500 {
			name := order[c.random.IntN(len(order))]
			answer, err := c.call(name, shapes[name])
			require.NoError(t, err, name)
			require.NoError(t, numbered(answer), name)
			reached[name] = reached[name] || answer == success
		}
	}
	lucky := []string{ // who knows what nobody told succeeds with these
		"symmetric_state_decrypt", "symmetric_state_decrypt_detached", "symmetric_tag_verify", "signature_verification_state_verify",
	}
	for _, name := range order {
		unsupported := strings.Contains(name, "managed") || strings.HasSuffix(name, "_id") || strings.HasPrefix(name, "secrets") ||
			name == "symmetric_state_ratchet" || name == "symmetric_state_options_get_u64"
		if !slices.Contains(lucky, name) {
			require.Equal(t, !unsupported, reached[name], name)
		}
	}
}
