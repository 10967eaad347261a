package wasmer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// tieredEngine makes an engine with tiers, closed with the test.
func tieredEngine(t testing.TB, config wasmer.EngineConfig) *wasmer.Engine {
	t.Helper()
	if !wasmer.Available(wasmer.Singlepass) || !wasmer.Available(wasmer.Tiered) {
		t.Skip("this build has no compiler for each tier")
	}
	config.Compiler = wasmer.Tiered
	engine, err := wasmer.NewEngine(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	return engine
}

// eachOptimizer runs the test with each compiler that can optimize.
func eachOptimizer(t *testing.T, test func(t *testing.T, tiering wasmer.Tiering)) {
	t.Helper()
	for _, optimizer := range []wasmer.Compiler{wasmer.Cranelift, wasmer.LLVM} {
		if wasmer.Available(optimizer) {
			t.Run(optimizer.String(), func(t *testing.T) { test(t, wasmer.Tiering{Optimizer: optimizer}) })
		}
	}
}

// numbered is a module that takes a while to optimize: about 0.2 ms a function. The number makes it another one.
func numbered(functions, number int) []byte {
	leb := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	section := func(id byte, parts ...[]byte) []byte {
		content := bytes.Join(parts, nil)
		return slices.Concat([]byte{id}, leb(len(content)), content)
	}
	body := func(code ...byte) []byte { return slices.Concat(leb(len(code)+2), []byte{0}, code, []byte{0x0b}) }
	// Multiply, add and mix, a hundred times over.
	step := []byte{0x20, 0, 0x6c, 0x20, 0, 0x6a, 0x22, 0, 0x20, 0, 0x41, 7, 0x76, 0x73}
	work := body(append([]byte{0x20, 0}, bytes.Repeat(step, 100)...)...)
	constant := body(append([]byte{0x41}, byte(number&0x7f)|0x80, byte(number>>7&0x3f))...)
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, []byte{2, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f}),
		section(3, leb(1+functions), []byte{0}, bytes.Repeat([]byte{1}, functions)),
		section(7, []byte{1, 6}, []byte("number"), []byte{0, 0}),
		section(10, leb(1+functions), constant, bytes.Repeat(work, functions)))
}

// occupied has the engine optimize something for seconds, or until release is called.
func occupied(t testing.TB, engine *wasmer.Engine) (release func()) {
	t.Helper()
	module := compile(t, engine, numbered(2000*max(2, runtime.GOMAXPROCS(0)), 8000)) // half of the cores work on it
	return func() { require.NoError(t, module.Close()) }
}

func waitTier(t testing.TB, module *wasmer.Module) {
	t.Helper()
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	require.NoError(t, module.WaitTier(ctx))
	require.Equal(t, wasmer.TierOptimized, module.Tier())
}

