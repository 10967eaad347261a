package crypto_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/crypto"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A guest that imports every function of the specification's files, with its types, is linked: otherwise it is a *LinkError.
func TestF077AllFunctionsOfTheFiveModulesLink(t *testing.T) {
	g := newGuest(t)
	count := 0
	for _, names := range functions {
		count += len(names)
		for name := range names {
			_, err := g.Function(name)
			require.NoError(t, err)
		}
	}
	require.Equal(t, 72, count)
}

func TestF125ModulesAreHadOneByOne(t *testing.T) {
	modules := crypto.New(crypto.Config{}).Modules()
	require.Equal(t, slices.Sorted(maps.Keys(functions)), slices.Sorted(maps.Keys(modules)))
	for name, module := range modules {
		imports := wasmer.NewImports().Namespace("before").Add(module)
		for other, names := range functions {
			var program strings.Builder
			program.WriteString("(module ")
			for function := range names {
				program.WriteString(importOf(other, function))
			}
			compiled, err := wasmer.Compile([]byte(program.String() + ")"))
			require.NoError(t, err)
			instance, err := wasmer.Instantiate(t.Context(), compiled, imports)
			if name == other {
				require.NoError(t, err)
				require.NoError(t, instance.Close())
			} else {
				require.ErrorAs(t, err, new(*wasmer.LinkError))
			}
			require.NoError(t, compiled.Close())
		}
	}
}

func TestManagedKeysAreUnsupported(t *testing.T) {
	g := newGuest(t)
	for _, names := range functions {
		for name, shape := range names {
			if strings.Contains(name, "managed") || strings.HasSuffix(name, "_id") || strings.HasPrefix(name, "secrets_manager") {
				var arguments []any
				for _, param := range paramsOf(shape) {
					if param == "i64" {
						arguments = append(arguments, int64(0))
					} else {
						arguments = append(arguments, int32(0))
					}
				}
				g.fails(unsupportedFeature, name, arguments...)
			}
		}
	}
}

func TestUnknownAlgorithmsAreRefused(t *testing.T) {
	g := newGuest(t)
	for _, name := range []string{"", "MD5", "SHA-256\x00", "AES-128-GCM ", strings.Repeat("x", 1000), "ed25519\xff", "ECDSA_K256_SHA256"} {
		g.fails(unsupportedAlgorithm, "symmetric_state_open", name, none, none, new(int32))
		g.fails(unsupportedAlgorithm, "symmetric_key_generate", name, none, new(int32))
		g.fails(unsupportedAlgorithm, "symmetric_key_import", name, "", new(int32))
		g.fails(unsupportedAlgorithm, "keypair_generate", typeSignatures, name, none, new(int32))
		g.fails(unsupportedAlgorithm, "keypair_generate", typeKeyExchange, name, none, new(int32))
		g.fails(unsupportedAlgorithm, "signature_import", name, "", raw, new(int32))
	}
	g.fails(unsupportedAlgorithm, "keypair_generate", typeKeyExchange, "Ed25519", none, new(int32))
	g.fails(unsupportedAlgorithm, "keypair_generate", typeSignatures, "X25519", none, new(int32))
	g.fails(unsupportedAlgorithm, "keypair_generate", 3, "Ed25519", none, new(int32))
	g.fails(invalidOperation, "keypair_generate", typeSymmetric, "AES-128-GCM", none, new(int32))
	g.fails(unsupportedAlgorithm, "signature_import", "X25519", "", raw, new(int32))
}

