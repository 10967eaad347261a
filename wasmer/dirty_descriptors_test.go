//go:build linux

package wasmer_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// However many memories are tracked, the program can open files, and the tracking is right.
func TestTrackingLeavesDescriptorsToTheProgram(t *testing.T) {
	inChild(t, func(t *testing.T) {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}))
		for range 100 {
			memory, err := wasmer.NewMemory(1, 1)
			require.NoError(t, err)
			t.Cleanup(func() { _ = memory.Close() })
			require.NoError(t, memory.TrackDirty())
			require.NoError(t, memory.Write(5000, []byte{1}))
			dirty, err := memory.DirtyPages()
			require.NoError(t, err)
			require.Equal(t, []wasmer.PageRange{{Offset: 4096, Size: 4096}}, dirty)
		}
		for range 30 {
			file, err := os.Open(os.DevNull)
			require.NoError(t, err)
			t.Cleanup(func() { _ = file.Close() })
		}
	})
}