func TestAModuleIsCompiledFastAndThenOptimized(t *testing.T) {
	eachOptimizer(t, func(t *testing.T, tiering wasmer.Tiering) {
		told := &record{level: slog.LevelDebug}
		engine := tieredEngine(t, wasmer.EngineConfig{Tiering: tiering, Logger: slog.New(told)})
		release := occupied(t, engine)
		require.Equal(t, wasmer.Tiered, engine.Compiler())
		require.Equal(t, wasmer.DefaultFeatures(tiering.Optimizer), engine.Features())
		module := compile(t, engine, numbered(1, 42))
		require.Equal(t, wasmer.TierBaseline, module.Tier())
		require.Equal(t, wasmer.Singlepass, module.Compiler())
		first, err := module.Instantiate()
		require.NoError(t, err)
		defer first.Close()
		imports, exports := module.Imports(), module.Exports()

		release()
		waitTier(t, module)
		require.Equal(t, tiering.Optimizer, module.Compiler())
		require.Equal(t, imports, module.Imports())
		require.Equal(t, exports, module.Exports())
		second, err := module.Instantiate()
		require.NoError(t, err)
		defer second.Close()
		require.Equal(t, wasmer.TierBaseline, first.Tier())
		require.Equal(t, wasmer.TierOptimized, second.Tier())
		for _, instance := range []*wasmer.Instance{first, second} {
			require.EqualValues(t, 42, call(t, instance, "number").ToI32())
		}
		stats := engine.Stats()
		require.EqualValues(t, 2, stats.Compilations)
		require.EqualValues(t, 1, stats.TierUps)
		require.Positive(t, stats.TierUpTime)
		require.Zero(t, stats.PendingTierUps)
		require.Zero(t, stats.FailedTierUps)
		require.EqualValues(t, 1, stats.Modules)
		require.EqualValues(t, 2, stats.CodeModules, "the first instance's and the second's")
		require.NoError(t, first.Close())
		require.EqualValues(t, 1, engine.Stats().CodeModules)
		require.EqualValues(t, 42, call(t, second, "number").ToI32())
		require.Eventually(t, func() bool { // those who wait know it before the logger
			return strings.Contains(strings.Join(told.take(), "\n"), "DEBUG module optimized module= compiler="+tiering.Optimizer.String())
		}, 10*time.Second, time.Millisecond)
	})
}

func TestWhatSinglepassLacksIsCompiledByAnother(t *testing.T) {
	eachOptimizer(t, func(t *testing.T, tiering wasmer.Tiering) {
		engine := tieredEngine(t, wasmer.EngineConfig{Tiering: tiering})
		for name, text := range map[string]string{
			"simd":       `(module (func (export "run") (result i32) (i32x4.extract_lane 1 (v128.const i32x4 1 7 3 4))))`,
			"exceptions": `(module (tag $e) (func (export "run") (result i32) (block $h (try_table (catch $e $h) (throw $e))) (i32.const 7)))`,
			"table":      `(module (table (export "t") 1 funcref) (func (export "run") (result i32) (i32.const 7)))`,
		} {
			off := tiering
			off.Off = true
			first := wasmer.Cranelift
			if name == "table" {
				first = tiering.Optimizer // whose references are not those of other code
			}
			require.Equal(t, first, compile(t, tieredEngine(t, wasmer.EngineConfig{Tiering: off}), text).Compiler(), name)
			module := compile(t, engine, text)
			if tiering.Optimizer == wasmer.Cranelift {
				require.Equal(t, wasmer.TierOptimized, module.Tier(), name)
			}
			waitTier(t, module)
			require.Equal(t, tiering.Optimizer, module.Compiler(), name)
			instance, err := module.Instantiate()
			require.NoError(t, err, name)
			require.EqualValues(t, 7, call(t, instance, "run").ToI32(), name)
			require.NoError(t, instance.Close())
		}
	})
}

// What is valid, and what is told of what is not, is as with the optimizer alone.
func TestTiersHaveTheFeaturesOfTheOptimizer(t *testing.T) {
	eachOptimizer(t, func(t *testing.T, tiering wasmer.Tiering) {
		for name, features := range map[string]wasmer.Features{
			"default": {}, "none": wasmer.NewFeatures(), "no simd": wasmer.DefaultFeatures(tiering.Optimizer).Without(wasmer.FeatureSIMD),
		} {
			engine := tieredEngine(t, wasmer.EngineConfig{Tiering: tiering, Features: features})
			alone, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: tiering.Optimizer, Features: features})
			require.NoError(t, err)
			defer alone.Close()
			for _, text := range []string{
				`(module (func (result i32) (i64.const 1)))`,
				`(module (func (result v128) (v128.const i64x2 1 2)))`,
				`(module (func (result v128) (v128.const i64x2 1 2)) (func (result i32)))`,
				`(module (func (result i32) (i32.extend8_s (i32.const 1))))`,
				`(module (tag) (func (throw 0)))`,
				`(module (func $f (return_call $f)))`,
				`(module (memory i64 1))`,
				`(module (func (param`,
				``,
			} {
				want, wantErr := alone.Compile(background, []byte(text))
				got, err := engine.Compile(background, []byte(text))
				if wantErr == nil {
					require.NoError(t, err, "%s %s", name, text)
					require.NoError(t, want.Close())
					require.NoError(t, got.Close())
					continue
				}
				require.Equal(t, wantErr, err, "%s %s", name, text)
				require.Equal(t, alone.Validate([]byte(text)), engine.Validate([]byte(text)), "%s %s", name, text)
			}
		}
	})
	_, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Tiered, Features: wasmer.NewFeatures(wasmer.FeatureMemory64)})
	require.ErrorIs(t, err, wasmer.ErrUnsupported)
}

