package crypto_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/crypto"
	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Numbers of crypto_errno, algorithm_type and the encodings, as the specification counts them.
const (
	success              = 0
	unsupportedFeature   = 3
	unsupportedEncoding  = 5
	unsupportedAlgorithm = 6
	unsupportedOption    = 7
	invalidKey           = 8
	invalidLength        = 9
	verificationFailed   = 10
	algorithmFailure     = 12
	invalidSignature     = 13
	closed               = 14
	invalidHandle        = 15
	overflow             = 16
	tooManyHandles       = 18
	keyNotSupported      = 19
	keyRequired          = 20
	invalidTag           = 21
	invalidOperation     = 22
	nonceRequired        = 23
	invalidNonce         = 24
	incompatibleKeys     = 29

	typeSignatures  = 0
	typeSymmetric   = 1
	typeKeyExchange = 2

	raw   = 0
	pkcs8 = 1
	pem   = 2
	sec   = 3
	local = 4

	pairLocal = 3

	der = 1
)

// functions are those of the witx files: an i is an i32, an l an i64; each gives an i32.
var functions = map[string]map[string]string{
	"wasi_ephemeral_crypto_common": {
		"array_output_len": "ii", "array_output_pull": "iiii", "options_open": "ii", "options_close": "i", "options_set": "iiiii",
		"options_set_u64": "iiil", "options_set_guest_buffer": "iiiii", "secrets_manager_open": "ii", "secrets_manager_close": "i",
		"secrets_manager_invalidate": "iiil",
	},
	"wasi_ephemeral_crypto_asymmetric_common": {
		"keypair_generate": "iiiii", "keypair_import": "iiiiiii", "keypair_generate_managed": "iiiiii", "keypair_store_managed": "iiii",
		"keypair_replace_managed": "iiii", "keypair_id": "iiiii", "keypair_from_id": "iiili", "keypair_from_pk_and_sk": "iii",
		"keypair_export": "iii", "keypair_publickey": "ii", "keypair_secretkey": "ii", "keypair_close": "i", "publickey_import": "iiiiiii",
		"publickey_export": "iii", "publickey_verify": "i", "publickey_from_secretkey": "ii", "publickey_close": "i",
		"secretkey_import": "iiiiiii", "secretkey_export": "iii", "secretkey_close": "i",
	},
	"wasi_ephemeral_crypto_kx": {"kx_dh": "iii", "kx_encapsulate": "iii", "kx_decapsulate": "iiii"},
	"wasi_ephemeral_crypto_signatures": {
		"signature_export": "iii", "signature_import": "iiiiii", "signature_state_open": "ii", "signature_state_update": "iii",
		"signature_state_sign": "ii", "signature_state_close": "i", "signature_verification_state_open": "ii",
		"signature_verification_state_update": "iii", "signature_verification_state_verify": "ii",
		"signature_verification_state_close": "i", "signature_close": "i",
	},
	"wasi_ephemeral_crypto_symmetric": {
		"symmetric_key_generate": "iiii", "symmetric_key_import": "iiiii", "symmetric_key_export": "ii", "symmetric_key_close": "i",
		"symmetric_key_generate_managed": "iiiii", "symmetric_key_store_managed": "iiii", "symmetric_key_replace_managed": "iiii",
		"symmetric_key_id": "iiiii", "symmetric_key_from_id": "iiili", "symmetric_state_open": "iiiii", "symmetric_state_clone": "ii",
		"symmetric_state_options_get": "iiiiii", "symmetric_state_options_get_u64": "iiii", "symmetric_state_close": "i",
		"symmetric_state_absorb": "iii", "symmetric_state_squeeze": "iii", "symmetric_state_squeeze_tag": "ii",
		"symmetric_state_squeeze_key": "iiii", "symmetric_state_max_tag_len": "ii", "symmetric_state_encrypt": "iiiiii",
		"symmetric_state_encrypt_detached": "iiiiii", "symmetric_state_decrypt": "iiiiii", "symmetric_state_decrypt_detached": "iiiiiiii",
		"symmetric_state_ratchet": "i", "symmetric_tag_len": "ii", "symmetric_tag_pull": "iiii", "symmetric_tag_verify": "iii",
		"symmetric_tag_close": "i",
	},
}

