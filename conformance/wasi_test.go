package conformance

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/data"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasi"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/wasisuite"
)

// TestWASISuite fails for each program that this library fails. The rivals are the report's affair.
func TestWASISuite(t *testing.T) {
	cases, err := wasisuite.Load("..", t.TempDir())
	if errors.Is(err, data.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(cases), 72, "this is not the whole suite")
	for _, engine := range slices.Concat(WasmerEngines(), TieredEngines()) {
		t.Run(engine.Name(), func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.Name, func(t *testing.T) {
					t.Parallel()
					require.NoError(t, wasisuite.Run(t.Context(), engine.(wasi.Engine), c))
				})
			}
		})
	}
}
