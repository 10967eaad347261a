package wasip1

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A folder of the host does what Linux does by itself, as long as nothing leads outside. Of several reasons to fail, os.Root
// may find another one first.
func TestHostModel(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			dir, err := OpenHost(t.TempDir())
			require.NoError(t, err)
			t.Cleanup(func() { _ = dir.Close() })
			model := newModel(t, seed, dir, openKernelDir(t, t.TempDir()))
			model.anyErrno = true
			for range 600 {
				model.step()
			}
			model.finish()
		})
	}
}