func TestTieringOptionsThatMakeNoSense(t *testing.T) {
	for name, config := range map[string]wasmer.EngineConfig{
		"another compiler": {Compiler: wasmer.Cranelift, Tiering: wasmer.Tiering{Threads: 1}},
		"default compiler": {Tiering: wasmer.Tiering{Off: true}},
		"optimizer":        {Compiler: wasmer.Tiered, Tiering: wasmer.Tiering{Optimizer: wasmer.Singlepass}},
		"itself":           {Compiler: wasmer.Tiered, Tiering: wasmer.Tiering{Optimizer: wasmer.Tiered}},
		"threads":          {Compiler: wasmer.Tiered, Tiering: wasmer.Tiering{Threads: -1}},
		"queue":            {Compiler: wasmer.Tiered, Tiering: wasmer.Tiering{MaxQueueSize: -1}},
	} {
		_, err := wasmer.NewEngine(config)
		require.ErrorContains(t, err, "Tiering", name)
	}
}

func TestTheSameModuleIsOptimizedOnce(t *testing.T) {
	engine := tieredEngine(t, wasmer.EngineConfig{})
	text, release := numbered(5, 1), occupied(t, engine)
	var modules [8]*wasmer.Module
	var group sync.WaitGroup
	for n := range modules {
		group.Go(func() {
			module, err := engine.Compile(background, text)
			if err != nil {
				t.Error(err)
				return
			}
			modules[n] = module
		})
	}
	group.Wait()
	release()
	for _, module := range modules {
		waitTier(t, module)
	}
	later := compile(t, engine, text)
	require.Equal(t, wasmer.TierOptimized, later.Tier(), "at once: there is the code of the others")
	require.EqualValues(t, 1, engine.Stats().TierUps)
	for _, module := range modules {
		require.NoError(t, module.Close())
	}
	require.Equal(t, wasmer.TierOptimized, compile(t, engine, text).Tier())
	require.EqualValues(t, 1, engine.Stats().TierUps)
	require.EqualValues(t, 1, engine.Stats().CodeModules)
	instance, err := later.Instantiate()
	require.NoError(t, err)
	defer instance.Close()
	require.EqualValues(t, 1, call(t, instance, "number").ToI32())
}

func TestTieringOff(t *testing.T) {
	engine := tieredEngine(t, wasmer.EngineConfig{Tiering: wasmer.Tiering{Off: true}})
	module := compile(t, engine, numbered(1, 1))
	require.NoError(t, module.WaitTier(background))
	require.Equal(t, wasmer.TierBaseline, module.Tier())
	require.Zero(t, engine.Stats().PendingTierUps)
}

func TestTheContextOfACompilationIsNotThatOfTheOptimization(t *testing.T) {
	engine := tieredEngine(t, wasmer.EngineConfig{})
	release := occupied(t, engine)
	ctx, cancel := context.WithCancel(background)
	module, err := engine.Compile(ctx, numbered(1, 1))
	require.NoError(t, err)
	defer module.Close()
	cancel()
	require.ErrorIs(t, module.WaitTier(ctx), wasmer.ErrInterrupted)
	_, err = engine.Compile(ctx, numbered(1, 2))
	require.ErrorIs(t, err, wasmer.ErrInterrupted)
	release()
	waitTier(t, module)
}

