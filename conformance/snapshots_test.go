package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/suite"
)

// TestOfficialSuiteThroughSnapshots runs the suite with instances that are replaced by restored ones, which must change no result.
func TestOfficialSuiteThroughSnapshots(t *testing.T) {
	scripts := load(t)
	for _, engine := range SnapshotEngines() {
		plain := engine.(wasmerEngine)
		count := plain.snapshots
		plain.snapshots = nil
		t.Run(engine.Name(), func(t *testing.T) {
			t.Run("scripts", func(t *testing.T) {
				for _, script := range scripts {
					t.Run(script.Name, func(t *testing.T) {
						t.Parallel()
						require.Equal(t, suite.Run(plain, script), suite.Run(engine, script))
					})
				}
			})
			t.Logf("%d instances were restored, %d of them from bytes; not: %d that others import from, %d that cannot be captured",
				count.restored.Load(), count.throughBytes.Load(), count.shared.Load(), count.refused.Load())
			require.Positive(t, count.throughBytes.Load())
		})
	}
}
