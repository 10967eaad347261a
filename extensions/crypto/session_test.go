package crypto

import (
	"bytes"
	"context"
	"errors"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func testSession() *session { return newSession(Config{MaxHandles: 100, MaxBytes: 1 << 20}) }

func secretBytes() []byte { return bytes.Repeat([]byte{0x5e}, 32) }

func TestSecretsAreOverwrittenWithTheirHandles(t *testing.T) {
	s := testSession()
	key, output, tag, salted, prk := secretBytes(), secretBytes(), secretBytes(), secretBytes(), secretBytes()
	for _, o := range []object{
		&symmetricKey{data: key}, &arrayOutput{data: output}, &symmetricTag{data: tag}, &symmetricState{&extracting{key: salted}},
		&symmetricState{&expanding{key: prk}},
	} {
		h, err := s.add(o, 32)
		require.Equal(t, success, err)
		s.remove(h)
	}
	for _, secret := range [][]byte{key, output, tag, salted, prk} {
		require.Equal(t, make([]byte, 32), secret)
	}
	require.Zero(t, s.bytes)
}

func TestASecretKeyIsOverwrittenWithItsLastHandle(t *testing.T) {
	for name, a := range algorithms {
		if a.slow {
			continue // takes too long; those of RSA are wiped like those of ECDSA
		}
		key, err := a.generate()
		require.NoError(t, err)
		s := testSession()
		shared := &sharedSecret{a, key, 1}
		pair, _ := s.add(&pairObject{shared}, 0)
		secret, _ := s.add(&secretObject{shared.share()}, 0)
		before := key.raw()
		s.remove(pair)
		require.Equal(t, before, key.raw(), name)
		s.remove(secret)
		switch k := key.(type) {
		case ed25519Secret:
			require.Equal(t, make([]byte, 64), []byte(k))
		case ecdsaSecret:
			for _, word := range k.D.Bits() {
				require.Zero(t, word)
			}
		}
	}
}

func TestSecretsAreOverwrittenAfterTheirInstance(t *testing.T) {
	key := secretBytes()
	over := make(chan struct{})
	func() {
		s := testSession()
		_, err := s.add(closeTeller{&symmetricKey{data: key}, over}, len(key))
		require.Equal(t, success, err)
	}()
	for range 1000 {
		runtime.GC()
		select {
		case <-over:
			require.Equal(t, make([]byte, len(key)), key)
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	require.Fail(t, "the secret is still there")
}

// closeTeller tells when an object was closed.
type closeTeller struct {
	object
	over chan struct{}
}

func (c closeTeller) close() {
	c.object.close()
	close(c.over)
}

func TestNumbersGoRoundWithoutMeetingHandlesThatAreOpen(t *testing.T) {
	s := testSession()
	first, err := s.add(&options{}, 0)
	require.Equal(t, success, err)
	require.EqualValues(t, 1, first)
	s.last = math.MaxInt32 - 1
	for _, want := range []handle{math.MaxInt32, 2, 3} {
		h, err := s.add(&options{}, 0)
		require.Equal(t, success, err)
		require.Equal(t, want, h)
	}
}

// As many keys are generated at once as Go runs threads; who waits for that is stopped by its context, as who waits for a key is.
func TestGenerationsWaitForEachOther(t *testing.T) {
	m := New(Config{})
	began, proceed := make(chan struct{}), make(chan struct{})
	a := &algorithm{slow: true, generate: func() (secretKey, error) {
		began <- struct{}{}
		<-proceed
		return nil, errors.New("made no key")
	}}
	ctx, cancel := context.WithCancelCause(t.Context())
	answers := make(chan error)
	generate := func() {
		_, err := m.generate(ctx, a)
		answers <- err
	}
	for range cap(m.generating) {
		go generate()
		<-began
	}
	go generate()
	stopped := errors.New("stopped")
	cancel(stopped)
	for range cap(m.generating) + 1 {
		require.ErrorIs(t, <-answers, stopped)
	}
	close(proceed)
	go func() { <-began }()
	_, err := m.generate(t.Context(), a)
	require.ErrorContains(t, err, "made no key")
}

// A key that takes long is not waited for when its guest is closed.
func TestClosingEndsTheGenerationOfAKey(t *testing.T) {
	began, proceed := make(chan struct{}), make(chan struct{})
	algorithms["SLOW"] = &algorithm{slow: true, generate: func() (secretKey, error) {
		close(began)
		<-proceed
		return nil, errors.New("made no key")
	}}
	defer delete(algorithms, "SLOW")
	defer close(proceed)
	const program = `(module (import "wasi_ephemeral_crypto_asymmetric_common" "keypair_generate"
		(func (param i32 i32 i32 i32 i32) (result i32))))`
	g := hostile.New(t, program, wasmer.NewImports().Add(New(Config{})))
	name, length := g.Put(t, 0, "slow")
	require.NoError(t, g.Memory.WriteByteAt(100, 1)) // no options
	generate, err := g.Function("keypair_generate")
	require.NoError(t, err)
	call := generate.CallAsync(t.Context(), int32(typeSignatures), name, length, 100, 200)
	<-began
	require.NoError(t, g.Close())
	_, err = call.Result()
	require.ErrorIs(t, err, wasmer.ErrClosed)
}
