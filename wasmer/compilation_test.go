package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

type numberKey struct{}

// someFunctions are as many as the compiler takes some tenths of a second for.
func someFunctions(t testing.TB, engine *wasmer.Engine) (wasm []byte, count int) {
	count = map[wasmer.Compiler]int{wasmer.Cranelift: 60, wasmer.Singlepass: 200, wasmer.LLVM: 4}[engine.Compiler()]
	return manyFunctions(t, count), count
}

func TestProgressOfACompilation(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		wasm, count := someFunctions(t, engine)
		var mu sync.Mutex
		told := map[any][]wasmer.CompileProgress{}
		telling := engineOf(t, engine, wasmer.EngineConfig{OnProgress: func(ctx context.Context, progress wasmer.CompileProgress) {
			mu.Lock()
			defer mu.Unlock()
			told[ctx.Value(numberKey{})] = append(told[ctx.Value(numberKey{})], progress)
		}})
		const compilations = 3
		var group sync.WaitGroup
		for n := range compilations {
			group.Go(func() {
				module, err := telling.Compile(context.WithValue(background, numberKey{}, n), wasm)
				if err == nil {
					err = module.Close()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.Len(t, told, compilations)
		for _, all := range told {
			require.Equal(t, wasmer.CompileProgress{}, all[0])
			last := all[len(all)-1]
			require.Equal(t, wasmer.PhaseDone, last.Phase)
			require.Equal(t, last.Total, last.Done)
			require.Greater(t, last.Total, uint64(count*600))
			for i, progress := range all[1:] {
				require.GreaterOrEqual(t, progress.Phase, all[i].Phase)
				require.GreaterOrEqual(t, progress.Done, all[i].Done)
				require.LessOrEqual(t, progress.Done, progress.Total)
			}
		}

		clear(told)
		_, err := telling.Compile(background, []byte("(module (func unknown))"))
		require.Error(t, err)
		require.Equal(t, []wasmer.CompileProgress{{}}, told[nil], "nothing is told of the end of what fails")
	})
}

func TestACallbackThatEndsTheCompilation(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		wasm, _ := someFunctions(t, engine)
		for _, phase := range []wasmer.CompilePhase{wasmer.PhaseFunctions, wasmer.PhaseDone} {
			ends := func(end func()) *wasmer.Engine {
				return engineOf(t, engine, wasmer.EngineConfig{OnProgress: func(_ context.Context, progress wasmer.CompileProgress) {
					if progress.Phase == phase {
						end()
					}
				}})
			}
			panicking := ends(func() { panic("told") })
			require.PanicsWithValue(t, "told", func() { _, _ = panicking.Compile(background, wasm) })
			require.Zero(t, panicking.Stats().Modules, "none is left")
			exiting := ends(runtime.Goexit)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, err := exiting.Compile(background, wasm)
				t.Error("goes on", err)
			}()
			<-ended

			ctx, cancel := context.WithCancelCause(background)
			cause := errors.New("enough")
			if phase == wasmer.PhaseFunctions {
				_, err := ends(func() { cancel(cause) }).Compile(ctx, wasm)
				require.ErrorIs(t, err, wasmer.ErrInterrupted)
				require.ErrorIs(t, err, cause)
			}
			cancel(nil)

			// It may use the engine, and close it.
			var own *wasmer.Engine
			own = ends(func() { _ = own.Validate(wasm); _ = own.Close() })
			_, err := own.Compile(background, wasm)
			if err != nil {
				require.ErrorIs(t, err, wasmer.ErrClosed)
			}
		}
	})
}

func TestWhatACompilationTook(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		wasm, count := someFunctions(t, engine)
		module := compile(t, engine, wasm)
		stats := module.CompileStats()
		require.EqualValues(t, count, stats.Functions)
		require.Greater(t, stats.CodeBytes, uint64(count*100))
		require.Greater(t, stats.Duration, time.Duration(0))
		for try := 0; stats.PeakMemory <= stats.CodeBytes && try < 10; try++ { // while other memory was freed, perhaps
			stats = compile(t, engine, wasm).CompileStats()
		}
		require.Greater(t, stats.PeakMemory, stats.CodeBytes)
		require.Less(t, stats.PeakMemory, uint64(1<<30))
		artifact, err := module.Serialize()
		require.NoError(t, err)
		loaded, err := engine.Deserialize(background, artifact)
		require.NoError(t, err)
		defer loaded.Close()
		require.Zero(t, loaded.CompileStats())
	})
}

