package wasmer

import (
	"encoding/binary"
	"io"
	"math"
	"os"
)

// truncated reports whether an ELF file ends before what is to be loaded of it: the system maps what is not there, and then the
// loader, and the process with it, dies of SIGBUS. What is wrong otherwise the loader says.
func truncated(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false
	}
	size := uint64(info.Size())
	var header [64]byte
	if _, err := file.ReadAt(header[:], 0); err != nil || [6]byte(header[:6]) != [6]byte{0x7f, 'E', 'L', 'F', 2, 1} {
		return false // the loader refuses what is no ELF of 64 bits
	}
	const loaded, entry = 1, 56
	at, entrySize, count := binary.LittleEndian.Uint64(header[32:]), binary.LittleEndian.Uint16(header[54:]), binary.LittleEndian.Uint16(header[56:])
	if entrySize != entry {
		return false
	}
	if at > math.MaxInt64 {
		return true
	}
	segments := make([]byte, int(count)*entry)
	if _, err := io.ReadFull(io.NewSectionReader(file, int64(at), int64(len(segments))), segments); err != nil {
		return true
	}
	for ; len(segments) > 0; segments = segments[entry:] {
		offset, length := binary.LittleEndian.Uint64(segments[8:]), binary.LittleEndian.Uint64(segments[32:])
		if binary.LittleEndian.Uint32(segments) == loaded && (offset > size || length > size-offset) {
			return true
		}
	}
	return false
}
