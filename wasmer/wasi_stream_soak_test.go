package wasmer_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// zeros is an endless input, total counts an output.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

type total int64

func (n *total) Write(p []byte) (int, error) {
	*n += total(len(p))
	return len(p), nil
}

// Ten gigabytes go through a guest at constant memory.
func TestSoakWASIStream(t *testing.T) {
	size := int64(64 << 20)
	if soak == "long" {
		size = 10 << 30
	}
	wasm, err := wasmer.ReadBytes("../testdata/wasi/echo.wasm")
	require.NoError(t, err)
	eachCompiler(t, func(t *testing.T, engine *wasmer.Engine) {
		module, err := engine.Compile(background, wasm)
		require.NoError(t, err)
		defer module.Close()
		var output total
		wasi := newWASI(t, wasmer.WASIConfig{
			Args: []string{"echo"}, Stdin: io.LimitReader(zeros{}, size), Stdout: &output,
		})
		guest, err := wasmer.Instantiate(background, module, wasmer.NewImports().WASI(wasi))
		require.NoError(t, err)
		defer guest.Close()
		before := memoryStatus("VmRSS")
		require.NoError(t, guest.Start(background))
		require.EqualValues(t, size, output)
		require.Less(t, int64(memoryStatus("VmRSS")), int64(before)+64<<20)
	})
}
