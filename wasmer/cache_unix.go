//go:build unix

package wasmer

import (
	"io/fs"
	"os"
	"syscall"
)

// openNonblock keeps a pipe in a file's place from being waited for.
const openNonblock = syscall.O_NONBLOCK

// foreignOwner reports whether a file belongs to a user who is neither this one nor root.
func foreignOwner(info fs.FileInfo) (owner uint32, foreign bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, true
	}
	return stat.Uid, stat.Uid != 0 && stat.Uid != uint32(os.Geteuid())
}
