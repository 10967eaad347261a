package wasmer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// manyFunctions takes some tenths of a second to compile.
func manyFunctions(t testing.TB, count int) []byte {
	body := strings.Repeat("(local.set 0 (i32.mul (i32.add (local.get 0) (i32.const 7)) (i32.xor (local.get 0) (i32.const 3))))", 200)
	var text strings.Builder
	text.WriteString("(module")
	for range count {
		fmt.Fprintf(&text, "(func (param i32) (result i32) %s (local.get 0))", body)
	}
	text.WriteString(")")
	wasm, err := wasmer.Wat2Wasm(text.String())
	require.NoError(t, err)
	return wasm
}

func TestCompilationEndsWithItsContext(t *testing.T) {
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		count := 600
		if engine.Compiler() == wasmer.LLVM {
			count = 60 // which takes it as long
		}
		wasm := manyFunctions(t, count)
		start := time.Now()
		module, err := engine.Compile(context.WithoutCancel(background), wasm)
		whole := time.Since(start)
		require.NoError(t, err)
		require.NoError(t, module.Close())

		cause := errors.New("no longer wanted")
		early := false
		for attempt := 0; !early; attempt++ { // others may have the processor for that long
			require.Less(t, attempt, 20, "it takes %v", whole)
			ctx, cancel := context.WithCancelCause(background)
			timer := time.AfterFunc(whole/10, func() { cancel(cause) })
			start = time.Now()
			module, err = engine.Compile(ctx, wasm)
			took := time.Since(start)
			if timer.Stop(); err == nil {
				require.NoError(t, module.Close())
				continue
			}
			require.ErrorIs(t, err, wasmer.ErrInterrupted)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, cause)
			early = took < whole*3/4
		}

		ctx, stop := context.WithCancel(background)
		defer stop()
		module, err = engine.Compile(ctx, manyFunctions(t, 1))
		require.NoError(t, err, "the engine goes on")
		require.NoError(t, module.Close())
	})
}
