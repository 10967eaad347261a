package wasip1

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Times before 1970 are negative numbers, written as they are read.
func TestTimesBefore1970(t *testing.T) {
	host, err := OpenHost(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = host.Close() })
	for name, dir := range map[string]Dir{"host": host, "memory": NewMemFS().Root()} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, dir)
			file, errno := g.open(firstMount, "file", openCreate, allRights)
			require.Equal(t, Success, errno)
			modified := time.Date(1950, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()
			require.Equal(t, Success, g.FdFilestatSetTimes(file, 0, uint64(modified), setModified))
			require.Equal(t, Success, g.FdFilestatGet(file, bufferAt))
			require.Equal(t, modified, int64(binary.LittleEndian.Uint64(g.Memory[bufferAt+48:])))
		})
	}
}
