package wasip1

import (
	"io"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func memName(i int) string { return strconv.Itoa(i) }

// memRead reads a file from its beginning to its end.
func memRead(t testing.TB, file File) string {
	t.Helper()
	var all []byte
	p := make([]byte, 1000)
	for {
		n, err := file.ReadAt(p, int64(len(all)))
		all = append(all, p[:n]...)
		if err == io.EOF {
			return string(all)
		}
		require.NoError(t, err)
	}
}

// requireConsistent counts a MemFS anew of which no unlinked file is open, and compares that with what it has counted.
func requireConsistent(t testing.TB, m *MemFS) {
	t.Helper()
	c := memCount{names: map[*memNode]uint64{}}
	c.add(t, m.root)
	for node, names := range c.names {
		require.Equal(t, names, node.names, "names of inode %d", node.inode)
	}
	require.Equal(t, c.nodes, m.nodes.used, "nodes")
	require.Equal(t, c.bytes, m.bytes.used, "bytes")
}

type memCount struct {
	names        map[*memNode]uint64
	nodes, bytes int64
}

func (c *memCount) add(t testing.TB, directory *memNode) {
	t.Helper()
	entries := &directory.entries
	listed, directories, last := 0, uint64(0), uint64(0)
	for _, block := range entries.blocks {
		require.NotEmpty(t, block)
		for _, entry := range block {
			require.Greater(t, entry.position, last)
			require.Same(t, entry, entries.byName[entry.name])
			last = entry.position
			listed++
			c.nodes++
			if c.names[entry.node]++; c.names[entry.node] == 1 {
				c.bytes += int64(len(entry.node.linkTarget)) + dataBytes(entry.node)
			}
			if entry.node.fileType == TypeDirectory {
				directories++
				require.Same(t, directory, entry.node.parent)
				c.add(t, entry.node)
			}
		}
	}
	require.Len(t, entries.byName, listed)
	require.Equal(t, directory.directories, directories)
}

func dataBytes(n *memNode) (sum int64) {
	for _, chunk := range n.data.chunks {
		sum += int64(len(chunk))
	}
	return sum
}