func TestClosingEndsTheOptimization(t *testing.T) {
	for name, end := range map[string]func(*wasmer.Engine, *wasmer.Module) error{
		"module": func(_ *wasmer.Engine, m *wasmer.Module) error { return m.Close() },
		"engine": func(e *wasmer.Engine, _ *wasmer.Module) error { return e.Close() },
	} {
		engine := tieredEngine(t, wasmer.EngineConfig{Tiering: wasmer.Tiering{Threads: 1}})
		module := compile(t, engine, numbered(4000, 1))
		waits := make(chan error, 1)
		go func() { waits <- module.WaitTier(background) }()
		require.Equal(t, wasmer.TierBaseline, module.Tier(), name)
		began := time.Now()
		require.NoError(t, end(engine, module), name)
		require.ErrorIs(t, <-waits, wasmer.ErrClosed, name)
		require.ErrorIs(t, module.WaitTier(background), wasmer.ErrClosed, name)
		require.Eventually(t, func() bool { return engine.Stats().PendingTierUps == 0 }, 10*time.Second, time.Millisecond, name)
		require.Zero(t, engine.Stats().TierUps, "it would have taken longer than the %v that it took: %s", time.Since(began), name)
		require.Zero(t, engine.Stats().FailedTierUps, name)
	}
	require.ErrorIs(t, (*wasmer.Module)(nil).WaitTier(background), wasmer.ErrClosed)
}

// A module that nobody closes does not stay for its optimization.
func TestForgottenModulesAreNotOptimized(t *testing.T) {
	engine := tieredEngine(t, wasmer.EngineConfig{Tiering: wasmer.Tiering{Threads: 1}})
	for n := range 3 {
		_, err := engine.Compile(background, numbered(4000, n)) // most of a second each
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		collect()
		stats := engine.Stats()
		return stats.PendingTierUps == 0 && stats.CodeModules == 0
	}, 20*time.Second, time.Millisecond)
	require.Less(t, engine.Stats().TierUps, uint64(3))
}

func TestAQueueThatIsFullTellsSo(t *testing.T) {
	told := &record{level: slog.LevelDebug}
	engine := tieredEngine(t, wasmer.EngineConfig{
		Logger: slog.New(told), Tiering: wasmer.Tiering{Threads: 1, MaxQueueSize: 1},
	})
	release := occupied(t, engine)
	var modules []*wasmer.Module
	for n := range 3 { // one of them at most waits
		modules = append(modules, compile(t, engine, numbered(1, n)))
	}
	require.GreaterOrEqual(t, engine.Stats().FailedTierUps, uint64(2))
	refused := modules[2]
	require.ErrorIs(t, refused.WaitTier(background), wasmer.ErrResource)
	require.Equal(t, wasmer.TierBaseline, refused.Tier())
	instance, err := refused.Instantiate()
	require.NoError(t, err)
	require.NoError(t, instance.Close())
	lines := strings.Join(told.take(), "\n")
	require.Contains(t, lines, "WARN optimization failed error="+refused.WaitTier(background).Error()+" limit=resource")
	release()
	require.Eventually(t, func() bool { return engine.Stats().PendingTierUps == 0 }, 10*time.Second, time.Millisecond)
	waitTier(t, compile(t, engine, numbered(1, 3)))
}

