package wasmer_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// Artifacts, their headers and modules with code in them, changed at random: each is refused, or a section ignored, or what is read
// of the header is right. Of whole artifacts with hostile payloads nothing can be said: whoever can make the digest, or has the
// key, is trusted. WASMER_GO_MUTATIONS is how many there are to be.
func TestMutatedArtifactsAreRefused(t *testing.T) {
	count := 4000
	if text := os.Getenv("WASMER_GO_MUTATIONS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		count = n
	}
	wasm := wasmtest.Fixture(t, "simple.wasm")
	var engines []*wasmer.Engine
	for _, compiler := range wasmer.Compilers() {
		for _, key := range [][]byte{nil, secret} {
			engines = append(engines, newEngine(t, wasmer.EngineConfig{Compiler: compiler, ArtifactKey: key, TrustEmbeddedCode: true}))
		}
	}
	name := filepath.Join(t.TempDir(), "artifact")
	random := rand.New(rand.NewPCG(uint64(count), 1))
	for _, engine := range engines {
		artifact := serialize(t, compile(t, engine, wasm))
		require.Less(t, len(artifact), 1<<20)
		header := bytes.Index(artifact, make([]byte, 16)) // near enough
		require.Positive(t, header)
		for n := range count / len(engines) {
			mutated := mutate(random, artifact, header)
			if bytes.Equal(mutated, artifact) {
				continue
			}
			refusedArtifact(t, engine, mutated, "mutated")
			if info, err := wasmer.InspectArtifact(mutated); err == nil { // the payload was changed
				require.Equal(t, engine.Compiler().String(), info.Compiler)
			}
			switch {
			case n%16 == 0:
				require.NoError(t, os.WriteFile(name, mutated, 0o600))
				_, err := engine.DeserializeFile(background, name)
				require.ErrorIs(t, err, wasmer.ErrIncompatible)
			case n%64 == 1:
				instance := instantiate(t, engine, customSection(wasm, artifactSection, mutated), nil)
				require.EqualValues(t, 42, call(t, instance, "sum", 5, 37).ToI32())
				require.NoError(t, instance.Close())
			}
		}
	}
}

// mutate changes some bytes, many of them in the header, or the length.
func mutate(random *rand.Rand, artifact []byte, header int) []byte {
	out := bytes.Clone(artifact)
	at := func() int {
		if random.IntN(2) == 0 {
			return random.IntN(min(header, len(out)))
		}
		return random.IntN(len(out))
	}
	for range 1 + random.IntN(4) {
		switch random.IntN(6) {
		case 0:
			out[at()] ^= 1 << random.IntN(8)
		case 1:
			out[at()] = byte(random.Uint32())
		case 2:
			for i := range out[at():][:1] { // a number becomes an extreme one
				copy(out[at()+i:], []byte{0xff, 0xff, 0xff, byte(0xff * random.IntN(2))})
			}
		case 3:
			out = out[:1+random.IntN(len(out))]
		case 4:
			from := at()
			copy(out[at():], out[from:min(from+random.IntN(64), len(out))])
		case 5:
			where := at()
			out = append(out[:where:where], append(make([]byte, random.IntN(9)), out[where:]...)...)
		}
	}
	return out
}
