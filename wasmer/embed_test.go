package wasmer_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/internal/wasmtest"
)

// artifactSection is the name of the sections that Embed makes.
const artifactSection = "wasmer-go.artifact"

func embed(t testing.TB, engine *wasmer.Engine, wasm []byte) []byte {
	t.Helper()
	universal, err := compile(t, engine, wasm).Embed(wasm)
	require.NoError(t, err)
	return universal
}

// compiles tells whether the engine compiles the module, or takes the code that is embedded in it. It runs as it should.
func compiles(t testing.TB, engine *wasmer.Engine, wasm []byte) bool {
	t.Helper()
	before := engine.Stats().Compilations
	instance, err := compile(t, engine, wasm).Instantiate()
	require.NoError(t, err)
	require.EqualValues(t, 42, call(t, instance, "ok").ToI32())
	_, err = instance.Exports["unreachable"]()
	var trap *wasmer.Trap
	require.ErrorAs(t, err, &trap)
	require.Equal(t, []string{"inner", "middle", "outer"}, frameNames(trap))
	require.NoError(t, instance.Close())
	return engine.Stats().Compilations != before
}

func TestEmbeddedCodeIsUsedIfItIsTrusted(t *testing.T) {
	wasm := wasmtest.Fixture(t, "traps.wasm")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		trusting := engineOf(t, engine, wasmer.EngineConfig{TrustEmbeddedCode: true})
		keyed := engineOf(t, engine, wasmer.EngineConfig{ArtifactKey: secret})
		other := engineOf(t, engine, wasmer.EngineConfig{ArtifactKey: bytes.Repeat([]byte{7}, 16), TrustEmbeddedCode: true})
		plain, signed := embed(t, engine, wasm), embed(t, keyed, wasm)
		require.Equal(t, wasm, plain[:len(wasm)], "the module is what it was")
		for _, c := range []struct {
			name     string
			engine   *wasmer.Engine
			wasm     []byte
			compiles bool
		}{
			{"without trust", engine, plain, true},
			{"without trust, signed", engine, signed, true},
			{"trusted", trusting, plain, false},
			{"trusted, but signed with a key that nobody knows", trusting, signed, true},
			{"the right key", keyed, signed, false},
			{"no key where there must be one", keyed, plain, true},
			{"another key", other, signed, true},
			{"a key is asked for, whatever is trusted", other, plain, true},
			{"nothing embedded", trusting, wasm, true},
		} {
			require.Equal(t, c.compiles, compiles(t, c.engine, c.wasm), c.name)
		}
		loaded := compile(t, trusting, plain)
		require.Empty(t, loaded.CustomSections(artifactSection), "code does not carry code")
		require.Empty(t, compile(t, engine, plain).CustomSections(artifactSection))
		require.Equal(t, serialize(t, compile(t, engine, wasm)), serialize(t, compile(t, engine, plain)))
	})
}

func TestCodeIsEmbeddedInItsOwnModuleOnly(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		text := `(module (func (export "f") (result i32) i32.const 1))`
		module := compile(t, engine, text)
		universal, err := module.Embed([]byte(text))
		require.NoError(t, err, "text stands for its binary")
		require.NoError(t, engine.Validate(universal))
		for _, other := range []string{`(module)`, `(module (func (export "f") (result i32) i32.const 2))`} {
			_, err := module.Embed([]byte(other))
			require.ErrorIs(t, err, wasmer.ErrIncompatible)
			require.ErrorContains(t, err, "another module")
		}
		for _, broken := range [][]byte{nil, []byte("text"), universal[:len(universal)-1], []byte("\x00asm")} {
			_, err := module.Embed(broken)
			require.Error(t, err)
		}
		require.NoError(t, module.Close())
		_, err = module.Embed([]byte(text))
		require.ErrorIs(t, err, wasmer.ErrClosed)
	})
}

// Whoever changes a module that holds code gets the changed module, not the code.
func TestCodeOfAnotherModuleIsIgnored(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		trusting := engineOf(t, engine, wasmer.EngineConfig{TrustEmbeddedCode: true})
		wasm, err := wasmer.Wat2Wasm(`(module (func (export "f") (result i32) i32.const 33))`)
		require.NoError(t, err)
		universal := embed(t, engine, wasm)
		universal[bytes.IndexByte(universal[:len(wasm)], 33)]++
		instance := instantiate(t, trusting, universal, nil)
		require.EqualValues(t, 34, call(t, instance, "f").ToI32())
		require.EqualValues(t, 1, trusting.Stats().Compilations)
	})
}