func TestOptionsAreOfATypeOfAlgorithms(t *testing.T) {
	g := newGuest(t)
	g.fails(unsupportedAlgorithm, "options_open", 3, new(int32))
	symmetric := g.open("options_open", typeSymmetric)
	for _, typ := range []int{typeSignatures, typeKeyExchange} {
		opts := g.open("options_open", typ)
		g.fails(unsupportedOption, "options_set", opts, "nonce", "value")
		g.fails(unsupportedOption, "options_set_u64", opts, "ops_limit", int64(1))
		g.fails(unsupportedOption, "options_set_guest_buffer", opts, "buffer", "room")
		g.fails(invalidHandle, "symmetric_state_open", "SHA-256", none, some(opts), new(int32))
		g.fails(invalidHandle, "symmetric_key_generate", "AES-128-GCM", some(opts), new(int32))
		algorithm := map[int]string{typeSignatures: "Ed25519", typeKeyExchange: "X25519"}[typ]
		g.fails(invalidHandle, "keypair_generate", typ, algorithm, some(symmetric), new(int32))
		g.open("keypair_generate", typ, algorithm, some(opts))
		g.do("options_close", opts)
		g.fails(invalidHandle, "keypair_generate", typ, algorithm, some(opts), new(int32))
		g.fails(closed, "options_close", opts)
	}
	g.fails(unsupportedOption, "options_set", symmetric, "colour", "blue")
	g.fails(unsupportedOption, "options_set_u64", symmetric, "nonce", int64(1))
	g.fails(unsupportedOption, "options_set_guest_buffer", symmetric, "memory", "room")
	g.fails(overflow, "options_set", symmetric, "nonce", make([]byte, 1025))
	g.do("options_set_u64", symmetric, "Parallelism", int64(8))
	g.do("options_set_guest_buffer", symmetric, "buffer", "room")
	g.open("symmetric_state_open", "SHA-256", none, some(symmetric))
	g.do("options_set", symmetric, "salt", "pepper") // which no algorithm takes, and none may ignore
	g.fails(unsupportedOption, "symmetric_state_open", "SHA-256", none, some(symmetric), new(int32))
}

func TestOutputsArePulledPieceByPiece(t *testing.T) {
	g := newGuest(t)
	output := g.open("symmetric_key_export", g.open("symmetric_key_import", "HMAC/SHA-256", "0123456789"))
	var all []byte
	for _, size := range []int{4, 0, 4, 4} {
		require.EqualValues(t, 10, g.open("array_output_len", output))
		piece := make([]byte, size)
		all = append(all, piece[:g.open("array_output_pull", output, &piece)]...)
	}
	require.Equal(t, "0123456789", string(all))
	g.fails(invalidHandle, "array_output_pull", output, make([]byte, 4), new(int32))
	empty := g.open("symmetric_key_export", g.open("symmetric_key_import", "HMAC/SHA-256", ""))
	require.Empty(t, g.pull(empty))
}

func TestHandlesOfAnotherKindAreRefused(t *testing.T) {
	g := newGuest(t)
	pair := g.open("keypair_generate", typeSignatures, "Ed25519", none)
	key := g.open("symmetric_key_generate", "AES-128-GCM", none)
	for name, shape := range functions["wasi_ephemeral_crypto_symmetric"] {
		if !strings.Contains("KYZ", shape[:1]) || strings.Contains(name, "managed") || strings.HasSuffix(name, "_id") {
			continue
		}
		arguments := []any{pair}
		for range paramsOf(shape)[1:] {
			arguments = append(arguments, int32(0))
		}
		want := int32(invalidHandle)
		if strings.HasSuffix(name, "_close") {
			want = closed
		}
		g.fails(want, name, arguments...)
	}
	g.fails(closed, "keypair_close", key)
	g.fails(invalidHandle, "keypair_publickey", key, new(int32))
	g.fails(invalidHandle, "keypair_export", 0, raw, new(int32))
	g.fails(invalidHandle, "keypair_export", -1, raw, new(int32))
	g.fails(invalidKey, "symmetric_state_open", "AES-256-GCM", some(key), none, new(int32))
	g.fails(keyNotSupported, "symmetric_state_open", "SHA-256", some(key), none, new(int32))
	g.fails(invalidHandle, "symmetric_state_open", "SHA-256", some(pair), none, new(int32))
}

