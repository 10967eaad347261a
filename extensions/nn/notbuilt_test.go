//go:build !wasmer_nn || wasmer_llvm || wasmer_headless

package nn_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/nn"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

func TestF003WithoutTheTagNewSaysHowToBuild(t *testing.T) {
	_, err := nn.New(nn.Config{})
	require.ErrorIs(t, err, wasmer.ErrUnsupported)
	require.ErrorContains(t, err, "./justw build nn")
	require.ErrorContains(t, err, "-tags wasmer_nn")
}