// program imports all functions of the modules.
func program() string {
	var text strings.Builder
	text.WriteString("(module ")
	for _, module := range slices.Sorted(maps.Keys(functions)) {
		for _, name := range slices.Sorted(maps.Keys(functions[module])) {
			params := strings.NewReplacer("i", " i32", "l", " i64").Replace(functions[module][name])
			fmt.Fprintf(&text, "(import %q %q (func (param%s) (result i32)))\n", module, name, params)
		}
	}
	return text.String() + ")"
}

// guest calls the functions. Its memory is used from the beginning for each call.
type guest struct {
	*hostile.Guest
	t testing.TB
}

func newGuest(t testing.TB, modules ...*crypto.Module) guest {
	if modules == nil {
		modules = []*crypto.Module{crypto.New(crypto.Config{})}
	}
	return guest{hostile.New(t, program(), wasmer.NewImports().Add(modules[0])), t}
}

// some and none are optional handles.
type option []int32

func some(handle int32) option { return option{handle} }

var none = option{}

// call calls a function. Strings and bytes go to the guest's memory, and are a place and a length; what a *[]byte points to is read
// back too, as a *int32 is, without its length.
func (g guest) call(name string, arguments ...any) int32 {
	g.t.Helper()
	place := uint32(64)
	var values []any
	var after []func()
	put := func(data []byte) uint32 {
		require.NoError(g.t, g.Memory.Write(uint64(place), data))
		at := place
		place += uint32(len(data)+7) &^ 7
		return at
	}
	for _, argument := range arguments {
		switch a := argument.(type) {
		case string:
			values = append(values, put([]byte(a)), len(a))
		case []byte:
			values = append(values, put(a), len(a))
		case *[]byte:
			at := put(*a)
			values = append(values, at, len(*a))
			after = append(after, func() { require.NoError(g.t, readTo(g.Memory, at, *a)) })
		case *int32:
			at := put(binary.LittleEndian.AppendUint32(nil, 0xdeadbeef))
			values = append(values, at)
			after = append(after, func() {
				v, err := g.Memory.ReadUint32Le(uint64(at))
				require.NoError(g.t, err)
				*a = int32(v)
			})
		case option:
			variant := make([]byte, 8)
			if variant[0] = 1; len(a) > 0 {
				variant[0] = 0
				binary.LittleEndian.PutUint32(variant[4:], uint32(a[0]))
			}
			values = append(values, put(variant))
		default:
			values = append(values, a)
		}
	}
	answer := g.I32(g.t, name, values...)
	for _, f := range after {
		f()
	}
	return answer
}

func readTo(memory *wasmer.Memory, place uint32, data []byte) error {
	read, err := memory.Read(uint64(place), uint64(len(data)))
	copy(data, read)
	return err
}

// do is a call that succeeds.
func (g guest) do(name string, arguments ...any) {
	g.t.Helper()
	require.EqualValues(g.t, success, g.call(name, arguments...), name)
}

// open is a call that succeeds and writes a handle or another number last.
func (g guest) open(name string, arguments ...any) int32 {
	g.t.Helper()
	var handle int32
	g.do(name, append(arguments, &handle)...)
	return handle
}

// fails is a call that answers with a number, whatever it would write last.
func (g guest) fails(answer int32, name string, arguments ...any) {
	g.t.Helper()
	require.Equal(g.t, answer, g.call(name, arguments...), name)
}

// pull takes all of an array output.
func (g guest) pull(output int32) []byte {
	g.t.Helper()
	data := make([]byte, g.open("array_output_len", output))
	require.EqualValues(g.t, len(data), g.open("array_output_pull", output, &data))
	g.fails(invalidHandle, "array_output_len", output, new(int32))
	return data
}

// export is a function that exports, whose output is pulled.
func (g guest) export(name string, arguments ...any) []byte {
	g.t.Helper()
	return g.pull(g.open(name, arguments...))
}

// state opens a symmetric state, with a key unless that is nil, and a nonce unless that is nil.
func (g guest) state(algorithm string, key, nonce []byte) int32 {
	g.t.Helper()
	keyOption, opts := none, none
	if key != nil {
		keyOption = some(g.open("symmetric_key_import", algorithm, key))
	}
	if nonce != nil {
		opts = some(g.open("options_open", typeSymmetric))
		g.do("options_set", opts[0], "nonce", nonce)
	}
	state := g.open("symmetric_state_open", algorithm, keyOption, opts)
	if key != nil {
		g.do("symmetric_key_close", keyOption[0])
	}
	if nonce != nil {
		g.do("options_close", opts[0])
	}
	return state
}

// unhex reads hexadecimal digits, with spaces between them.
func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
	require.NoError(t, err)
	return data
}