// What would be written outside of the memory is not done at all.
func TestPlacesOutsideOfMemoryAreAnAlgorithmFailure(t *testing.T) {
	g := newGuest(t, crypto.New(crypto.Config{MaxHandles: 8}))
	key := g.open("symmetric_key_generate", "HMAC/SHA-256", none)
	state := g.open("symmetric_state_open", "HMAC/SHA-256", some(key), none)
	pair := g.open("keypair_generate", typeKeyExchange, "ML-KEM-768", none)
	public := g.open("keypair_publickey", pair)
	end := int32(g.Memory.Size())
	for range 20 { // no handle is lost
		for _, place := range []int32{end - 3, end, -1, -4} {
			g.fails(algorithmFailure, "symmetric_state_clone", state, place)
			g.fails(algorithmFailure, "symmetric_state_squeeze_tag", state, place)
			g.fails(algorithmFailure, "symmetric_state_absorb", state, place, 4)
			g.fails(algorithmFailure, "symmetric_state_squeeze_key", state, place, 4, 0)
			g.fails(algorithmFailure, "symmetric_key_export", key, place)
			g.fails(algorithmFailure, "keypair_publickey", pair, place)
			g.fails(algorithmFailure, "keypair_secretkey", pair, place)
			g.fails(algorithmFailure, "kx_encapsulate", public, 0, place)
			g.fails(algorithmFailure, "kx_encapsulate", public, place, 0)
			g.fails(algorithmFailure, "keypair_generate", typeKeyExchange, "X25519", place, new(int32))
			g.fails(algorithmFailure, "keypair_generate", typeKeyExchange, "X25519", none, place)
			g.fails(algorithmFailure, "keypair_generate", typeKeyExchange, place, 4, 0, 0)
			g.fails(algorithmFailure, "options_open", typeSymmetric, place)
		}
	}
	require.NoError(t, g.Memory.WriteByteAt(0, 2)) // neither some nor none
	g.fails(algorithmFailure, "symmetric_key_generate", "AES-128-GCM", 0, new(int32))
	for range 4 {
		g.open("options_open", typeSymmetric)
	}
}

func TestHandlesAreBounded(t *testing.T) {
	g := newGuest(t, crypto.New(crypto.Config{MaxHandles: 3}))
	state := g.state("SHA-256", nil, nil)
	first, second := g.open("symmetric_state_clone", state), g.open("symmetric_state_clone", state)
	g.fails(tooManyHandles, "symmetric_state_clone", state, new(int32))
	g.fails(tooManyHandles, "options_open", typeSymmetric, new(int32))
	g.fails(tooManyHandles, "keypair_generate", typeSignatures, "Ed25519", none, new(int32))
	g.do("symmetric_state_close", first)
	third := g.open("symmetric_state_clone", state)
	require.NotContains(t, []int32{state, first, second}, third, "a number is not used again at once")

	// Of two outputs there is none if there is no room for both.
	g = newGuest(t, crypto.New(crypto.Config{MaxHandles: 3}))
	pair := g.open("keypair_generate", typeKeyExchange, "ML-KEM-768", none)
	public := g.open("keypair_publickey", pair)
	for range 3 {
		g.fails(tooManyHandles, "kx_encapsulate", public, new(int32), new(int32))
	}
	g.open("options_open", typeSymmetric)

	// Tags that were pulled make room, others do not.
	g = newGuest(t, crypto.New(crypto.Config{MaxHandles: 3}))
	mac := g.state("HMAC/SHA-256", []byte("key"), nil)
	kept := g.open("symmetric_state_squeeze_tag", mac)
	for range 10 {
		tag := g.open("symmetric_state_squeeze_tag", mac)
		g.open("symmetric_tag_pull", tag, make([]byte, 32))
		require.EqualValues(t, 32, g.open("symmetric_tag_len", tag))
	}
	g.open("options_open", typeSymmetric)
	g.fails(tooManyHandles, "symmetric_state_squeeze_tag", mac, new(int32))
	require.EqualValues(t, 32, g.open("symmetric_tag_len", kept))
}

