package wasip1

const (
	// chunkSize is how the contents of files are split: what was never written takes no memory.
	chunkSize = 64 << 10
	// blockSize is the unit in which a chunk grows to its full size.
	blockSize = 512
)

// memData are the contents of a file. Past what is there of a chunk it is zero.
type memData struct {
	chunks map[int64][]byte
	size   int64
}

// readAt reads what is there from the offset on, which is not past the end.
func (d *memData) readAt(p []byte, offset int64) int {
	p = p[:min(int64(len(p)), d.size-offset)]
	for read := 0; read < len(p); {
		index, from, to := chunkRange(offset+int64(read), len(p)-read)
		part := p[read : read+to-from]
		chunk := d.chunks[index]
		copied := copy(part, chunk[min(from, len(chunk)):])
		clear(part[copied:])
		read += len(part)
	}
	return len(p)
}

// writeAt writes as much as there is room for; nothing at all is ENOSPC.
func (d *memData) writeAt(bytes *usage, bound int64, p []byte, offset int64) (int, error) {
	if offset > bound {
		return 0, EFBIG
	}
	written, space := 0, p[:min(int64(len(p)), bound-offset)]
	for written < len(space) {
		index, from, to := chunkRange(offset+int64(written), len(space)-written)
		chunk, err := d.grow(bytes, bound, index, to)
		if err != nil {
			break
		}
		written += copy(chunk[from:to], space[written:])
	}
	if written == 0 && len(p) > 0 {
		return 0, ENOSPC
	}
	if written > 0 {
		d.size = max(d.size, offset+int64(written))
	}
	return written, nil
}

// chunkRange is where up to n bytes at the offset lie, as far as the chunk goes.
func chunkRange(offset int64, n int) (index int64, from, to int) {
	from = int(offset % chunkSize)
	return offset / chunkSize, from, min(from+n, chunkSize)
}

// inBlocks rounds up.
func inBlocks(n int) int { return (n + blockSize - 1) / blockSize * blockSize }

// grow is the chunk with room up to the given end. It doubles, so that many small writes do not copy it each time, unless
// only what is needed fits.
func (d *memData) grow(bytes *usage, bound, index int64, end int) ([]byte, error) {
	chunk := d.chunks[index]
	if end <= len(chunk) {
		return chunk, nil
	}
	needed := inBlocks(end)
	length := max(needed, min(2*len(chunk), chunkSize))
	if bytes.take(int64(length-len(chunk)), bound) != nil {
		length = needed
		if err := bytes.take(int64(length-len(chunk)), bound); err != nil {
			return nil, err
		}
	}
	return d.replace(index, chunk, length), nil
}

func (d *memData) replace(index int64, chunk []byte, length int) []byte {
	if d.chunks == nil {
		d.chunks = map[int64][]byte{}
	}
	replaced := make([]byte, length)
	copy(replaced, chunk)
	d.chunks[index] = replaced
	return replaced
}

// allocate makes room for all of the file up to the size, or is ENOSPC without having done anything.
func (d *memData) allocate(bytes *usage, bound, size int64) error {
	if size > bound {
		return ENOSPC
	}
	missing := int64(0)
	for index, end := range chunkEnds(size) {
		missing += int64(max(0, inBlocks(end)-len(d.chunks[index])))
	}
	if err := bytes.take(missing, bound); err != nil {
		return err
	}
	for index, end := range chunkEnds(size) {
		if chunk := d.chunks[index]; len(chunk) < end {
			d.replace(index, chunk, inBlocks(end))
		}
	}
	d.size = max(d.size, size)
	return nil
}

// chunkEnds gives, for a file of the size, each chunk and where the file ends in it.
func chunkEnds(size int64) func(yield func(int64, int) bool) {
	return func(yield func(int64, int) bool) {
		for at := int64(0); at < size; at += chunkSize {
			if !yield(at/chunkSize, int(min(size-at, chunkSize))) {
				return
			}
		}
	}
}

// truncate sets the size and gives back what lies past it.
func (d *memData) truncate(bytes *usage, size int64) {
	if size < d.size {
		d.cut(bytes, size)
	}
	d.size = size
}

// cut drops the chunks past the size. It makes a new map, for one keeps the memory of what is deleted.
func (d *memData) cut(bytes *usage, size int64) {
	kept, given := map[int64][]byte(nil), int64(0)
	for index, chunk := range d.chunks {
		length := int(min(max(0, size-index*chunkSize), int64(len(chunk))))
		given += int64(len(chunk) - inBlocks(length))
		if length == 0 {
			continue
		}
		if kept == nil {
			kept = map[int64][]byte{}
		}
		kept[index] = shorten(chunk, length)
	}
	d.chunks = kept
	bytes.give(given)
}

// shorten drops the blocks past the length, and clears the rest of the last one.
func shorten(chunk []byte, length int) []byte {
	if blocks := inBlocks(length); blocks < len(chunk) {
		chunk = append(make([]byte, 0, blocks), chunk[:blocks]...)
	}
	clear(chunk[length:])
	return chunk
}
