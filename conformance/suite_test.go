package conformance

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/data"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
)

// TestOfficialSuite fails for each command that this library fails. The rivals are the report's affair.
func TestOfficialSuite(t *testing.T) {
	scripts := load(t)
	for _, engine := range slices.Concat(WasmerEngines(), MeteredEngines(), TieredEngines()) {
		t.Run(engine.Name(), func(t *testing.T) {
			for _, script := range scripts {
				t.Run(script.Name, func(t *testing.T) {
					t.Parallel()
					for _, result := range suite.Run(engine, script) {
						if result.Outcome == suite.Failed || result.Outcome == suite.NotConverted {
							t.Errorf("%s.wast:%d: %s: %s", script.Name, result.Line, result.Type, result.Reason)
						}
					}
				})
			}
		})
	}
}

func load(t *testing.T) []suite.Script {
	t.Helper()
	scripts, err := suite.Load("..")
	if errors.Is(err, data.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	return scripts
}