func TestBytesAreBounded(t *testing.T) {
	g := newGuest(t, crypto.New(crypto.Config{MaxBytes: 2000}))
	part := make([]byte, 900)
	hmac := g.state("HMAC/SHA-256", []byte("key"), nil)
	for range 10 { // nothing is kept
		g.do("symmetric_state_absorb", hmac, part)
	}
	for _, state := range []int32{
		g.state("HKDF-EXTRACT/SHA-256", []byte("key"), nil), g.state("AES-128-GCM", make([]byte, 16), make([]byte, 12)),
	} {
		g.do("symmetric_state_absorb", state, part)
		clone := g.open("symmetric_state_clone", state)
		g.fails(overflow, "symmetric_state_absorb", clone, part)
		g.fails(overflow, "symmetric_state_clone", state, new(int32))
		g.do("symmetric_state_close", clone)
		g.do("symmetric_state_absorb", state, part)
		g.fails(overflow, "symmetric_state_absorb", state, part)
		g.do("symmetric_state_close", state)
	}
	pair := g.open("keypair_generate", typeSignatures, "Ed25519", none)
	signing := g.open("signature_state_open", pair)
	g.do("signature_state_update", signing, part)
	g.do("signature_state_update", signing, part)
	g.fails(overflow, "signature_state_update", signing, part)
	g.do("signature_state_close", signing)

	key := g.open("symmetric_key_import", "HMAC/SHA-256", part)
	output := g.open("symmetric_key_export", key)
	g.fails(overflow, "symmetric_key_export", key, new(int32))
	g.pull(output)
	g.do("symmetric_key_close", g.open("symmetric_key_import", "HMAC/SHA-256", part))
	g.fails(overflow, "symmetric_key_import", "HMAC/SHA-256", make([]byte, 2001), new(int32))
	cipher := g.state("AES-128-GCM", make([]byte, 16), make([]byte, 12))
	g.fails(overflow, "symmetric_state_encrypt", cipher, make([]byte, 2016), make([]byte, 2000), new(int32))
	g.fails(overflow, "symmetric_state_decrypt", cipher, make([]byte, 2000), make([]byte, 2016), new(int32))
}

// What is hashed is as large as the guest's memory, whatever is held at most.
func TestLargeDataAreHashed(t *testing.T) {
	const size = 40 * wasmer.PageSize
	module, err := wasmer.Compile([]byte(`(module
		(import "wasi_ephemeral_crypto_symmetric" "symmetric_state_open" (func $open (param i32 i32 i32 i32 i32) (result i32)))
		(import "wasi_ephemeral_crypto_symmetric" "symmetric_state_absorb" (func $absorb (param i32 i32 i32) (result i32)))
		(import "wasi_ephemeral_crypto_symmetric" "symmetric_state_squeeze" (func $squeeze (param i32 i32 i32) (result i32)))
		(memory (export "memory") 40)
		(data (i32.const 0) "SHA-512") (data (i32.const 8) "\01")
		(func (export "hash") (param $size i32) (result i32)
			(drop (call $open (i32.const 0) (i32.const 7) (i32.const 8) (i32.const 8) (i32.const 16)))
			(i32.or (call $absorb (i32.load (i32.const 16)) (i32.const 0) (local.get $size))
				(call $squeeze (i32.load (i32.const 16)) (i32.const 64) (i32.const 64)))))`))
	require.NoError(t, err)
	defer module.Close()
	imports := wasmer.NewImports().Add(crypto.New(crypto.Config{MaxBytes: 1000}))
	instance, err := wasmer.Instantiate(t.Context(), module, imports)
	require.NoError(t, err)
	defer instance.Close()
	for at := uint64(200); at < size; at += 999 {
		require.NoError(t, instance.Memory.WriteByteAt(at, byte(at)))
	}
	hash, err := instance.Function("hash")
	require.NoError(t, err)
	values, err := hash.Call(t.Context(), size)
	require.NoError(t, err)
	require.EqualValues(t, success, values[0].ToI32())
	memory, err := instance.Memory.Read(0, size)
	require.NoError(t, err)
	digest := bytes.Clone(memory[64:128])
	clear(memory[64:128])
	expected := sha512.Sum512(memory)
	require.Equal(t, expected[:], digest)
	values, err = hash.Call(t.Context(), size+1)
	require.NoError(t, err)
	require.EqualValues(t, algorithmFailure, values[0].ToI32())
}

