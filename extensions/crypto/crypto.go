// Package crypto gives guests cryptography by the modules of wasi-crypto, on Go's own library: hashes, HMAC, HKDF, authenticated
// encryption, signatures, key exchange and key encapsulation.
//
//	imports.Add(crypto.New(crypto.Config{}))
//
// The modules are wasi_ephemeral_crypto_common, wasi_ephemeral_crypto_asymmetric_common, wasi_ephemeral_crypto_kx,
// wasi_ephemeral_crypto_signatures and wasi_ephemeral_crypto_symmetric. Functions answer with the numbers of crypto_errno; a pointer
// that is outside of the guest's memory is algorithm_failure, as it is with WasmEdge.
//
//   - symmetric: SHA-256, SHA-384, SHA-512, SHA-512/256; HMAC/, HKDF-EXTRACT/ and HKDF-EXPAND/ with SHA-256, SHA-384 and SHA-512;
//     AES-128-GCM, AES-256-GCM, CHACHA20-POLY1305, XCHACHA20-POLY1305, which takes a random nonce where none is given.
//   - signatures: Ed25519; ECDSA_P256_SHA256, ECDSA_P384_SHA384; RSA_PKCS1_ and RSA_PSS_ with 2048_SHA256, 2048_SHA384, 2048_SHA512,
//     3072_SHA384, 3072_SHA512, 4096_SHA512.
//   - key exchange: X25519, P256-SHA256, P384-SHA384, whose secret is the shared x coordinate; ML-KEM-768, ML-KEM-1024, whose secret
//     keys are seeds of 64 bytes.
//
// Names are not case-sensitive. Keys are encoded raw, in PKCS #8 (public ones as SubjectPublicKeyInfo), PEM or SEC 1, as far as the
// specification has it for them; the local encoding is raw where there is one, else PKCS #8. Secrets managers are an unsupported_feature.
//
// A state of an authenticated cipher encrypts one message, and none after it has decrypted one, for a nonce must not be used twice:
// the next one needs a new state.
//
// Tags and signatures are compared in constant time. Secrets are overwritten when their last handle is closed, and after their
// instance or its Reset, where Go's library leaves them in reach; what it keeps to itself is left to the collector.
//
// See https://github.com/WebAssembly/wasi-crypto/blob/main/docs/wasi-crypto.md
package crypto

import (
	"maps"
	"runtime"
	"slices"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/perinstance"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Config bounds what the host holds for each instance. The zero value has the defaults.
type Config struct {
	// MaxHandles is how many handles an instance has open at most; 0 stands for 4096. One more is too_many_handles. What a handle
	// stands for takes up to 20 KB, beside what MaxBytes counts.
	MaxHandles int
	// MaxBytes is how many bytes of an instance's data are held at most, 0 stands for 64 MiB: keys, outputs not yet pulled, and what is
	// absorbed but by hashes and MACs, which take any length. It bounds a message that is encrypted or decrypted too. More is overflow.
	MaxBytes int
}

// Module is the five modules together, which share their handles. Each instance has handles of its own. Goroutines may share a
// Module, and programs may add it to any number of Imports.
type Module struct {
	sessions perinstance.State[session]
	// generating bounds the generations of RSA keys under way. They take seconds and cannot be stopped: one that is not waited for any
	// more goes on.
	generating chan struct{}
}

// New makes the modules.
func New(config Config) *Module {
	if config.MaxHandles <= 0 {
		config.MaxHandles = 4096
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = 64 << 20
	}
	m := &Module{generating: make(chan struct{}, runtime.GOMAXPROCS(0))}
	m.sessions.New = func() *session { return newSession(config) }
	return m
}

// AddTo defines the five modules.
func (m *Module) AddTo(imports *wasmer.Imports) {
	modules := m.Modules()
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		modules[name].AddTo(imports)
	}
}

// Modules is the five modules one by one, by their names. They share their handles: a program needs most of them together.
func (m *Module) Modules() map[string]wasmer.HostModule {
	modules := map[string]wasmer.HostModule{}
	for name, functions := range map[string]map[string]any{
		"wasi_ephemeral_crypto_common":            m.common(),
		"wasi_ephemeral_crypto_asymmetric_common": m.asymmetricCommon(),
		"wasi_ephemeral_crypto_kx":                m.kx(),
		"wasi_ephemeral_crypto_signatures":        m.signatures(),
		"wasi_ephemeral_crypto_symmetric":         m.symmetric(),
	} {
		modules[name] = hostModule{name, functions}
	}
	return modules
}

// hostModule is one of the five.
type hostModule struct {
	name      string
	functions map[string]any
}

func (m hostModule) AddTo(imports *wasmer.Imports) {
	imports.Namespace(m.name)
	for name, function := range m.functions {
		imports.Function(name, function)
	}
}