func TestEmbeddedCodeMadeWithOtherOptionsIsIgnored(t *testing.T) {
	wasm := wasmtest.Fixture(t, "traps.wasm")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		metering := wasmer.Metering{Mode: finestMode(engine.Compiler()), Limit: 1000}
		for name, config := range map[string]wasmer.EngineConfig{
			"metering": {Metering: metering}, "features": {Features: wasmer.NewFeatures(wasmer.FeatureMutableGlobal, wasmer.FeatureBulkMemory)}, "memories": {Memories: otherMemories(engine)},
		} {
			config.TrustEmbeddedCode = true
			require.True(t, compiles(t, engineOf(t, engine, config), embed(t, engine, wasm)), name)
		}
		// What counts goes on counting.
		loop := []byte(`(module (func (export "f") (loop (br 0))))`)
		universal := embed(t, engine, loop)
		metered := engineOf(t, engine, wasmer.EngineConfig{Metering: metering, TrustEmbeddedCode: true})
		_, err := instantiate(t, metered, universal, nil).Exports["f"]()
		require.ErrorIs(t, err, wasmer.ErrCostLimit)
	})
}

func TestAModuleHoldsCodeForSeveralEngines(t *testing.T) {
	wasm := wasmtest.Fixture(t, "traps.wasm")
	universal := wasm
	var engines []*wasmer.Engine
	for _, compiler := range wasmer.Compilers() {
		for _, memories := range []wasmer.Memories{wasmer.ReservedMemories, wasmer.BoundedMemories} {
			engines = append(engines, newEngine(t, wasmer.EngineConfig{Compiler: compiler, Memories: memories, TrustEmbeddedCode: true}))
		}
	}
	for range 2 { // again: in place of what was there
		for _, engine := range engines {
			universal = embed(t, engine, universal)
		}
		info, err := wasmer.Inspect(universal)
		require.NoError(t, err)
		require.Len(t, info.CustomSections(artifactSection), len(engines))
		for _, engine := range engines {
			require.False(t, compiles(t, engine, universal))
		}
	}
}

func TestHostileSectionsAreIgnored(t *testing.T) {
	wasm := wasmtest.Fixture(t, "traps.wasm")
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		trusting := engineOf(t, engine, wasmer.EngineConfig{TrustEmbeddedCode: true})
		artifact := serialize(t, compile(t, engine, wasm))
		damaged, foreign := bytes.Clone(artifact), serialize(t, compile(t, engine, `(module)`))
		damaged[len(damaged)-1] ^= 1
		hostile := wasm
		for _, content := range [][]byte{
			nil, []byte("WASMERGO"), []byte("WASMERGO\x03\x00\x00\x00\xff\xff\xff\xff"), artifact[:len(artifact)/2], damaged, foreign, make([]byte, 4096), wasm,
			append(bytes.Clone(artifact), 0),
		} {
			hostile = customSection(hostile, artifactSection, content)
			require.True(t, compiles(t, trusting, hostile))
		}
		require.False(t, compiles(t, trusting, customSection(hostile, artifactSection, artifact)), "behind them lies what is whole")
		// At the module's start too, where nothing of it has been read.
		early := append(bytes.Clone(wasm[:8]), customSection(nil, artifactSection, artifact)...)
		require.False(t, compiles(t, trusting, append(early, wasm[8:]...)))
		require.True(t, compiles(t, engine, append(early, wasm[8:]...)))
	})
}

// customSection adds a section to a binary.
func customSection(wasm []byte, name string, content []byte) []byte {
	leb := func(n int) (out []byte) {
		for ; n >= 0x80; n >>= 7 {
			out = append(out, byte(n)|0x80)
		}
		return append(out, byte(n))
	}
	body := append(append(leb(len(name)), name...), content...)
	return append(append(append(bytes.Clone(wasm), 0), leb(len(body))...), body...)
}
