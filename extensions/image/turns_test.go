package image

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const waiting = `(module
	(import "wasmedge_image" "load_png" (func $load (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
	(memory (export "memory") 1)
	(func (export "load") (param $length i32) (result i32)
		(call $load (i32.const 0) (local.get $length) (i32.const 2) (i32.const 2) (i32.const 0) (i32.const 60000) (i32.const 12))))`

func TestAGuestWaitsForItsTurnAsLongAsItsContextLetsIt(t *testing.T) {
	m := New(Config{})
	module, err := wasmer.Compile([]byte(waiting))
	require.NoError(t, err)
	defer module.Close()
	instance, err := wasmer.Instantiate(t.Context(), module, wasmer.NewImports().Add(m))
	require.NoError(t, err)
	defer instance.Close()
	load, err := wasmer.Func1[int32, int32](instance, "load")
	require.NoError(t, err)
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, image.NewGray(image.Rect(0, 0, 3, 3))))
	require.NoError(t, instance.Memory.Write(0, file.Bytes()))

	for range cap(m.turns) {
		m.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := load(ctx, int32(file.Len()))
		ended <- err
	}()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	<-m.turns
	result, err := load(t.Context(), int32(file.Len()))
	require.NoError(t, err)
	require.EqualValues(t, Success, result)
	require.Len(t, m.turns, cap(m.turns)-1, "the turn was given back")
}

func TestDecodingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := io.ReadAll(reader{bytes.NewReader(make([]byte, 10)), ctx})
	require.ErrorIs(t, err, context.Canceled)
}