func TestFunctionsThatAreTooLarge(t *testing.T) {
	const text = `(module (import "a" "b" (func)) (func $small) (func $large (param i32) (result i32) %s) (func))`
	wasm, err := wasmer.Wat2Wasm(fmt.Sprintf(text, strings.Repeat("(drop (i32.const 1))", 100)+"local.get 0"))
	require.NoError(t, err)
	const size = 1 + 300 + 3
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		limited := engineOf(t, engine, wasmer.EngineConfig{MaxFunctionSize: size - 1})
		_, compiling := limited.Compile(background, wasm)
		for _, err := range []error{compiling, limited.Validate(wasm)} {
			require.ErrorIs(t, err, wasmer.ErrResource)
			require.ErrorContains(t, err, fmt.Sprintf("function[2] large has %d bytes, the limit of EngineConfig.MaxFunctionSize is %d (at offset 0x", size, size-1))
		}
		compile(t, limited, `(module (func))`)
		compile(t, engineOf(t, engine, wasmer.EngineConfig{MaxFunctionSize: size}), wasm)
	})
	for _, config := range []wasmer.EngineConfig{{MaxFunctionSize: -1}, {MaxCompileMemory: -1}} {
		_, err := wasmer.NewEngine(config)
		require.ErrorContains(t, err, "must lie between 0 and")
	}
}

// hostileFunctions are valid modules that take compilers much memory for their size.
func hostileFunctions(t testing.TB, size int) map[string][]byte {
	function := func(locals int, body string) string {
		return fmt.Sprintf("(module (memory 1) (func (param i32) (result i32) (local %s) %s (local.get 0)))", strings.Repeat("i32 ", locals), body)
	}
	texts := map[string]string{
		"blocks":     function(0, strings.Repeat("(block)", size/3)),
		"nesting":    function(0, strings.Repeat("block ", size/3)+strings.Repeat("end ", size/3)),
		"locals":     function(49_999, strings.Repeat("(block (br_if 0 (local.get 49999)))", size/9)),
		"arithmetic": function(0, "(local.set 0 "+strings.Repeat("(i32.mul (local.get 0) ", size/5)+"(i32.const 3)"+strings.Repeat(")", size/5)+")"),
		"br_table":   function(0, "(block (br_table "+strings.Repeat("0 ", size)+"(local.get 0)))"),
		"functions":  "(module " + strings.Repeat("(func)", size/5) + ")",
	}
	out := map[string][]byte{}
	for name, text := range texts {
		wasm, err := wasmer.Wat2Wasm(text)
		require.NoError(t, err)
		out[name] = wasm
	}
	return out
}

func TestMemoryOfCompilationsIsBounded(t *testing.T) {
	const limit = 48 << 20
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		size := 60_000
		if engine.Compiler() == wasmer.LLVM {
			size = 5000 // for more it needs long, but not much
		}
		modules := hostileFunctions(t, size)
		limited := engineOf(t, engine, wasmer.EngineConfig{MaxCompileMemory: limit})
		for name, wasm := range modules {
			module, err := limited.Compile(background, wasm)
			if err != nil {
				require.ErrorIs(t, err, wasmer.ErrResource, name)
				require.ErrorContains(t, err, "EngineConfig.MaxCompileMemory", name)
				continue
			}
			require.LessOrEqual(t, module.CompileStats().PeakMemory, uint64(limit), name)
			require.NoError(t, module.Close())
		}
		_, err := engineOf(t, engine, wasmer.EngineConfig{MaxCompileMemory: 1 << 20}).Compile(background, modules["blocks"])
		require.ErrorIs(t, err, wasmer.ErrResource)
		require.ErrorContains(t, err, "function[0] may take ")
		// What is refused when it is seen to be too much: each function is small.
		if engine.Compiler() != wasmer.LLVM {
			_, err = engineOf(t, engine, wasmer.EngineConfig{MaxCompileMemory: 3 << 20}).Compile(background, manyFunctions(t, 300))
			require.ErrorIs(t, err, wasmer.ErrResource)
			require.ErrorContains(t, err, "EngineConfig.MaxCompileMemory")
		}
		compile(t, limited, `(module (func (export "f")))`)
	})
}