func TestHandlesOfOneInstanceAreUselessInAnother(t *testing.T) {
	module := crypto.New(crypto.Config{})
	one, other := newGuest(t, module), newGuest(t, module)
	for range 5 {
		one.open("options_open", typeSymmetric)
	}
	key := one.open("symmetric_key_import", "HMAC/SHA-256", "secret")
	pair := one.open("keypair_generate", typeSignatures, "Ed25519", none)
	other.fails(invalidHandle, "symmetric_key_export", key, new(int32))
	other.fails(invalidHandle, "symmetric_state_open", "HMAC/SHA-256", some(key), none, new(int32))
	other.fails(invalidHandle, "keypair_export", pair, raw, new(int32))
	other.fails(closed, "keypair_close", pair)
	require.Equal(t, "secret", string(one.export("symmetric_key_export", key)))
}

func TestHandlesOfAPooledInstanceEndWithItsUse(t *testing.T) {
	module, err := wasmer.Compile([]byte(`(module
		(import "wasi_ephemeral_crypto_symmetric" "symmetric_key_generate" (func $generate (param i32 i32 i32 i32) (result i32)))
		(import "wasi_ephemeral_crypto_symmetric" "symmetric_key_export" (func $export (param i32 i32) (result i32)))
		(memory (export "memory") 1)
		(data (i32.const 0) "AES-128-GCM") (data (i32.const 16) "\01")
		(func (export "generate") (result i32)
			(drop (call $generate (i32.const 0) (i32.const 11) (i32.const 16) (i32.const 32))) (i32.load (i32.const 32)))
		(func (export "export") (param i32) (result i32) (call $export (local.get 0) (i32.const 32))))`))
	require.NoError(t, err)
	defer module.Close()
	pool, err := wasmer.NewPool(t.Context(), module, wasmer.NewImports().Add(crypto.New(crypto.Config{})), wasmer.PoolConfig{MaxLive: 1})
	require.NoError(t, err)
	defer pool.Close()
	call := func(instance *wasmer.Instance, name string, arguments ...any) int32 {
		function, err := instance.Function(name)
		require.NoError(t, err)
		values, err := function.Call(t.Context(), arguments...)
		require.NoError(t, err)
		return values[0].ToI32()
	}
	first, err := pool.Get(t.Context())
	require.NoError(t, err)
	key := call(first, "generate")
	require.EqualValues(t, success, call(first, "export", key))
	require.NoError(t, pool.Put(first))
	second, err := pool.Get(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, pool.Stats().Reset, "it is the same memory")
	require.EqualValues(t, invalidHandle, call(second, "export", key))
	require.NoError(t, pool.Put(second))
}

func TestRSAKeysAreGenerated(t *testing.T) {
	g := newGuest(t)
	const algorithm = "RSA_PSS_2048_SHA256"
	pair := g.open("keypair_generate", typeSignatures, algorithm, none)
	public := g.open("keypair_publickey", pair)
	require.EqualValues(t, success, g.verify(algorithm, public, "message", g.sign(pair, "message"), raw))
	other := g.open("publickey_import", typeSignatures, algorithm, file(t, "rsa2048_public.pem"), pem)
	require.EqualValues(t, verificationFailed, g.verify(algorithm, other, "message", g.sign(pair, "message"), raw))
}

// A key of 3072 bits takes long: the context ends the call before.
func TestContextEndsTheGenerationOfKeys(t *testing.T) {
	g := newGuest(t)
	place, length := g.Put(t, 0, "RSA_PKCS1_3072_SHA384")
	require.NoError(t, g.Memory.WriteByteAt(100, 1))
	generate, err := g.Function("keypair_generate")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = generate.Call(ctx, typeSignatures, place, length, 100, 200)
	require.ErrorIs(t, err, wasmer.ErrInterrupted)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	g.open("keypair_generate", typeSignatures, "Ed25519", none) // the guest goes on
}
