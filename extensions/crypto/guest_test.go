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

// functions are those of the witx files, with what they take: n is a name, and d are data or room for some, each a place and a length;
// t is an algorithm_type, e an encoding, l a number of 64 bits, o and k the places of optional options and keys, other letters are
// handles: A of array outputs, O options, P pairs, U public keys, S secret ones, G signatures, T states that sign, V that verify,
// K symmetric keys, Y states, Z tags, # of nothing that there is. After > comes what is written to a place.
var functions = map[string]map[string]string{
	"wasi_ephemeral_crypto_common": {
		"array_output_len": "A>#", "array_output_pull": "Ad>#", "options_open": "t>O", "options_close": "O", "options_set": "Ond",
		"options_set_u64": "Onl", "options_set_guest_buffer": "Ond", "secrets_manager_open": "o>#", "secrets_manager_close": "#",
		"secrets_manager_invalidate": "#dl",
	},
	"wasi_ephemeral_crypto_asymmetric_common": {
		"keypair_generate": "tno>P", "keypair_import": "tnde>P", "keypair_generate_managed": "#tno>P", "keypair_store_managed": "#Pd",
		"keypair_replace_managed": "#PP>#", "keypair_id": "Pd>#>#", "keypair_from_id": "#dl>P", "keypair_from_pk_and_sk": "US>P",
		"keypair_export": "Pe>A", "keypair_publickey": "P>U", "keypair_secretkey": "P>S", "keypair_close": "P", "publickey_import": "tnde>U",
		"publickey_export": "Ue>A", "publickey_verify": "U", "publickey_from_secretkey": "S>U", "publickey_close": "U",
		"secretkey_import": "tnde>S", "secretkey_export": "Se>A", "secretkey_close": "S",
	},
	"wasi_ephemeral_crypto_kx": {"kx_dh": "US>A", "kx_encapsulate": "U>A>A", "kx_decapsulate": "Sd>A"},
	"wasi_ephemeral_crypto_signatures": {
		"signature_export": "Ge>A", "signature_import": "nde>G", "signature_state_open": "P>T", "signature_state_update": "Td",
		"signature_state_sign": "T>G", "signature_state_close": "T", "signature_verification_state_open": "U>V",
		"signature_verification_state_update": "Vd", "signature_verification_state_verify": "VG",
		"signature_verification_state_close": "V", "signature_close": "G",
	},
	"wasi_ephemeral_crypto_symmetric": {
		"symmetric_key_generate": "no>K", "symmetric_key_import": "nd>K", "symmetric_key_export": "K>A", "symmetric_key_close": "K",
		"symmetric_key_generate_managed": "#no>K", "symmetric_key_store_managed": "#Kd", "symmetric_key_replace_managed": "#KK>#",
		"symmetric_key_id": "Kd>#>#", "symmetric_key_from_id": "#dl>K", "symmetric_state_open": "nko>Y", "symmetric_state_clone": "Y>Y",
		"symmetric_state_options_get": "Ynd>#", "symmetric_state_options_get_u64": "Yn>#", "symmetric_state_close": "Y",
		"symmetric_state_absorb": "Yd", "symmetric_state_squeeze": "Yd", "symmetric_state_squeeze_tag": "Y>Z",
		"symmetric_state_squeeze_key": "Yn>K", "symmetric_state_max_tag_len": "Y>#", "symmetric_state_encrypt": "Ydd>#",
		"symmetric_state_encrypt_detached": "Ydd>Z", "symmetric_state_decrypt": "Ydd>#", "symmetric_state_decrypt_detached": "Yddd>#",
		"symmetric_state_ratchet": "Y", "symmetric_tag_len": "Z>#", "symmetric_tag_pull": "Zd>#", "symmetric_tag_verify": "Zd",
		"symmetric_tag_close": "Z",
	},
}

// program imports all functions of the modules.
func program() string {
	var text strings.Builder
	text.WriteString("(module ")
	for _, module := range slices.Sorted(maps.Keys(functions)) {
		for _, name := range slices.Sorted(maps.Keys(functions[module])) {
			text.WriteString(importOf(module, name))
		}
	}
	return text.String() + ")"
}

// importOf declares a function, whose answer is an i32.
func importOf(module, name string) string {
	return fmt.Sprintf("(import %q %q (func (param %s) (result i32)))\n", module, name, strings.Join(paramsOf(functions[module][name]), " "))
}

func paramsOf(shape string) (params []string) {
	for _, kind := range shape {
		switch kind {
		case 'n', 'd':
			params = append(params, "i32", "i32")
		case 'l':
			params = append(params, "i64")
		case '>':
		default:
			params = append(params, "i32")
		}
	}
	return params
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