func TestArtifactsOfEitherTierAreLoaded(t *testing.T) {
	for name, config := range map[string]wasmer.EngineConfig{
		"plain":   {},
		"metered": {Metering: wasmer.Metering{Mode: wasmer.MeteringExact, CountInstructions: true}},
	} {
		engine := tieredEngine(t, config)
		release := occupied(t, engine)
		module := compile(t, engine, numbered(1, 3))
		baseline, err := module.Serialize()
		require.NoError(t, err)
		release()
		waitTier(t, module)
		optimized, err := module.Serialize()
		require.NoError(t, err)
		require.NotEqual(t, baseline, optimized)

		again := tieredEngine(t, config)
		for artifact, tier := range map[*[]byte]wasmer.Tier{&baseline: wasmer.TierBaseline, &optimized: wasmer.TierOptimized} {
			loaded, err := again.Deserialize(background, *artifact)
			require.NoError(t, err, name)
			require.Equal(t, tier, loaded.Tier(), name)
			instance, err := loaded.Instantiate()
			require.NoError(t, err, name)
			require.EqualValues(t, 3, call(t, instance, "number").ToI32(), name)
			require.NoError(t, instance.Close())
			if tier == wasmer.TierBaseline {
				require.ErrorIs(t, loaded.WaitTier(background), wasmer.ErrUnsupported, name)
			}
			require.NoError(t, loaded.Close())
		}
		_, err = again.Deserialize(background, optimized[:len(optimized)-1])
		require.ErrorIs(t, err, wasmer.ErrIncompatible, name)
	}
	engine := tieredEngine(t, wasmer.EngineConfig{})
	alone, err := wasmer.NewEngine(wasmer.EngineConfig{Compiler: wasmer.Singlepass})
	require.NoError(t, err)
	defer alone.Close()
	artifact, err := compile(t, alone, `(module (table (export "t") 1 funcref))`).Serialize()
	require.NoError(t, err)
	_, err = engine.Deserialize(background, artifact)
	require.ErrorIs(t, err, wasmer.ErrIncompatible, "its references could not be shared")
}

// A module that comes with code of the first tier is optimized as one that was compiled.
func TestEmbeddedCodeOfTheFirstTierIsOptimized(t *testing.T) {
	wasm := numbered(1, 3)
	off := tieredEngine(t, wasmer.EngineConfig{Tiering: wasmer.Tiering{Off: true}})
	universal := embed(t, off, wasm)
	engine := tieredEngine(t, wasmer.EngineConfig{TrustEmbeddedCode: true})
	release := occupied(t, engine)
	compilations := engine.Stats().Compilations
	module := compile(t, engine, universal)
	require.Equal(t, compilations, engine.Stats().Compilations)
	require.Equal(t, wasmer.TierBaseline, module.Tier())
	release()
	waitTier(t, module)
	instance, err := module.Instantiate()
	require.NoError(t, err)
	defer instance.Close()
	require.EqualValues(t, 3, call(t, instance, "number").ToI32())
}

// Modules come and go at random, and so does the engine at last.
func TestTiersWhileModulesAreClosedAtRandom(t *testing.T) {
	for round := range 4 {
		engine := tieredEngine(t, wasmer.EngineConfig{Tiering: wasmer.Tiering{Threads: 2}})
		random := rand.New(rand.NewPCG(uint64(round), 0))
		var group sync.WaitGroup
		for worker := range 4 {
			delays := make([]time.Duration, 20)
			for n := range delays {
				delays[n] = time.Duration(random.IntN(4000)) * time.Microsecond
			}
			group.Go(func() {
				for n, delay := range delays {
					module, err := engine.Compile(background, numbered(10, n%5+worker%2))
					if err != nil {
						onlyClosed(t, err)
						return
					}
					time.Sleep(delay)
					if instance, err := module.Instantiate(); err != nil {
						onlyClosed(t, err)
					} else if value, err := instance.Exports["number"](); err != nil {
						onlyClosed(t, err)
					} else if int(value.ToI32()) != n%5+worker%2 {
						t.Errorf("got %d", value.ToI32())
					}
					if n%3 == 0 {
						_ = module.WaitTier(background)
					}
					_ = module.Close()
				}
			})
		}
		time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		require.NoError(t, engine.Close())
		group.Wait()
		require.Eventually(t, func() bool { return engine.Stats().PendingTierUps == 0 }, 10*time.Second, time.Millisecond)
	}
}

func onlyClosed(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, wasmer.ErrClosed) {
		t.Error(err)
	}
}
