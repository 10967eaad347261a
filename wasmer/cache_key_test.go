package wasmer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Each option either changes the key, or is one of those that change neither code nor what an entry carries. One that is in
// neither list was forgotten.
func TestCacheKeyHasEachOptionThatChangesCode(t *testing.T) {
	usual, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(t, err)
	defer usual.Close()
	memories := wasmer.ReservedMemories + wasmer.BoundedMemories - usual.Memories() // the other kind
	changes := map[string][]any{
		"Features":         {wasmer.DefaultFeatures(wasmer.Singlepass).Without(wasmer.FeatureBulkMemory)},
		"Memories":         {memories},
		"DropDebugInfo":    {true},
		"OptLevel":         {wasmer.OptNone, wasmer.OptSpeedAndSize},
		"Target":           {wasmer.CodeTarget{CPU: "generic"}},
		"CanonicalizeNaNs": {true},
		"ArtifactKey":      {bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)},
		"Metering": {
			wasmer.Metering{Mode: wasmer.MeteringBlock}, wasmer.Metering{Mode: wasmer.MeteringExact},
			wasmer.Metering{Mode: wasmer.MeteringExact, Costs: wasmer.CostTable{0x6a: 2}},
			wasmer.Metering{Mode: wasmer.MeteringExact, Costs: wasmer.CostTable{0x6a: 3}},
			wasmer.Metering{Mode: wasmer.MeteringExact, Costs: wasmer.CostTable{0x6a: 2}, CountInstructions: true},
			wasmer.Metering{Mode: wasmer.MeteringExact, LengthCosts: wasmer.CostTable{0x40: 2}},
		},
	}
	same := map[string][]any{
		"CompileThreads": {1}, "MaxModuleSize": {1 << 20}, "MaxCallDepth": {7}, "StackSize": {1 << 21}, "MaxMemoryPages": {7},
		"MaxTotalMemoryPages": {9}, "MaxTableElements": {9}, "MaxInstances": {9}, "MeasureTime": {true},
		"MaxFunctionSize": {1 << 20}, "MaxCompileMemory": {1 << 30}, "OnProgress": {func(context.Context, wasmer.CompileProgress) {}},
		"VerifyIR": {true}, "DumpIR": {t.TempDir()}, "TrustEmbeddedCode": {true},
		"Logger": {slog.New(slog.DiscardHandler)}, "CacheDir": {t.TempDir()}, "Cache": {&memoryCache{}}, "RequireCache": {true},
	}
	wasm := []byte(cliConstant("1"))
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		// It is the zero key for what the compiler does not have.
		key := func(change func(config *wasmer.EngineConfig)) wasmer.CacheKey {
			config := wasmer.EngineConfig{Compiler: engine.Compiler()}
			change(&config)
			made, err := wasmer.NewEngine(config)
			if errors.Is(err, wasmer.ErrUnsupported) {
				return wasmer.CacheKey{}
			}
			require.NoError(t, err)
			defer made.Close()
			key, err := made.CacheKey(wasm)
			require.NoError(t, err)
			return key
		}
		plain := key(func(*wasmer.EngineConfig) {})
		require.Equal(t, plain, key(func(*wasmer.EngineConfig) {}))
		require.NotZero(t, plain)
		seen := map[wasmer.CacheKey]string{plain: "plain"}
		fields := reflect.TypeFor[wasmer.EngineConfig]()
		for i := range fields.NumField() {
			name := fields.Field(i).Name
			if name == "Compiler" || name == "Tiering" {
				continue // eachCompiler's, see below; for Tiered only, see TestOptimizedCodeIsCached
			}
			set := func(value any) wasmer.CacheKey {
				return key(func(config *wasmer.EngineConfig) {
					reflect.ValueOf(config).Elem().Field(i).Set(reflect.ValueOf(value))
				})
			}
			require.True(t, (changes[name] == nil) != (same[name] == nil),
				"EngineConfig.%s must be in one list: does it change code, or what an artifact carries?", name)
			for _, value := range changes[name] {
				changed := set(value)
				if changed == (wasmer.CacheKey{}) {
					continue
				}
				require.Empty(t, seen[changed], "%s = %v has the key of another", name, value)
				seen[changed] = name
			}
			for _, value := range same[name] {
				if same := set(value); same != (wasmer.CacheKey{}) {
					require.Equal(t, plain, same, "%s = %v", name, value)
				}
			}
		}
		other, err := engine.CacheKey(append(wasm, ' '))
		require.NoError(t, err)
		require.Empty(t, seen[other])
		empty, err := engine.CacheKey(nil)
		require.NoError(t, err)
		require.Empty(t, seen[empty])
	})
	keys := map[wasmer.CacheKey]bool{}
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		key, err := engine.CacheKey(wasm)
		require.NoError(t, err)
		keys[key] = true
		require.Len(t, key.String(), 64)
	})
	require.Len(t, keys, len(wasmer.Compilers()))

	require.NoError(t, usual.Close())
	_, err = usual.CacheKey(wasm)
	require.ErrorIs(t, err, wasmer.ErrClosed)
}

// The limit of the cost is no part of the code: stores have it.
func TestCacheKeyOfAMeteredEngineHasNoLimit(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		var keys []wasmer.CacheKey
		for _, limit := range []uint64{0, 1, 1000} {
			metered := engineOf(t, engine, wasmer.EngineConfig{Metering: wasmer.Metering{Mode: wasmer.MeteringBlock, Limit: limit}})
			key, err := metered.CacheKey(nil)
			require.NoError(t, err)
			keys = append(keys, key)
		}
		require.Equal(t, []wasmer.CacheKey{keys[0], keys[0], keys[0]}, keys)
	})
}

func BenchmarkCacheKey(b *testing.B) {
	engine, err := wasmer.NewEngine(wasmer.EngineConfig{})
	require.NoError(b, err)
	defer engine.Close()
	wasm := make([]byte, 30<<20)
	b.SetBytes(int64(len(wasm)))
	for b.Loop() {
		_, err := engine.CacheKey(wasm)
		require.NoError(b, err)
	}
}
